package enforce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's names for what the image specification calls image manifest and index.
const (
	dockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerSchema1      = "application/vnd.docker.distribution.manifest.v1+json"
	dockerSchema1JWS   = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

const (
	// maxDocument bounds a manifest in memory; registries refuse larger ones too.
	maxDocument = 4 << 20
	// maxDepth bounds the nesting of a document, so that reading it cannot exhaust the stack.
	maxDepth = 32
	// maxChildren bounds an index, so that one document cannot ask for endless work.
	maxChildren = 1024
	// maxValues bounds the values of a document: a few bytes of JSON can stand for a hundred in memory. Twice the
	// largest index, with ten annotations for each entry, stays below it.
	maxValues = 50_000
)

// document is a manifest or an index, as far as the gate must understand it.
type document struct {
	mediaType string
	index     bool
	children  []ocispec.Descriptor
}

// envelope is what tells the two kinds apart, and an index's content.
type envelope struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        json.RawMessage      `json:"config"`
	Layers        json.RawMessage      `json:"layers"`
	FSLayers      json.RawMessage      `json:"fsLayers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
}

// readDocument says what body is, whatever declared (a Content-Type) claims, and refuses what two clients could read
// in two ways. Image manifests are looked at no further: that is the judge's work.
func readDocument(declared string, body []byte) (document, error) {
	if len(body) > maxDocument {
		return document{}, fmt.Errorf("the manifest is larger than %d bytes", maxDocument)
	}
	if err := unambiguous(body); err != nil {
		return document{}, err
	}
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return document{}, fmt.Errorf("the manifest cannot be read: %w", err)
	}
	mediaType, err := agree(declared, e)
	if err != nil {
		return document{}, err
	}
	doc := document{mediaType: mediaType, index: isIndex(mediaType)}
	if e.SchemaVersion != 2 || e.FSLayers != nil {
		return document{}, errors.New("manifest schema 1 is not served")
	}
	if doc.index == (e.Config != nil || e.Layers != nil) || doc.index != (e.Manifests != nil) {
		return document{}, fmt.Errorf("the content is not what its type %s says", mediaType)
	}
	if doc.index {
		doc.children = e.Manifests
		return doc, checkIndex(e)
	}
	return doc, nil
}

// agree finds the one media type that header and body both allow.
func agree(declared string, e envelope) (string, error) {
	if t, _, err := mime.ParseMediaType(declared); err == nil {
		declared = t
	}
	switch declared {
	case "", "application/json", "application/octet-stream", "text/plain":
		declared = "" // a registry that does not know either
	}
	for _, t := range []string{declared, e.MediaType} {
		switch t {
		case "", ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerManifestList:
		case dockerSchema1, dockerSchema1JWS:
			return "", errors.New("manifest schema 1 is not served")
		default:
			return "", fmt.Errorf("manifest type %q is not known", t)
		}
	}
	switch {
	case declared != "" && e.MediaType != "" && declared != e.MediaType:
		return "", fmt.Errorf("the registry calls the manifest %s, the manifest itself %s", declared, e.MediaType)
	case e.MediaType != "":
		return e.MediaType, nil
	case declared != "":
		return declared, nil
	case e.Manifests != nil:
		return ocispec.MediaTypeImageIndex, nil
	}
	return ocispec.MediaTypeImageManifest, nil
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerManifestList
}

func checkIndex(e envelope) error {
	if len(e.Manifests) > maxChildren {
		return fmt.Errorf("the index has more than %d entries", maxChildren)
	}
	for _, child := range e.Manifests {
		if child.MediaType != ocispec.MediaTypeImageManifest && child.MediaType != dockerManifest {
			return fmt.Errorf("the index has an entry of type %q", child.MediaType)
		}
		if err := checkDescriptor(child); err != nil {
			return err
		}
	}
	if e.Subject != nil {
		return checkDescriptor(*e.Subject)
	}
	return nil
}

// checkDescriptor refuses what makes a client fetch elsewhere, and inline content that is not the descriptor's.
func checkDescriptor(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("the index has an entry with digest %q: %w", d.Digest, err)
	}
	switch {
	case d.Size < 0:
		return fmt.Errorf("the index has an entry of size %d", d.Size)
	case len(d.URLs) > 0:
		return fmt.Errorf("entry %s has urls, which clients would fetch past safepull", d.Digest)
	case d.Data != nil && (int64(len(d.Data)) != d.Size || d.Digest.Algorithm().FromBytes(d.Data) != d.Digest):
		return fmt.Errorf("entry %s has inline data that contradicts its digest or size", d.Digest)
	}
	return nil
}

// meaningful are the keys that clients act on. Go's clients read them whatever the case of their letters, others do
// not, so that any other spelling makes two documents of one.
var meaningful = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "fsLayers", "manifests", "blobs", "subject",
	"digest", "size", "urls", "data", "annotations", "platform",
}

// unambiguous refuses repeated keys, odd spellings of meaningful ones, deep nesting, very many values and anything
// after the document. It comes before anything that keeps what it reads.
func unambiguous(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil {
		return fmt.Errorf("the manifest is not JSON: %w", err)
	}
	if first != json.Delim('{') {
		return errors.New("the manifest is not a JSON object")
	}
	w := documentWalk{dec: dec, left: maxValues}
	if err := w.object(1, false); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the manifest has trailing content")
	}
	return nil
}

// documentWalk reads a document token by token. left is how many values it may still have.
type documentWalk struct {
	dec  *json.Decoder
	left int
}

// object reads an object whose opening brace is read. In a free one, people choose the keys.
func (w *documentWalk) object(depth int, free bool) error {
	if depth > maxDepth {
		return fmt.Errorf("the manifest is nested deeper than %d", maxDepth)
	}
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return fmt.Errorf("the manifest is not JSON: %w", err)
		}
		key, _ := token.(string)
		if seen[key] {
			return fmt.Errorf("the manifest has the key %q twice", key)
		}
		seen[key] = true
		if !free && slices.ContainsFunc(meaningful, func(m string) bool { return m != key && strings.EqualFold(m, key) }) {
			return fmt.Errorf("the manifest has the key %q, which clients read differently", key)
		}
		if err := w.value(depth, free || key == "annotations"); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func (w *documentWalk) value(depth int, free bool) error {
	if w.left--; w.left < 0 {
		return fmt.Errorf("the manifest has more than %d values", maxValues)
	}
	token, err := w.dec.Token()
	if err != nil {
		return fmt.Errorf("the manifest is not JSON: %w", err)
	}
	switch token {
	case json.Delim('{'):
		return w.object(depth+1, free)
	case json.Delim('['):
		if depth >= maxDepth {
			return fmt.Errorf("the manifest is nested deeper than %d", maxDepth)
		}
		for w.dec.More() {
			if err := w.value(depth+1, free); err != nil {
				return err
			}
		}
		_, err = w.dec.Token()
		return err
	}
	return nil
}
