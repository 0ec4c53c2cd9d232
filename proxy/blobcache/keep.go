package blobcache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/blobcache/spool"
)

// keeps reports whether content can be kept at all, and counts it where it cannot.
func (c *Cache) keeps(desc ocispec.Descriptor) bool {
	_, known := sumOf(desc.Digest)
	c.mu.Lock()
	defer c.mu.Unlock()
	if known && desc.Size >= 0 && desc.Size <= c.maxBytes && !time.Now().Before(c.paused) {
		return true
	}
	c.stats.Skipped++
	return false
}

// reserve makes room for content on its way, until it is an entry or unreserve is called. Nil means that there is none.
func (c *Cache) reserve(ctx context.Context, desc ocispec.Descriptor) (unreserve func()) {
	if !c.makeRoom(ctx, desc.Size) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stats.Skipped++
		return nil
	}
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stats.Bytes -= desc.Size
	})
}

// storageFailed counts, and keeps nothing more for a while.
func (c *Cache) storageFailed(err error) {
	c.mu.Lock()
	c.paused = time.Now().Add(c.pause)
	c.mu.Unlock()
	c.failed(err)
}

// commit makes an entry of a flight's content, which was verified. What fails costs nothing but the caching.
func (c *Cache) commit(ctx context.Context, f *flight, unreserve func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime(f.desc.Size))
	defer cancel()
	done := c.change(f.desc.Digest)
	defer done()
	if c.has(f.desc.Digest) { // by way of another registry
		unreserve()
		return
	}
	if err := c.store(ctx, f.spool, f.desc); err != nil {
		c.storageFailed(err)
		unreserve()
		return
	}
	c.works()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := seconds(time.Now())
	of, _ := sumOf(f.desc.Digest)
	c.stats.Commits++
	c.enter(of, f.desc.Size, now, true).verified = now
}

// commitTime bounds the storing of content at 1 MiB a second.
func commitTime(size int64) time.Duration {
	return cleanupTimeout + time.Duration(size>>20)*time.Second
}

func (c *Cache) store(ctx context.Context, from spool.Spool, desc ocispec.Descriptor) error {
	to := path(desc.Digest, desc.Size)
	if file, ok := from.(*spool.File); ok && c.root != "" {
		size, err := file.Size()
		if err != nil {
			return err
		}
		if size != desc.Size {
			return errSizeKept
		}
		return file.Rename(filepath.Join(c.root, filepath.FromSlash(to)))
	}
	if c.shared {
		return c.write(ctx, from, to, desc.Size)
	}
	beside := uploads + "/" + rand.Text()
	err := c.write(ctx, from, beside, desc.Size)
	if err == nil {
		err = c.driver.Move(ctx, beside, to)
	}
	if err != nil {
		_ = c.driver.Delete(ctx, beside) // what is left goes at the next Open
	}
	return err
}

var errSizeKept = errors.New("the storage kept another number of bytes than were written")

// write copies content to a driver and looks whether it arrived.
func (c *Cache) write(ctx context.Context, from spool.Spool, to string, size int64) error {
	w, err := c.driver.Writer(ctx, to, false)
	if err != nil {
		return err
	}
	if err := copyTo(ctx, w, from, size); err != nil {
		return errors.Join(err, w.Cancel(ctx), w.Close())
	}
	if err := w.Close(); err != nil {
		return err
	}
	info, err := c.driver.Stat(ctx, to)
	if err != nil {
		return err
	}
	if info.Size() != size {
		return errSizeKept
	}
	return nil
}

func copyTo(ctx context.Context, w storagedriver.FileWriter, from spool.Spool, size int64) error {
	n, err := io.CopyBuffer(onlyWriter{w}, io.NewSectionReader(from, 0, size), make([]byte, chunk))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%d bytes written of %d", n, size)
	}
	return w.Commit(ctx)
}

// onlyWriter hides other methods from io.Copy.
type onlyWriter struct{ io.Writer }
