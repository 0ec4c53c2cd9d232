package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/blobcache/spool"
	"github.com/safepull/safepull/trust"
)

const (
	// chunk is what a fetch has in memory, and the most that a stream learns of at one time.
	chunk = 256 << 10
	// finishTime bounds a fetch that goes on although nobody reads it.
	finishTime = 5 * time.Minute
)

var (
	// errSpool ends a flight that cannot keep what arrives; its streams go on by themselves.
	errSpool = errors.New("the cache cannot keep what arrives")
	// errAbandoned ends a flight that nobody follows.
	errAbandoned = errors.New("nobody waits for the content any more")
	// errAgain says to look for the entry again.
	errAgain = errors.New("the content has become an entry")
	// errClosed ends flights of a closed cache.
	errClosed = fmt.Errorf("%w: the cache is closed", trust.ErrUnavailable)
)

// flightKey holds the registry too: one that is slow, or sends other bytes, is to harm nobody who reads another.
type flightKey struct {
	registry string
	digest   digest.Digest
}

// flight is one fetch, in a goroutine of its own. It keeps what arrives in a spool, from which any number of streams
// read at their own pace, and shows the last bytes only after the digest was verified.
type flight struct {
	cache  *Cache
	key    flightKey
	desc   ocispec.Descriptor
	cancel context.CancelCauseFunc
	// unreserve gives back the room that was made; nil while there is none. It is the flight's own goroutine's.
	unreserve func()

	mu      sync.Mutex
	spool   spool.Spool
	users   int           // who hold the spool: streams, and the flight itself until it ended
	readers int           // streams whose context lasts
	began   bool          // upstream answered
	arrived int64         // bytes that may be read
	err     error         // why it ended: io.EOF when all arrived and was verified
	changed chan struct{} // closed when something of the above changed; nil when nobody waits
	finish  *time.Timer   // runs while it goes on without readers
}

// join finds the flight that ref's registry is on for desc, or starts one, and takes a place in it. It returns nil
// when the content cannot be kept, and errAgain when it has become an entry. first says that this call started it.
func (s *source) join(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (t *stream, first bool, err error) {
	c, key := s.cache, flightKey{ref.Registry, desc.Digest}
	c.mu.Lock()
	t, err = c.under(ctx, s, key, ref)
	c.mu.Unlock()
	if t != nil || err != nil {
		return t, false, err
	}
	if !c.keeps(desc) {
		return nil, true, nil
	}
	c.mu.Lock()
	t, err = c.under(ctx, s, key, ref)
	if first = t == nil && err == nil; first {
		t = c.start(ctx, s, key, ref, desc)
	}
	c.mu.Unlock()
	return t, first, err
}

// under takes a place in a flight under way, if there is one. The caller holds mu.
func (c *Cache) under(ctx context.Context, s *source, key flightKey, ref trust.Reference) (*stream, error) {
	switch f := c.flights[key]; {
	case c.closed:
		return nil, errClosed
	case f != nil:
		c.stats.Joins++
		return f.board(ctx, s, ref), nil
	}
	if of, ok := sumOf(key.digest); ok && c.shelf.find(of) != none {
		return nil, errAgain
	}
	return nil, nil
}

// start begins a flight with its first stream. The caller holds mu.
func (c *Cache) start(ctx context.Context, s *source, key flightKey, ref trust.Reference, desc ocispec.Descriptor) *stream {
	detached, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f := &flight{cache: c, key: key, desc: desc, cancel: cancel, users: 1}
	c.flights[key] = f
	c.stats.Misses++
	c.work.Add(1)
	go f.run(detached, s.upstream, ref)
	return f.board(ctx, s, ref)
}

// board makes a stream. The caller holds the cache's mu.
func (f *flight) board(ctx context.Context, s *source, ref trust.Reference) *stream {
	t := &stream{ctx: ctx, flight: f, source: s, ref: ref}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users++
	f.readers++
	if f.finish != nil {
		f.finish.Stop()
		f.finish = nil
	}
	t.unwatch = context.AfterFunc(ctx, t.leave)
	return t
}

// whole says that all arrived and was verified.
func (f *flight) whole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Is(f.err, io.EOF)
}

// leave is called once for each stream, when it is closed or its context ends. A fetch that nobody follows any more is
// finished when more than half is there, else cancelled.
func (f *flight) leave() {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers--
	switch {
	case f.readers > 0 || f.err != nil:
	case f.arrived > f.desc.Size/2:
		f.finish = time.AfterFunc(f.cache.finishTime, f.giveUp)
	default:
		f.abandon()
	}
}

// giveUp cancels a fetch that took too long without readers.
func (f *flight) giveUp() {
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers == 0 && f.err == nil {
		f.abandon()
	}
}

// abandon cancels, and lets nobody join any more. The caller holds both mu.
func (f *flight) abandon() {
	if f.cache.flights[f.key] == f {
		delete(f.cache.flights, f.key)
	}
	f.cancel(errAbandoned)
}

// release gives up a hold on the spool; the last one closes it.
func (f *flight) release() {
	f.mu.Lock()
	f.users--
	s := f.spool
	last := f.users == 0
	f.mu.Unlock()
	if last && s != nil {
		_ = s.Close() // what was to be kept has been renamed or copied
	}
}

// run fetches, keeps, and tells the streams.
func (f *flight) run(ctx context.Context, upstream trust.Source, ref trust.Reference) {
	c := f.cache
	defer c.work.Done()
	defer f.release()
	defer f.cancel(nil)
	err := f.guarded(ctx, upstream, ref)
	switch {
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if f.unreserve != nil {
			f.unreserve()
		}
	case c.root != "": // renaming costs nothing, so the entry is there before anybody sees the end
		c.commit(ctx, f, f.unreserve)
		err = io.EOF
	default:
		f.end(io.EOF)
		c.commit(ctx, f, f.unreserve)
	}
	c.mu.Lock()
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
	c.mu.Unlock()
	f.end(err)
}

// guarded is fetch, where a panic of the upstream is an error.
func (f *flight) guarded(ctx context.Context, upstream trust.Source, ref trust.Reference) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: fetching %s broke: %v: %s", trust.ErrUnavailable, f.desc.Digest, p, debug.Stack())
		}
	}()
	return f.fetch(ctx, upstream, ref)
}

// fetch returns nil when the whole content is in the spool and was verified.
func (f *flight) fetch(ctx context.Context, upstream trust.Source, ref trust.Reference) (err error) {
	rc, err := upstream.Fetch(ctx, ref, f.desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	defer context.AfterFunc(ctx, func() { _ = rc.Close() })() // ends a read that does not look at ctx
	// Only now: what a manifest says of sizes evicts nothing before the registry says the same.
	if f.unreserve = f.cache.reserve(ctx, f.desc); f.unreserve == nil {
		return fmt.Errorf("%w: it has no room", errSpool)
	}
	kept, err := f.cache.newSpool()
	if err != nil {
		f.cache.storageFailed(err)
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	f.begin(kept)
	buf, _ := f.cache.buffers.Get().(*[chunk]byte)
	defer f.cache.buffers.Put(buf)
	verifier := f.desc.Digest.Verifier()
	size := int64(0)
	for {
		n, err := rc.Read(buf[:])
		size += int64(n)
		if size > f.desc.Size {
			return f.lie()
		}
		if n > 0 {
			_, _ = verifier.Write(buf[:n]) // a hash never fails
			m, err := kept.Write(buf[:n])
			if err == nil && m < n {
				err = io.ErrShortWrite
			}
			if err != nil {
				f.cache.storageFailed(err)
				return fmt.Errorf("%w: %w", errSpool, err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if size != f.desc.Size || !verifier.Verified() {
				return f.lie()
			}
			return nil
		case err != nil:
			return err
		case size < f.desc.Size:
			f.progress(size)
		}
	}
}

func (f *flight) lie() error {
	return fmt.Errorf("%w: %s: its source has other bytes", trust.ErrIntegrity, f.desc.Digest)
}

// begin tells the streams that upstream answered.
func (f *flight) begin(s spool.Spool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spool, f.began = s, true
	f.wake()
}

// progress lets the streams read up to size.
func (f *flight) progress(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = size
	f.wake()
}

// end tells the streams once that no more comes, and why.
func (f *flight) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return
	}
	f.err = err
	if errors.Is(err, io.EOF) {
		f.arrived = f.desc.Size
	}
	if f.finish != nil {
		f.finish.Stop()
		f.finish = nil
	}
	f.wake()
}

// wake wakes whoever waits. The caller holds mu.
func (f *flight) wake() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// begun is the offset that is reached when upstream has answered.
const begun int64 = -1

// await waits until there are bytes at an offset. It returns where they end, or why there are none.
func (f *flight) await(ctx context.Context, at int64) (arrived int64, err error) {
	for {
		f.mu.Lock()
		arrived, err = f.arrived, f.err
		there := f.began && arrived > at
		if there || err != nil {
			f.mu.Unlock()
			if there {
				err = nil
			}
			return arrived, err
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return arrived, fmt.Errorf("waiting for %s: %w", f.desc.Digest, ctx.Err())
		}
	}
}
