// Package imagetest builds small container images in memory: layers from lists of files, images from layers, indexes
// from images, and broken variants of all of them. What it builds depends on its input alone, so that digests stay
// the same from run to run.
//
// Begin with Image; a Store holds what was built and writes it to an OCI layout, pushes it to a registry, or is read
// as a trust.Source.
package imagetest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of Docker's own formats, which engines before OCI wrote.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"
	DockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// Epoch is the time that every file and every image has unless said otherwise.
var Epoch = time.Date(2024, time.January, 15, 12, 0, 0, 0, time.UTC)

// Blob is content with the descriptor that names it. Changing one without the other makes a lie.
type Blob struct {
	Descriptor ocispec.Descriptor
	Content    []byte
	// DiffID is the digest of the uncompressed content, for layers.
	DiffID digest.Digest
}

// NewBlob is content under its true digest and size.
func NewBlob(mediaType string, content []byte) Blob {
	return Blob{
		Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))},
		Content:    content,
	}
}

// Image describes one platform's image.
type Image struct {
	// Platform is linux/amd64 when empty.
	Platform ocispec.Platform
	Config   ocispec.ImageConfig
	Layers   []Blob
	// History has one line for every layer when empty.
	History []ocispec.History
	Created time.Time
	// Docker uses Docker's media types in place of OCI's.
	Docker      bool
	Annotations map[string]string
	// EditConfig and EditManifest change what is written, for broken variants.
	EditConfig   func(*ocispec.Image)
	EditManifest func(*ocispec.Manifest)
}

// Built is a manifest or an index with everything that it references.
type Built struct {
	// Root describes Manifest.
	Root     ocispec.Descriptor
	Manifest []byte
	// Config is the digest of the image's configuration; indexes have none.
	Config digest.Digest
	// Blobs are configuration and layers, children first.
	Blobs []Blob
	// Children are the images of an index.
	Children []Built
}

// Build writes configuration and manifest.
func (i Image) Build() Built {
	config := NewBlob(i.mediaType(ocispec.MediaTypeImageConfig, DockerConfig), i.config())
	manifest := ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   i.mediaType(ocispec.MediaTypeImageManifest, DockerManifest),
		Config:      config.Descriptor,
		Layers:      []ocispec.Descriptor{},
		Annotations: i.Annotations,
	}
	blobs := []Blob{config}
	for _, l := range i.Layers {
		desc := l.Descriptor
		if i.Docker && desc.MediaType == ocispec.MediaTypeImageLayerGzip {
			desc.MediaType = DockerLayer
		}
		manifest.Layers = append(manifest.Layers, desc)
		blobs = append(blobs, l)
	}
	if i.EditManifest != nil {
		i.EditManifest(&manifest)
	}
	content := mustJSON(manifest)
	root := NewBlob(manifest.MediaType, content).Descriptor
	platform := i.platform()
	root.Platform = &platform
	return Built{Root: root, Manifest: content, Config: config.Descriptor.Digest, Blobs: blobs}
}

func (i Image) mediaType(oci, docker string) string {
	if i.Docker {
		return docker
	}
	return oci
}

func (i Image) platform() ocispec.Platform {
	if i.Platform.OS == "" {
		return ocispec.Platform{OS: "linux", Architecture: "amd64"}
	}
	return i.Platform
}

func (i Image) config() []byte {
	created := i.Created
	if created.IsZero() {
		created = Epoch
	}
	image := ocispec.Image{
		Created:  &created,
		Platform: i.platform(),
		Config:   i.Config,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{}},
		History:  i.History,
	}
	for n, l := range i.Layers {
		image.RootFS.DiffIDs = append(image.RootFS.DiffIDs, l.DiffID)
		if len(i.History) == 0 {
			image.History = append(image.History, ocispec.History{Created: &created, CreatedBy: fmt.Sprintf("COPY layer%d / # buildkit", n)})
		}
	}
	if i.EditConfig != nil {
		i.EditConfig(&image)
	}
	return mustJSON(image)
}

// Index lists images, each under its platform.
func Index(children ...Built) Built {
	return index(ocispec.MediaTypeImageIndex, children)
}

// DockerList is Index in Docker's own format.
func DockerList(children ...Built) Built {
	return index(DockerIndex, children)
}

func index(mediaType string, children []Built) Built {
	list := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: mediaType,
		Manifests: []ocispec.Descriptor{},
	}
	for _, c := range children {
		list.Manifests = append(list.Manifests, c.Root)
	}
	content := mustJSON(list)
	return Built{Root: NewBlob(list.MediaType, content).Descriptor, Manifest: content, Children: children}
}

// Attestation is what BuildKit puts beside an image in its index: a manifest of platform "unknown/unknown" whose
// layer is an in-toto statement about the image.
func Attestation(image Built) Built {
	statement := mustJSON(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": "https://slsa.dev/provenance/v0.2",
		"subject":       []any{map[string]any{"name": "pkg:docker/sample", "digest": map[string]string{"sha256": image.Root.Digest.Encoded()}}},
		"predicate":     map[string]any{"builder": map[string]string{"id": ""}, "buildType": "https://mobyproject.org/buildkit@v1"},
	})
	layer := NewBlob("application/vnd.in-toto+json", statement)
	layer.DiffID = layer.Descriptor.Digest
	layer.Descriptor.Annotations = map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
	built := Image{
		Platform: ocispec.Platform{OS: "unknown", Architecture: "unknown"},
		Layers:   []Blob{layer},
		EditConfig: func(c *ocispec.Image) {
			c.Created, c.History, c.Config = nil, nil, ocispec.ImageConfig{}
		},
	}.Build()
	built.Root.Annotations = map[string]string{
		"vnd.docker.reference.type":   "attestation-manifest",
		"vnd.docker.reference.digest": image.Root.Digest.String(),
	}
	return built
}

// mustJSON cannot fail: the types above hold nothing that has no JSON.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encode %T: %w", v, err))
	}
	return b
}
