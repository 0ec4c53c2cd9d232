package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/safepull/safepull/trust"
)

func sample(edit func(*Image)) Image {
	i := Image{
		Config: ocispec.ImageConfig{Entrypoint: []string{"/bin/sh"}, Env: []string{"A=b"}},
		Layers: []Blob{
			Layer(Dir("etc"), Text("etc/a", "alpha\n"), Script("bin/run", "#!/bin/sh\n")),
			Layer(Whiteout("etc/a"), File{Path: "bin/go", Symlink: "run"}, File{Path: "bin/hard", Hardlink: "bin/run"}),
		},
	}
	if edit != nil {
		edit(&i)
	}
	return i
}

func TestBuildIsDeterministic(t *testing.T) {
	t.Parallel()
	if a, b := sample(nil).Build(), sample(nil).Build(); a.Root.Digest != b.Root.Digest {
		t.Errorf("two builds of the same image: %s and %s", a.Root.Digest, b.Root.Digest)
	}
}

func TestTar(t *testing.T) {
	t.Parallel()
	type entry struct {
		Name, Link, Body string
		Type             byte
		Mode             int64
	}
	var got []entry
	r := tar.NewReader(bytes.NewReader(Tar(
		Dir("etc"), Text("etc/a", "alpha"), Script("run", "#!"), Whiteout("etc/a"), Whiteout("b"),
		File{Path: "s", Symlink: "run"}, File{Path: "h", Hardlink: "run"},
		File{Path: "odd", Edit: func(h *tar.Header) { h.Mode = 0o4755 }},
	)))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry{h.Name, h.Linkname, string(body), h.Typeflag, h.Mode})
	}
	want := []entry{
		{"etc/", "", "", tar.TypeDir, 0o755},
		{"etc/a", "", "alpha", tar.TypeReg, 0o644},
		{"run", "", "#!", tar.TypeReg, 0o755},
		{"etc/.wh.a", "", "", tar.TypeReg, 0o644},
		{".wh.b", "", "", tar.TypeReg, 0o644},
		{"s", "run", "", tar.TypeSymlink, 0o644},
		{"h", "run", "", tar.TypeLink, 0o644},
		{"odd", "", "", tar.TypeReg, 0o4755},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	archive := Tar(Text("a", strings.Repeat("alpha ", 1000)))
	tests := map[string]struct {
		blob Blob
		read func(io.Reader) (io.Reader, error)
	}{
		"gzip":  {GzipLayer(archive), func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		"zstd":  {ZstdLayer(archive), func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) }},
		"plain": {PlainLayer(archive), func(r io.Reader) (io.Reader, error) { return r, nil }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := tt.read(bytes.NewReader(tt.blob.Content))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, archive) {
				t.Error("the layer does not hold the archive")
			}
			if tt.blob.DiffID != digest.FromBytes(archive) {
				t.Errorf("diff ID %s is not the archive's", tt.blob.DiffID)
			}
		})
	}
}

func TestStoreIsASource(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(Blob) Blob
		want   error
	}{
		"whole":     {func(b Blob) Blob { return b }, nil},
		"truncated": {func(b Blob) Blob { return b.Truncated(3) }, trust.ErrUnavailable},
		"corrupted": {Blob.Corrupted, trust.ErrIntegrity},
		"longer":    {func(b Blob) Blob { b.Content = append(bytes.Clone(b.Content), 0); return b }, trust.ErrIntegrity},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			layer := tt.change(Layer(Text("a", "alpha")))
			s := NewStore()
			built := Image{Layers: []Blob{layer}}.Build()
			s.Add("acme/app", "1", built)
			ref := trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1"}
			root, err := s.Resolve(t.Context(), ref)
			if err != nil || root.Digest != built.Root.Digest {
				t.Fatalf("resolve: got %v %v, want %s", root.Digest, err, built.Root.Digest)
			}
			r, err := s.Fetch(t.Context(), ref, layer.Descriptor)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = io.ReadAll(r); !errors.Is(err, tt.want) {
				t.Errorf("read: got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestStoreMisses(t *testing.T) {
	t.Parallel()
	s := NewStore()
	child := Image{}.Build()
	s.Add("acme/app", "1", Index(child, Attestation(child)))
	if d, err := s.Resolve(t.Context(), trust.Reference{Repository: "acme/app", Digest: child.Root.Digest}); err != nil || d.MediaType != ocispec.MediaTypeImageManifest {
		t.Errorf("child of an index: got %v %v", d, err)
	}
	if _, err := s.Resolve(t.Context(), trust.Reference{Repository: "acme/app", Tag: "2"}); !errors.Is(err, trust.ErrNotFound) {
		t.Errorf("unknown tag: got %v", err)
	}
	if _, err := s.Resolve(t.Context(), trust.Reference{Repository: "acme/app", Digest: digest.FromString("x")}); !errors.Is(err, trust.ErrNotFound) {
		t.Errorf("unknown digest: got %v", err)
	}
	if _, err := s.Fetch(t.Context(), trust.Reference{}, ocispec.Descriptor{Digest: digest.FromString("x")}); !errors.Is(err, trust.ErrNotFound) {
		t.Errorf("unknown blob: got %v", err)
	}
}

// TestLayoutAndPush lets a foreign implementation read what this package writes.
func TestLayoutAndPush(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	image := sample(nil).Build()
	arm := sample(func(i *Image) { i.Platform = ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"} }).Build()
	docker := sample(func(i *Image) { i.Docker = true }).Build()
	s := NewStore()
	s.Add("acme/app", "oci", image)
	s.Add("acme/app", "docker", docker)
	s.Add("acme/app", "all", Index(image, arm, Attestation(image)))
	s.Add("acme/app", "list", DockerList(docker))
	if err := (Pusher{URL: server.URL}).PushAll(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "http://")
	for _, tag := range []string{"oci", "docker"} {
		ref, err := name.ParseReference(host + "/acme/app:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
	for _, tag := range []string{"all", "list"} {
		ref, err := name.ParseReference(host + "/acme/app:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		idx, err := remote.Index(ref)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := idx.Digest(); err != nil || d.String() != s.images["acme/app:"+tag].Root.Digest.String() {
			t.Errorf("%s: got %v %v", tag, d, err)
		}
	}
	dir := t.TempDir()
	for range 2 { // writing twice is the same as once
		if err := WriteLayout(dir, "oci", image); err != nil {
			t.Fatal(err)
		}
	}
	idx, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(idx); err != nil {
		t.Error(err)
	}
}

func TestWriteLayoutFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteLayout(filepath.Join(file, "below"), "x", Image{}.Build()); err == nil {
		t.Error("writing below a file succeeded")
	}
}

func TestPushFails(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	bad := Image{Layers: []Blob{Layer(Text("a", "b")).Corrupted()}}.Build()
	if err := (Pusher{URL: server.URL}).Push(t.Context(), "acme/app", "1", bad); err == nil {
		t.Error("a registry took a blob under a wrong digest")
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	manifest := func(edit func(*ocispec.Manifest)) (m ocispec.Manifest) {
		b := sample(func(i *Image) { i.EditManifest = edit }).Build()
		if err := json.Unmarshal(b.Manifest, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if got := manifest(ForeignURLs("https://files.example/x")).Layers[0].URLs; len(got) != 1 {
		t.Errorf("urls: got %v", got)
	}
	if got := manifest(InlineData([]byte("x"))).Layers[0].Data; string(got) != "x" {
		t.Errorf("data: got %q", got)
	}
	if a, b := manifest(nil).Layers[0].Size, manifest(WrongSize(5)).Layers[0].Size; b != a+5 {
		t.Errorf("size: got %d, want %d", b, a+5)
	}
	whole := Layer(Text("a", "b"))
	if got := whole.Trailing([]byte("junk")); got.Descriptor.Digest != digest.FromBytes(got.Content) || got.DiffID != whole.DiffID {
		t.Errorf("trailing: %v", got.Descriptor)
	}
	var config ocispec.Image
	wrong := sample(func(i *Image) { i.EditConfig = WrongDiffID }).Build()
	if err := json.Unmarshal(wrong.Blobs[0].Content, &config); err != nil {
		t.Fatal(err)
	}
	if config.RootFS.DiffIDs[0] == wrong.Blobs[1].DiffID {
		t.Error("the diff ID is still right")
	}
	if whole.As("x/y").Descriptor.MediaType != "x/y" {
		t.Error("the media type did not change")
	}
}
