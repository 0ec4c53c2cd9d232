package all

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust/indicator/yara"
	"github.com/safepull/safepull/trust/ruleset"
	rules "github.com/safepull/safepull/trust/yara"
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

// optional are the folders of indicators that are no part of the shipped set.
func optional() []string { return []string{"clamav", "yara"} }

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
		if e.IsDir() && !slices.Contains(append(optional(), "all", "indicatortest", "internal"), e.Name()) {
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

func TestExtras(t *testing.T) {
	t.Parallel()
	own, err := yara.New(rules.Source{Name: "own.yar", Text: []byte("rule own { condition: filesize == 1 }")})
	if err != nil {
		t.Fatal(err)
	}
	shippedSet := shipped(t)
	indicators, err := New(shippedSet, own)
	if err != nil {
		t.Fatal(err)
	}
	if last := indicators[len(indicators)-1]; last.Name() != "yara" || len(indicators) != len(shippedSet.Names())+1 {
		t.Errorf("%d indicators, the last is %s", len(indicators), last.Name())
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
