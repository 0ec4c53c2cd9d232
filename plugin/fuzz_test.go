package plugin

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// FuzzIndex: whatever an index says, what is chosen from it is a manifest with a digest that can be asked for.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"`+digest.FromString("").String()+`","platform":{"os":"linux","architecture":"amd64"}}]}`), "amd64", "")
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"sha256:x"},{"platform":{"os":"LINUX","architecture":"arm","variant":"v9"}}]}`), "arm", "v7")
	f.Fuzz(func(t *testing.T, body []byte, arch, variant string) {
		r := &fakeRegistry{blobs: map[digest.Digest][]byte{}, fetched: map[digest.Digest]int{}}
		r.top = r.add(ocispec.MediaTypeImageIndex, body)
		got, err := resolve(t.Context(), trust.Reference{Registry: "x", Repository: "y"}, r, ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant})
		if err != nil {
			return
		}
		if got.manifest.Digest.Validate() != nil || got.manifest.Size < 0 || got.manifest.MediaType == ocispec.MediaTypeImageIndex {
			t.Errorf("chose %+v", got.manifest)
		}
	})
}

func TestIndexLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{inspect.MaxManifest, inspect.MaxManifest + 1} {
		r := &fakeRegistry{blobs: map[digest.Digest][]byte{}, fetched: map[digest.Digest]int{}}
		r.top = r.add(ocispec.MediaTypeImageIndex, bytes.Repeat([]byte(" "), size))
		want := trust.ErrMalformed
		if size > inspect.MaxManifest {
			want = trust.ErrLimit
		}
		for _, claimed := range []int64{int64(size), 5} { // A source that does not verify is bounded too.
			r.top.Size = claimed
			if _, err := resolve(t.Context(), trust.Reference{}, r, ocispec.Platform{OS: "linux", Architecture: "amd64"}); !errors.Is(err, want) {
				t.Errorf("%d bytes, said to be %d: %v", size, claimed, err)
			}
		}
	}
}

// endless is an engine's answer without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestSaveLimit(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := copyLimited(&b, endless{}, 1<<10); !errors.Is(err, trust.ErrLimit) || b.Len() > 1<<10+1 {
		t.Errorf("%v after %d bytes", err, b.Len())
	}
	if err := copyLimited(&b, io.LimitReader(endless{}, 1<<10), 1<<10); err != nil {
		t.Error(err)
	}
}

// FuzzSentence: whatever a proxy answers, what is shown of it is short and harmless.
func FuzzSentence(f *testing.F) {
	for _, body := range []string{`{"errors":[{"code":"DENIED","message":"no"}]}`, `{"errors":[{}]}`, `<html>`, "", "{\"errors\":[{\"message\":\"\x1b[2J\"}]}"} {
		f.Add("403 no", body)
	}
	f.Fuzz(func(t *testing.T, status, body string) {
		got := sentence(&http.Response{Status: status, Body: io.NopCloser(strings.NewReader(body))})
		if len([]rune(got)) > maxSentence+1 || strings.ContainsAny(got, "\x1b\n\r\x00") {
			t.Errorf("%q", got)
		}
	})
}

func TestSentenceLimit(t *testing.T) {
	t.Parallel()
	body := io.MultiReader(strings.NewReader(`{"errors":[{"message":"`), endless{})
	if got := sentence(&http.Response{Status: "403 no", Body: io.NopCloser(body)}); got != "403 no" {
		t.Errorf("%q", got)
	}
}
