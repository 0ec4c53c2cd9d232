//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/safepull/safepull/test/e2e/engines"
	"github.com/safepull/safepull/test/registrytest"
)

// patience bounds what a client may take for one question; the graph driver waits 50 seconds between its attempts.
const patience = 3 * time.Minute

// world is everything that runs during the measurement.
type world struct {
	dir, bin, tools string
	// upstream is the docker.io that the proxy reads; hub has the one that clients reach when they go around it.
	upstream *registrytest.Registry
	hub      *hub
	// proxy is the address of safepull-proxy.
	proxy string

	mu      sync.Mutex
	closers []func() error // in the order of starting
}

func newWorld(ctx context.Context, o options) (_ *world, err error) {
	dir, err := os.MkdirTemp("/tmp", "sp-clients-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, upstream: registrytest.New(registrytest.Options{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	w.later(func() error { return os.RemoveAll(dir) })
	w.later(func() error { w.upstream.Close(); return nil })
	// Programs run in folders of their own.
	if w.bin, err = filepath.Abs(o.bin); err != nil {
		return nil, err
	}
	if w.tools, err = filepath.Abs(o.tools); err != nil {
		return nil, err
	}
	if w.hub, err = startHub(dir); err != nil {
		return nil, err
	}
	w.later(func() error { w.hub.close(); return nil })
	return w, w.startProxy(ctx)
}

// later is done at the end, last one first.
func (w *world) later(do func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closers = append(w.closers, do)
}

func (w *world) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	w.closers = nil
	return errors.Join(errs...)
}

// folder makes a new folder in the world's own.
func (w *world) folder(name string) (string, error) {
	dir := filepath.Join(w.dir, strings.NewReplacer(" ", "-", ",", "").Replace(name))
	return dir, os.MkdirAll(dir, 0o700)
}

func (w *world) configuration() string { return filepath.Join(w.dir, "proxy.yaml") }

// startProxy starts safepull-proxy in front of the upstream, which it takes for docker.io.
func (w *world) startProxy(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.proxy = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	secret := filepath.Join(w.dir, "enrolment")
	if err := os.WriteFile(secret, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	file := w.configuration()
	text := fmt.Sprintf(`version: 1
listen: %s
stateDir: %s
upstreams:
  - host: docker.io
    url: %s
    plainHTTP: true
    default: true
judge:
  holdFor: %s
  concurrent: 32
  layersInWork: 32
enrolment:
  secretFile: %s
`, w.proxy, filepath.Join(w.dir, "proxy"), w.upstream.URL(), holdFor, secret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(w.dir, "proxy.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(w.bin, "safepull-proxy"), "serve", "--config", file)
	cmd.Env = []string{"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + w.dir}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.later(func() error { // SIGTERM, and SIGKILL when it takes long
		timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		return cmd.Wait()
	})
	return awaitAddress(ctx, w.proxy)
}

// awaitAddress waits until somebody listens.
func awaitAddress(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// environment is what sends a client, or an engine, to the stand-in when it wants docker.io. Loopback is never proxied.
func (w *world) environment() []string {
	return []string{"HTTPS_PROXY=http://" + w.hub.address, "HTTP_PROXY=http://" + w.hub.address, "SSL_CERT_FILE=" + w.hub.ca}
}

// engine is a private engine with the world's road to docker.io.
func (w *world) engine(ctx context.Context, start func(context.Context, engines.Options) (*engines.Engine, error), o engines.Options) (*engines.Engine, error) {
	o.Env = append(o.Env, w.environment()...)
	e, err := start(ctx, o)
	if err != nil {
		return nil, err
	}
	w.later(e.Stop)
	return e, nil
}

// command runs a client at home in a folder of its own. What it says is standard error, or all it wrote where that is
// empty.
func (w *world) command(ctx context.Context, home string, env []string, program string, args ...string) (out, said string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	docker := filepath.Join(home, ".docker")
	if err := os.MkdirAll(docker, 0o700); err != nil {
		return "", "", err
	}
	if err := os.WriteFile(filepath.Join(docker, "config.json"), []byte("{}"), 0o600); err != nil {
		return "", "", err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = home
	cmd.Env = append([]string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + home, "XDG_RUNTIME_DIR=" + home, "DOCKER_CONFIG=" + docker,
		"DOCKER_CLI_HINTS=false", "NO_COLOR=1",
	}, env...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer in %s: %w", patience, err)
	}
	if said = stderr.String(); strings.TrimSpace(said) == "" {
		said = stdout.String()
	}
	return stdout.String(), said, err
}
