package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestContents(t *testing.T) {
	t.Parallel()
	desc := `{"digest":"` + someDigest + `","size":1}`
	many := strings.Repeat(desc+",", maxBlobs-1) + desc
	for _, c := range []struct {
		name, raw string
		want      error
	}{
		{"plain", `{"config":` + desc + `,"layers":[` + desc + `]}`, nil},
		{"no layers", `{"config":` + desc + `}`, nil},
		{"no JSON", `<html>`, trust.ErrMalformed},
		{"twice", `{"config":` + desc + `}{}`, trust.ErrMalformed},
		{"an index", `{"manifests":[]}`, trust.ErrUnsupported},
		{"both", `{"config":` + desc + `,"manifests":[]}`, trust.ErrUnsupported},
		{"no config", `{"layers":[` + desc + `]}`, trust.ErrMalformed},
		{"bad digest", `{"config":` + desc + `,"layers":[{"digest":"sha256:../../x","size":1}]}`, trust.ErrMalformed},
		{"negative size", `{"config":{"digest":"` + someDigest + `","size":-1}}`, trust.ErrMalformed},
		{"from elsewhere", `{"config":` + desc + `,"layers":[{"digest":"` + someDigest + `","size":1,"urls":["http://x"]}]}`, trust.ErrUnsupported},
		{"too many layers", `{"config":` + desc + `,"layers":[` + many + `]}`, trust.ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := contents([]byte(c.raw)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func FuzzContents(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"` + someDigest + `","size":1},"layers":[{"digest":"` + someDigest + `","size":0}]}`))
	f.Add([]byte(`{"manifests":[{"digest":"` + someDigest + `"}]}`))
	f.Add([]byte(`{"layers":[{"digest":"sha256:/etc","urls":["x"]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		config, layers, err := contents(raw)
		if err == nil {
			for _, d := range append(layers, config) {
				if strings.Contains(blobPath(d.Digest), "..") || d.Size < 0 || len(d.URLs) > 0 {
					t.Errorf("accepted %+v", d)
				}
			}
		}
		if _, err := listed(raw, someDigest); err == nil && !bytes.Contains(raw, []byte("manifests")) && !bytes.Contains(bytes.ToLower(raw), []byte("manifests")) && !bytes.Contains(raw, []byte(`\u`)) {
			t.Error("found a child in what lists none")
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	s, other := newSample(t, "one"), newSample(t, "other")
	for _, index := range other.content {
		s.add("", index)
	}
	child := s.children["amd64"]
	big := child
	big.Size = maxManifest + 1
	for _, c := range []struct {
		name          string
		ref           trust.Reference
		top, manifest ocispec.Descriptor
		want          error
	}{
		{"index", ref, s.index, child, nil},
		{"no index", ref, child, child, nil},
		{"by digest", ref.WithDigest(s.index.Digest), s.index, child, nil},
		{"digest of something else", ref.WithDigest(child.Digest), s.index, child, trust.ErrIntegrity},
		{"not a child", ref, s.index, other.children["amd64"], trust.ErrIntegrity},
		{"index as the manifest", ref, s.index, s.index, trust.ErrUnsupported},
		{"too large", ref, big, big, trust.ErrLimit},
		{"absent", ref, s.index, ocispec.Descriptor{Digest: someDigest, Size: 5}, trust.ErrNotFound},
		{"no digest", ref, s.index, ocispec.Descriptor{}, trust.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := open(t.Context(), c.ref, c.top, c.manifest, s); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestOpenWithoutMediaType: a layout's descriptor may lack it; the engine needs one.
func TestOpenWithoutMediaType(t *testing.T) {
	t.Parallel()
	s := newSample(t, "untyped")
	index, child := s.index, s.children["amd64"]
	index.MediaType, child.MediaType, child.Platform = "", "", nil
	img, err := open(t.Context(), ref, index, child, s)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{img.top.desc.MediaType, img.manifest.desc.MediaType, img.manifest.desc.Platform.Architecture}
	if diff := cmp.Diff([]string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, "amd64"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("content ", 1000)
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		r    io.Reader
		of   string
		size int64
		want error
	}{
		{"right", strings.NewReader(content), content, 8000, nil},
		{"right, byte by byte", iotest.OneByteReader(strings.NewReader(content)), content, 8000, nil},
		{"right, EOF with the data", iotest.DataErrReader(strings.NewReader(content)), content, 8000, nil},
		{"empty", strings.NewReader(""), "", 0, nil},
		{"short", strings.NewReader(content[1:]), content, 8000, trust.ErrIntegrity},
		{"long", strings.NewReader(content + "x"), content, 8000, trust.ErrIntegrity},
		{"other", strings.NewReader("C" + content[1:]), content, 8000, trust.ErrIntegrity},
		{"not empty", strings.NewReader("x"), "", 0, trust.ErrIntegrity},
		{"empty of another digest", strings.NewReader(""), "x", 0, trust.ErrIntegrity},
		{"size says less", strings.NewReader(content), content, 7999, trust.ErrIntegrity},
		{"breaks", io.MultiReader(strings.NewReader(content[:10]), iotest.ErrReader(broken)), content, 8000, broken},
		{"breaks at the end", io.MultiReader(strings.NewReader(content), iotest.ErrReader(broken)), content, 8000, broken},
	} {
		for _, piece := range []int{1, 7, 512, 8000, 9000} {
			t.Run(fmt.Sprintf("%s, %d", c.name, piece), func(t *testing.T) {
				// not parallel: the pieces share c.r
				v := verify(io.NopCloser(c.r), ocispec.Descriptor{Digest: digest.FromString(c.of), Size: c.size})
				if seeker, ok := c.r.(io.Seeker); ok {
					_, _ = seeker.Seek(0, io.SeekStart)
				} else if piece != 512 {
					t.Skip("read once")
				}
				var got bytes.Buffer
				_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{v}, make([]byte, piece))
				if !errors.Is(err, c.want) {
					t.Fatalf("got %v, want %v", err, c.want)
				}
				if err == nil && got.String() != c.of {
					t.Error("content changed")
				}
				if err != nil && int64(got.Len()) >= c.size && c.size > 0 {
					t.Errorf("all %d bytes arrived", got.Len())
				}
				if _, again := v.Read(make([]byte, 1)); err != nil && !errors.Is(again, c.want) || err == nil && again != io.EOF {
					t.Errorf("read again: %v", again)
				}
			})
		}
	}
}
