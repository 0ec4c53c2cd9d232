package wire

import (
	"context"
	"fmt"
	"io"

	lru "github.com/hashicorp/golang-lru/v2"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// describedEntries bounds the descriptors that a source remembers.
const describedEntries = 4096

// described answers what a digest is from memory once it was asked: a digest's descriptor does not change.
type described struct {
	trust.Source
	known *lru.Cache[string, ocispec.Descriptor]
}

func newDescribed(src trust.Source) (trust.Source, error) {
	known, err := lru.New[string, ocispec.Descriptor](describedEntries)
	if err != nil {
		return nil, fmt.Errorf("descriptor memory: %w", err)
	}
	return described{src, known}, nil
}

// Resolve implements trust.Source.
func (d described) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if ref.Digest != "" {
		if desc, ok := d.known.Get(ref.Name() + "@" + ref.Digest.String()); ok {
			return desc, nil
		}
	}
	desc, err := d.Source.Resolve(ctx, ref)
	if err == nil {
		d.known.Add(ref.Name()+"@"+desc.Digest.String(), desc)
	}
	return desc, err
}

// counted tells how many bytes were read.
type counted struct {
	trust.Source
	count func(int64)
}

// Fetch implements trust.Source.
func (c counted) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := c.Source.Fetch(ctx, ref, desc)
	if err != nil {
		return nil, err
	}
	return &countingReader{r, c.count}, nil
}

type countingReader struct {
	io.ReadCloser
	count func(int64)
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.count(int64(n))
	return n, err
}
