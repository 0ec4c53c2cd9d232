//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// readyTime bounds a start of a proxy.
const readyTime = time.Minute

// proxy is a safepull-proxy that can be killed and started again on the same state and address.
type proxy struct {
	address, admin, dir, program string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// newProxy writes the configuration of a proxy with its own state in front of the upstreams.
func newProxy(dir, program string, upstreams []*upstream) (*proxy, error) {
	p := &proxy{dir: dir, program: program}
	for _, address := range []*string{&p.address, &p.admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the next one, which gets another port
		*address = l.Addr().String()
	}
	var b, door strings.Builder
	// The cache is too small for all images, so that blobs are fetched again, and room is made, all the time.
	fmt.Fprintf(&b, "version: 1\nlisten: %s\nadmin: {listen: '%s', profiles: true}\nstateDir: %s\ncache:\n  maxBytes: 12MiB\njudge:\n  holdFor: 5s\n  deadline: 1m\nlog:\n  level: warn\nupstreams:\n",
		p.address, p.admin, filepath.Join(dir, "state"))
	for i, u := range upstreams {
		fmt.Fprintf(&b, "  - host: %s\n    url: %s\n    plainHTTP: true\n    timeout: %s\n    default: %v\n", u.host, u.registry.URL(), upstreamTimeout, i == 0)
		if u.private {
			b.WriteString("    credentials:\n      kind: passThrough\n")
		}
		if u.private && door.Len() == 0 {
			fmt.Fprintf(&door, "door:\n  url: http://%s\n  basicIsFor: %s\n", p.address, u.host)
		}
	}
	b.WriteString(door.String())
	return p, os.WriteFile(filepath.Join(dir, "proxy.yaml"), []byte(b.String()), 0o600)
}

// start starts it and waits until it is ready.
func (p *proxy) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.program, "serve", "--config", filepath.Join(p.dir, "proxy.yaml"))
	cmd.Env = []string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + p.dir}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	p.mu.Lock()
	p.cmd, p.done = cmd, done
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-done:
			return fmt.Errorf("%s ended: %s", p.program, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %s", p.program, p.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *proxy) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// running says whether it still runs.
func (p *proxy) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end sends a signal and waits for the end.
func (p *proxy) end(signal syscall.Signal) {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(signal) // it may have ended
	select {
	case <-done:
	case <-time.After(readyTime):
		_ = cmd.Process.Kill()
		<-done
	}
}

// tail is the end of what it wrote.
func (p *proxy) tail() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// logged are the lines that it wrote about a request.
func (p *proxy) logged(request string) string {
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, request) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, "; ")
}

// killing kills the proxy and starts it again, some seconds apart, until ctx ends.
func killing(ctx context.Context, p *proxy, rng *rand.Rand, l *ledger) error {
	for pause(ctx, time.Duration(4000+rng.IntN(16000))*time.Millisecond) {
		if !p.running() {
			return fmt.Errorf("the proxy ended by itself: %s", p.tail())
		}
		p.end(syscall.SIGKILL)
		l.count("kills", 1)
		// Not ctx: it would leave no proxy behind for the last questions.
		if err := p.start(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("start again after kill -9: %w", err)
		}
	}
	return nil
}
