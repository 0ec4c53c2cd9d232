//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// peakLimit is the memory that a proxy may have while an image of 1 GiB passes.
const peakLimit = 256 << 20

// proxied is one way to run a proxy in front of upstream, with an empty cache.
type proxied struct {
	name  string
	start func(context.Context, *world) (*server, string, error)
	// folder has all that the proxy keeps.
	folder string
	// kept is where the proxy will have a blob once it is cached; a pattern.
	kept func(hex string) string

	cold, warm, coldCPU, warmCPU []time.Duration
	peak                         int64
}

func cncf() *proxied {
	return &proxied{
		name: "distribution", folder: "cncf",
		start: func(ctx context.Context, w *world) (*server, string, error) {
			return w.startRegistry(ctx, "cncf", fmt.Sprintf("log: {level: error, accesslog: {disabled: true}}\nproxy: {remoteurl: \"http://%s\"}\n", w.upstream))
		},
		kept: func(hex string) string { return "docker/registry/v2/blobs/sha256/" + hex[:2] + "/" + hex + "/data" },
	}
}

func ours() *proxied {
	return &proxied{
		name: "safepull-proxy", folder: "ours", start: startOurs,
		kept: func(hex string) string { return "cache/blobcache/v1/blobs/sha256/" + hex[:2] + "/" + hex + ".*" },
	}
}

func startOurs(ctx context.Context, w *world) (*server, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	file, state := filepath.Join(w.dir, "ours.yaml"), filepath.Join(w.dir, "ours")
	config := fmt.Sprintf("version: 1\nlisten: %s\nstateDir: %s\nupstreams:\n  - {host: %q, plainHTTP: true, default: true}\n", address, state, w.upstream)
	if err := errors.Join(os.RemoveAll(state), os.WriteFile(file, []byte(config), 0o600)); err != nil {
		return nil, "", err
	}
	s, err := w.start("ours", filepath.Join(w.bin, "safepull-proxy"), "serve", "--config", file)
	if err != nil {
		return nil, "", err
	}
	return s, address, s.awaitAddress(ctx, address)
}

// proxyPulls compares safepull-proxy with the CNCF's pull-through proxy, both in front of the same registry.
func proxyPulls(ctx context.Context, w *world, t table) error {
	img, err := w.large(ctx)
	if err != nil {
		return err
	}
	a, b := cncf(), ours()
	for i := range w.runs {
		for _, p := range []*proxied{a, b} {
			note("crane pull through %s, %d of %d", p.name, i+1, w.runs)
			if err := p.measure(ctx, w, img); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	log, err := os.ReadFile(filepath.Join(w.dir, "ours.log"))
	if err != nil {
		return err
	}
	// The client asks again after a pause, which the time of the cold pull then includes.
	compare(t, img, a, b, bytes.Count(log, []byte(`"status":503`)))
	return nil
}

// compare prints the rows of two proxies.
func compare(t table, img image, a, b *proxied, held int) {
	what := fmt.Sprintf("%d MiB through ", img.packed>>20)
	for _, p := range []*proxied{a, b} {
		t.seconds("cold pull "+what+p.name, median(p.cold))
	}
	t.ratio("cold pull: safepull-proxy / distribution", median(b.cold), median(a.cold))
	t.count("cold pull: answers that the inspection is still running", held, 0)
	for _, p := range []*proxied{a, b} {
		t.seconds("warm pull "+what+p.name, median(p.warm))
	}
	t.ratio("warm pull: safepull-proxy / distribution", median(b.warm), median(a.warm))
	for _, p := range []*proxied{a, b} {
		t.seconds("cold pull: CPU of "+p.name, median(p.coldCPU))
	}
	t.ratio("cold pull: CPU, safepull-proxy / distribution", median(b.coldCPU), median(a.coldCPU))
	for _, p := range []*proxied{a, b} {
		t.seconds("warm pull: CPU of "+p.name, median(p.warmCPU))
	}
	t.row("peak memory of "+a.name, inMiB(a.peak), "-", true)
	t.memory("peak memory of "+b.name, b.peak, peakLimit)
}

// measure starts the proxy anew and pulls twice.
func (p *proxied) measure(ctx context.Context, w *world, img image) error {
	s, address, err := p.start(ctx, w)
	if err != nil {
		return err
	}
	defer func() {
		s.stop()
		_ = os.RemoveAll(filepath.Join(w.dir, p.folder)) // else the world's end removes it
	}()
	before, err := w.fetched(img)
	if err != nil {
		return err
	}
	cold, busy, err := w.crane(ctx, s, address, img)
	if err != nil {
		return err
	}
	p.cold, p.coldCPU = append(p.cold, cold), append(p.coldCPU, busy)
	if err := p.awaitCached(ctx, w, s, img); err != nil {
		return err
	}
	between, err := w.fetched(img)
	if err != nil {
		return err
	}
	warm, busy, err := w.crane(ctx, s, address, img)
	if err != nil {
		return err
	}
	p.warm, p.warmCPU = append(p.warm, warm), append(p.warmCPU, busy)
	after, err := w.fetched(img)
	if err != nil {
		return err
	}
	if between == before || after != between {
		return fmt.Errorf("the cold pull fetched %d layers, the warm one %d", between-before, after-between)
	}
	most, err := peak(s.cmd.Process.Pid)
	p.peak = max(p.peak, most)
	return err
}

// awaitCached waits until the proxy has all layers: the client has them a little earlier.
func (p *proxied) awaitCached(ctx context.Context, w *world, s *server, img image) error {
	return s.await(ctx, func() error {
		for _, l := range img.layers {
			pattern := filepath.Join(w.dir, p.folder, p.kept(l.Descriptor.Digest.Encoded()))
			files, err := filepath.Glob(pattern)
			if err != nil || len(files) == 0 {
				return errors.Join(err, fmt.Errorf("no %s", pattern))
			}
		}
		return nil
	})
}

// crane pulls the image through a server into a layout, and returns its time and the server's processor time.
func (w *world) crane(ctx context.Context, s *server, address string, img image) (took, busy time.Duration, err error) {
	layout := filepath.Join(w.dir, "pulled")
	if err := os.RemoveAll(layout); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(layout)) }()
	settle()
	before, err := s.busy()
	if err != nil {
		return 0, 0, err
	}
	took, err = w.run(ctx, filepath.Join(w.tools, "crane"), "pull", "--format=oci", address+"/"+img.repository+":"+img.tag, layout)
	if err != nil {
		return 0, 0, err
	}
	after, err := s.busy()
	return took, after - before, err
}
