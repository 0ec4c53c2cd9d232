package blobcache

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

const (
	// scrubDelay is how long after Open the scrub begins: a start has other things to do.
	scrubDelay = time.Minute
	// scrubAgain is how long it rests when nothing is due.
	scrubAgain = 10 * time.Minute
	// scrubCost is what a file costs of the rate beside its bytes, so that small ones are no storm either.
	scrubCost = 64 << 10
	// scrubBatch is how many entries are found at one time, and scrubStride how many are looked at under one lock: some
	// 50 µs.
	scrubBatch  = 1024
	scrubStride = 8192
)

// suspect is an entry whose bytes nobody has verified for a day.
type suspect struct {
	sum  sum
	size int64
	used uint32
}

// keepScrubbing verifies the bytes of files, so many a second, each once a day at most and those that were used last
// first: what is sent by the system passes no hash, and a disk forgets. It neither keeps entries from being evicted nor
// counts as a use.
func (c *Cache) keepScrubbing(perSecond int64, wait time.Duration) {
	limit := rate.NewLimiter(rate.Limit(perSecond), chunk)
	for c.rest(wait) {
		all := c.suspects()
		for _, s := range all {
			if c.scrub(limit, s) != nil {
				return // the cache is closed
			}
		}
		wait = 0
		if len(all) == 0 {
			wait = scrubAgain
		}
	}
}

// rest is false when the cache was closed.
func (c *Cache) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return c.base.Err() == nil
	case <-c.base.Done():
		return false
	}
}

// suspects are some entries that are due, the most recently used first.
func (c *Cache) suspects() (found []suspect) {
	newest := func(a, b suspect) int { return cmp.Compare(b.used, a.used) }
	for from, more := 0, true; more && c.base.Err() == nil; from += scrubStride {
		found, more = c.suspectsFrom(from, found)
		if len(found) > scrubBatch {
			slices.SortStableFunc(found, newest)
			found = found[:scrubBatch]
		}
	}
	slices.SortStableFunc(found, newest)
	return found
}

// suspectsFrom adds those among scrubStride places. It reports whether there are more places.
func (c *Cache) suspectsFrom(from int, found []suspect) ([]suspect, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := int64(seconds(time.Now()))
	end := min(from+scrubStride, len(c.shelf.slots))
	for i := from; i < end; i++ {
		e := &c.shelf.slots[i]
		if now-int64(max(e.verified, e.scrubbed)) >= verifiedFor && int(c.shelf.find(e.sum)) == i {
			found = append(found, suspect{e.sum, e.size, e.used})
		}
	}
	return found, end < len(c.shelf.slots)
}

// scrub verifies one file without holding anything, and drops the entry when its bytes are wrong. Its error is that of
// a cache that was closed.
func (c *Cache) scrub(limit *rate.Limiter, s suspect) error {
	if err := limit.WaitN(c.base, scrubCost); err != nil {
		return err
	}
	file, err := os.Open(c.local(path(digestOf(s.sum), s.size)))
	if err != nil {
		c.scrubbed(s, false)
		if !errors.Is(err, os.ErrNotExist) { // it was evicted, or who asks for it finds out
			c.failed(err)
		}
		return nil
	}
	defer file.Close() //nolint:errcheck // nothing was written
	right, err := c.isRight(limit, file, s)
	switch {
	case c.base.Err() != nil:
		return c.base.Err()
	case err != nil:
		c.scrubbed(s, false)
		c.failed(err)
	case right:
		c.scrubbed(s, true)
	default:
		c.dropFile(file, s)
	}
	return nil
}

// isRight reports whether a file has the bytes that it should.
func (c *Cache) isRight(limit *rate.Limiter, file *os.File, s suspect) (bool, error) {
	verifier := digestOf(s.sum).Verifier()
	buf, _ := c.buffers.Get().(*[chunk]byte)
	defer c.buffers.Put(buf)
	for left := s.size; ; {
		want := int(min(left+1, chunk)) // one byte more than there may be
		if err := limit.WaitN(c.base, want); err != nil {
			return false, err
		}
		n, err := file.Read(buf[:want])
		_, _ = verifier.Write(buf[:n]) // a hash never fails
		left -= int64(n)
		switch {
		case left < 0:
			return false, nil
		case errors.Is(err, io.EOF):
			return left == 0 && verifier.Verified(), nil
		case err != nil:
			return false, err
		}
	}
}

// scrubbed notes that an entry was looked at, and whether it is right. One that came in its place meanwhile was verified
// when it came.
func (c *Cache) scrubbed(s suspect, right bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place := c.shelf.find(s.sum)
	if place == none || c.shelf.at(place).size != s.size {
		return
	}
	e := c.shelf.at(place)
	e.scrubbed = seconds(time.Now())
	if right {
		e.verified = e.scrubbed
	}
}

// dropFile takes the entry out whose bytes stand in an open file, unless another file has come in its place.
func (c *Cache) dropFile(file *os.File, s suspect) {
	d := digestOf(s.sum)
	defer c.change(d)()
	was, err1 := file.Stat()
	is, err2 := os.Stat(c.local(path(d, s.size)))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(was, is) {
		return
	}
	c.mu.Lock()
	place := c.shelf.find(s.sum)
	if place == none || c.shelf.at(place).size != s.size {
		c.mu.Unlock()
		return
	}
	c.stats.Damaged++
	v := c.forget(place)
	c.mu.Unlock()
	c.lost(v)
}

// lost tells of a damaged entry that was taken out, and deletes its file. The caller has the right to it.
func (c *Cache) lost(v victim) {
	c.tellDamaged(v.digest)
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	c.erase(ctx, v)
}
