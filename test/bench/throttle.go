//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// throttleBytes is what a throttled connection passes at once.
const throttleBytes = 32 << 10

// throttle stands before a server and limits what all its clients together get a second. It knows nothing of what
// passes.
type throttle struct {
	address string
	passed  atomic.Int64
	limit   *rate.Limiter
	l       net.Listener
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// newThrottle listens until close.
func newThrottle(ctx context.Context, to string, bytesPerSecond int) (*throttle, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	t := &throttle{address: l.Addr().String(), limit: rate.NewLimiter(rate.Limit(bytesPerSecond), 8*throttleBytes), l: l, stop: stop}
	t.work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			t.work.Go(func() { t.join(ctx, client, to) })
		}
	})
	return t, nil
}

func (t *throttle) close() {
	t.stop()
	_ = t.l.Close()
	t.work.Wait()
}

// join passes both ways until one side ends.
func (t *throttle) join(ctx context.Context, client net.Conn, to string) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })()
	t.work.Go(func() {
		_, _ = io.Copy(server, client) // requests are small
		_ = server.Close()
	})
	buf := make([]byte, throttleBytes)
	for {
		n, err := server.Read(buf)
		if n > 0 {
			if t.limit.WaitN(ctx, n) != nil {
				return
			}
			t.passed.Add(int64(n))
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
