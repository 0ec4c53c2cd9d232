package judge_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// TestJudge_tellsTheStory: a verdict says what the image starts and what lies in it, with the numbers of layers.
func TestJudge_tellsTheStory(t *testing.T) {
	t.Parallel()
	j, _, _ := newJudge(t, nil)
	s := newSource()
	ref := s.image(t, func(_ *ocispec.Manifest, c map[string]any) {
		c["config"] = map[string]any{"Entrypoint": []string{"/opt/file", "x"}}
	}, "one", "a HINT here")
	v, err := j.Judge(t.Context(), ref, s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/opt/file (layer 2) is started by the image's entrypoint; it a hint."}
	if diff := cmp.Diff(want, v.Story); diff != "" {
		t.Error(diff)
	}
	if len(v.Evidence.Layers) != 2 || len(v.Evidence.Findings) != 1 || v.Evidence.Findings[0].Reach != trust.ReachRuns {
		t.Errorf("%+v", v.Evidence)
	}
}
