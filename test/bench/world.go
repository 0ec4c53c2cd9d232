//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
)

// maxDir keeps the longest socket path below the folder, that of the engine's containerd, within the 107 bytes that an
// address holds.
const maxDir = 60

// world is the machine as one run sees it: a folder, programs, an upstream registry, and servers that are stopped in
// the end.
type world struct {
	options
	env      []string
	upstream string
	servers  []*server
	made     *made
	engine   string // what it calls itself, once it runs
	monitor  *monitor
	samples  *samples
}

func newWorld(ctx context.Context, o options) (w *world, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the engine needs root")
	}
	files := []*string{&o.bin, &o.tools, &o.dir}
	for _, file := range []*string{&o.plot, &o.baseline, &o.cache} {
		if *file != "" {
			files = append(files, file)
		}
	}
	for _, folder := range files {
		if *folder, err = filepath.Abs(*folder); err != nil {
			return nil, err
		}
	}
	for _, program := range []string{o.bin + "/docker-safepull", o.bin + "/safepull-proxy", o.tools + "/registry", o.tools + "/crane", "docker", "dockerd", "nginx"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%w; `make bench` builds and installs it", err)
		}
	}
	if o.runs < 1 || o.size < 1<<20 || o.pullSize < 1<<20 {
		return nil, errors.New("runs must be at least 1, sizes at least 1 MiB")
	}
	kept, err := openMade(o.cache)
	if err != nil {
		return nil, err
	}
	if o.dir, err = os.MkdirTemp(o.dir, "sp-bench-"); err != nil {
		return nil, err
	}
	w = &world{options: o, monitor: &monitor{}, samples: &samples{}, made: kept}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if len(w.dir) > maxDir {
		return nil, fmt.Errorf("the folder %q is longer than %d bytes: sockets in it would have no address", w.dir, maxDir)
	}
	if err := w.prepare(); err != nil {
		return nil, err
	}
	return w, w.startUpstream(ctx)
}

// prepare makes a home that has nothing of the person's, with the plugin where docker looks for it.
func (w *world) prepare() error {
	for _, name := range []string{"tmp", "home"} {
		if err := os.Mkdir(filepath.Join(w.dir, name), 0o700); err != nil {
			return err
		}
	}
	home := filepath.Join(w.dir, "home")
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + filepath.Join(w.dir, "tmp"), "NO_COLOR=1", "LANG=C",
		"XDG_DATA_HOME=" + home + "/data", "XDG_CONFIG_HOME=" + home + "/config", "XDG_CACHE_HOME=" + home + "/cache",
		"DOCKER_CONFIG=" + w.dockerConfig(), "DOCKER_HOST=unix://" + w.socket(), "DOCKER_CLI_HINTS=false",
		"OTEL_TRACES_EXPORTER=none",
	}
	return w.forget()
}

func (w *world) dockerConfig() string { return filepath.Join(w.dir, "docker") }
func (w *world) socket() string       { return filepath.Join(w.dir, "d.sock") }

// forget makes docker's configuration anew, and with it what the plugin remembers.
func (w *world) forget() error {
	plugins := filepath.Join(w.dockerConfig(), "cli-plugins")
	return errors.Join(os.RemoveAll(w.dockerConfig()), os.MkdirAll(plugins, 0o700),
		os.Symlink(filepath.Join(w.bin, "docker-safepull"), filepath.Join(plugins, "docker-safepull")))
}

// startUpstream starts the registry that all pulls come from in the end. Its log says what was fetched.
func (w *world) startUpstream(ctx context.Context) (err error) {
	_, w.upstream, err = w.serveRegistry(ctx, "upstream", w.stored(), "log: {level: error, accesslog: {disabled: false}}\n")
	return err
}

// stored is where upstream has its content.
func (w *world) stored() string {
	if w.cache != "" {
		return filepath.Join(w.cache, "upstream")
	}
	return filepath.Join(w.dir, "upstream")
}

// startRegistry starts the CNCF's registry with a new storage.
func (w *world) startRegistry(ctx context.Context, name, more string) (*server, string, error) {
	storage := filepath.Join(w.dir, name)
	if err := os.RemoveAll(storage); err != nil {
		return nil, "", err
	}
	return w.serveRegistry(ctx, name, storage, more)
}

func (w *world) serveRegistry(ctx context.Context, name, storage, more string) (*server, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(w.dir, name+".yml")
	config := fmt.Sprintf("version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n%s", storage, address, more)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, "", err
	}
	s, err := w.start(name, filepath.Join(w.tools, "registry"), "serve", file)
	if err != nil {
		return nil, "", err
	}
	return s, address, s.awaitAddress(ctx, address)
}

// close stops what runs and removes the folder.
func (w *world) close() error {
	for _, s := range slices.Backward(w.servers) {
		s.stop()
	}
	return errors.Join(w.clearEngine(), os.RemoveAll(w.dir))
}

// command is a program in this world.
func (w *world) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir = w.env, w.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTime
	return cmd
}

// run takes a program's time.
func (w *world) run(ctx context.Context, program string, args ...string) (time.Duration, error) {
	cmd := w.command(ctx, program, args...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, out[max(0, len(out)-2000):])
	}
	return took, nil
}

// settle writes what is not yet on the disk, so that no run pays for the one before.
func settle() { syscall.Sync() }

// fetched counts requests for layers of the image that upstream has answered so far.
func (w *world) fetched(img image) (int, error) {
	b, err := w.upstreamLog()
	if err != nil {
		return 0, err
	}
	var layers []digest.Digest
	for _, l := range img.layers {
		layers = append(layers, l.Descriptor.Digest)
	}
	return countFetches(b, layers), nil
}

// countFetches reads an access log.
func countFetches(log []byte, layers []digest.Digest) int {
	n := 0
	for line := range bytes.Lines(log) {
		_, path, ok := bytes.Cut(line, []byte(`"GET /v2/`))
		if !ok {
			continue
		}
		path, _, _ = bytes.Cut(path, []byte(" "))
		if slices.ContainsFunc(layers, func(d digest.Digest) bool { return bytes.HasSuffix(path, []byte("/blobs/"+d)) }) {
			n++
		}
	}
	return n
}

// clearEngine takes away what an engine that did not end by itself has left: its containerd, and mounts.
func (w *world) clearEngine() error {
	if b, err := os.ReadFile(filepath.Join(w.dir, "x", "containerd", "containerd.pid")); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && w.owns(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], w.dir+"/") {
			errs = append(errs, syscall.Unmount(fields[4], syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}

// owns reports whether a process was started for this folder: a number may have been given to another one.
func (w *world) owns(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && bytes.Contains(b, []byte(w.dir+"/"))
}
