//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/test/imagetest"
)

const (
	// warmClients pull the same image at one time.
	warmClients = 8
	// warmShare is the part of the large image that they pull, 500 MB of a GiB.
	warmShare = 0.465
)

// warmPulls compares how fast blobs come that every server has: nginx from the upstream registry's files, the proxies
// from their caches.
func warmPulls(ctx context.Context, w *world, t table) error {
	img, err := w.half(ctx)
	if err != nil {
		return err
	}
	ours, cncf, err := w.mirrors(ctx, w.upstream, "")
	if err != nil {
		return err
	}
	defer ours.stop(w)
	defer cncf.stop(w)
	files, err := w.nginx(ctx)
	if err != nil {
		return err
	}
	defer files.stop(w)
	all := []peer{cncf, files, ours}
	took, busy := make([][]time.Duration, len(all)), make([][]time.Duration, len(all))
	for _, p := range all {
		note("warming %s", p.name)
		if err := p.warmUp(ctx, img); err != nil {
			return err
		}
	}
	for run := range w.runs {
		for i, p := range all {
			note("%d clients pull from %s, %d of %d", warmClients, p.name, run+1, w.runs)
			wall, cpu, err := w.warmRun(ctx, p, img)
			if err != nil {
				return err
			}
			took[i], busy[i] = append(took[i], wall), append(busy[i], cpu)
			w.samples.add("WarmPull/"+p.name, wall, metric{perSecond(warmClients*img.packed, wall) / 1e6, "MB/s"}, metric{cpu.Seconds() * 1000, "server-cpu-ms/op"})
		}
	}
	bytes := warmClients * img.packed
	for i, p := range all {
		t.row(fmt.Sprintf("warm pull: %d × %d MB from %s", warmClients, img.packed/1e6, p.name), fmt.Sprintf("%.0f MB/s", perSecond(bytes, median(took[i]))/1e6), "-", true)
	}
	t.atLeast("warm pull: throughput, safepull-proxy / distribution", quotient(median(took[0]), median(took[2])), 1.0)
	t.atLeast("warm pull: throughput, safepull-proxy / nginx", quotient(median(took[1]), median(took[2])), 0.9)
	for i, p := range all {
		t.row("warm pull: CPU of "+p.name+" for a GB", fmt.Sprintf("%.2f s", median(busy[i]).Seconds()*1e9/float64(bytes)), "-", true)
	}
	return nil
}

// warmRun has all clients pull once.
func (w *world) warmRun(ctx context.Context, p peer, img image) (time.Duration, time.Duration, error) {
	var taken atomic.Int64
	clients := make([]*client, warmClients)
	for i := range clients {
		c, err := dial(ctx, p.address, &taken)
		if err != nil {
			return 0, 0, err
		}
		defer c.close()
		clients[i] = c
	}
	stop := w.monitor.follow("warm pull, 8 clients", p.name, p.server, taken.Load)
	defer stop()
	return p.spent(func() error {
		return each(warmClients, func(i int) error {
			for _, l := range img.layers {
				path := p.path(img.repository, "blobs", l.Descriptor.Digest.String())
				a, err := clients[i].do("GET", path, nil)
				if err == nil && (a.status != 200 || a.length != l.Descriptor.Size) {
					err = fmt.Errorf("GET %s: %d with %d bytes", path, a.status, a.length)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// inspecting bounds the wait for the inspection of the large image, on a machine that has more to do.
const inspecting = 5 * time.Minute

// warmUp pulls until everything comes, and comes again from the server's own. Everything is verified.
func (p peer) warmUp(ctx context.Context, img image) error {
	var taken atomic.Int64
	c, err := dial(ctx, p.address, &taken)
	if err != nil {
		return err
	}
	defer c.close()
	if p.name != "nginx" { // which has no manifests
		a, err := c.get(p.path(img.repository, "manifests", img.tag))
		for deadline := time.Now().Add(inspecting); err == nil && a.status == 503 && time.Now().Before(deadline); {
			time.Sleep(max(a.retryAfter, time.Second))
			a, err = c.get(p.path(img.repository, "manifests", img.tag))
		}
		if err != nil || a.status != 200 {
			return errors.Join(err, fmt.Errorf("%s: the manifest answers %d: %s", p.name, a.status, a.body))
		}
	}
	for range 2 {
		for _, l := range img.layers {
			h := digest.SHA256.Digester()
			a, err := c.do("GET", p.path(img.repository, "blobs", l.Descriptor.Digest.String()), h.Hash())
			if err != nil || a.status != 200 || h.Digest() != l.Descriptor.Digest {
				return errors.Join(err, fmt.Errorf("%s: blob %s answers %d with %s", p.name, l.Descriptor.Digest, a.status, h.Digest()))
			}
		}
		time.Sleep(300 * time.Millisecond) // a client has a blob a little earlier than the cache
	}
	return nil
}

// each runs f n times at once and returns their first error.
func each(n int, f func(int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// half is an image of the first layers of the large one.
func (w *world) half(ctx context.Context) (image, error) {
	img, err := w.large(ctx)
	if err != nil {
		return img, err
	}
	total := img.packed
	part := image{repository: img.repository, tag: "half"}
	for _, l := range img.layers {
		if float64(part.packed) >= warmShare*float64(total)*0.9 {
			break
		}
		part.layers = append(part.layers, l)
		part.packed += l.Descriptor.Size
	}
	built := imagetest.Image{Layers: part.layers}.Build()
	return part, imagetest.Pusher{URL: "http://" + w.upstream}.Push(ctx, part.repository, part.tag, built)
}

func perSecond(n int64, d time.Duration) float64 { return float64(n) / max(d.Seconds(), 1e-9) }

func quotient(a, b time.Duration) float64 { return a.Seconds() / max(b.Seconds(), 1e-9) }
