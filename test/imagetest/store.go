package imagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/safepull/safepull/trust"
)

// Store holds built images by repository and tag. It is a trust.Source over all its repositories, whatever the
// registry of the reference. It may be read by many goroutines once it is filled.
type Store struct {
	roots   map[string]ocispec.Descriptor // by "repository:tag"
	content map[digest.Digest][]byte
	images  map[string]Built
	order   []string
}

// NewStore is an empty store.
func NewStore() *Store {
	return &Store{roots: map[string]ocispec.Descriptor{}, content: map[digest.Digest][]byte{}, images: map[string]Built{}}
}

// Add puts an image or an index under repository and tag.
func (s *Store) Add(repository, tag string, b Built) {
	key := repository + ":" + tag
	if _, ok := s.images[key]; !ok {
		s.order = append(s.order, key)
	}
	s.roots[key], s.images[key] = b.Root, b
	s.keep(b)
}

func (s *Store) keep(b Built) {
	for _, c := range b.Children {
		s.keep(c)
	}
	for _, blob := range b.Blobs {
		s.content[blob.Descriptor.Digest] = blob.Content
	}
	s.content[b.Root.Digest] = b.Manifest
}

// Resolve implements trust.Source.
func (s *Store) Resolve(_ context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if ref.Digest != "" {
		for _, b := range s.images {
			if d, ok := b.find(ref.Digest); ok {
				return d, nil
			}
		}
		return ocispec.Descriptor{}, fmt.Errorf("manifest %s: %w", ref.Digest, trust.ErrNotFound)
	}
	root, ok := s.roots[ref.Repository+":"+ref.Tag]
	if !ok {
		return ocispec.Descriptor{}, fmt.Errorf("%s:%s: %w", ref.Repository, ref.Tag, trust.ErrNotFound)
	}
	return root, nil
}

func (b Built) find(d digest.Digest) (ocispec.Descriptor, bool) {
	if b.Root.Digest == d {
		return b.Root, true
	}
	for _, c := range b.Children {
		if found, ok := c.find(d); ok {
			return found, true
		}
	}
	return ocispec.Descriptor{}, false
}

// Fetch implements trust.Source: content that is not what its descriptor says ends with trust.ErrIntegrity, content
// that breaks off with trust.ErrUnavailable.
func (s *Store) Fetch(ctx context.Context, _ trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	content, ok := s.content[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, trust.ErrNotFound)
	}
	var end error
	switch n := int64(len(content)); {
	case n < desc.Size:
		end = fmt.Errorf("blob %s: %d of %d bytes: %w", desc.Digest, n, desc.Size, trust.ErrUnavailable)
	case n > desc.Size:
		end = fmt.Errorf("blob %s: %d bytes, the descriptor says %d: %w", desc.Digest, n, desc.Size, trust.ErrIntegrity)
	case desc.Digest.Algorithm().FromBytes(content) != desc.Digest:
		end = fmt.Errorf("blob %s: its content has another digest: %w", desc.Digest, trust.ErrIntegrity)
	default:
		return io.NopCloser(bytes.NewReader(content)), nil
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(content), failing{end})), nil
}

// failing is a reader that has only an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
