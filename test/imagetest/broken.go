package imagetest

import (
	"bytes"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Truncated is the blob without its last n bytes, under the name of the whole: a download that broke off.
func (b Blob) Truncated(n int) Blob {
	b.Content = b.Content[:max(0, len(b.Content)-n)]
	return b
}

// Corrupted is the blob with one byte changed in the middle, under its old name and of the same length.
func (b Blob) Corrupted() Blob {
	b.Content = bytes.Clone(b.Content)
	if n := len(b.Content); n > 0 {
		b.Content[n/2] ^= 0xff
	}
	return b
}

// Trailing is the blob with bytes after its end, truly named: what a decompressor may or may not see.
func (b Blob) Trailing(junk []byte) Blob {
	grown := NewBlob(b.Descriptor.MediaType, slices.Concat(b.Content, junk))
	grown.DiffID = b.DiffID
	return grown
}

// As is the blob under another media type.
func (b Blob) As(mediaType string) Blob {
	b.Descriptor.MediaType = mediaType
	return b
}

// WrongDiffID changes the first diff ID of an image's configuration.
func WrongDiffID(c *ocispec.Image) {
	if len(c.RootFS.DiffIDs) > 0 {
		c.RootFS.DiffIDs[0] = digest.FromString("something else")
	}
}

// ForeignURLs makes an image's first layer one that clients fetch from elsewhere.
func ForeignURLs(urls ...string) func(*ocispec.Manifest) {
	return func(m *ocispec.Manifest) {
		if len(m.Layers) > 0 {
			m.Layers[0].URLs = urls
		}
	}
}

// InlineData puts content into the descriptor of an image's first layer.
func InlineData(data []byte) func(*ocispec.Manifest) {
	return func(m *ocispec.Manifest) {
		if len(m.Layers) > 0 {
			m.Layers[0].Data = data
		}
	}
}

// WrongSize adds n to the size that the manifest says the first layer has.
func WrongSize(n int64) func(*ocispec.Manifest) {
	return func(m *ocispec.Manifest) {
		if len(m.Layers) > 0 {
			m.Layers[0].Size += n
		}
	}
}
