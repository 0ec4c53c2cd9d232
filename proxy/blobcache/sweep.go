package blobcache

import (
	"context"
	"fmt"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
)

const (
	// sweepEvery is how often storage that others write to is looked through.
	sweepEvery = time.Hour
	// hexDigits are those of digests, and of the folders of entries.
	hexDigits = "0123456789abcdef"
)

// keepSweeping evicts what is too much, and brings the inventory in line with what the storage holds: once, or again
// and again where others use the storage.
func (c *Cache) keepSweeping() {
	c.makeRoom(c.base, 0)
	for {
		if err := c.sweep(c.base); err != nil && c.base.Err() == nil {
			c.failed(err)
		}
		c.makeRoom(c.base, 0)
		if !c.shared {
			return
		}
		timer := time.NewTimer(sweepEvery)
		select {
		case <-timer.C:
		case <-c.base.Done():
			timer.Stop()
			return
		}
	}
}

// sweep looks through the storage: entries that the cache does not know of are taken over, those whose size is wrong
// are deleted, and those that are gone are forgotten.
func (c *Cache) sweep(ctx context.Context) error {
	c.mu.Lock()
	c.sweeps++
	this := c.sweeps
	c.mu.Unlock()
	for _, first := range hexDigits {
		for _, second := range hexDigits {
			if err := c.sweepShard(ctx, fmt.Sprintf("%s/%c%c", shards, first, second), this); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Sweeping = false
	for place := c.shelf.last; place != none; {
		e := c.shelf.at(place)
		unseen, older := e.sweep != this, e.prev
		if unseen && e.open == 0 {
			c.forget(place)
		}
		place = older
	}
	return nil
}

func (c *Cache) sweepShard(ctx context.Context, folder string, this uint8) error {
	found, err := c.driver.List(ctx, folder)
	if err != nil && !notFound(err) {
		return err
	}
	for _, p := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, size, ok := parsePath(p)
		if ok && !c.seen(d, size, this) {
			if _, err := c.adopt(ctx, d, size, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// seen marks an entry that the storage has, and reports whether the cache knows of it.
func (c *Cache) seen(d digest.Digest, size int64, this uint8) bool {
	of, _ := sumOf(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	place := c.shelf.find(of)
	if place == none || c.shelf.at(place).size != size {
		return false
	}
	c.shelf.at(place).sweep = this
	return true
}

// adopt takes over an entry that the storage has and the cache does not know of. It reports whether there is one.
func (c *Cache) adopt(ctx context.Context, d digest.Digest, size int64, wanted bool) (bool, error) {
	of, ok := sumOf(d)
	if !ok || size < 0 {
		return false, nil
	}
	defer c.change(d)()
	at := path(d, size)
	info, err := c.driver.Stat(ctx, at)
	switch {
	case err != nil && notFound(err):
		return false, nil
	case err != nil:
		return false, err
	case info.IsDir():
		return false, nil
	}
	if c.takeOver(of, size, info, wanted) {
		return true, nil
	}
	if err := c.driver.Delete(ctx, at); err != nil && !notFound(err) {
		return false, err
	}
	return false, nil
}

// takeOver is false for a file that cannot be an entry.
func (c *Cache) takeOver(of sum, size int64, info storagedriver.FileInfo, wanted bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place := c.shelf.find(of); place != none {
		return info.Size() == size && c.shelf.at(place).size == size
	}
	if info.Size() != size {
		c.stats.Damaged++
		return false
	}
	used := seconds(time.Now())
	if !wanted {
		used = min(used, seconds(info.ModTime()))
	}
	c.stats.Bytes += size
	c.enter(of, size, used, wanted)
	return true
}

// find looks whether the storage has an entry that the cache does not know of yet.
func (s *source) find(ctx context.Context, d digest.Digest, size int64) bool {
	c := s.cache
	c.mu.Lock()
	look := (c.shared || c.stats.Sweeping) && !time.Now().Before(c.paused)
	c.mu.Unlock()
	if !look {
		return false
	}
	limited, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	found, err := c.adopt(limited, d, size, true)
	if err != nil && ctx.Err() == nil {
		c.storageFailed(err)
	}
	return found
}
