package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const (
	// maxManifest is the size of a manifest or index that registries agree to carry; more would be held in memory here.
	maxManifest = 4 << 20
	// maxBlobs bounds config and layers of one image; engines refuse far fewer layers (125).
	maxBlobs = 1024
)

// document is a manifest or an index with its verified bytes.
type document struct {
	desc ocispec.Descriptor
	raw  []byte
}

// image is a judged image: all that may reach an engine.
type image struct {
	ref trust.Reference
	src trust.Source
	// top is what the reference resolved to: the index that lists manifest, or manifest itself.
	top, manifest document
	// config and layers are the manifest's; layers may name a blob twice.
	config ocispec.Descriptor
	layers []ocispec.Descriptor
}

// open reads manifest and index from src and checks that they belong together.
func open(ctx context.Context, ref trust.Reference, top, manifest ocispec.Descriptor, src trust.Source) (*image, error) {
	if ref.Digest != "" && ref.Digest != top.Digest {
		return nil, fmt.Errorf("%w: %s resolved to %s", trust.ErrIntegrity, ref, top.Digest)
	}
	img := &image{ref: ref, src: src}
	var err error
	if img.manifest, err = img.document(ctx, manifest); err != nil {
		return nil, err
	}
	if img.config, img.layers, err = contents(img.manifest.raw); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", manifest.Digest, err)
	}
	if img.top = img.manifest; top.Digest == manifest.Digest {
		return img, nil
	}
	if img.top, err = img.document(ctx, top); err != nil {
		return nil, err
	}
	child, err := listed(img.top.raw, manifest.Digest)
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", top.Digest, err)
	}
	if child.Platform != nil {
		img.manifest.desc.Platform = child.Platform
	}
	return img, nil
}

// document fetches a manifest or index whole.
func (img *image) document(ctx context.Context, desc ocispec.Descriptor) (document, error) {
	if desc.Size > maxManifest {
		return document{}, fmt.Errorf("manifest %s of %d bytes: %w", desc.Digest, desc.Size, trust.ErrLimit)
	}
	r, err := img.fetch(ctx, desc)
	if err != nil {
		return document{}, err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		return document{}, fmt.Errorf("read manifest %s: %w", desc.Digest, err)
	}
	if desc.MediaType == "" {
		var v struct {
			MediaType string `json:"mediaType"`
		}
		if err := json.Unmarshal(raw, &v); err != nil {
			return document{}, fmt.Errorf("manifest %s: %w: %w", desc.Digest, trust.ErrMalformed, err)
		}
		desc.MediaType = v.MediaType
	}
	return document{desc, raw}, nil
}

// fetch opens content that is verified once more here, whatever the source does: see verified.
func (img *image) fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w: %w", desc.Digest, trust.ErrMalformed, err)
	}
	r, err := img.src.Fetch(ctx, img.ref, desc)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", desc.Digest, err)
	}
	return verify(r, desc), nil
}

// indexed reports whether the reference resolved to an index.
func (img *image) indexed() bool { return img.top.desc.Digest != img.manifest.desc.Digest }

// blobs are the config and the layers, each once.
func (img *image) blobs() []ocispec.Descriptor {
	seen := map[digest.Digest]bool{}
	var list []ocispec.Descriptor
	for _, desc := range append([]ocispec.Descriptor{img.config}, img.layers...) {
		if !seen[desc.Digest] {
			seen[desc.Digest] = true
			list = append(list, desc)
		}
	}
	return list
}

// under is the name by which the engine shall know the image: by digest when the user asked so, else by tag.
func under(ref trust.Reference) string {
	switch {
	case ref.Digest != "":
		return ref.Name() + "@" + ref.Digest.String()
	case ref.Tag != "":
		return ref.Name() + ":" + ref.Tag
	}
	return ref.Name() + ":latest"
}

// contents reads config and layers from an image manifest.
func contents(raw []byte) (ocispec.Descriptor, []ocispec.Descriptor, error) {
	var m struct {
		Config    ocispec.Descriptor   `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
		Manifests json.RawMessage      `json:"manifests"`
	}
	if err := strictly(raw, &m); err != nil {
		return m.Config, nil, err
	}
	if m.Manifests != nil {
		return m.Config, nil, fmt.Errorf("%w: it is an index", trust.ErrUnsupported)
	}
	if len(m.Layers) >= maxBlobs {
		return m.Config, nil, fmt.Errorf("%d layers: %w", len(m.Layers), trust.ErrLimit)
	}
	for _, desc := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if err := desc.Digest.Validate(); err != nil {
			return m.Config, nil, fmt.Errorf("%w: digest %q: %w", trust.ErrMalformed, desc.Digest, err)
		}
		if desc.Size < 0 {
			return m.Config, nil, fmt.Errorf("%w: blob %s has size %d", trust.ErrMalformed, desc.Digest, desc.Size)
		}
		if len(desc.URLs) > 0 {
			// The engine would fetch it from there, past everything that was judged.
			return m.Config, nil, fmt.Errorf("%w: blob %s is to be fetched from elsewhere", trust.ErrUnsupported, desc.Digest)
		}
	}
	return m.Config, m.Layers, nil
}

// listed finds the child of an index.
func listed(raw []byte, child digest.Digest) (ocispec.Descriptor, error) {
	var index struct {
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := strictly(raw, &index); err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, desc := range index.Manifests {
		if desc.Digest == child {
			return desc, nil
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("%w: it does not list %s", trust.ErrIntegrity, child)
}

// strictly decodes one JSON value with nothing after it.
func strictly(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", trust.ErrMalformed, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: content after the JSON value", trust.ErrMalformed)
	}
	return nil
}
