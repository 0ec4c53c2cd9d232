package blobcache

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Source is upstream with the cache in front of Fetch. What is not there is fetched once for all who want it, in the
// background: they read at their own pace what arrived, and see the last bytes when the digest was verified and the
// entry is there. A fetch whose readers all left is finished when more than half is there. Content that the cache has
// no room for is read from upstream by each. Readers of what is kept are io.Seekers. Resolve always asks upstream:
// tags move.
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
	for ctx.Err() == nil {
		rc, err := s.stored(ctx, desc)
		switch {
		case errors.Is(err, errUnreadable):
			s.cache.count(false)
			return s.direct(ctx, ref, desc)
		case rc != nil || err != nil:
			return rc, err
		}
		t, first, err := s.join(ctx, ref, desc)
		switch {
		case errors.Is(err, errAgain):
			continue
		case err != nil:
			return nil, err
		case t == nil:
			s.cache.count(false)
			return s.direct(ctx, ref, desc)
		}
		from := begun
		if t.flight.desc.Size != desc.Size {
			from = t.flight.desc.Size // one of the two is wrong: the end tells
		}
		_, err = t.flight.await(ctx, from)
		if err == nil || errors.Is(err, io.EOF) && from == begun {
			return t, nil
		}
		_ = t.Close() //nolint:contextcheck // a fetch that nobody waits for outlives them all
		switch {
		case errors.Is(err, errSpool):
			return s.direct(ctx, ref, desc)
		case first || ctx.Err() != nil || errors.Is(err, errClosed):
			return nil, err
		} // another's failure is not ours: upstream may see us differently
	}
	return nil, ctx.Err()
}

// direct reads what the cache cannot keep.
func (s *source) direct(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	rc, err := s.upstream.Fetch(ctx, ref, desc)
	if err != nil {
		return nil, err
	}
	return &verified{ReadCloser: rc, desc: desc, verifier: desc.Digest.Verifier()}, nil
}

// stored opens the entry; neither reader nor error means that there is none.
func (s *source) stored(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	b, err := s.cache.open(ctx, desc.Digest)
	if errors.Is(err, ErrMiss) && s.find(ctx, desc.Digest, desc.Size) {
		b, err = s.cache.open(ctx, desc.Digest)
	}
	switch {
	case errors.Is(err, errUnreadable):
		return nil, err
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
