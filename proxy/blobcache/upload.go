package blobcache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// upload is content on its way to become an entry. Its bytes are reserved from begin until commit or abort, one of
// which is called once.
type upload struct {
	cache  *Cache
	ctx    context.Context // outlives the caller's, so that the last byte's commit is not lost when the caller leaves
	desc   ocispec.Descriptor
	path   string
	writer storagedriver.FileWriter
	size   int64
}

// begin makes room and opens a place beside the entries. Nil means that the content cannot be kept.
func (c *Cache) begin(ctx context.Context, desc ocispec.Descriptor) *upload {
	c.mu.Lock()
	if desc.Size < 0 || desc.Size > c.maxBytes {
		c.stats.Skipped++
		c.mu.Unlock()
		return nil
	}
	victims, fits := c.makeRoom(desc.Size)
	if fits {
		c.stats.Bytes += desc.Size
	} else {
		c.stats.Skipped++
	}
	c.mu.Unlock()
	c.remove(ctx, victims)
	if !fits {
		return nil
	}
	u := &upload{cache: c, ctx: context.WithoutCancel(ctx), desc: desc, path: uploads + "/" + rand.Text()}
	writer, err := c.driver.Writer(u.ctx, u.path, false) //nolint:contextcheck // see upload.ctx
	if err != nil {
		c.countError()
		u.free()
		return nil
	}
	u.writer = writer
	return u
}

// write reports false, and is over, when the storage fails.
func (u *upload) write(p []byte) bool {
	n, err := u.writer.Write(p)
	u.size += int64(n)
	if err != nil || n < len(p) {
		u.cache.countError()
		u.abort()
		return false
	}
	return true
}

// commit makes an entry. The caller has verified the digest of what was written.
func (u *upload) commit() {
	ctx, cancel := context.WithTimeout(u.ctx, cleanupTimeout)
	defer cancel()
	if err := u.move(ctx); err != nil {
		u.cache.countError()
		u.abort()
		return
	}
	c := u.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Commits++
	if c.order.Contains(u.desc.Digest) { // by one who took over, and was faster
		c.stats.Bytes -= u.desc.Size
		return
	}
	c.order.Add(u.desc.Digest, &entry{size: u.desc.Size})
}

func (u *upload) move(ctx context.Context) error {
	if u.size != u.desc.Size {
		return fmt.Errorf("%d bytes written of %d", u.size, u.desc.Size)
	}
	if err := u.writer.Commit(ctx); err != nil {
		return err
	}
	if err := u.writer.Close(); err != nil {
		return err
	}
	info, err := u.cache.driver.Stat(ctx, u.path)
	if err != nil {
		return err
	}
	if info.Size() != u.desc.Size {
		return errors.New("the storage kept another number of bytes than were written")
	}
	return u.cache.driver.Move(ctx, u.path, path(u.desc.Digest, u.desc.Size))
}

// abort removes what was written. What cannot be removed goes at the next Open.
func (u *upload) abort() {
	ctx, cancel := context.WithTimeout(u.ctx, cleanupTimeout)
	defer cancel()
	if err := u.writer.Cancel(ctx); err != nil {
		_ = u.writer.Close()
		_ = u.cache.driver.Delete(ctx, u.path)
	}
	u.free()
}

func (u *upload) free() {
	u.cache.mu.Lock()
	defer u.cache.mu.Unlock()
	u.cache.stats.Bytes -= u.desc.Size
}
