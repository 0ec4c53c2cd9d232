package layout

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const config = `{"architecture":"amd64","os":"linux"}`

func manifestJSON(layers string) member {
	return file("manifest.json", `[{"Config":"c.json","RepoTags":["x:1"],"Layers":[`+layers+`]}]`)
}

func TestDockerArchives(t *testing.T) {
	t.Parallel()
	layer := string(tarOf(t, file("a", "first")))
	ok := []member{manifestJSON(`"l/layer.tar"`), file("c.json", config)}
	with := func(more ...member) []member { return append(append([]member{}, ok...), more...) }
	index := func(config string) []member {
		body := string(fmt.Appendf(nil, `{"config":{"digest":%q,"size":1}}`, digest.FromString(config)))
		return []member{
			file("index.json", string(marshal(t, ocispec.Index{Manifests: []ocispec.Descriptor{{Digest: digest.FromString(body)}}}))),
			file("blobs/sha256/"+digest.FromString(body).Encoded(), body),
		}
	}
	many := []member{manifestJSON(`"l0"`), file("c.json", config)}
	for i := range maxLinks + 1 {
		many = append(many, link(tar.TypeSymlink, fmt.Sprintf("l%d", i), fmt.Sprintf("l%d", i+1)))
	}
	for name, tt := range map[string]struct {
		members []member
		want    error
	}{
		"plain":             {with(file("l/layer.tar", layer)), nil},
		"dot-slash":         {with(file("./l/layer.tar", layer)), nil},
		"symlink":           {with(file("m/layer.tar", layer), link(tar.TypeSymlink, "l/layer.tar", "../m/layer.tar")), nil},
		"hardlink":          {with(file("m/layer.tar", layer), link(tar.TypeLink, "l/layer.tar", "m/layer.tar")), nil},
		"index-agrees":      {append(with(file("l/layer.tar", layer)), index(config)...), nil},
		"index-differs":     {append(with(file("l/layer.tar", layer)), index("evil")...), trust.ErrIntegrity},
		"no-layer":          {ok, trust.ErrNotFound},
		"no-manifest":       {[]member{file("x", "y")}, trust.ErrNotFound},
		"two-images":        {[]member{file("manifest.json", `[{},{}]`)}, trust.ErrUnsupported},
		"no-images":         {[]member{file("manifest.json", `[]`)}, trust.ErrUnsupported},
		"no-json":           {[]member{file("manifest.json", `[{`)}, trust.ErrMalformed},
		"twice":             {with(file("l/layer.tar", layer), file("l/./layer.tar", layer)), trust.ErrMalformed},
		"name-leads-out":    {with(file("../x", "")), trust.ErrMalformed},
		"layer-leads-out":   {[]member{manifestJSON(`"../../etc/passwd"`), file("c.json", config)}, trust.ErrMalformed},
		"symlink-leads-out": {with(link(tar.TypeSymlink, "l/layer.tar", "../../etc/passwd")), trust.ErrMalformed},
		"symlink-absolute":  {with(link(tar.TypeSymlink, "l/layer.tar", "/etc/passwd")), trust.ErrMalformed},
		"link-loop":         {with(link(tar.TypeSymlink, "l/layer.tar", "layer.tar")), trust.ErrLimit},
		"link-chain":        {many, trust.ErrLimit},
		"device":            {with(member{Header: tar.Header{Typeflag: tar.TypeChar, Name: "l/layer.tar"}}), trust.ErrNotFound},
		"json-too-large":    {[]member{file("manifest.json", strings.Repeat(" ", maxJSON+1))}, trust.ErrLimit},
		"config-too-large":  {[]member{manifestJSON(``), file("c.json", strings.Repeat(" ", maxJSON+1))}, trust.ErrLimit},
		"too-many-layers":   {[]member{manifestJSON(strings.Repeat(`"a",`, maxLayers) + `"a"`), file("c.json", config)}, trust.ErrLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			img, err := Open(t.Context(), Location{Transport: DockerArchive, Path: tempFile(t, tarOf(t, tt.members...))})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				defer img.Close()
				desc := ocispec.Descriptor{Digest: digest.FromString(layer), Size: int64(len(layer))}
				if got := read(t, img, desc); string(got) != layer {
					t.Errorf("layer is %q", got)
				}
			}
		})
	}
}

func TestArchiveLimits(t *testing.T) {
	t.Parallel()
	t.Run("entries", func(t *testing.T) {
		t.Parallel()
		members := make([]member, maxEntries+1)
		for i := range members {
			members[i] = link(tar.TypeLink, fmt.Sprint(i), "x")
		}
		body := tarOf(t, members...)
		if _, err := indexTar(t.Context(), bytes.NewReader(body), int64(len(body))); !errors.Is(err, trust.ErrLimit) {
			t.Error(err)
		}
		body = tarOf(t, members[:maxEntries]...)
		if _, err := indexTar(t.Context(), bytes.NewReader(body), int64(len(body))); err != nil {
			t.Errorf("at the limit: %v", err)
		}
	})
	t.Run("names", func(t *testing.T) {
		t.Parallel()
		var members []member
		for i := range maxNames/(512<<10) + 1 {
			members = append(members, file(strings.Repeat("d/", 256<<10)+fmt.Sprint(i), ""))
		}
		body := tarOf(t, members...)
		if _, err := indexTar(t.Context(), bytes.NewReader(body), int64(len(body))); !errors.Is(err, trust.ErrLimit) {
			t.Error(err)
		}
	})
}

func TestBrokenArchives(t *testing.T) {
	t.Parallel()
	whole := tarOf(t, manifestJSON(``), file("c.json", config))
	for name, tt := range map[string]struct {
		body []byte
		want error
	}{
		"empty":     {nil, trust.ErrNotFound},
		"cut":       {whole[:1540], trust.ErrMalformed},
		"no-tar":    {bytes.Repeat([]byte("x"), 1024), trust.ErrMalformed},
		"gzip":      {[]byte("\x1f\x8b\x08"), trust.ErrUnsupported},
		"zstandard": {[]byte("\x28\xb5\x2f\xfd"), trust.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), Location{Transport: DockerArchive, Path: tempFile(t, tt.body)})
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestOpenCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := tempFile(t, tarOf(t, manifestJSON(``), file("c.json", config)))
	if _, err := Open(ctx, Location{Transport: DockerArchive, Path: path}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestArchiveChanged swaps a byte after the archive was indexed.
func TestArchiveChanged(t *testing.T) {
	t.Parallel()
	body := tarOf(t, manifestJSON(``), file("c.json", config))
	path := tempFile(t, body)
	img, err := Open(t.Context(), Location{Transport: DockerArchive, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if err := os.WriteFile(path, bytes.Replace(body, []byte("amd64"), []byte("arm64"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := img.Fetch(t.Context(), trust.Reference{}, ocispec.Descriptor{Digest: digest.FromString(config), Size: int64(len(config))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); !errors.Is(err, trust.ErrIntegrity) {
		t.Error(err)
	}
}

// TestHostileDirs puts what is no regular file, or lies outside, where a blob should be.
func TestHostileDirs(t *testing.T) {
	t.Parallel()
	image := testImage(t)
	for name, spoil := range map[string]func(t *testing.T, blob string) error{
		"pipe":   func(_ *testing.T, blob string) error { return syscall.Mkfifo(blob, 0o600) },
		"folder": func(_ *testing.T, blob string) error { return os.Mkdir(blob, 0o700) },
		"outside": func(t *testing.T, blob string) error {
			return os.Symlink(tempFile(t, image.blobs[image.top.Digest]), blob)
		},
		"larger": func(_ *testing.T, blob string) error {
			return os.WriteFile(blob, append(image.blobs[image.top.Digest], '\n'), 0o600)
		},
		"other": func(_ *testing.T, blob string) error {
			return os.WriteFile(blob, bytes.Repeat([]byte("x"), int(image.top.Size)), 0o600)
		},
		"missing": func(*testing.T, string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := Location{Transport: OCIDir, Path: filepath.Join(t.TempDir(), "l")}
			if err := Write(t.Context(), at, testRef, image.top, image); err != nil {
				t.Fatal(err)
			}
			blob := filepath.Join(at.Path, "blobs", "sha256", image.top.Digest.Encoded())
			if err := os.Remove(blob); err != nil {
				t.Fatal(err)
			}
			if err := spoil(t, blob); err != nil {
				t.Fatal(err)
			}
			img, err := Open(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			r, err := img.Fetch(t.Context(), trust.Reference{}, image.top)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			if err == nil {
				t.Error("it was read without complaint")
			}
		})
	}
}

func TestOCILayoutVersion(t *testing.T) {
	t.Parallel()
	path := tempFile(t, tarOf(t, file("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), file("index.json", `{}`)))
	if _, err := Open(t.Context(), Location{Transport: OCIArchive, Path: path}); !errors.Is(err, trust.ErrUnsupported) {
		t.Error(err)
	}
}

func TestVerified(t *testing.T) {
	t.Parallel()
	const body = "0123456789"
	good := ocispec.Descriptor{Digest: digest.FromString(body), Size: int64(len(body))}
	for name, tt := range map[string]struct {
		body string
		size int64
		want error
	}{
		"exact":   {body, good.Size, nil},
		"shorter": {body[:9], good.Size, trust.ErrUnavailable},
		"longer":  {body + "x", good.Size, trust.ErrIntegrity},
		"other":   {"012345678x", good.Size, trust.ErrIntegrity},
		"size":    {body, good.Size - 1, trust.ErrIntegrity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for step := 1; step <= len(body)+2; step++ {
				r := verified(t.Context(), io.NopCloser(strings.NewReader(tt.body)), ocispec.Descriptor{Digest: good.Digest, Size: tt.size})
				var err error
				for p := make([]byte, step); err == nil; {
					_, err = r.Read(p)
				}
				if errors.Is(err, io.EOF) {
					err = nil
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("step %d: %v, want %v", step, err, tt.want)
				}
				if _, again := r.Read(make([]byte, 1)); again == nil {
					t.Errorf("step %d: reads on after its end", step)
				}
			}
		})
	}
}

func FuzzDockerArchive(f *testing.F) {
	f.Add(tarOf(f, manifestJSON(`"l"`), file("c.json", config), file("l", "x")))
	f.Add(tarOf(f, manifestJSON(`"l"`), file("c.json", config), link(tar.TypeSymlink, "l", "c.json"), file("index.json", `{"manifests":[{}]}`)))
	f.Fuzz(func(t *testing.T, body []byte) { openBytes(t, body, true) })
}

func FuzzOCIArchive(f *testing.F) {
	blob := `{"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`
	f.Add(tarOf(f, file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("blobs/sha256/"+digest.FromString(blob).Encoded(), blob),
		file("index.json", `{"manifests":[{"digest":"`+digest.FromString(blob).String()+`","size":1}]}`)))
	f.Fuzz(func(t *testing.T, body []byte) { openBytes(t, body, false) })
}

// openBytes opens an archive; whatever it offers must be what its descriptor says.
func openBytes(t *testing.T, body []byte, docker bool) {
	index, err := indexTar(t.Context(), bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return
	}
	var src trust.Source
	if docker {
		src, err = newDocker(t.Context(), index)
	} else {
		src, err = newOCI(index.open, "")
	}
	if err != nil {
		return
	}
	top, err := src.Resolve(t.Context(), trust.Reference{})
	if err != nil {
		return
	}
	r, err := src.Fetch(t.Context(), trust.Reference{}, top)
	if err != nil {
		return
	}
	if got, err := io.ReadAll(r); err == nil && digest.FromBytes(got) != top.Digest {
		t.Errorf("%s is read as %s", top.Digest, digest.FromBytes(got))
	}
}
