//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// lineBytes is what the upstream's line gives a second.
	lineBytes = 50_000_000
	// coldGoal is how many times longer than through a proxy that inspects nothing a pull may take.
	coldGoal = 1.10
)

// coldPulls compares pulls of an image that neither proxy has over a line of limited speed.
func coldPulls(ctx context.Context, w *world, t table) error {
	img, err := w.large(ctx)
	if err != nil {
		return err
	}
	if _, err := w.startEngine(ctx); err != nil {
		return err
	}
	line, err := newThrottle(ctx, w.upstream, lineBytes)
	if err != nil {
		return err
	}
	defer line.close()
	for _, c := range []struct {
		name string
		pull func(context.Context, *world, peer, image) (time.Duration, error)
	}{{"crane", craneCold}, {"dockerd", engineCold}} {
		took, busy := map[string][]time.Duration{}, map[string][]time.Duration{}
		for run := range w.runs {
			for _, start := range []func(context.Context, string) (peer, error){w.distributionProxy, w.safepullPlain} {
				p, err := start(ctx, line.address)
				if err != nil {
					return err
				}
				note("%s pulls through %s over a line of %d MB/s, %d of %d", c.name, p.name, lineBytes/1_000_000, run+1, w.runs)
				stop := w.monitor.follow("cold pull by "+c.name+", upstream at 50 MB/s", p.name, p.server, line.passed.Load)
				var wall time.Duration
				_, cpu, err := p.spent(func() (err error) {
					wall, err = c.pull(ctx, w, p, img)
					return err
				})
				stop()
				p.stop(w)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				took[p.name], busy[p.name] = append(took[p.name], wall), append(busy[p.name], cpu)
				w.samples.add("ColdPull/"+c.name+"/"+p.name, wall, metric{cpu.Seconds(), "server-cpu-s/op"})
			}
		}
		name := fmt.Sprintf("cold pull at %d MB/s: %d MB, %s", lineBytes/1_000_000, img.packed/1e6, c.name)
		a, b := median(took["distribution"]), median(took["safepull-proxy"])
		t.seconds(name+" through distribution", a)
		t.seconds(name+" through safepull-proxy", b)
		t.seconds(name+", CPU of distribution", median(busy["distribution"]))
		t.seconds(name+", CPU of safepull-proxy", median(busy["safepull-proxy"]))
		t.atMost(name+", safepull-proxy / distribution", quotient(b, a), coldGoal)
	}
	return nil
}

// safepullPlain has the default configuration.
func (w *world) safepullPlain(ctx context.Context, upstream string) (peer, error) {
	return w.safepullProxy(ctx, upstream, "")
}

// craneCold pulls into a layout.
func craneCold(ctx context.Context, w *world, p peer, img image) (took time.Duration, err error) {
	layout := filepath.Join(w.dir, "pulled")
	defer func() { err = errors.Join(err, os.RemoveAll(layout)) }()
	settle()
	return w.run(ctx, filepath.Join(w.tools, "crane"), "pull", "--format=oci", p.image(img), layout)
}

// engineCold pulls into an engine that has nothing.
func engineCold(ctx context.Context, w *world, p peer, img image) (time.Duration, error) {
	return w.fresh(ctx, "docker", "pull", p.image(img))
}
