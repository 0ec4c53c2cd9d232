package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// patience bounds the wait for a server to listen, grace its end.
const (
	patience = 30 * time.Second
	grace    = 10 * time.Second
)

// world is a registry and the proxy before it, both as host:port.
type world struct {
	options
	dir             string
	registry, proxy string
	stops           []func()
}

func (w *world) start(ctx context.Context) error {
	var err error
	for _, address := range []*string{&w.registry, &w.proxy} {
		if *address, err = freeAddress(ctx); err != nil {
			return err
		}
	}
	registry := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", filepath.Join(w.dir, "registry"), w.registry)
	proxy := fmt.Sprintf("listen: %s\nstateDir: %s\nupstreams: [{host: %s, url: 'http://%s', plainHTTP: true, default: true}]\n", w.proxy, filepath.Join(w.dir, "proxy"), w.registry, w.registry)
	for _, p := range []struct{ name, config, program, flag, address string }{
		{"registry.yml", registry, filepath.Join(w.tools, "registry"), "", w.registry},
		{"proxy.yml", proxy, filepath.Join(w.bin, "safepull-proxy"), "--config", w.proxy},
	} {
		file := filepath.Join(w.dir, p.name)
		if err := os.WriteFile(file, []byte(p.config), 0o600); err != nil {
			return err
		}
		args := slices.DeleteFunc([]string{"serve", p.flag, file}, func(s string) bool { return s == "" })
		if err := w.serve(ctx, p.program, p.address, args...); err != nil {
			return err
		}
	}
	return nil
}

// serve starts a program and waits until it listens.
func (w *world) serve(ctx context.Context, program, address string, args ...string) error {
	log, err := os.Create(filepath.Join(w.dir, filepath.Base(program)+".log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the program has its own
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if err := cmd.Start(); err != nil {
		return err
	}
	w.stops = append(w.stops, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
	}
	said, _ := os.ReadFile(log.Name())
	return fmt.Errorf("%s does not listen on %s\n%s", program, address, said)
}

func (w *world) stop() {
	for _, stop := range slices.Backward(w.stops) {
		stop()
	}
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), errors.Join(l.Close())
}
