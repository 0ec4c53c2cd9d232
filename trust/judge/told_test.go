package judge_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
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

// TestJudge_joinsFilesAndLayers: the story follows what starts what, and says which layer hides a file.
func TestJudge_joinsFilesAndLayers(t *testing.T) {
	t.Parallel()
	hidden := "of the base " + proofWord
	for name, tc := range map[string]struct {
		top  []imagetest.File
		hint string
	}{
		"replaced":         {[]imagetest.File{imagetest.Text("old/list", "nothing")}, "/old/list (layer 1) is hidden by layer 4"},
		"removed":          {[]imagetest.File{imagetest.Whiteout("old/list")}, "/old/list (layer 1) is hidden by layer 4"},
		"folder-removed":   {[]imagetest.File{imagetest.Whiteout("old")}, "/old/list (layer 1) is hidden by layer 4"},
		"folder-emptied":   {[]imagetest.File{imagetest.Text("old/.wh..wh..opq", "")}, "/old/list (layer 1) is hidden by layer 4"},
		"folder-made-file": {[]imagetest.File{imagetest.Text("old", "now a file")}, "/old/list (layer 1) is hidden by layer 4"},
		"not-hidden":       {[]imagetest.File{imagetest.Text("older", "x")}, "/old/list (layer 1) is in the image, though nothing known runs it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, _, err := story{
				config: starts("/app/run.sh"),
				layers: [][]imagetest.File{
					append([]imagetest.File{imagetest.Text("old/list", hidden)}, shells...),
					{imagetest.Text("app/note", proofWord)},
					{imagetest.Script("app/run.sh", "#!/bin/sh\nsh /app/note\n")},
					tc.top,
				},
			}.tell(t)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(v.Story, "\n")
			for _, want := range []string{
				"/app/run.sh (layer 3) is started by the image's entrypoint.",
				"/app/run.sh starts /app/note (layer 2), which a made-up sign.", tc.hint,
			} {
				if !strings.Contains(all, want) {
					t.Errorf("%q is not in\n%s", want, all)
				}
			}
		})
	}
}
