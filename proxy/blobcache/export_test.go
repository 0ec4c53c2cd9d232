package blobcache

import (
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

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

// Scrub begins the scrub now.
func (c *Cache) Scrub(perSecond int64) { c.scrubber.Go(func() { c.keepScrubbing(perSecond, 0) }) }

// Due is how many entries the scrub would look at.
func (c *Cache) Due() int { return len(c.suspects()) }

// Used sets when an entry was used last, and leaves the order as it is.
func (c *Cache) Used(d digest.Digest, at uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of, _ := sumOf(d)
	c.shelf.at(c.shelf.find(of)).used = at
}

// Order names the entries, the most recently used first, with when they were used.
func (c *Cache) Order() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for place := c.shelf.first; place != none; place = c.shelf.at(place).next {
		e := c.shelf.at(place)
		all = append(all, fmt.Sprintf("%x %d", e.sum, e.used))
	}
	return all
}

// DropFile is what the scrub does about an open file whose bytes are wrong.
func (c *Cache) DropFile(file *os.File, d digest.Digest, size int64) {
	of, _ := sumOf(d)
	c.dropFile(file, suspect{sum: of, size: size})
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
