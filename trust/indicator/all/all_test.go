package all

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust/ruleset"
)

func shipped(t *testing.T) *ruleset.Ruleset {
	t.Helper()
	files, err := configs.Rules()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := ruleset.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestEveryFolderIsNamed(t *testing.T) {
	t.Parallel()
	rules := shipped(t)
	indicators, err := New(rules)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, ind := range indicators {
		got = append(got, ind.Name())
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains([]string{"all", "indicatortest", "internal"}, e.Name()) {
			want = append(want, e.Name())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("folders and indicators differ:\n%s", diff)
	}
	if diff := cmp.Diff(want, rules.Names()); diff != "" {
		t.Errorf("folders and rule files differ:\n%s", diff)
	}
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	rules, err := ruleset.Load(fstest.MapFS{"algorithm.yaml": {Data: []byte("\nlables: []\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = New(rules); err == nil || !strings.Contains(err.Error(), "algorithm.yaml:2:1: field lables not found") {
		t.Errorf("got %v", err)
	}
}
