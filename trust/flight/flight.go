// Package flight lets concurrent callers with the same question share one answer.
package flight

import (
	"context"
	"errors"
	"sync"
)

// Group shares answers of a sort by their key. Its zero value is ready; it must not be copied.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// errEnded: whoever asked ended without an answer, by a panic.
var errEnded = errors.New("ended without an answer")

// Do runs ask once for all concurrent callers with the same key and gives each its answer. An error is everybody's only
// when shared says so of it; else the next caller runs. Who waits for another one's answer gets the context's error when
// the context ends first.
func (g *Group[K, V]) Do(ctx context.Context, key K, shared func(error) bool, ask func() (V, error)) (V, error) {
	for {
		g.mu.Lock()
		running, ok := g.calls[key]
		if !ok {
			break
		}
		g.mu.Unlock()
		select {
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		case <-running.done:
		}
		if running.err == nil || !errors.Is(running.err, errEnded) && shared(running.err) {
			return running.value, running.err
		}
	}
	c := &call[V]{done: make(chan struct{}), err: errEnded}
	if g.calls == nil {
		g.calls = map[K]*call[V]{}
	}
	g.calls[key] = c
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.calls, key)
		g.mu.Unlock()
		close(c.done)
	}()
	c.value, c.err = ask()
	return c.value, c.err
}
