package blobcache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
)

// flight is the right to change the entry of one digest: to fetch it, or to delete its file. Others wait for its end,
// which also comes when its owner's context ends, or when its owner is idle while somebody waits.
type flight struct {
	cache  *Cache
	digest digest.Digest
	done   chan struct{}
	once   sync.Once

	busy atomic.Bool  // within a read
	last atomic.Int64 // end of the last one, Unix nanoseconds
}

// takeOff makes a flight for d. The caller holds mu and knows that there is none.
func (c *Cache) takeOff(d digest.Digest) *flight {
	f := &flight{cache: c, digest: d, done: make(chan struct{})}
	f.last.Store(time.Now().UnixNano())
	c.flights[d] = f
	return f
}

// join makes a flight for d, or finds the one there is.
func (c *Cache) join(d digest.Digest) (f *flight, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[d]; f != nil {
		return f, false
	}
	return c.takeOff(d), true
}

// finish lets the others go on. It may be called more than once.
func (f *flight) finish() {
	f.once.Do(func() {
		f.cache.mu.Lock()
		delete(f.cache.flights, f.digest)
		f.cache.mu.Unlock()
		close(f.done)
	})
}

// wait returns when the flight ended; it ends one that its owner abandoned.
func (f *flight) wait(ctx context.Context) error {
	tick := time.NewTicker(f.cache.patience)
	defer tick.Stop()
	for {
		select {
		case <-f.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for another fetch of %s: %w", f.digest, ctx.Err())
		case now := <-tick.C:
			if !f.busy.Load() && now.UnixNano()-f.last.Load() >= int64(f.cache.patience) {
				f.finish()
			}
		}
	}
}

// reading marks the owner's work, so that a slow registry is no idleness.
func (f *flight) reading(now bool) {
	f.last.Store(time.Now().UnixNano())
	f.busy.Store(now)
}
