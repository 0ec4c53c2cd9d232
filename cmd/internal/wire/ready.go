package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// writeEvery bounds how often a state directory is tried, however often somebody asks.
	writeEvery = 5 * time.Second
	// triedBytes are written each time: enough to need a block, so that a full disk shows.
	triedBytes = 8 << 10
)

// writable knows whether files can be written in dir. Its zero value but for dir is ready for use by many.
type writable struct {
	dir string

	mu    sync.Mutex
	trial *trial
}

type trial struct {
	done chan struct{} // closed at the end, after err and at are set
	err  error
	at   time.Time
}

// check fails when the last trial did, or when it brings no answer before ctx ends; then the next check waits for the
// same trial, so that a disk that hangs holds one goroutine and not one for each check.
func (w *writable) check(ctx context.Context) error {
	t := w.last()
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return fmt.Errorf("writing in the state directory: %w", ctx.Err())
	}
}

func (w *writable) last() *trial {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trial != nil {
		select {
		case <-w.trial.done:
			if time.Since(w.trial.at) < writeEvery {
				return w.trial
			}
		default:
			return w.trial
		}
	}
	t := &trial{done: make(chan struct{})}
	w.trial = t
	go func() {
		defer close(t.done)
		t.err = tryWrite(filepath.Join(w.dir, "ready"))
		t.at = time.Now()
	}()
	return t
}

// tryWrite writes a file and removes it. The name is always the same, so that a crash leaves one at most.
func tryWrite(path string) error {
	err := os.WriteFile(path, make([]byte, triedBytes), 0o600)
	if err = errors.Join(err, os.Remove(path)); err != nil {
		return fmt.Errorf("the state directory cannot be written: %w", err)
	}
	return nil
}
