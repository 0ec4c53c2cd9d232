// Package blobcache keeps verified blobs and manifests on a distribution storage driver, up to a number of bytes.
//
// Content is written beside the entries and becomes one by a single move, after size and digest held; so a program
// killed at any moment leaves no bad entry. The cache knows nothing of rights: who may read what is its caller's
// business, which must ask before it comes here. A driver's folder belongs to one process at a time.
package blobcache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/proxy/blobcache/spool"
	"github.com/safepull/safepull/trust"
)

// ErrMiss says that the cache does not have the content, or has it no longer.
var ErrMiss = errors.New("not in the cache")

const (
	// DefaultMaxBytes is the size of a cache whose options do not say one.
	DefaultMaxBytes = 32 << 30
	// pauseTime is how long nothing more is kept after the storage failed to keep something: a full disk does not make
	// each client fetch twice.
	pauseTime = 10 * time.Second
	// cleanupTimeout bounds storage operations that go on after the caller's context ended.
	cleanupTimeout = 30 * time.Second

	root    = "/blobcache/v1"
	uploads = root + "/uploads"
	blobs   = root + "/blobs"
)

// entryPattern is the path of an entry. It holds the size, so that a damaged file is known without reading it.
var entryPattern = regexp.MustCompile(`^` + blobs + `/([a-z0-9]+)/[0-9a-f]{2}/([0-9a-f]{64,128})\.([0-9]{1,18})$`)

// Options of a Cache; the zero value works.
type Options struct {
	// MaxBytes bounds entries and writes in progress together. Zero means DefaultMaxBytes.
	MaxBytes int64
	// Root is the folder of a filesystem driver. Content is written there, beside the entries, and becomes one by a
	// renaming. Empty for other drivers, which get content when it is whole.
	Root string
	// Scratch is a folder where content for other drivers arrives. Empty means that it arrives in memory.
	Scratch string
	// Shared says that other processes use the same storage, and that its writers show nothing before their commit.
	Shared bool
}

// Stats are counted since Open, but for Entries and Bytes.
type Stats struct {
	Hits, Misses, Commits, Evictions uint64
	// Errors are failures of the storage: nothing was lost but the caching.
	Errors uint64
	// Damaged are entries whose stored bytes were not the right ones any more.
	Damaged uint64
	// Skipped are fetches that had no room.
	Skipped uint64
	// Joins are reads that followed a fetch under way.
	Joins   uint64
	Entries int
	// Bytes are those of entries and of writes in progress.
	Bytes int64
}

// Cache is safe for concurrent use.
type Cache struct {
	driver     storagedriver.StorageDriver
	maxBytes   int64
	root       string
	scratch    string
	shared     bool
	pause      time.Duration // pauseTime, and
	finishTime time.Duration // the constant, but in tests
	newSpool   func() (spool.Spool, error)
	buffers    sync.Pool      // *[chunk]byte
	work       sync.WaitGroup // flights

	mu      sync.Mutex // before a flight's mu
	order   *simplelru.LRU[digest.Digest, *entry]
	flights map[flightKey]*flight
	// changing are the entries whose files are being made or deleted; the channel is closed at the end.
	changing map[digest.Digest]chan struct{}
	paused   time.Time // until when nothing is kept
	closed   bool
	stats    Stats // Entries is filled in by Stats
}

type entry struct {
	size int64
	open int // readers; an entry being read is not evicted
}

// Open takes over what a driver holds: it removes unfinished writes and damaged entries, and evicts what is too much.
func Open(ctx context.Context, driver storagedriver.StorageDriver, o Options) (*Cache, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	order, err := simplelru.NewLRU[digest.Digest, *entry](math.MaxInt, nil)
	if err != nil {
		return nil, fmt.Errorf("blob cache: %w", err)
	}
	c := &Cache{
		driver: driver, maxBytes: o.MaxBytes, root: o.Root, scratch: o.Scratch, shared: o.Shared, pause: pauseTime, finishTime: finishTime, order: order,
		buffers: sync.Pool{New: func() any { return new([chunk]byte) }},
		flights: map[flightKey]*flight{}, changing: map[digest.Digest]chan struct{}{},
	}
	c.newSpool = c.createSpool
	if err := c.removeUnfinished(ctx); err != nil {
		return nil, fmt.Errorf("blob cache: removing unfinished writes: %w", err)
	}
	if err := c.load(ctx); err != nil {
		return nil, fmt.Errorf("blob cache: reading its entries: %w", err)
	}
	c.mu.Lock()
	victims, _ := c.makeRoom(0)
	c.mu.Unlock()
	c.remove(ctx, victims)
	return c, nil
}

// Close ends fetches under way and waits for their end, at most until ctx ends. The cache keeps nothing from then on.
func (c *Cache) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	for _, f := range c.flights {
		f.cancel(errClosed)
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.work.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("blob cache: fetches are still running: %w", ctx.Err())
	}
}

// removeUnfinished removes what a process that was killed has left.
func (c *Cache) removeUnfinished(ctx context.Context) error {
	if c.scratch != "" {
		if err := os.RemoveAll(c.scratchFolder()); err != nil {
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

// scratchFolder is where content arrives; empty means in memory.
func (c *Cache) scratchFolder() string {
	switch {
	case c.root != "":
		return filepath.Join(c.root, filepath.FromSlash(uploads))
	case c.scratch != "":
		return filepath.Join(c.scratch, "uploads")
	}
	return ""
}

func (c *Cache) createSpool() (spool.Spool, error) {
	if dir := c.scratchFolder(); dir != "" {
		return spool.Create(dir)
	}
	return &spool.Memory{}, nil
}

// load finds the entries, the least recently written first.
func (c *Cache) load(ctx context.Context) error {
	type found struct {
		digest digest.Digest
		size   int64
		at     time.Time
	}
	var all []found
	var damaged []string
	err := c.driver.Walk(ctx, blobs, func(info storagedriver.FileInfo) error {
		if info.IsDir() {
			return ctx.Err()
		}
		d, size, ok := parsePath(info.Path())
		switch {
		case !ok: // not ours: left alone
		case info.Size() != size:
			damaged = append(damaged, info.Path())
		default:
			all = append(all, found{d, size, info.ModTime()})
		}
		return ctx.Err()
	})
	if err != nil && !notFound(err) {
		return err
	}
	for _, path := range damaged {
		c.stats.Damaged++
		if err := c.driver.Delete(ctx, path); err != nil && !notFound(err) {
			return err
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return a.at.Compare(b.at) })
	for _, f := range all {
		c.order.Add(f.digest, &entry{size: f.size})
		c.stats.Bytes += f.size
	}
	return nil
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
	s.Entries = c.order.Len()
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

func (c *Cache) countError() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Errors++
}

// open is Get without counting.
func (c *Cache) open(ctx context.Context, d digest.Digest) (*blob, error) {
	c.mu.Lock()
	e, ok := c.order.Get(d)
	if ok {
		e.open++
	}
	c.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s: %w", d, ErrMiss)
	}
	b := &blob{ctx: ctx, cache: c, digest: d, entry: e}
	b.rewind()
	info, err := c.driver.Stat(ctx, path(d, e.size))
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && info.Size() == e.size && !info.IsDir():
		return b, nil
	case err == nil || notFound(err):
		c.drop(d, e) //nolint:contextcheck // cleaning up outlives the caller
		err = fmt.Errorf("%s: %w: its file was damaged", d, ErrMiss)
	default:
		c.countError()
		err = fmt.Errorf("%s: %w: %w", d, ErrMiss, err)
	}
	_ = b.Close() //nolint:contextcheck // as above
	return nil, err
}

// release ends a reader's hold on an entry.
func (c *Cache) release(e *entry) {
	c.mu.Lock()
	e.open--
	victims, _ := c.makeRoom(0)
	c.mu.Unlock()
	c.remove(context.Background(), victims)
}

// drop takes a damaged entry out.
func (c *Cache) drop(d digest.Digest, e *entry) {
	c.mu.Lock()
	if now, ok := c.order.Peek(d); !ok || now != e {
		c.mu.Unlock()
		return
	}
	c.stats.Damaged++
	c.forget(d, e)
	c.mu.Unlock()
	c.remove(context.Background(), []victim{{d, e.size}})
}

// forget takes an entry out of the order. The caller holds mu.
func (c *Cache) forget(d digest.Digest, e *entry) {
	c.order.Remove(d)
	c.stats.Bytes -= e.size
}

// victim is an entry out of the order whose file is still to be deleted.
type victim struct {
	digest digest.Digest
	size   int64
}

// makeRoom takes the least recently used entries out until need more bytes fit, and reports whether they do. The
// caller holds mu, and calls remove when it no longer does.
func (c *Cache) makeRoom(need int64) (victims []victim, fits bool) {
	for n := c.order.Len(); n > 0 && c.stats.Bytes > c.maxBytes-need; n-- {
		d, e, _ := c.order.GetOldest()
		if e.open > 0 {
			c.order.Get(d) // in use, so as recent as any
			continue
		}
		c.forget(d, e)
		c.stats.Evictions++
		victims = append(victims, victim{d, e.size})
	}
	return victims, c.stats.Bytes <= c.maxBytes-need
}

// remove deletes the files of victims, unless they are entries again. A file that cannot be deleted is taken over at
// the next Open.
func (c *Cache) remove(ctx context.Context, victims []victim) {
	if len(victims) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	for _, v := range victims {
		done := c.change(v.digest)
		c.mu.Lock()
		again := c.order.Contains(v.digest)
		c.mu.Unlock()
		if !again {
			if err := c.driver.Delete(ctx, path(v.digest, v.size)); err != nil && !notFound(err) {
				c.countError()
			}
		}
		done()
	}
}

// change waits for the right to make or delete the file of a digest. done gives it back.
func (c *Cache) change(d digest.Digest) (done func()) {
	for {
		c.mu.Lock()
		other := c.changing[d]
		if other == nil {
			mine := make(chan struct{})
			c.changing[d] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.changing, d)
				c.mu.Unlock()
				close(mine)
			}
		}
		c.mu.Unlock()
		<-other // ends within cleanupTimeout
	}
}

func path(d digest.Digest, size int64) string {
	hex := d.Encoded()
	return fmt.Sprintf("%s/%s/%s/%s.%d", blobs, d.Algorithm(), hex[:2], hex, size)
}

func parsePath(p string) (digest.Digest, int64, bool) {
	m := entryPattern.FindStringSubmatch(p)
	if m == nil {
		return "", 0, false
	}
	d := digest.Digest(m[1] + ":" + m[2])
	size, err := strconv.ParseInt(m[3], 10, 64)
	if err != nil || d.Validate() != nil || path(d, size) != p {
		return "", 0, false
	}
	return d, size, true
}

func notFound(err error) bool {
	var missing storagedriver.PathNotFoundError
	return errors.As(err, &missing)
}
