// Package blobcache keeps verified blobs and manifests on a distribution storage driver, up to a number of bytes.
//
// Content arrives beside the entries, for all who want it at one time (flight, stream), and becomes an entry by a
// single step after size and digest held; so a program killed at any moment leaves no bad entry. An inventory on disk
// spares a start the look at every file. The cache knows nothing of rights: who may read what is its caller's
// business, which must ask before it comes here.
package blobcache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/proxy/blobcache/inventory"
	"github.com/safepull/safepull/proxy/blobcache/spool"
	"github.com/safepull/safepull/trust"
)

// ErrMiss says that the cache does not have the content, or has it no longer.
var ErrMiss = errors.New("not in the cache")

const (
	// DefaultMaxBytes is the size of a cache whose options do not say one.
	DefaultMaxBytes = 32 << 30
	// defaultRecent is how long what was served is not evicted: clients come back for other ranges.
	defaultRecent = time.Minute
	// pauseTime is how long storage that failed is left alone: a full disk does not make each client fetch twice, nor one
	// that hangs each client wait.
	pauseTime = 10 * time.Second
	// lookTimeout is how long a look into the storage may keep a client waiting; after pauseTime it is tried again.
	lookTimeout = 5 * time.Second
	// cleanupTimeout bounds storage operations that go on after the caller's context ended.
	cleanupTimeout = 30 * time.Second
)

// Options of a Cache; the zero value works.
type Options struct {
	// MaxBytes bounds entries and content on its way together. Zero means DefaultMaxBytes.
	MaxBytes int64
	// Root is the folder of a filesystem driver, which belongs to one process at a time. Content arrives there beside
	// the entries and becomes one by a renaming. Empty for other drivers, which get content when it is whole.
	Root string
	// Scratch is a folder for what the cache keeps beside another driver: content that arrives, and the inventory.
	// Empty means memory.
	Scratch string
	// Shared says that other processes use the same storage, and that its writers show nothing before their commit.
	Shared bool
	// Recent is how long what was used is not evicted. Zero means a minute; a negative value, not at all.
	Recent time.Duration
	// Keep names content that is not evicted: that of images in quarantine, the newest first. It is asked when room is
	// needed, at most once in five minutes, and gets half of MaxBytes at most. It may be nil.
	Keep func(context.Context) ([]digest.Digest, error)
	// ScrubBytesPerSecond is at what rate files are read in the background to see whether their bytes are still right. Zero
	// is never. Without a Root it does nothing.
	ScrubBytesPerSecond int64
	// Damaged is told of each entry that was dropped because its bytes were not right any more. It must be as Failed, and
	// may be nil.
	Damaged func(digest.Digest)
	// Failed is told of every failure of the storage, and Works of the first content that is kept after one. They must be
	// quick, and safe for concurrent use. Both may be nil.
	Failed func(error)
	Works  func()
}

// Stats are counted since Open, but for Entries, Bytes and Sweeping.
type Stats struct {
	Hits, Misses, Commits, Evictions uint64
	// Joins are reads that followed a fetch under way.
	Joins uint64
	// Errors are failures of the storage: nothing was lost but the caching.
	Errors uint64
	// Damaged are entries whose stored bytes were not the right ones any more.
	Damaged uint64
	// Skipped are fetches that had no room.
	Skipped uint64
	Entries int
	// Bytes are those of entries and of content on its way.
	Bytes int64
	// Rebuilt says that the inventory was damaged at Open; Sweeping, that entries are still being found.
	Rebuilt, Sweeping bool
}

// Cache is safe for concurrent use.
type Cache struct {
	driver      storagedriver.StorageDriver
	maxBytes    int64
	root        string
	scratch     string
	shared      bool
	recent      int64 // seconds
	keep        func(context.Context) ([]digest.Digest, error)
	tellFailed  func(error)
	tellWorks   func()
	tellDamaged func(digest.Digest)
	failing     atomic.Bool   // the last content could not be kept, or not be read
	pause       time.Duration // pauseTime, and
	finishTime  time.Duration // the constant, but in tests
	newSpool    func() (spool.Spool, error)
	buffers     sync.Pool      // *[chunk]byte
	work        sync.WaitGroup // flights
	sweeper     sync.WaitGroup
	scrubber    sync.WaitGroup
	base        context.Context // ends with Close
	stop        context.CancelCauseFunc
	inventory   *inventory.Inventory // nil when nothing survives

	mu      sync.Mutex // before a flight's and the inventory's
	shelf   *shelf
	flights map[flightKey]*flight
	// changing are the entries whose files are being made or deleted; the channel is closed at the end.
	changing map[digest.Digest]chan struct{}
	kept     map[sum]struct{} // not evicted
	keptAt   time.Time        // when Keep was asked
	paused   time.Time        // until when the storage is left alone
	closed   bool
	sweeps   uint8
	stats    Stats // Entries is filled in by Stats
}

// Open takes over what a driver holds. With a Root or Scratch it does not wait until all is found that the inventory
// does not list.
func Open(ctx context.Context, driver storagedriver.StorageDriver, o Options) (*Cache, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Recent == 0 {
		o.Recent = defaultRecent
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	if o.Damaged == nil {
		o.Damaged = func(digest.Digest) {}
	}
	if o.Works == nil {
		o.Works = func() {}
	}
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	c := &Cache{
		driver: driver, maxBytes: o.MaxBytes, root: o.Root, scratch: o.Scratch, shared: o.Shared, keep: o.Keep,
		tellFailed: o.Failed, tellWorks: o.Works, tellDamaged: o.Damaged,
		recent: max(int64(o.Recent/time.Second), 0), pause: pauseTime, finishTime: finishTime,
		buffers: sync.Pool{New: func() any { return new([chunk]byte) }}, base: base, stop: stop,
		shelf: newShelf(), flights: map[flightKey]*flight{}, changing: map[digest.Digest]chan struct{}{},
	}
	c.newSpool = c.createSpool
	if err := c.load(ctx); err != nil {
		stop(err)
		return nil, fmt.Errorf("blob cache: %w", err)
	}
	if c.root != "" && o.ScrubBytesPerSecond > 0 {
		c.scrubber.Go(func() { c.keepScrubbing(o.ScrubBytesPerSecond, scrubDelay) })
	}
	return c, nil
}

func (c *Cache) load(ctx context.Context) error {
	if err := c.removeUnfinished(ctx); err != nil {
		return fmt.Errorf("removing unfinished writes: %w", err)
	}
	c.stats.Sweeping = true
	dir := c.folder("inventory")
	if dir == "" {
		if err := c.sweep(ctx); err != nil {
			return fmt.Errorf("finding its entries: %w", err)
		}
		c.makeRoom(ctx, 0)
		return nil
	}
	var err error
	c.inventory, err = inventory.Open(dir, holder{c})
	if err != nil && !errors.Is(err, inventory.ErrDamaged) {
		return err
	}
	c.stats.Rebuilt = err != nil && !errors.Is(err, os.ErrNotExist)
	c.sweeper.Go(c.keepSweeping)
	return nil
}

// Close ends fetches under way and waits for their end, at most until ctx ends. The cache keeps nothing from then on.
func (c *Cache) Close(ctx context.Context) error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	for _, f := range c.flights {
		f.cancel(errClosed)
	}
	c.mu.Unlock()
	c.stop(errClosed)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.work.Wait()
		c.sweeper.Wait()
		c.scrubber.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("blob cache: fetches are still running: %w", ctx.Err())
	}
	if again || c.inventory == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.snapshot(), c.inventory.Close())
}

// snapshot writes the inventory anew. The caller holds mu: a million entries take some 0.2 s, once for as many changes.
func (c *Cache) snapshot() error { return c.inventory.Write(c.shelf.all, c.shelf.len()) }

// removeUnfinished removes what a process that was killed has left.
func (c *Cache) removeUnfinished(ctx context.Context) error {
	if dir := c.folder("uploads"); dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if c.shared { // others may be writing
		return nil
	}
	if err := c.driver.Delete(ctx, uploads); err != nil && !notFound(err) {
		return err
	}
	return nil
}

// folder is a local folder of the cache; empty when it has none.
func (c *Cache) folder(name string) string {
	switch {
	case c.root != "":
		return filepath.Join(c.root, filepath.FromSlash(root), name)
	case c.scratch != "":
		return filepath.Join(c.scratch, name)
	}
	return ""
}

func (c *Cache) createSpool() (spool.Spool, error) {
	if dir := c.folder("uploads"); dir != "" {
		return spool.Create(dir)
	}
	return &spool.Memory{}, nil
}

// Get opens an entry, and makes it the most recently used one. An error that is not ErrMiss is the context's.
func (c *Cache) Get(ctx context.Context, d digest.Digest) (Blob, error) {
	b, err := c.open(ctx, d)
	if errors.Is(err, ErrMiss) {
		if t := c.landed(ctx, d); t != nil {
			c.count(true)
			return t, nil
		}
	}
	c.count(err == nil)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// landed is content that was verified and is on its way into a driver.
func (c *Cache) landed(ctx context.Context, d digest.Digest) *stream {
	if c.root != "" {
		return nil // it is an entry at once
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, f := range c.flights {
		if key.digest == d && f.whole() {
			return f.board(ctx, nil, trust.Reference{})
		}
	}
	return nil
}

// Stats says how the cache fares.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Entries = c.shelf.len()
	return s
}

func (c *Cache) count(hit bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if hit {
		c.stats.Hits++
	} else {
		c.stats.Misses++
	}
}

// failed counts a failure of the storage and tells of it. The caller does not hold mu.
func (c *Cache) failed(err error) {
	c.mu.Lock()
	c.stats.Errors++
	c.mu.Unlock()
	c.failing.Store(true)
	c.tellFailed(err)
}

// works tells that content was kept, if there was a failure before. The caller does not hold mu.
func (c *Cache) works() {
	if c.failing.CompareAndSwap(true, false) {
		c.tellWorks()
	}
}
