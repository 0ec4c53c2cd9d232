package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

// TestProblems: all that is wrong with a file is told, each with its line and column.
func TestProblems(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want []string
	}{
		"keys-and-types": {
			"version: 1\nthreshold: {}\nthresholds: {warn: many, block: 1}\nmodes: {}\n",
			[]string{`2:1 unknown key "threshold"`, `3:20 "many" is of the wrong type`, `4:1 `},
		},
		"twice": {"version: 1\nsecond: 0.3\nversion: 1\n", []string{`3:1 the key "version" stands twice: remove one`}},
		"sections": {
			"version: 1\ncontact: \"a\\tb\"\nthresholds: {warn: 5, quarantine: 4, block: 3}\nunanswered: {content: allow, reputation: allow}\n" +
				"modes:\n  - {scope: a b, mode: warn}\n  - {scope: a, mode: wran}\natLeast: {nobody: {weak: warn}}\n",
			[]string{
				"0:0 weakTogether is 30 but block starts at 3", "2:10 contact must be", "3:13 thresholds must rise", "4:23 unanswered: content", "4:42 unanswered: reputation", `6:13 modes: scope "a b"`, `7:22 modes: mode is "wran"`,
				`8:19 atLeast: group "nobody"`,
			},
		},
		"rules": {
			"version: 1\nmoreRules:\n  - name: A\n    action: allow\n    because: x\n    all: [{groups: [pool]}]\n  - name: two\n    action: warn\n    because: x\n    when: allowed &&& vouched\n",
			[]string{`3:11 rule "A": a name is`, `4:13 rule A: action is "allow"`, `6:21 rule A: group "pool" is not one of groups`, "10:21 rule two: when: "},
		},
		"conditions": {
			"version: 1\nmoreRules:\n  - name: folded\n    action: warn\n    because: x\n    when: >-\n      allowed &&\n      fingings.exists(f, true) &&\n      registry == 3\n" +
				"  - name: literal\n    action: warn\n    because: x\n    when: |\n      allowed\n        && size(findings) == 0\n" +
				"  - {name: quoted, action: warn, because: x, when: 'registry == ''a'' && nothing'}\n" +
				"  - {name: double, action: warn, because: x, when: \"registry == \\\"ä\\\" && nothing\"}\n" +
				"  - name: plain\n    action: warn\n    because: x\n    when: allowed\n      && nothing\n",
			[]string{
				"8:7 rule folded: when: undeclared reference", "9:16 rule folded: when: found no matching overload", "15:27 rule literal: when: of findings",
				"16:74 rule quoted: when: undeclared reference", "17:74 rule double: when: undeclared reference", "22:10 rule plain: when: undeclared reference",
			},
		},
		"no-yaml":  {"version: 1\nmodes: [\n", []string{"2:1 "}},
		"syntax":   {"version: 1\n\tmodes: 1\n", []string{"2:1 "}},
		"empty":    {"", []string{"0:0 the file is empty"}},
		"a-scalar": {"just text\n", []string{"1:1 "}},
	} {
		_, err := shipped(t).Override("mine.yaml", strings.NewReader(tt.body))
		var wrong *policy.Invalid
		if !errors.As(err, &wrong) || len(wrong.Problems) != len(tt.want) {
			t.Errorf("%s: %v: %+v, want %q", name, err, wrong, tt.want)
			continue
		}
		for i, p := range wrong.Problems {
			if got := fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.What); !strings.HasPrefix(got, tt.want[i]) {
				t.Errorf("%s: %q, want %q", name, got, tt.want[i])
			}
		}
		if more := len(tt.want) - 1; more > 0 && !strings.Contains(err.Error(), fmt.Sprintf("(and %d more: \"docker safepull policy lint\" names them)", more)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileFiles: a file that was made to cost is refused at once.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	laughs := "version: 1\na0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	for name, tt := range map[string]struct {
		body, says string
		limit      bool
	}{
		"aliases":       {laughs, "mine.yaml:2:5: anchors, aliases and tags are not supported", true},
		"itself":        {"version: 1\ngroups: &g\n  a: [b]\n  c: *g\n", "anchors, aliases and tags", true},
		"merge-keys":    {"version: 1\npoints: &p {weak: 1}\nreach: {<<: *p}\n", "anchors, aliases and tags", true},
		"tags":          {"version: !!int 1\n", "anchors, aliases and tags", true},
		"deep":          {"version: 1\ngroups: " + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "\n", "nested deeper than", true},
		"deep-maps":     {"version: 1\ngroups: " + strings.Repeat("{a: ", 2000) + strings.Repeat("}", 2000) + "\n", "nested deeper than", true},
		"many":          {"version: 1\ngroups: {a: [" + strings.Repeat("b,", 100_000) + "]}\n", "more than 20000 keys and values", true},
		"large":         {"version: 1\n#" + strings.Repeat("x", 300<<10) + "\n", "more than 262144 bytes", true},
		"very-deep":     {strings.Repeat("[", 200_000), "", false},
		"many-problems": {"version: 1\nrules: [" + strings.Repeat("{x: 1},", 3000) + "]", "and 49 more", false},
	} {
		begin := time.Now()
		_, err := shipped(t).Override("mine.yaml", strings.NewReader(tt.body))
		if err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, trust.ErrLimit) != tt.limit {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("%s took %s", name, took)
		}
	}
}

// TestHostileConditions: conditions that would take long are refused when the policy is loaded, alone or together.
func TestHostileConditions(t *testing.T) {
	t.Parallel()
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 60), ",") + "]"
	nested := fmt.Sprintf("findings.exists(f, %s.exists(a, %s.exists(b, f.strength > a + b)))", list, list)
	if _, err := withCondition(t, nested); err == nil || !strings.Contains(err.Error(), "may take more than 262144 steps") || !errors.Is(err, trust.ErrLimit) {
		t.Errorf("nested: %v", err)
	}
	body := "version: 1\nrules:\n"
	for i := range 60 {
		body += fmt.Sprintf("  - {name: r%d, action: warn, because: x, when: 'findings.exists(f, %s.exists(a, f.strength > a))'}\n", i, "[1,2,3,4]")
	}
	begin := time.Now()
	_, err := shipped(t).Override("mine.yaml", strings.NewReader(body))
	if err == nil || !strings.Contains(err.Error(), "all conditions together may take more than") {
		t.Errorf("together: %v", err)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %s", took)
	}
}

// TestYAML: what is shown is the whole policy: it loads by itself, decides the same, and says where it comes from.
func TestYAML(t *testing.T) {
	t.Parallel()
	own := override(t, "contact: \"#containers\"\nmodes:\n  - {scope: ghcr.io/lab/**, mode: warn, reason: until spring}\nsecond: 0.125\nunanswered: block\n"+
		"moreRules:\n  - {name: mine, action: block, because: it is mine, all: [{checks: [pool], strength: proof}], when: 'registry in [\"a\", \"b\"] && allowed'}\n"+
		"atLeast:\n  name: {weak: warn}\n")
	for name, p := range map[string]*policy.Policy{"default": shipped(t), "strict": named(t, "strict"), "monitor": named(t, "monitor"), "own": own} {
		text, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.Load(name, strings.NewReader(string(text)))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if again.Digest() != p.Digest() || again.Rules() != p.Rules() {
			second, _ := again.YAML()
			t.Errorf("%s: %s became %s:\n%s", name, p.Digest(), again.Digest(), cmp.Diff(string(text), string(second)))
		}
	}
	text, err := own.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{
		"# mine.yaml\ncontact: '#containers'\n", "# default.yaml\npoints:\n  proof: 90\n", "# mine.yaml\nsecond: 0.125\n", "  program: [algorithm, minerbinary, gpu, webminer]\n",
		"  - name: miner-runs\n    action: block\n", "      - {groups: [program], strength: proof, reach: runs}\n", "  # mine.yaml\n  - name: mine\n",
		"  - {scope: ghcr.io/lab/**, mode: warn, reason: until spring}\n", "  content: block\n", "  name: {weak: warn}\n", "# default.yaml\nunknownName: warn\n",
	} {
		if !strings.Contains(string(text), says) {
			t.Errorf("%q is not in\n%s", says, text)
		}
	}
	if diff := cmp.Diff([]string{"atLeast", "contact", "modes", "moreRules", "second", "unanswered"}, own.Own()); diff != "" {
		t.Error(diff)
	}
	if own.Name() != "mine.yaml" || len(shipped(t).Own()) != 12 || strings.Contains(string(configs.DefaultPolicy()), "moreRules:") {
		t.Errorf("%s, %q", own.Name(), shipped(t).Own())
	}
}
