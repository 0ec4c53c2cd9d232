package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Blob is an open entry. It is for one goroutine, ends with the context it was opened with, and must be closed: until
// then it is not evicted. When it is read from first to last byte its digest is verified again, and a damaged entry
// fails with trust.ErrUnavailable before its last bytes and is dropped.
type Blob interface {
	io.ReadSeekCloser
	// Size is the whole content's, in bytes.
	Size() int64
}

type blob struct {
	ctx    context.Context
	cache  *Cache
	digest digest.Digest
	entry  *entry

	reader   io.ReadCloser // at pos, or nil
	pos      int64
	verifier digest.Verifier // nil when not all bytes before pos were read
	closed   bool
}

// Size implements Blob.
func (b *blob) Size() int64 { return b.entry.size }

// Read implements io.Reader.
func (b *blob) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, errors.New("read of closed blob")
	case b.ctx.Err() != nil:
		return 0, b.ctx.Err()
	case b.pos >= b.entry.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if b.reader == nil {
		r, err := b.cache.driver.Reader(b.ctx, path(b.digest, b.entry.size), b.pos)
		if err != nil {
			return 0, b.failed(err)
		}
		b.reader = r
	}
	n, err := b.reader.Read(p[:min(int64(len(p)), b.entry.size-b.pos)])
	if n == 0 && err != nil {
		return 0, b.failed(err)
	}
	if b.verifier != nil {
		_, _ = b.verifier.Write(p[:n]) // a hash never fails
	}
	b.pos += int64(n)
	if b.pos == b.entry.size && b.verifier != nil && !b.verifier.Verified() {
		b.pos -= int64(n)
		return 0, b.damaged()
	}
	return n, nil
}

// failed classifies an error of the storage. An end too early means that the file is not what was written.
func (b *blob) failed(err error) error {
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case errors.Is(err, io.EOF) || notFound(err):
		return b.damaged()
	}
	b.cache.countError()
	return fmt.Errorf("%w: reading %s from the cache: %w", trust.ErrUnavailable, b.digest, err)
}

func (b *blob) damaged() error {
	b.cache.drop(b.digest, b.entry)
	return fmt.Errorf("%w: %s was damaged in the cache: try again", trust.ErrUnavailable, b.digest)
}

// Seek implements io.Seeker.
func (b *blob) Seek(offset int64, whence int) (int64, error) {
	offset, err := seekTo(b.pos, b.entry.size, offset, whence)
	if err != nil {
		return b.pos, err
	}
	if offset == b.pos {
		return offset, nil
	}
	b.closeReader()
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
	b.cache.release(b.entry)
	return nil
}

func (b *blob) closeReader() {
	if b.reader != nil {
		_ = b.reader.Close() // nothing was written
		b.reader = nil
	}
}
