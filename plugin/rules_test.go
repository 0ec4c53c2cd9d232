package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/ruleset"
)

type fakeRules struct{}

func (fakeRules) Checks() []render.Check {
	return []render.Check{
		{
			Check: "stratum@3", Name: "stratum", Version: 3, Group: "protocol", Digest: digest.FromString("s"), Data: map[string]int{"pools": 69},
			About: ruleset.About{Sign: "the protocol", Means: "it speaks", Matters: "it must", LookAlikes: []string{"analysers"}},
		},
		{Check: "own@1", Name: "own", Version: 1, Group: "own"},
	}
}

func (fakeRules) Ruleset() digest.Digest   { return digest.FromString("r") }
func (fakeRules) Limits() map[string]int64 { return map[string]int64{"layer.bytes": 7} }
func (fakeRules) Test(_ context.Context, path string) (render.Tested, error) {
	t := render.Tested{Files: 1, Unanswered: map[string]string{}, Findings: render.NewFindings([]trust.Finding{
		{Check: "stratum@3", Strength: trust.Strong, Path: "run.sh", Offset: 7, Why: "names a pool"},
	})}
	switch path {
	case "missing":
		return render.Tested{}, errors.New("no such file")
	case "broken":
		t.Unanswered["run.sh"] = "too deep"
	}
	return t, nil
}

func fakeLint(_ context.Context, path string) (render.Linted, error) {
	switch path {
	case "missing":
		return render.Linted{}, errors.New("no such file")
	case "bad.yaml":
		return render.Linted{Files: 1, Problems: []*ruleset.Problem{{File: path, Line: 2, Column: 3, What: "field x not found"}}}, nil
	}
	return render.Linted{Files: 2, Problems: []*ruleset.Problem{}}, nil
}

func TestRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		args   string
		say    []string
		status int
	}{
		{"ls", []string{"CHECK", "stratum@3  protocol  the protocol", "own@1      own       -"}, 0},
		{"info stratum", []string{"stratum@3: the protocol", "pools                69", "layer.bytes          7", "Group:    protocol"}, 0},
		{"info own", []string{"Rules:    none"}, 0},
		{"explain stratum@2", []string{"What it means:\n  it speaks\n", "Why it matters:\n  it must\n", "What looks like it:\n  - analysers\n", `group "protocol"`}, 0},
		{"explain own", []string{"does not say more"}, 0},
		{"explain nothing", []string{`no check "nothing": use one of stratum, own`}, 1},
		{"explain", []string{"takes exactly one argument"}, 1},
		{"test run.sh", []string{"run.sh: 1 findings in 1 files", "stratum@3, strong: names a pool (path run.sh) at 7"}, 0},
		{"test broken", []string{"Unanswered:\n  - run.sh: too deep"}, 4},
		{"test missing", []string{"no such file"}, 1},
		{"lint good", []string{"2 rule files, nothing wrong"}, 0},
		{"lint bad.yaml", []string{"bad.yaml:2:3: field x not found\n", "the rules are wrong"}, 1},
		{"lint missing", []string{"no such file"}, 1},
		{"nonsense", []string{`unknown command "nonsense"`}, 1},
		{"", []string{"explain", "lint", "Exit status"}, 0},
	} {
		r := w.run(append([]string{"rules"}, strings.Fields(tt.args)...)...)
		for _, say := range tt.say {
			if r.status != tt.status || !strings.Contains(r.out+r.err, say) {
				t.Errorf("%s: want %q and %d, got %+v", tt.args, say, tt.status, r)
			}
		}
	}
	w.without = true
	for _, args := range [][]string{{"ls"}, {"lint", "x"}} {
		if r := w.run(slices.Concat([]string{"rules"}, args)...); r.status != 1 || !strings.Contains(r.err, "cannot do that") {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// TestRulesJSON pins the names: they are API.
func TestRulesJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for args, tt := range map[string]struct {
		keys   string
		status int
	}{
		"ls":              {"checks ruleset schema", 0},
		"info stratum":    {"about check data digest group limits name ruleset schema version", 0},
		"explain stratum": {"about check data digest group limits name ruleset schema version", 0},
		"test run.sh":     {"exitStatus files findings path schema unanswered", 0},
		"test broken":     {"exitStatus files findings path schema unanswered", 4},
		"lint bad.yaml":   {"exitStatus files path problems schema", 1},
		"lint missing":    {"error exitStatus schema", 1},
	} {
		r := w.run(append([]string{"rules"}, append(strings.Fields(args), "--format=json")...)...)
		var got map[string]any
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%s: %v in %q", args, err, r.out)
		}
		var keys []string
		for k := range got {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if status, ok := got["exitStatus"]; strings.Join(keys, " ") != tt.keys || r.status != tt.status || ok && status != float64(tt.status) {
			t.Errorf("%s: %s with %d, want %s with %d", args, keys, r.status, tt.keys, tt.status)
		}
	}
}
