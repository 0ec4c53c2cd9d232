//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// upToDate is the time within which a pull that has nothing to do ends.
const upToDate = 2 * time.Second

// startEngine starts Debian's engine, unless it runs, with everything of its own, and returns what it calls itself.
func (w *world) startEngine(ctx context.Context) (string, error) {
	if w.engine != "" {
		return w.engine, nil
	}
	config := filepath.Join(w.dir, "daemon.json")
	// Else the engine would write its identity to /etc/docker.
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"deprecated-key-path": %q}`, filepath.Join(w.dir, "key.json")), 0o600); err != nil {
		return "", err
	}
	s, err := w.start("engine", "dockerd", "--host=unix://"+w.socket(), "--config-file="+config,
		"--data-root="+filepath.Join(w.dir, "data"), "--exec-root="+filepath.Join(w.dir, "x"),
		"--pidfile="+filepath.Join(w.dir, "d.pid"), "--iptables=false", "--ip6tables=false", "--bridge=none")
	if err != nil {
		return "", err
	}
	if err := s.await(ctx, func() error {
		_, err := w.run(ctx, "docker", "version")
		return err
	}); err != nil {
		return "", err
	}
	out, err := w.command(ctx, "docker", "info", "--format", "{{.ServerVersion}} {{.Driver}}").Output()
	w.engine = string(bytes.TrimSpace(out))
	return w.engine, err
}

// enginePulls compares docker safepull with docker pull, both from the same registry into the same engine.
func enginePulls(ctx context.Context, w *world, t table) error {
	img, err := w.image(ctx, "bench/app", w.pullSize, w.seed)
	if err != nil {
		return err
	}
	engine, err := w.startEngine(ctx)
	if err != nil {
		return err
	}
	note("engine %s; image of %d MiB, %d MiB unpacked", engine, img.packed>>20, img.plain>>20)
	var p pulls
	for i := range w.runs {
		note("docker pull and docker safepull, %d of %d", i+1, w.runs)
		if err := p.measure(ctx, w, img); err != nil {
			return err
		}
	}
	what := fmt.Sprintf("%d MiB", img.packed>>20)
	t.seconds("docker pull "+what, median(p.plain))
	t.seconds("docker safepull "+what, median(p.judged))
	t.ratio("docker safepull / docker pull", median(p.judged), median(p.plain))
	t.below("docker safepull again", median(p.again), upToDate, inSeconds)
	t.count("docker safepull again: layers fetched", p.fetches, 0)
	return nil
}

// pulls are the times of docker pull, of docker safepull, and of docker safepull when everything is there, and how many
// layers the last of them fetched.
type pulls struct {
	plain, judged, again []time.Duration
	fetches              int
}

func (p *pulls) measure(ctx context.Context, w *world, img image) error {
	name := w.upstream + "/" + img.repository + ":" + img.tag
	took, err := w.fresh(ctx, "docker", "pull", name)
	if err != nil {
		return err
	}
	p.plain = append(p.plain, took)
	if took, err = w.fresh(ctx, "docker", "safepull", name); err != nil {
		return err
	}
	p.judged = append(p.judged, took)
	before, err := w.fetched(img)
	if err != nil {
		return err
	}
	if took, err = w.run(ctx, "docker", "safepull", name); err != nil {
		return err
	}
	p.again = append(p.again, took)
	after, err := w.fetched(img)
	p.fetches += after - before
	return err
}

// fresh takes a command's time in an engine without images and a plugin without memory.
func (w *world) fresh(ctx context.Context, program string, args ...string) (time.Duration, error) {
	if _, err := w.run(ctx, "docker", "image", "prune", "--all", "--force"); err != nil {
		return 0, err
	}
	if err := w.forget(); err != nil {
		return 0, err
	}
	settle()
	return w.run(ctx, program, args...)
}
