package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// openArchive opens a tar file of either kind.
func openArchive(ctx context.Context, at Location) (trust.Source, io.Closer, error) {
	info, err := os.Stat(at.Path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("no regular file")
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(at.Path)
	if err != nil {
		return nil, nil, err
	}
	index, err := openTar(ctx, f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	var src trust.Source
	if at.Transport == DockerArchive {
		src, err = newDocker(ctx, index)
	} else {
		src, err = newOCI(index.open, at.Tag)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return src, f, nil
}

// dockerImage is one image of manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// docker is the archive of one image, with the OCI manifest that its content amounts to.
type docker struct {
	index    *tarIndex
	manifest ocispec.Descriptor
	body     []byte
	blobs    map[digest.Digest]entry
}

// newDocker reads every blob once, to learn its digest.
func newDocker(ctx context.Context, index *tarIndex) (*docker, error) {
	var images []dockerImage
	if err := opener(index.open).readJSON("manifest.json", &images); err != nil {
		return nil, fmt.Errorf("no archive of docker save: %w", err)
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("the archive has %d images, and one can be judged at a time: %w", len(images), trust.ErrUnsupported)
	}
	image := images[0]
	if len(image.Layers) > maxLayers {
		return nil, fmt.Errorf("%d layers: %w", len(image.Layers), trust.ErrLimit)
	}
	d := &docker{index: index, blobs: map[digest.Digest]entry{}}
	config, err := d.blob(ctx, image.Config)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if config.Size > maxJSON {
		return nil, fmt.Errorf("config of %d bytes: %w", config.Size, trust.ErrLimit)
	}
	config.MediaType = ocispec.MediaTypeImageConfig
	if err := agrees(index, config.Digest); err != nil {
		return nil, err
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{},
	}
	seen := map[string]ocispec.Descriptor{} // Layers may repeat, and a hostile list would have each read again.
	for i, name := range image.Layers {
		layer, ok := seen[name]
		if !ok {
			if layer, err = d.blob(ctx, name); err != nil {
				return nil, fmt.Errorf("layer %d: %w", i+1, err)
			}
			seen[name] = layer
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	if d.body, err = json.Marshal(manifest); err != nil {
		return nil, err
	}
	d.manifest = ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(d.body), Size: int64(len(d.body)),
	}
	return d, nil
}

// blob describes one file by its content.
func (d *docker) blob(ctx context.Context, name string) (ocispec.Descriptor, error) {
	var desc ocispec.Descriptor
	clean, err := inside(name)
	if err != nil {
		return desc, err
	}
	e, err := d.index.find(clean)
	if err != nil {
		return desc, err
	}
	sum, err := digest.FromReader(interruptible{ctx, d.index.section(e)})
	if err != nil {
		return desc, fmt.Errorf("read %q: %w", clean, err)
	}
	d.blobs[sum] = e
	return ocispec.Descriptor{MediaType: d.layerType(e), Digest: sum, Size: e.size}, nil
}

// layerType looks at the first bytes, since the archive does not say: docker save writes plain tar, others do not.
func (d *docker) layerType(e entry) string {
	head := make([]byte, 4)
	n, _ := d.index.section(e).ReadAt(head, 0)
	switch {
	case bytes.HasPrefix(head[:n], []byte("\x1f\x8b")):
		return ocispec.MediaTypeImageLayerGzip
	case bytes.HasPrefix(head[:n], []byte("\x28\xb5\x2f\xfd")):
		return ocispec.MediaTypeImageLayerZstd
	}
	return ocispec.MediaTypeImageLayer
}

// interruptible is r until ctx ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// agrees refuses an archive that is also an OCI layout of another image: newer engines load index.json, older ones
// manifest.json, and both must load what is judged. A config's digest names the content of all layers.
func agrees(index *tarIndex, config digest.Digest) error {
	var top ocispec.Index
	err := opener(index.open).readJSON(ocispec.ImageIndexFile, &top)
	if errors.Is(err, trust.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return agreesBelow(index, top.Manifests, config, 0)
}

// indexDepth is how deep indexes may be nested: index.json names an image's index, which names its manifests.
const indexDepth = 2

func agreesBelow(index *tarIndex, manifests []ocispec.Descriptor, config digest.Digest, depth int) error {
	if depth > indexDepth || len(manifests) > maxLayers {
		return fmt.Errorf("index.json: indexes in indexes or too many manifests: %w", trust.ErrLimit)
	}
	for _, d := range manifests {
		name, err := blobName(d.Digest)
		if err != nil {
			return fmt.Errorf("index.json: %w", err)
		}
		var either struct {
			Manifests []ocispec.Descriptor `json:"manifests"`
			Config    ocispec.Descriptor   `json:"config"`
		}
		err = opener(index.open).readJSON(name, &either)
		switch {
		case errors.Is(err, trust.ErrNotFound):
			continue // An image's other platforms are named and not saved.
		case err != nil:
			return fmt.Errorf("index.json: %w", err)
		case isAttestation(d):
			continue
		case len(either.Manifests) > 0:
			if err := agreesBelow(index, either.Manifests, config, depth+1); err != nil {
				return err
			}
		case either.Config.Digest != config:
			return fmt.Errorf("manifest.json and index.json name different images: %w", trust.ErrIntegrity)
		}
	}
	return nil
}

// isAttestation tells BuildKit's attestations by their platform too: an engine may run what has a real one.
func isAttestation(d ocispec.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" &&
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}

// Resolve knows the one manifest.
func (d *docker) Resolve(_ context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if ref.Digest != "" && ref.Digest != d.manifest.Digest {
		return ocispec.Descriptor{}, fmt.Errorf("manifest %q: %w", ref.Digest, trust.ErrNotFound)
	}
	return d.manifest, nil
}

// Fetch reads a blob where it lies; it is verified again, since the file may have changed.
func (d *docker) Fetch(ctx context.Context, _ trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("digest %q: %w", trust.Sanitise(desc.Digest.String(), 100), trust.ErrMalformed)
	}
	var r io.Reader
	size := d.manifest.Size
	if e, ok := d.blobs[desc.Digest]; ok {
		r, size = d.index.section(e), e.size
	} else if desc.Digest == d.manifest.Digest {
		r = bytes.NewReader(d.body)
	} else {
		return nil, fmt.Errorf("blob %q: %w", desc.Digest, trust.ErrNotFound)
	}
	if size != desc.Size {
		return nil, fmt.Errorf("%s has %d bytes, not %d: %w", desc.Digest, size, desc.Size, trust.ErrIntegrity)
	}
	return verified(ctx, io.NopCloser(r), desc), nil
}
