package blobcache

import (
	"time"

	"github.com/safepull/safepull/proxy/blobcache/spool"
)

// Settle waits for the end of all fetches, also of those nobody reads any more, and of the first sweep.
func (c *Cache) Settle() {
	c.work.Wait()
	for c.Stats().Sweeping {
		time.Sleep(time.Millisecond)
	}
	if !c.shared {
		c.sweeper.Wait()
	}
}

// Pause sets for how long nothing is kept after the storage failed.
func (c *Cache) Pause(d time.Duration) { c.pause = d }

// Resume ends the time for which nothing is kept.
func (c *Cache) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = time.Time{}
}

// WrapSpool puts something between the cache and its spools.
func (c *Cache) WrapSpool(wrap func(spool.Spool) spool.Spool) {
	inner := c.newSpool
	c.newSpool = func() (spool.Spool, error) {
		s, err := inner()
		if err != nil {
			return nil, err
		}
		return wrap(s), nil
	}
}

// FinishWithin bounds fetches that nobody reads.
func (c *Cache) FinishWithin(d time.Duration) { c.finishTime = d }
