package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// stream reads a flight's content at its own pace, from any offset. Where the flight can keep nothing more, it reads
// on from upstream itself.
type stream struct {
	ctx     context.Context
	flight  *flight
	source  *source
	ref     trust.Reference
	unwatch func() bool
	left    sync.Once

	from   int64 // where reading began
	pos    int64
	own    *verified // after errSpool
	err    error     // sticky
	closed bool
}

// leave gives up the interest in the flight; the hold on its spool lasts until Close.
func (t *stream) leave() { t.left.Do(t.flight.leave) }

// Read implements io.Reader.
func (t *stream) Read(p []byte) (int, error) {
	switch {
	case t.closed:
		return 0, errors.New("read of closed content")
	case t.err != nil:
		return 0, t.err
	case t.ctx.Err() != nil:
		return 0, t.ctx.Err()
	case len(p) == 0:
		return 0, nil
	}
	n, err := t.read(p)
	t.pos += int64(n)
	if n == 0 {
		t.err = err
		return 0, err
	}
	return n, nil
}

func (t *stream) read(p []byte) (int, error) {
	if t.own != nil {
		return t.own.Read(p)
	}
	arrived, err := t.flight.await(t.ctx, t.pos)
	if errors.Is(err, errSpool) {
		if err := t.goOn(); err != nil {
			return 0, err
		}
		return t.own.Read(p)
	}
	if err != nil {
		return 0, err
	}
	n, err := t.flight.spool.ReadAt(p[:min(int64(len(p)), arrived-t.pos)], t.pos)
	if n == 0 && err != nil {
		t.flight.cache.failed(err)
		return 0, fmt.Errorf("%w: reading what arrived of %s: %w", trust.ErrUnavailable, t.flight.desc.Digest, err)
	}
	return n, nil
}

// goOn fetches anew and skips what was delivered. What is verified are the bytes that were delivered and those of the
// new answer before and behind them.
func (t *stream) goOn() error {
	desc := t.flight.desc
	rc, err := t.source.upstream.Fetch(t.ctx, t.ref, desc)
	if err != nil {
		return err
	}
	own := &verified{ReadCloser: rc, desc: desc, verifier: desc.Digest.Verifier(), size: t.pos}
	if _, err = io.CopyN(own.verifier, rc, t.from); err == nil && t.pos > t.from {
		if _, err = io.Copy(own.verifier, io.NewSectionReader(t.flight.spool, t.from, t.pos-t.from)); err == nil {
			_, err = io.CopyN(io.Discard, rc, t.pos-t.from)
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: going on with %s: %w", trust.ErrUnavailable, desc.Digest, err), rc.Close())
	}
	t.own = own
	return nil
}

// Seek implements io.Seeker. It does not wait for the content to arrive.
func (t *stream) Seek(offset int64, whence int) (int64, error) {
	to, err := seekTo(t.pos, t.flight.desc.Size, offset, whence)
	if err != nil || to == t.pos {
		return t.pos, err
	}
	if t.own != nil || t.err != nil && !errors.Is(t.err, io.EOF) {
		return t.pos, errors.New("seek in content that is not kept")
	}
	t.from, t.pos, t.err = to, to, nil
	return to, nil
}

// Size is the whole content's, in bytes.
func (t *stream) Size() int64 { return t.flight.desc.Size }

// Close implements io.Closer. It may be called more than once, but not while Read runs.
func (t *stream) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	t.unwatch()
	t.leave()
	t.flight.release()
	if t.own != nil {
		return t.own.Close()
	}
	return nil
}

// verified reads content that the cache does not keep, and fails in place of io.EOF when it is not desc's.
type verified struct {
	io.ReadCloser
	desc     ocispec.Descriptor
	verifier digest.Verifier
	size     int64
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.size += int64(n)
	_, _ = v.verifier.Write(p[:n]) // a hash never fails
	if v.size > v.desc.Size || errors.Is(err, io.EOF) && (v.size != v.desc.Size || !v.verifier.Verified()) {
		return 0, fmt.Errorf("%w: %s: its source has other bytes", trust.ErrIntegrity, v.desc.Digest)
	}
	return n, err
}

// seekTo is where a seek leads.
func seekTo(pos, size, offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += pos
	case io.SeekEnd:
		offset += size
	default:
		return pos, fmt.Errorf("seek from unknown place %d", whence)
	}
	if offset < 0 {
		return pos, fmt.Errorf("seek to %d", offset)
	}
	return offset, nil
}
