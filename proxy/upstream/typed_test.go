package upstream_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

func TestTyped(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	image := manifestOf(ocispec.MediaTypeImageManifest)
	for name, c := range map[string]struct {
		body      string
		announced string
		err       error
	}{
		"true":       {string(image), ocispec.MediaTypeImageManifest, nil},
		"lie":        {string(image), ocispec.MediaTypeImageIndex, trust.ErrIntegrity},
		"says_none":  {`{"schemaVersion":2,"manifests":[]}`, ocispec.MediaTypeImageIndex, nil},
		"no_json":    {"x", ocispec.MediaTypeImageManifest, nil}, // who reads it says so
		"a_blob":     {string(image), "application/octet-stream", nil},
		"large":      {`{"mediaType":"` + ocispec.MediaTypeImageIndex + `","x":"` + strings.Repeat("y", 3<<20) + `"}`, ocispec.MediaTypeImageManifest, trust.ErrIntegrity},
		"large_true": {`{"mediaType":"` + ocispec.MediaTypeImageIndex + `","x":"` + strings.Repeat("y", 3<<20) + `"}`, ocispec.MediaTypeImageIndex, nil},
	} {
		desc := r.PutManifest(repo, "", c.announced, []byte(c.body))
		if c.announced == "application/octet-stream" {
			r.PutBlob(repo, []byte(c.body))
		}
		rc, err := upstream.Typed(dial(t, r, nil)).Fetch(t.Context(), at(r), desc)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := io.ReadAll(iotest.DataErrReader(rc))
		if !errors.Is(err, c.err) || string(got) != c.body {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if n, again := rc.Read(make([]byte, 1)); n != 0 || again == nil || err != nil && again != err {
			t.Errorf("%s: a second end: %d, %v", name, n, again)
		}
		_ = rc.Close()
	}
}
