// Package inspect reads manifests and image configurations: it says what a manifest is, which of its contents the
// laws of the gate refuse outright, and which strings of the configuration may show signs of mining.
// It reads bytes that it is given and fetches nothing.
package inspect

import (
	"fmt"
	"mime"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Limits on what a registry may hand us. They bound memory and the number of questions one manifest can raise.
const (
	// MaxManifest is the distribution specification's own advice for the size of manifests, in bytes.
	MaxManifest = 4 << 20
	// MaxConfig bounds an image configuration, in bytes.
	MaxConfig = 8 << 20
	// MaxLayers bounds the layers of one image; engines refuse far fewer (overlay stops at 128).
	MaxLayers = 512
	// MaxChildren bounds the manifests of one index.
	MaxChildren = 512
)

// Media types that Docker defines and the image specification's package does not name.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig   = "application/vnd.docker.container.image.v1+json"

	dockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// Kind says what a manifest describes.
type Kind string

// The kinds of manifest.
const (
	// Image has a configuration that an engine can run.
	Image Kind = "image"
	// Index lists manifests, usually one for each platform.
	Index Kind = "index"
	// Artifact is anything else: signatures, attestations, charts. It is inspected as data.
	Artifact Kind = "artifact"
)

// Manifest is a parsed manifest or index.
type Manifest struct {
	Kind      Kind
	MediaType string
	// Config and Layers are those of an image or artifact; Children those of an index.
	Config   ocispec.Descriptor
	Layers   []ocispec.Descriptor
	Children []ocispec.Descriptor
	// Refused says which laws of the gate the manifest breaks, one sentence each: such a manifest is never served.
	Refused []string
	// Annotations of the manifest, for inspection as text.
	Annotations map[string]string
}

// manifestDocument is the union of an image manifest and an index, so that a document that is both is seen as both.
type manifestDocument struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	Annotations   map[string]string    `json:"annotations"`
}

// ParseManifest reads a manifest or index; whoever acts on one reads it here, so that no two of us see two documents
// in one. The media type is the one that it was announced with (a descriptor's, or a registry's Content-Type); it may
// be empty when nobody said. Errors wrap trust.ErrMalformed, trust.ErrUnsupported or trust.ErrLimit. A manifest that is
// returned may be refused nonetheless: see Refused.
// Source: image specification 1.1, manifest.md and image-index.md; Docker image manifest v2 schema 2.
func ParseManifest(body []byte, mediaType string) (Manifest, error) {
	if len(body) > MaxManifest {
		return Manifest{}, fmt.Errorf("manifest has %d bytes, more than %d: %w", len(body), MaxManifest, trust.ErrLimit)
	}
	var doc manifestDocument
	has, err := strictJSON(body, manifestGrammar, &doc)
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	announced := announcedType(mediaType)
	if has.has("fsLayers") || doc.SchemaVersion == 1 || isSchema1(doc.MediaType) || isSchema1(announced) {
		return Manifest{}, fmt.Errorf("manifest is of schema 1, which engines no longer pull: %w", trust.ErrUnsupported)
	}
	if doc.SchemaVersion != 2 {
		return Manifest{}, fmt.Errorf("manifest has schema version %d, expected 2: %w", doc.SchemaVersion, trust.ErrUnsupported)
	}
	m := Manifest{MediaType: doc.MediaType, Annotations: doc.Annotations}
	switch {
	case m.MediaType != "" && announced != "" && announced != m.MediaType:
		m.Refused = append(m.Refused, fmt.Sprintf("the manifest calls itself %q but was announced as %q",
			trust.Sanitise(m.MediaType, 100), trust.Sanitise(announced, 100)))
	case m.MediaType == "" && announced != "":
		m.MediaType = announced
	case m.MediaType == "" && has.has("manifests"):
		m.MediaType = ocispec.MediaTypeImageIndex
	case m.MediaType == "":
		m.MediaType = ocispec.MediaTypeImageManifest
	}
	if !IsIndex(m.MediaType) && !isImageManifest(m.MediaType) {
		return Manifest{}, fmt.Errorf("manifest type %q is not known: %w", trust.Sanitise(m.MediaType, 100), trust.ErrUnsupported)
	}
	return m.fill(doc, has)
}

// fill holds the content against its type and copies what belongs to that.
func (m Manifest) fill(doc manifestDocument, has members) (Manifest, error) {
	image, index := has.has("config") || has.has("layers"), has.has("manifests")
	switch {
	case image && index:
		return Manifest{}, fmt.Errorf("manifest is an image and an index at once, so that clients could read it differently: %w", trust.ErrMalformed)
	case IsIndex(m.MediaType) && doc.Manifests == nil, isImageManifest(m.MediaType) && doc.Config == nil:
		return Manifest{}, fmt.Errorf("manifest is not what its type %q says: %w", m.MediaType, trust.ErrMalformed)
	case index:
		if len(doc.Manifests) > MaxChildren {
			return Manifest{}, fmt.Errorf("index lists %d manifests, more than %d: %w", len(doc.Manifests), MaxChildren, trust.ErrLimit)
		}
		m.Kind, m.Children = Index, doc.Manifests
	default:
		if len(doc.Layers) > MaxLayers {
			return Manifest{}, fmt.Errorf("manifest has %d layers, more than %d: %w", len(doc.Layers), MaxLayers, trust.ErrLimit)
		}
		m.Kind, m.Config, m.Layers = Artifact, *doc.Config, doc.Layers
		if IsImageConfig(doc.Config.MediaType) {
			m.Kind = Image
		}
	}
	if err := m.checkDescriptors(doc); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// checkDescriptors applies the laws that hold for every descriptor: a digest that we can verify, a size, no URLs, and
// inline data that is what the digest says. What an index lists are manifests or indexes.
func (m *Manifest) checkDescriptors(doc manifestDocument) error {
	for _, d := range m.Children {
		if !isImageManifest(d.MediaType) && !IsIndex(d.MediaType) {
			return fmt.Errorf("index lists %q of type %q, which is no manifest: %w",
				trust.Sanitise(string(d.Digest), 80), trust.Sanitise(d.MediaType, 100), trust.ErrUnsupported)
		}
	}
	descriptors := append(append([]ocispec.Descriptor{}, m.Layers...), m.Children...)
	if m.Kind != Index {
		descriptors = append(descriptors, m.Config)
	}
	if doc.Subject != nil {
		descriptors = append(descriptors, *doc.Subject)
	}
	for _, d := range descriptors {
		if d.Digest.Validate() != nil || d.Digest.Algorithm() != digest.SHA256 {
			return fmt.Errorf("descriptor digest %q is not a sha256 digest: %w", trust.Sanitise(string(d.Digest), 80), trust.ErrUnsupported)
		}
		if d.Size < 0 {
			return fmt.Errorf("descriptor %s has the size %d: %w", d.Digest, d.Size, trust.ErrMalformed)
		}
		if len(d.URLs) > 0 {
			m.Refused = append(m.Refused, fmt.Sprintf("the descriptor of %s carries URLs, which clients fetch directly, past every check", d.Digest))
		}
		if d.Data != nil && (int64(len(d.Data)) != d.Size || digest.FromBytes(d.Data) != d.Digest) {
			m.Refused = append(m.Refused, fmt.Sprintf("the inline data of %s is not what its digest and size say", d.Digest))
		}
	}
	return nil
}

// IsImageConfig reports whether engines take a config of this media type for that of a runnable image.
func IsImageConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == DockerConfig
}

// IsIndex reports whether clients take a document of this media type for an index.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == DockerIndex
}

func isImageManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}

func isSchema1(mediaType string) bool {
	return mediaType == dockerSchema1 || mediaType == dockerSchema1Signed
}

// announcedType is a Content-Type without parameters, empty when it only shows that the registry does not know either.
func announcedType(s string) string {
	t, _, err := mime.ParseMediaType(s)
	if err != nil {
		return strings.TrimSpace(s) // nobody knows it
	}
	switch t {
	case "application/json", "application/octet-stream", "text/plain":
		return ""
	}
	return t
}

// plainMediaType is a media type without parameters.
func plainMediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.TrimSpace(s)
}
