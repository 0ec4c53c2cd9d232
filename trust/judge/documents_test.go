package judge_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect/inspecttest"
	"github.com/safepull/safepull/trust/judge"
)

// plainLayers is a scanner for layers that are not compressed.
type plainLayers struct{ snippetPaths }

func (*plainLayers) Layer(_ context.Context, r io.Reader, _ ocispec.Descriptor) (trust.Inspection, error) {
	body, err := io.ReadAll(r)
	return trust.Inspection{DiffID: digest.FromBytes(body)}, err
}

// TestJudge_documents: a manifest that breaks a law is blocked, one that cannot be read leaves its question open.
func TestJudge_documents(t *testing.T) {
	t.Parallel()
	for _, c := range inspecttest.Documents() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			j, _, _ := newJudge(t, func(o *judge.Options) { o.Scanner = &plainLayers{} })
			src := newSource()
			for _, b := range inspecttest.Blobs() {
				src.put("", b)
			}
			ref := trust.Reference{Registry: "r.test", Repository: "a/b", Digest: src.put(c.Announced, c.Body).Digest}
			v, err := j.Judge(t.Context(), ref, src)
			if c.Index { // a judge is never asked about one
				if err == nil && v.Action.Serves() {
					t.Errorf("%s", v.Action)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, open := trust.Allow, v.Evidence.Unanswered["manifest"]
			switch {
			case c.Err != nil:
				want = trust.Quarantine
			case c.Refused != "":
				want = trust.Block
			}
			if v.Action != want || (open != "") != (c.Err != nil) || !strings.Contains(strings.Join(v.Reasons, "; "), c.Refused) {
				t.Errorf("%s, want %s: %q, %+v", v.Action, want, v.Reasons, v.Evidence)
			}
		})
	}
}
