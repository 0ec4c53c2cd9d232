package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// baseSize is the size of the file in every sample's first layer.
const baseSize = pieceSize + pieceSize/2

// sample is a two-platform image with a BuildKit attestation, as a source and as a registry.
type sample struct {
	seed     string
	content  map[digest.Digest][]byte
	types    map[digest.Digest]string
	index    ocispec.Descriptor
	children map[string]ocispec.Descriptor // by architecture
	parts    map[string]ocispec.Manifest

	mu      sync.Mutex
	fetched []digest.Digest
	// fault replaces the reader of a digest.
	fault map[digest.Digest]func(context.Context, []byte) (io.ReadCloser, error)
}

func newSample(t *testing.T, seed string) *sample {
	t.Helper()
	s := &sample{
		seed: seed, content: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}, children: map[string]ocispec.Descriptor{},
		parts: map[string]ocispec.Manifest{}, fault: map[digest.Digest]func(context.Context, []byte) (io.ReadCloser, error){},
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, arch := range []string{"amd64", "arm64"} {
		// Does not compress, and is more than one piece of a stream.
		random := make([]byte, baseSize)
		_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed + arch))).Read(random)
		base, baseID := layer(t, "base", string(random))
		app, appID := layer(t, "app", seed+arch)
		config := s.put(t, ocispec.MediaTypeImageConfig, ocispec.Image{
			Platform: ocispec.Platform{OS: "linux", Architecture: arch}, Config: ocispec.ImageConfig{Cmd: []string{"/app"}},
			RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{baseID, appID}},
		})
		m := ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config,
			Layers: []ocispec.Descriptor{s.add(ocispec.MediaTypeImageLayerGzip, base), s.add(ocispec.MediaTypeImageLayerGzip, app)},
		}
		desc := s.put(t, m.MediaType, m)
		desc.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
		s.children[arch], s.parts[arch] = desc, m
		index.Manifests = append(index.Manifests, desc)
	}
	statement := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: s.put(t, ocispec.MediaTypeImageConfig, ocispec.Image{Platform: ocispec.Platform{OS: "unknown", Architecture: "unknown"}}),
		Layers: []ocispec.Descriptor{s.add("application/vnd.in-toto+json", []byte(`{"predicate":"`+seed+`"}`))},
	}
	attestation := s.put(t, statement.MediaType, statement)
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	attestation.Annotations = map[string]string{
		"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": s.children["amd64"].Digest.String(),
	}
	index.Manifests = append(index.Manifests, attestation)
	s.index = s.put(t, index.MediaType, index)
	return s
}

// layer is one gzip layer with one file, and its diff ID.
func layer(t *testing.T, name, body string) ([]byte, digest.Digest) {
	t.Helper()
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	_, _ = z.Write(plain.Bytes())
	_ = z.Close()
	return packed.Bytes(), digest.FromBytes(plain.Bytes())
}

func (s *sample) add(mediaType string, b []byte) ocispec.Descriptor {
	d := digest.FromBytes(b)
	s.content[d], s.types[d] = b, mediaType
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

func (s *sample) put(t *testing.T, mediaType string, v any) ocispec.Descriptor {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return s.add(mediaType, b)
}

// Resolve implements trust.Source; nothing here may call it.
func (s *sample) Resolve(context.Context, trust.Reference) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, fmt.Errorf("a hand-over resolves nothing")
}

// Fetch implements trust.Source and is, unlike a real one, as wrong as its faults.
func (s *sample) Fetch(ctx context.Context, _ trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	s.mu.Lock()
	s.fetched = append(s.fetched, desc.Digest)
	s.mu.Unlock()
	b, ok := s.content[desc.Digest]
	if !ok {
		return nil, trust.ErrNotFound
	}
	if fault := s.fault[desc.Digest]; fault != nil {
		return fault(ctx, b)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *sample) took() []digest.Digest {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.fetched
	s.fetched = nil
	return list
}

// layersAmong counts the layers of the amd64 child in a list.
func (s *sample) layersAmong(list []digest.Digest) int {
	n := 0
	for _, d := range list {
		for _, l := range s.parts["amd64"].Layers {
			if d == l.Digest {
				n++
			}
		}
	}
	return n
}

// wrong is a fault: the same length, another content.
func wrong(_ context.Context, b []byte) (io.ReadCloser, error) {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return io.NopCloser(bytes.NewReader(b)), nil
}

// hang is a fault: half of the content, then nothing until the context ends. It says when it hangs.
func hang(hangs chan<- struct{}) func(context.Context, []byte) (io.ReadCloser, error) {
	var once sync.Once
	return func(ctx context.Context, b []byte) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)/2]), readerFunc(func([]byte) (int, error) {
			once.Do(func() { close(hangs) })
			<-ctx.Done()
			return 0, ctx.Err()
		}))), nil
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// registry serves the sample under every repository name and remembers what it was asked for.
type registry struct {
	*httptest.Server
	mu   sync.Mutex
	asks []string
}

func (s *sample) registry(t *testing.T) *registry {
	t.Helper()
	r := &registry{}
	tags := map[string]digest.Digest{"latest": s.index.Digest, "1": s.index.Digest, "single": s.children["amd64"].Digest}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.asks = append(r.asks, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		if req.URL.Path == "/v2/" {
			return
		}
		d := digest.Digest(path.Base(req.URL.Path))
		if tagged, ok := tags[path.Base(req.URL.Path)]; ok {
			d = tagged
		}
		b, ok := s.content[d]
		if !ok || strings.Contains(req.URL.Path, "/referrers/") {
			http.NotFound(w, req)
			return
		}
		head(w, s.types[d], d, int64(len(b)))
		_, _ = w.Write(b)
	}))
	t.Cleanup(r.Close)
	return r
}

// host is the registry as references name it.
func (r *registry) host() string { return strings.TrimPrefix(r.URL, "http://") }

// blobs counts requests for blobs so far.
func (r *registry) blobs() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, ask := range r.asks {
		if strings.Contains(ask, "/blobs/") {
			n++
		}
	}
	return n
}
