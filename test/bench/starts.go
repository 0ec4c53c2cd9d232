//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"
)

const (
	// metadataLimit bounds what docker waits for every plugin whenever somebody asks for help.
	metadataLimit = 50 * time.Millisecond
	// metadataRuns and firstRuns are how often the short times are taken.
	metadataRuns, firstRuns = 20, 10
)

// starts measures how long a person waits before anything happens.
func starts(ctx context.Context, w *world, t table) error {
	program := filepath.Join(w.bin, "docker-safepull")
	var metadata, first []time.Duration
	for range metadataRuns {
		took, err := w.run(ctx, program, "docker-cli-plugin-metadata")
		if err != nil {
			return err
		}
		metadata = append(metadata, took)
	}
	t.below("plugin metadata", median(metadata), metadataLimit, inMilliseconds)
	for range firstRuns {
		took, err := w.firstRequest(ctx, program)
		if err != nil {
			return err
		}
		first = append(first, took)
	}
	t.row("check: start to first request", inMilliseconds(median(first)), "-", true)
	return nil
}

// firstRequest is the time from the start of a check until a registry hears of it. The registry has nothing.
func (w *world) firstRequest(ctx context.Context, program string) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	var once sync.Once
	asked := make(chan time.Time, 1)
	registry := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		once.Do(func() { asked <- time.Now() })
		http.NotFound(rw, r)
	})}
	go func() { _ = registry.Serve(l) }() // ends with Close
	defer registry.Close()
	begin := time.Now()
	out, err := w.command(ctx, program, "check", l.Addr().String()+"/nothing:1").CombinedOutput()
	if err == nil {
		return 0, errors.New("check of an image that is not there succeeded")
	}
	select {
	case at := <-asked:
		return at.Sub(begin), nil
	default:
		return 0, fmt.Errorf("check asked nobody: %w\n%s", err, out)
	}
}

// memoryOfCheck judges the large image by the command line.
func memoryOfCheck(ctx context.Context, w *world, t table) error {
	img, err := w.large(ctx)
	if err != nil {
		return err
	}
	if err := w.forget(); err != nil {
		return err
	}
	note("docker-safepull check")
	cmd := w.command(ctx, filepath.Join(w.bin, "docker-safepull"), "check", "--progress=quiet", w.upstream+"/"+img.repository+":"+img.tag)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var most int64
	for {
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("docker-safepull check: %w", err)
			}
			took, busy := time.Since(begin), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
			what := fmt.Sprintf("check of %d MiB", img.packed>>20)
			t.seconds(what, took)
			t.seconds(what+": CPU", busy)
			t.memory("peak memory of "+what, most, peakLimit)
			return nil
		case <-time.After(10 * time.Millisecond):
			// The kernel keeps the peak, so that only what comes in the last moment is missed.
			if now, err := peak(cmd.Process.Pid); err == nil {
				most = max(most, now)
			}
		}
	}
}
