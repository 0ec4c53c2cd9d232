package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// verifiedFor is how long, in seconds, an entry whose digest was verified is given without doing that again.
const verifiedFor = 24 * 3600

// Blob is open content of the cache. It is for one goroutine, ends with the context it was opened with, and must be
// closed: until then it is not evicted. When an entry is read from first to last byte its digest is verified again,
// and a damaged one fails with trust.ErrUnavailable before its last bytes and is dropped.
type Blob interface {
	io.ReadSeekCloser
	// Size is the whole content's, in bytes.
	Size() int64
}

// blob is an entry.
type blob struct {
	ctx     context.Context
	cache   *Cache
	digest  digest.Digest
	size    int64
	place   int32
	trusted bool // it was verified not long ago

	file     *os.File      // of a filesystem; at pos
	reader   io.ReadCloser // of another driver, at pos, or nil
	pos      int64
	verifier digest.Verifier // nil when not all bytes before pos were read
	closed   bool
}

// trusted reports whether the entry's bytes were verified not long ago. The caller holds mu.
func (c *Cache) trusted(e *slot) bool {
	return e.verified != 0 && int64(seconds(time.Now()))-int64(e.verified) < verifiedFor
}

// Size implements Blob.
func (b *blob) Size() int64 { return b.size }

// File is the content in a file, which stands where reading would go on, or nil: when the storage has no files, or
// when it is long ago that the digest was verified. Who uses the file does not read the blob, and closes only that.
func (b *blob) File() *os.File {
	if b.closed || !b.trusted {
		return nil
	}
	return b.file
}

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, errors.New("read of closed blob")
	case b.ctx.Err() != nil:
		return 0, b.ctx.Err()
	case b.pos >= b.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.read(p[:min(int64(len(p)), b.size-b.pos)])
	if n == 0 && err != nil {
		return 0, b.failed(err)
	}
	b.pos += int64(n)
	if b.verifier == nil {
		return n, nil
	}
	_, _ = b.verifier.Write(p[:n]) // a hash never fails
	if b.pos < b.size {
		return n, nil
	}
	if !b.verifier.Verified() {
		b.pos -= int64(n)
		return 0, b.damaged()
	}
	b.cache.verified(b.place)
	return n, nil
}

func (b *blob) read(p []byte) (int, error) {
	if b.file != nil {
		return b.file.Read(p)
	}
	if b.reader == nil {
		r, err := b.cache.driver.Reader(b.ctx, path(b.digest, b.size), b.pos)
		if err != nil {
			return 0, err
		}
		b.reader = r
	}
	return b.reader.Read(p)
}

// verified notes that an entry's bytes were found to be right.
func (c *Cache) verified(place int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shelf.at(place).verified = seconds(time.Now())
}

// failed classifies an error of the storage. An end too early means that the file is not what was written.
func (b *blob) failed(err error) error {
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case errors.Is(err, io.EOF) || notFound(err):
		return b.damaged()
	}
	b.cache.failed(err)
	return fmt.Errorf("%w: reading %s from the cache: %w", trust.ErrUnavailable, b.digest, err)
}

func (b *blob) damaged() error {
	b.cache.drop(b)
	return fmt.Errorf("%w: %s was damaged in the cache: try again", trust.ErrUnavailable, b.digest)
}

// Seek implements io.Seeker.
func (b *blob) Seek(offset int64, whence int) (int64, error) {
	offset, err := seekTo(b.pos, b.size, offset, whence)
	if err != nil {
		return b.pos, err
	}
	if offset == b.pos {
		return offset, nil
	}
	b.closeReader()
	if b.file != nil {
		if _, err := b.file.Seek(offset, io.SeekStart); err != nil {
			return b.pos, b.failed(err)
		}
	}
	if offset == 0 {
		b.rewind()
	} else {
		b.pos, b.verifier = offset, nil
	}
	return offset, nil
}

func (b *blob) rewind() { b.pos, b.verifier = 0, b.digest.Verifier() }

// Close implements io.Closer. It may be called more than once.
func (b *blob) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.closeReader()
	if b.file != nil {
		_ = b.file.Close() // nothing was written
	}
	b.cache.release(b.place)
	return nil
}

func (b *blob) closeReader() {
	if b.reader != nil {
		_ = b.reader.Close() // nothing was written
		b.reader = nil
	}
}
