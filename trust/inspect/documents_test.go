package inspect_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/inspect/inspecttest"
)

func TestParseManifest_documents(t *testing.T) {
	t.Parallel()
	for _, c := range inspecttest.Documents() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			m, err := inspect.ParseManifest(c.Body, c.Announced)
			if !errors.Is(err, c.Err) {
				t.Fatalf("error = %v, want %v", err, c.Err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "inspect.") || len(err.Error()) > 400 {
					t.Errorf("nobody can read %q", err)
				}
				if m.Kind != "" {
					t.Errorf("a %s came with the error %v", m.Kind, err)
				}
				return
			}
			if got := strings.Join(m.Refused, "; "); (got != "") != (c.Refused != "") || !strings.Contains(got, c.Refused) {
				t.Errorf("refused = %q, want %q", got, c.Refused)
			}
			if c.Honest() && (m.Kind == inspect.Index) != c.Index {
				t.Errorf("kind = %s", m.Kind)
			}
		})
	}
}

// TestParseManifest_indexInIndex: what an index lists may be an index, which is read when it is asked for.
func TestParseManifest_indexInIndex(t *testing.T) {
	t.Parallel()
	for _, child := range []string{ocispec.MediaTypeImageIndex, inspect.DockerIndex} {
		body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":2}]}`,
			ocispec.MediaTypeImageIndex, child, digest.FromString("{}"))
		m, err := inspect.ParseManifest(body, ocispec.MediaTypeImageIndex)
		if err != nil || m.Kind != inspect.Index || len(m.Children) != 1 || !inspect.IsIndex(m.Children[0].MediaType) {
			t.Errorf("%s: %+v, %v", child, m, err)
		}
	}
}
