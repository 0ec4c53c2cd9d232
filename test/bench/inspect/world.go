//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
)

// world is where everything is measured.
type world struct {
	options
	layers layers
	self   string
}

func newWorld(ctx context.Context, o options) (*world, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &world{options: o, self: self}
	if w.cache, err = filepath.Abs(o.cache); err != nil {
		return nil, err
	}
	if w.layers, err = material(ctx, w.cache); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp(o.dir, "safepull-bench-inspect-"); err != nil {
		return nil, err
	}
	for _, name := range []string{w.layers.gz, w.layers.zst, w.layers.tar} {
		if err := writeDigest(name); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

func (w *world) close() error { return os.RemoveAll(w.dir) }

// writeDigest keeps the digest of a file beside it.
func writeDigest(name string) error {
	if _, err := os.Stat(name + ".digest"); err == nil {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := digest.FromReader(f)
	if err != nil {
		return err
	}
	return os.WriteFile(name+".digest", []byte(d), 0o600)
}

// used is what one process cost.
type used struct {
	cpu, wall time.Duration
	rss       int64 // bytes at most
	out       []byte
}

// process is a command that is measured.
type process struct {
	args []string
	env  []string
	dir  string
	// status is the exit status that is right.
	status []int
}

// step is this program as one measured process on one core.
func (w *world) step(name, file string, more ...string) process {
	return process{
		args: append([]string{"taskset", "-c", "0", w.self, "-step", name, "-file", file}, more...),
		env:  []string{"GOMAXPROCS=1"},
	}
}

func (w *world) run(ctx context.Context, p process) (used, error) {
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), p.env...), p.dir
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := cmd.Run()
	u := used{wall: time.Since(began), out: out.kept}
	var exit *exec.ExitError
	if errors.As(err, &exit) && slices.Contains(p.status, exit.ExitCode()) {
		err = nil
	}
	if err != nil {
		return u, fmt.Errorf("%v: %w\n%s", p.args, err, out.kept)
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.rss = r.Maxrss << 10
	}
	return u, nil
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	if t.kept = append(t.kept, p...); len(t.kept) > 8<<10 {
		t.kept = slices.Clone(t.kept[len(t.kept)-4<<10:])
	}
	return len(p), nil
}

var _ io.Writer = (*tail)(nil)

// compare runs the processes in turn, o.runs times, and returns the medians of each.
func (w *world) compare(ctx context.Context, ps ...process) ([]used, error) {
	all := make([][]used, len(ps))
	for range w.runs {
		for i, p := range ps {
			u, err := w.run(ctx, p)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], u)
		}
	}
	medians := make([]used, len(ps))
	for i, us := range all {
		medians[i] = us[len(us)-1]
		medians[i].cpu = middle(us, func(u used) time.Duration { return u.cpu })
		medians[i].wall = middle(us, func(u used) time.Duration { return u.wall })
	}
	return medians, nil
}

func middle(us []used, of func(used) time.Duration) time.Duration {
	var ds []time.Duration
	for _, u := range us {
		ds = append(ds, of(u))
	}
	slices.Sort(ds)
	return ds[(len(ds)-1)/2]
}

// usage is what this process has used of processors.
func usage() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// row prints one line of the table.
func row(name, measured, goal string, ok bool) {
	verdict := "ok"
	if !ok {
		verdict = "short"
	}
	fmt.Printf("%s\t%s\t%s\t%s\n", name, measured, goal, verdict)
}

// atLeast and atMost print a number with a bound.
func atLeast(name string, got, goal float64, unit string) {
	row(name, fmt.Sprintf("%.2f%s", got, unit), fmt.Sprintf(">= %.2f%s", goal, unit), got >= goal)
}

func atMost(name string, got, goal float64, unit string) {
	row(name, fmt.Sprintf("%.2f%s", got, unit), fmt.Sprintf("<= %.2f%s", goal, unit), got <= goal)
}
