package judge

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// flight lets concurrent questions about one blob share one inspection. Its zero value is ready.
type flight struct {
	mu    sync.Mutex
	calls map[digest.Digest]*call
}

type call struct {
	done  chan struct{}
	found trust.Inspection
	err   error
}

// do runs ask once for all concurrent callers with the same key and gives each its answer. Only what the content is
// answered for is shared: when the caller that ran was cancelled, or its own source broke or lied, the next one runs.
func (f *flight) do(ctx context.Context, key digest.Digest, ask func() (trust.Inspection, error)) (trust.Inspection, error) {
	for {
		f.mu.Lock()
		running, ok := f.calls[key]
		if !ok {
			break
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return trust.Inspection{}, ctx.Err()
		case <-running.done:
		}
		if running.err == nil || boundToContent(running.err) {
			return running.found, running.err
		}
	}
	c := &call{done: make(chan struct{}), err: errors.New("inspection ended without an answer")}
	if f.calls == nil {
		f.calls = map[digest.Digest]*call{}
	}
	f.calls[key] = c
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(c.done)
	}()
	c.found, c.err = ask()
	return c.found, c.err
}

// boundToContent reports whether an error would be the same for everybody who asks about the same digest.
func boundToContent(err error) bool {
	return !errors.Is(err, trust.ErrIntegrity) &&
		(errors.Is(err, trust.ErrLimit) || errors.Is(err, trust.ErrMalformed) || errors.Is(err, trust.ErrUnsupported))
}
