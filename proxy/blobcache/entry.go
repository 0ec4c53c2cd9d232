package blobcache

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/proxy/blobcache/inventory"
)

const (
	root    = "/blobcache/v1"
	uploads = root + "/uploads"
	blobs   = root + "/blobs"
	shards  = blobs + "/sha256"

	// notedEvery is how old the inventory's last use of an entry may be.
	notedEvery = 3600
	// keepAgain is how long an answer of Options.Keep holds, and maxKept bounds it.
	keepAgain = 5 * time.Minute
	maxKept   = 1 << 17
)

// entryPattern is the path of an entry. It holds the size, so that a damaged file is known without reading it.
var entryPattern = regexp.MustCompile(`^` + shards + `/[0-9a-f]{2}/([0-9a-f]{64})\.([0-9]{1,18})$`)

// open is Get without counting.
func (c *Cache) open(ctx context.Context, d digest.Digest) (*blob, error) {
	of, ok := sumOf(d)
	place := none
	b := &blob{ctx: ctx, cache: c, digest: d}
	c.mu.Lock()
	if ok {
		place = c.shelf.find(of)
	}
	if place != none && c.root == "" && time.Now().Before(c.paused) {
		c.mu.Unlock()
		return nil, fmt.Errorf("%s: %w: %w", d, ErrMiss, errUnreadable)
	}
	if place != none {
		c.use(place)
		e := c.shelf.at(place)
		e.open++
		b.place, b.size, b.trusted = place, e.size, c.trusted(e)
	}
	c.mu.Unlock()
	if place == none {
		return nil, fmt.Errorf("%s: %w", d, ErrMiss)
	}
	b.rewind()
	err := c.look(ctx, b)
	switch {
	case err == nil:
		return b, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, errNotThere):
		c.drop(b) //nolint:contextcheck // cleaning up outlives the caller
		err = fmt.Errorf("%s: %w: its file was damaged", d, ErrMiss)
	default:
		c.storageFailed(err)
		err = fmt.Errorf("%s: %w: %w: %w", d, ErrMiss, errUnreadable, err)
	}
	_ = b.Close() //nolint:contextcheck // as above
	return nil, err
}

// errUnreadable says that the storage does not give an entry now.
var errUnreadable = errors.New("the storage fails")

// errNotThere says that an entry's file is gone or has another size.
var errNotThere = errors.New("not there")

// look holds the entry's file against its size. Of a filesystem it keeps the file open.
func (c *Cache) look(ctx context.Context, b *blob) error {
	at := path(b.digest, b.size)
	if c.root != "" {
		if err := ctx.Err(); err != nil {
			return err
		}
		file, err := os.Open(c.local(at))
		if errors.Is(err, os.ErrNotExist) {
			return errNotThere
		}
		if err != nil {
			return err
		}
		info, err := file.Stat()
		if err == nil && info.Mode().IsRegular() && info.Size() == b.size {
			b.file = file
			return nil
		}
		_ = file.Close()
		if err == nil {
			err = errNotThere
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	info, err := c.driver.Stat(ctx, at)
	switch {
	case err == nil && info.Size() == b.size && !info.IsDir():
		return nil
	case err == nil || notFound(err):
		return errNotThere
	}
	return err
}

// local is a path of the driver in the file system.
func (c *Cache) local(at string) string { return filepath.Join(c.root, filepath.FromSlash(at)) }

// use makes an entry the most recently used one. The caller holds mu.
func (c *Cache) use(place int32) {
	now := seconds(time.Now())
	c.shelf.touch(place, now)
	if e := c.shelf.at(place); int64(now)-int64(e.noted) > notedEvery {
		e.noted = now
		c.note(inventory.Used, e)
	}
}

// note tells the inventory. The caller holds mu.
func (c *Cache) note(change inventory.Change, e *slot) {
	if c.inventory == nil {
		return
	}
	if c.inventory.Note(change, inventory.Record{Sum: e.sum, Size: e.size, Used: e.used}, c.shelf.len()) && c.snapshot() != nil {
		c.stats.Errors++
	}
}

// holder takes over what the inventory tells, before others know the cache.
type holder struct{ *Cache }

// Expect implements inventory.Holder.
func (c holder) Expect(n int) { c.shelf.grow(n) }

// Apply implements inventory.Holder.
func (c holder) Apply(change inventory.Change, r inventory.Record) {
	place := c.shelf.find(r.Sum)
	switch {
	case change == inventory.Added && place == none:
		c.shelf.add(r.Sum, r.Size, r.Used, true)
		c.stats.Bytes += r.Size
	case change == inventory.Used && place != none:
		c.shelf.touch(place, r.Used)
	case change == inventory.Gone && place != none:
		c.stats.Bytes -= c.shelf.at(place).size
		c.shelf.remove(place)
	}
}

// enter adds an entry whose bytes are counted already. The caller holds mu.
func (c *Cache) enter(of sum, size int64, used uint32, front bool) *slot {
	e := c.shelf.at(c.shelf.add(of, size, used, front))
	e.sweep = c.sweeps
	c.note(inventory.Added, e)
	return e
}

// forget takes an entry out. The caller holds mu.
func (c *Cache) forget(place int32) victim {
	e := c.shelf.at(place)
	v := victim{digestOf(e.sum), e.size}
	c.stats.Bytes -= e.size
	c.note(inventory.Gone, e)
	c.shelf.remove(place)
	return v
}

// release ends a reader's hold on an entry.
func (c *Cache) release(place int32) {
	c.mu.Lock()
	if e := c.shelf.at(place); !e.dead {
		c.use(place)
	}
	c.shelf.close(place)
	tooMuch := c.stats.Bytes > c.maxBytes
	c.mu.Unlock()
	if tooMuch {
		c.makeRoom(context.Background(), 0)
	}
}

// drop takes a damaged entry out. It waits for the right to its file first: else a sweep that has seen the file could take
// it over again before it is deleted.
func (c *Cache) drop(b *blob) {
	defer c.change(b.digest)()
	c.mu.Lock()
	if c.shelf.at(b.place).dead {
		c.mu.Unlock()
		return
	}
	c.stats.Damaged++
	v := c.forget(b.place)
	c.mu.Unlock()
	c.lost(v)
}

// victim is an entry that was taken out and whose file is still to be deleted.
type victim struct {
	digest digest.Digest
	size   int64
}

// makeRoom evicts until need more bytes fit, and reserves them. It reports whether they fit.
func (c *Cache) makeRoom(ctx context.Context, need int64) bool {
	c.askKeep(ctx, need)
	c.mu.Lock()
	victims := c.pick(need)
	fits := c.stats.Bytes <= c.maxBytes-need
	if fits {
		c.stats.Bytes += need
	}
	c.mu.Unlock()
	c.remove(ctx, victims)
	return fits
}

// pick takes the least recently used entries out until need more bytes fit, but none that is open, was used recently,
// or is to be kept. The caller holds mu.
func (c *Cache) pick(need int64) (victims []victim) {
	now := seconds(time.Now())
	for n := c.shelf.len(); n > 0 && c.stats.Bytes > c.maxBytes-need; n-- {
		place := c.shelf.last
		e := c.shelf.at(place)
		if int64(now)-int64(e.used) < c.recent {
			break // so is every other one
		}
		if _, kept := c.kept[e.sum]; kept || e.open > 0 {
			c.shelf.touch(place, now)
			continue
		}
		c.stats.Evictions++
		victims = append(victims, c.forget(place))
	}
	return victims
}

// askKeep finds out what is to be kept, when something would be evicted and the last answer is old.
func (c *Cache) askKeep(ctx context.Context, need int64) {
	c.mu.Lock()
	ask := c.keep != nil && c.stats.Bytes > c.maxBytes-need && time.Since(c.keptAt) > keepAgain
	if ask {
		c.keptAt = time.Now()
	}
	c.mu.Unlock()
	if !ask {
		return
	}
	all, err := c.keep(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil { // the last answer holds on
		c.stats.Errors++
		return
	}
	c.kept = map[sum]struct{}{}
	bytes := int64(0)
	for _, d := range all[:min(len(all), maxKept)] {
		of, ok := sumOf(d)
		if place := c.shelf.find(of); ok && place != none {
			if bytes += c.shelf.at(place).size; bytes > c.maxBytes/2 {
				break
			}
			c.kept[of] = struct{}{}
		}
	}
}

// remove deletes the files of victims, unless they are entries again. A file that cannot be deleted is found by the
// next sweep.
func (c *Cache) remove(ctx context.Context, victims []victim) {
	if len(victims) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	for _, v := range victims {
		c.removeOne(ctx, v)
	}
}

func (c *Cache) removeOne(ctx context.Context, v victim) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	defer c.change(v.digest)()
	if c.has(v.digest) {
		return
	}
	c.erase(ctx, v)
}

// erase deletes a file. The caller has the right to it.
func (c *Cache) erase(ctx context.Context, v victim) {
	if err := c.driver.Delete(ctx, path(v.digest, v.size)); err != nil && !notFound(err) {
		c.failed(err)
	}
}

func (c *Cache) has(d digest.Digest) bool {
	of, ok := sumOf(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	return ok && c.shelf.find(of) != none
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
		<-other // ends within commitTime or cleanupTimeout
	}
}

func seconds(t time.Time) uint32 { return uint32(t.Unix()) } //nolint:gosec // until 2106

// sumOf is false for digests whose content is not kept.
func sumOf(d digest.Digest) (of sum, ok bool) {
	if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
		return of, false
	}
	n, err := hex.Decode(of[:], []byte(d.Encoded()))
	return of, err == nil && n == len(of)
}

func digestOf(of sum) digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(of[:]))
}

func path(d digest.Digest, size int64) string {
	encoded := d.Encoded()
	return shards + "/" + encoded[:2] + "/" + encoded + "." + strconv.FormatInt(size, 10)
}

func parsePath(p string) (digest.Digest, int64, bool) {
	m := entryPattern.FindStringSubmatch(p)
	if m == nil {
		return "", 0, false
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, m[1])
	size, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil || path(d, size) != p {
		return "", 0, false
	}
	return d, size, true
}

func notFound(err error) bool {
	var missing storagedriver.PathNotFoundError
	return errors.As(err, &missing)
}
