//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// sample is what a proxy takes at one time.
type sample struct {
	at                     time.Duration // since the beginning
	resident               int64         // bytes
	descriptors, goroutine int
}

// watch takes samples of the proxy until ctx ends.
func watch(ctx context.Context, p *proxy, began time.Time, every time.Duration) []sample {
	var all []sample
	for pause(ctx, every) {
		if s, err := p.sample(ctx); err == nil {
			s.at = time.Since(began)
			all = append(all, s)
		}
	}
	return all
}

func (p *proxy) sample(ctx context.Context) (s sample, err error) {
	pid := p.pid()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return s, err
	}
	if s.resident, err = resident(string(status)); err != nil {
		return s, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return s, err
	}
	s.descriptors = len(files)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			s.goroutine, _ = strconv.Atoi(value)
		}
	}
	return s, lines.Err()
}

// heap writes what the proxy's memory is held by into a file, as "go tool pprof" reads it.
func (p *proxy) heap(ctx context.Context, file string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/debug/pprof/heap", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// resident reads VmRSS of /proc/PID/status.
func resident(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in %q", status)
}

// slope is by how much a value grows in an hour, by least squares.
func slope(samples []sample, value func(sample) float64) float64 {
	n := float64(len(samples))
	if n < 2 {
		return 0
	}
	var x, y, xx, xy float64
	for _, s := range samples {
		t, v := s.at.Hours(), value(s)
		x, y, xx, xy = x+t, y+v, xx+t*t, xy+t*v
	}
	if d := n*xx - x*x; d > 0 {
		return (n*xy - x*y) / d
	}
	return 0
}

// mean of a value.
func mean(samples []sample, value func(sample) float64) float64 {
	var sum float64
	for _, s := range samples {
		sum += value(s)
	}
	return sum / max(1, float64(len(samples)))
}
