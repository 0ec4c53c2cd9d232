package ask

import (
	"context"
	"errors"
	"sync"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// flight lets concurrent askers share one answer. Its zero value is ready.
type flight struct {
	mu    sync.Mutex
	calls map[string]*call
}

type call struct {
	done   chan struct{}
	record publisher.Record
	err    error
}

// do runs ask once for all concurrent callers with the same key. When the one that ran went away, the next one runs.
func (f *flight) do(ctx context.Context, key string, ask func() (publisher.Record, error)) (publisher.Record, error) {
	for {
		f.mu.Lock()
		running, ok := f.calls[key]
		if !ok {
			break
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return publisher.Record{}, failure{trust.ErrUnavailable, "the registry did not answer in time"}
		case <-running.done:
		}
		if !errors.Is(running.err, context.Canceled) && !errors.Is(running.err, errEnded) {
			return running.record, running.err
		}
	}
	c := &call{done: make(chan struct{}), err: errEnded}
	if f.calls == nil {
		f.calls = map[string]*call{}
	}
	f.calls[key] = c
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.calls, key)
		f.mu.Unlock()
		close(c.done)
	}()
	c.record, c.err = ask()
	return c.record, c.err
}

// errEnded: who asked ended without an answer.
var errEnded = errors.New("ended without an answer")
