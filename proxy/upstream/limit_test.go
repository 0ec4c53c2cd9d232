package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestRequestsWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(2, 0)
		start := time.Now()
		for range 6 {
			if err := l.request(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("6 requests at 2 a second, of which 2 at once, took %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.request(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	slow := NewLimits(0.01, 0)
	if err := slow.request(t.Context()); err != nil {
		t.Error(err)
	}
	var busy busyError
	if err := slow.request(t.Context()); !errors.As(err, &busy) || busy.after < time.Minute {
		t.Errorf("a queue of minutes: %v", err)
	}
	if err := (*Limits)(nil).request(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestBytesShareTheLimit: several bodies together get what the limit lets through, and none of them counts as slow.
func TestBytesShareTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimits(0, 64<<10)
		start := time.Now()
		done := make(chan error)
		for range 4 {
			go func() {
				ctx, cancel := context.WithCancelCause(context.Background())
				b := newBody(ctx, cancel, io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20))), Timeouts{MinRate: 1 << 20}.withDefaults(), l)
				n, err := io.Copy(io.Discard, b)
				if n != 1<<20 {
					err = errors.Join(err, io.ErrUnexpectedEOF)
				}
				done <- errors.Join(err, b.Close())
			}()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took < 63*time.Second || took > 65*time.Second {
			t.Errorf("4 MiB at 64 KiB a second took %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.passed(ctx, 4096); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
