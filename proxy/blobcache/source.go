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

// Source is upstream with the cache in front of Fetch. What is not there is fetched, by one caller at a time for each
// digest, and is an entry before that caller sees io.EOF; closing sooner leaves nothing. Callers who want the same
// meanwhile wait for the entry. Resolve always asks upstream: tags move.
func (c *Cache) Source(upstream trust.Source) trust.Source { return &source{c, upstream} }

type source struct {
	cache    *Cache
	upstream trust.Source
}

// Resolve implements trust.Source.
func (s *source) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	return s.upstream.Resolve(ctx, ref)
}

// Fetch implements trust.Source.
func (s *source) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if desc.Digest.Validate() != nil {
		return nil, fmt.Errorf("%w: digest %q", trust.ErrMalformed, trust.Sanitise(desc.Digest.String(), 128))
	}
	for {
		if rc, err := s.stored(ctx, desc); rc != nil || err != nil {
			return rc, err
		}
		f, mine := s.cache.join(desc.Digest)
		if !mine {
			if err := f.wait(ctx); err != nil {
				return nil, err
			}
			continue
		}
		// Another may have made the entry between the look and the flight.
		if rc, err := s.stored(ctx, desc); rc != nil || err != nil {
			f.finish()
			return rc, err
		}
		return s.lead(ctx, f, ref, desc)
	}
}

// stored opens the entry; neither reader nor error means that there is none.
func (s *source) stored(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	b, err := s.cache.open(ctx, desc.Digest)
	switch {
	case errors.Is(err, ErrMiss):
		return nil, nil
	case err != nil:
		return nil, err
	case b.Size() != desc.Size:
		size := b.Size()
		_ = b.Close() //nolint:contextcheck // evicting outlives the caller
		return nil, fmt.Errorf("%w: %s has %d bytes, its descriptor says %d", trust.ErrIntegrity, desc.Digest, size, desc.Size)
	}
	s.cache.count(true)
	return b, nil
}

// lead fetches from upstream into the cache.
func (s *source) lead(ctx context.Context, f *flight, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s.cache.count(false)
	stop := context.AfterFunc(ctx, f.finish)
	f.reading(true)
	rc, err := s.upstream.Fetch(ctx, ref, desc)
	f.reading(false)
	if err != nil {
		stop()
		f.finish()
		return nil, err
	}
	t := &tee{upstream: rc, flight: f, stop: stop, desc: desc, verifier: desc.Digest.Verifier()}
	if t.upload = s.cache.begin(ctx, desc); t.upload == nil {
		t.end() // nobody gains by waiting
	}
	return t, nil
}

// tee reads from upstream and writes into the cache, which it can do without.
type tee struct {
	upstream io.ReadCloser
	flight   *flight
	stop     func() bool
	desc     ocispec.Descriptor

	mu       sync.Mutex
	upload   *upload // nil when nothing is written (any more)
	verifier digest.Verifier
	size     int64
	err      error // sticky
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	t.flight.reading(true)
	defer t.flight.reading(false)
	n, err := t.upstream.Read(p)

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return 0, t.err
	}
	_, _ = t.verifier.Write(p[:n]) // a hash never fails
	t.size += int64(n)
	if n > 0 && t.size <= t.desc.Size && t.upload != nil && !t.upload.write(p[:n]) {
		t.upload = nil
		t.end()
	}
	if t.size > t.desc.Size || errors.Is(err, io.EOF) && (t.size != t.desc.Size || !t.verifier.Verified()) {
		err = fmt.Errorf("%w: %s: its source has other bytes", trust.ErrIntegrity, t.desc.Digest)
	}
	if err != nil {
		t.err = err
		t.settle(errors.Is(err, io.EOF))
	}
	return n, err
}

// Close implements io.Closer.
func (t *tee) Close() error {
	err := t.upstream.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = errors.New("read of closed content")
	}
	t.settle(false)
	return err
}

// settle commits or aborts, once.
func (t *tee) settle(good bool) {
	if t.upload != nil {
		if good {
			t.upload.commit()
		} else {
			t.upload.abort()
		}
		t.upload = nil
	}
	t.end()
}

// end lets others go on.
func (t *tee) end() {
	t.stop()
	t.flight.finish()
}
