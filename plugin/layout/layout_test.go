package layout

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// memory is a source of blobs in memory, which verifies nothing.
type memory struct {
	top   ocispec.Descriptor
	blobs map[digest.Digest][]byte
}

func (m memory) Resolve(context.Context, trust.Reference) (ocispec.Descriptor, error) {
	return m.top, nil
}

func (m memory) Fetch(_ context.Context, _ trust.Reference, d ocispec.Descriptor) (io.ReadCloser, error) {
	b, ok := m.blobs[d.Digest]
	if !ok {
		return nil, trust.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m memory) add(mediaType string, body []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	m.blobs[d.Digest] = body
	return d
}

// testImage is an image of one gzip'd and one plain layer.
func testImage(t *testing.T) memory {
	t.Helper()
	m := memory{blobs: map[digest.Digest][]byte{}}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(tarOf(t, file("a", "first")))
	_ = z.Close()
	manifest := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    m.add(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux"}`)),
		Layers: []ocispec.Descriptor{
			m.add(ocispec.MediaTypeImageLayerGzip, zipped.Bytes()),
			m.add(ocispec.MediaTypeImageLayer, tarOf(t, file("b", "second"))),
		},
	}
	manifest.SchemaVersion = 2
	m.top = m.add(ocispec.MediaTypeImageManifest, marshal(t, manifest))
	return m
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// member is one entry of a tar file under test.
type member struct {
	tar.Header
	body string
}

func file(name, body string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))}, body}
}

func link(kind byte, name, target string) member {
	return member{Header: tar.Header{Typeflag: kind, Name: name, Linkname: target}}
}

func tarOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tempFile(t *testing.T, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, src trust.Source, d ocispec.Descriptor) []byte {
	t.Helper()
	r, err := src.Fetch(t.Context(), trust.Reference{}, d)
	if err != nil {
		t.Fatalf("fetch %s: %v", d.Digest, err)
	}
	body, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read %s: %v", d.Digest, err)
	}
	return body
}

var testRef = trust.Reference{Registry: "docker.io", Repository: "library/x", Tag: "1"}

func TestWriteAndOpen(t *testing.T) {
	t.Parallel()
	image := testImage(t)
	var want ocispec.Manifest
	if err := json.Unmarshal(image.blobs[image.top.Digest], &want); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, write, open string
		same              bool // The manifest's digest survives.
	}{
		{"dir", "oci-dir:", "oci-dir:", true},
		{"archive-as-oci", "docker-archive:", "oci-archive:", true},
		{"archive-as-docker", "docker-archive:", "docker-archive:", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "out")
			to, err := ParseDestination(tt.write + path)
			if err != nil {
				t.Fatal(err)
			}
			if err := Write(t.Context(), to, testRef, image.top, image); err != nil {
				t.Fatal(err)
			}
			from, ok, err := ParseSource(tt.open + path)
			if !ok || err != nil {
				t.Fatalf("ParseSource: %t %v", ok, err)
			}
			img, err := Open(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			top, err := img.Resolve(t.Context(), img.Reference)
			if err != nil {
				t.Fatal(err)
			}
			if tt.same && top.Digest != image.top.Digest {
				t.Errorf("manifest is %s, was %s", top.Digest, image.top.Digest)
			}
			var got ocispec.Manifest
			if err := json.Unmarshal(read(t, img, top), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append(want.Layers, want.Config), append(got.Layers, got.Config)); diff != "" {
				t.Error(diff)
			}
			for _, d := range append(got.Layers, got.Config) {
				if !bytes.Equal(read(t, img, d), image.blobs[d.Digest]) {
					t.Errorf("%s came back changed", d.Digest)
				}
			}
		})
	}
}

// TestWriteLeavesNothing breaks the source at every blob, and looks for leftovers.
func TestWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	whole := testImage(t)
	for _, transport := range []Transport{OCIDir, DockerArchive} {
		for d := range whole.blobs {
			broken := memory{top: whole.top, blobs: maps.Clone(whole.blobs)}
			broken.blobs[d] = bytes.ToUpper(append([]byte("x"), broken.blobs[d][1:]...))
			dir := t.TempDir()
			err := Write(t.Context(), Location{Transport: transport, Path: filepath.Join(dir, "out")}, testRef, broken.top, broken)
			if !errors.Is(err, trust.ErrIntegrity) {
				t.Errorf("%s, %s: %v", transport, d, err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%s, %s: left %v", transport, d, left)
			}
		}
	}
}

func TestWriteIsRepeatable(t *testing.T) {
	t.Parallel()
	image, dir := testImage(t), t.TempDir()
	var bodies [2][]byte
	for i := range bodies {
		path := filepath.Join(dir, "same.tar")
		if err := Write(t.Context(), Location{Transport: DockerArchive, Path: path}, testRef, image.top, image); err != nil {
			t.Fatal(err)
		}
		var err error
		if bodies[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(bodies[0], bodies[1]) {
		t.Error("two archives of one image differ")
	}
}

func TestWriteRefusesManifests(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"two-sizes":  {`{"config":{"digest":"` + digest.FromString("a").String() + `","size":1},"layers":[{"digest":"` + digest.FromString("a").String() + `","size":2}]}`, trust.ErrIntegrity},
		"bad-digest": {`{"config":{"digest":"sha256:../../x","size":1}}`, trust.ErrMalformed},
		"negative":   {`{"config":{"digest":"` + digest.FromString("a").String() + `","size":-1}}`, trust.ErrMalformed},
		"no-json":    {`{`, trust.ErrMalformed},
		"no-image":   {`{"config":{"digest":"` + digest.FromString("").String() + `","size":0,"mediaType":"application/vnd.oci.empty.v1+json"}}`, trust.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := memory{blobs: map[digest.Digest][]byte{}}
			m.add("", nil)
			top := m.add(ocispec.MediaTypeImageManifest, []byte(tt.body))
			err := Write(t.Context(), Location{Transport: DockerArchive, Path: filepath.Join(t.TempDir(), "x")}, testRef, top, m)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestParseDestinationRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	if err := os.MkdirAll(filepath.Join(full, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"", "x", "oci-dir:", "oci-archive:" + dir + "/x", "oci-dir:" + full, "docker-archive:" + full,
		"oci-dir:" + dir + "/missing/x", "docker-archive:/dev/null", "tar:" + dir + "/x",
	} {
		if l, err := ParseDestination(s); err == nil {
			t.Errorf("%q is accepted as %v", s, l)
		}
	}
}

func TestParseSourceTag(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	colon := filepath.Join(dir, "a:b")
	if err := os.Mkdir(colon, 0o700); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]Location{
		"oci-dir:" + dir:             {OCIDir, dir, ""},
		"oci-dir:" + dir + ":v1":     {OCIDir, dir, "v1"},
		"oci-dir:" + colon:           {OCIDir, colon, ""},
		"oci-dir:" + colon + ":v1":   {OCIDir, colon, "v1"},
		"oci-archive:" + colon:       {OCIArchive, colon, ""},
		"docker-archive:" + colon:    {DockerArchive, colon, ""},
		"docker-archive:/no/x:thing": {},
		"oci-dir:/no/x:thing":        {},
	} {
		got, ok, err := ParseSource(s)
		if !ok || (err != nil) != (want == Location{}) {
			t.Errorf("%q: %t %v", s, ok, err)
		}
		if err == nil && got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
	for _, s := range []string{"alpine", "docker.io/x:1", "engine:x", "localhost:5000/x"} {
		if _, ok, _ := ParseSource(s); ok {
			t.Errorf("%q is taken for a file", s)
		}
	}
}

func TestPick(t *testing.T) {
	t.Parallel()
	d := func(name string) ocispec.Descriptor {
		return ocispec.Descriptor{Digest: digest.FromString(name), Annotations: map[string]string{ocispec.AnnotationRefName: name}}
	}
	full := ocispec.Descriptor{Digest: "f", Annotations: map[string]string{containerdName: "docker.io/library/x:c"}}
	for name, tt := range map[string]struct {
		tag  string
		in   []ocispec.Descriptor
		want digest.Digest
		say  string
	}{
		"only":       {"", []ocispec.Descriptor{d("a")}, d("a").Digest, ""},
		"by-tag":     {"b", []ocispec.Descriptor{d("a"), d("b")}, d("b").Digest, ""},
		"containerd": {"c", []ocispec.Descriptor{d("a"), full}, "f", ""},
		"several":    {"", []ocispec.Descriptor{d("a"), d("b")}, "", "a, b"},
		"missing":    {"z", []ocispec.Descriptor{d("a")}, "", "has a"},
		"twice":      {"a", []ocispec.Descriptor{d("a"), d("a")}, "", "2 images"},
		"none":       {"", nil, "", "no tags"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pick(tt.in, tt.tag)
			if got.Digest != tt.want || (err == nil) != (tt.say == "") {
				t.Fatalf("got %q, %v", got.Digest, err)
			}
			if err != nil && !strings.Contains(err.Error(), tt.say) {
				t.Errorf("%q does not say %q", err, tt.say)
			}
		})
	}
}

func TestNamesAreSorted(t *testing.T) {
	t.Parallel()
	if got := sorted(map[string]bool{"b": true, "a": true}); !slices.Equal(got, []string{"a", "b"}) {
		t.Error(got)
	}
}
