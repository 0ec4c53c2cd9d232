package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Typed is a source whose manifests are what they were announced as: reading one that says otherwise of itself fails with
// trust.ErrIntegrity in place of io.EOF. What an upstream's header says about a digest is its word and may change; it must
// not become a verdict about the image, which is remembered.
func Typed(src trust.Source) trust.Source { return typed{src} }

type typed struct{ trust.Source }

// Fetch implements trust.Source.
func (t typed) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	rc, err := t.Source.Fetch(ctx, ref, desc)
	if err != nil || !isManifest(desc.MediaType) || desc.Size > MaxManifest {
		return rc, err
	}
	return &typedContent{ReadCloser: rc, registry: ref.Registry, mediaType: desc.MediaType}, nil
}

// typedContent keeps a manifest, of at most MaxManifest bytes, until its end.
type typedContent struct {
	io.ReadCloser
	registry, mediaType string
	body                []byte
	err                 error // sticky
}

// Read implements io.Reader.
func (c *typedContent) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.ReadCloser.Read(p)
	c.body = append(c.body, p[:n]...)
	if len(c.body) > MaxManifest {
		err = fmt.Errorf("registry %s: %w: manifest of more than %d bytes", c.registry, trust.ErrLimit, MaxManifest)
	} else if errors.Is(err, io.EOF) {
		if lie := announcedAs(c.mediaType, c.body); lie != nil {
			err = fmt.Errorf("registry %s: %w", c.registry, lie)
		}
	}
	if err != nil {
		c.err, c.body = err, nil
	}
	return n, err
}

// announcedAs leaves what is wrong with a manifest for other reasons to who reads it.
func announcedAs(mediaType string, body []byte) error {
	if _, err := manifestType(mediaType, body); errors.Is(err, trust.ErrIntegrity) {
		return err
	}
	return nil
}
