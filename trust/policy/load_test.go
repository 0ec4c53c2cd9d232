package policy_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

func TestLoad_refuses(t *testing.T) {
	t.Parallel()
	good := string(configs.DefaultPolicy())
	const first = "  - name: miner-runs\n"
	tests := map[string]struct{ from, to, says string }{
		"unknown-key":          {"weakTogether", "weekTogether", `unknown key "weekTogether"`},
		"other-version":        {"version: 1", "version: 2", "reads version 1"},
		"proof-does-not-block": {"proof: 90", "proof: 80", "proof must block"},
		"falling-points":       {"weak: 15", "weak: 50", "points must rise"},
		"huge-points":          {"proof: 90", "proof: 9000000000", "points must rise"},
		"falling-thresholds":   {"quarantine: 60", "quarantine: 20", "thresholds must rise"},
		"zero-threshold":       {"warn: 30", "warn: 0", "thresholds must rise"},
		"unanswered-allowed":   {"  content: quarantine", "  content: allow", "unknown is not clean"},
		"unanswered-missing":   {"  content: quarantine\n", "", "unknown is not clean"},
		"unanswered-unknown":   {"  content: quarantine", "  contents: quarantine", `unknown key "contents"`},
		"no-answer-is-good":    {"  reputation: warn", "  reputation: allow", "no answer is no good name"},
		"no-answer-missing":    {"  reputation: warn\n", "", "no answer is no good name"},
		"unknown-name-odd":     {"unknownName: warn", "unknownName: refuse", `unknown action "refuse"`},
		"unknown-name-missing": {"unknownName: warn\n", "", `section "unknownName" is missing`},
		"weak-signs-block":     {"weakTogether: 30", "weakTogether: 90", "weak signs never block"},
		"weak-cap":             {"weakTogether: 30", "weakTogether: 10", "at least what one weak"},
		"not-a-number":         {"warn: 30", "warn: many", `"many" is of the wrong type`},
		"two-documents":        {"version: 1", "version: 1\n---\nversion: 1", ""},
		"empty":                {good, "", "my.yaml: the file is empty"},
		"too-large":            {"version: 1", "version: 1 #" + strings.Repeat("x", 300<<10), "more than"},
		"section-missing":      {"\nsecond: 0.3", "", `section "second" is missing`},
		"runs-weighs-less":     {"runs: 1.0", "runs: 0.9", "reach must fall"},
		"hidden-weighs-more":   {"hidden: 0.5", "hidden: 0.9", "reach must fall"},
		"factor-above-one":     {"second: 0.3", "second: 3", "from 0 to 1"},
		"factor-is-no-number":  {"second: 0.3", "second: .nan", "from 0 to 1"},
		"check-in-two-groups":  {"identity: [wallet, campaign]", "identity: [wallet, pool]", `"pool" stands in`},
		"check-twice":          {"identity: [wallet, campaign]", "identity: [wallet, wallet]", `"wallet" stands in`},
		"check-named-as-group": {"identity: [wallet, campaign]", "identity: [wallet, spread]", `"spread" is the name of a group`},
		"rule-without-name":    {first, "  - name: \"\"\n", "a name is"},
		"rule-name-taken":      {first, "  - name: node\n", "the name is taken"},
		"rule-name-fixed":      {first, "  - name: proof\n", "the name is taken"},
		"rule-that-allows":     {first + "    action: block", first + "    action: allow", "never lets through"},
		"rule-without-action":  {first + "    action: block", first, "never lets through"},
		"rule-of-odd-action":   {first + "    action: block", first + "    action: refuse", `unknown action "refuse"`},
		"rule-unexplained":     {"    because: a program that holds a mining algorithm or the texts of a miner runs when the image starts\n", "", "because must be"},
		"rule-without-signs":   {"      - {groups: [program], strength: proof, reach: runs}\n", "      []\n", "1 to 4 signs"},
		"sign-unknown-group":   {"{groups: [program],", "{groups: [programs],", `group "programs"`},
		"sign-unknown-reach":   {"proof, reach: runs}", "proof, reach: running}", `reach is "running"`},
		"sign-unknown-class":   {"{class: opaque,", "{class: odd,", `class is "odd"`},
		"sign-odd-strength":    {"strength: proof, reach", "strength: great, reach", `unknown strength "great"`},
		"sign-of-anything":     {"{groups: [program], ", "{", "must name checks, groups or a class"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(good, tt.from, tt.to, 1)
			if bad == good {
				t.Fatalf("%q is not in the policy", tt.from)
			}
			if _, err := policy.Load("my.yaml", strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), tt.says) && tt.says != "" || !strings.Contains(err.Error(), "my.yaml") {
				t.Errorf("got %v, want an error that names the file and says %q", err, tt.says)
			}
		})
	}
}

func TestLoad_limits(t *testing.T) {
	t.Parallel()
	rule := "  - {name: NAME, action: warn, because: it does, all: [{checks: [a]}]}\n"
	var many strings.Builder
	many.WriteString("version: 1\nrules:\n")
	for i := range 65 {
		many.WriteString(strings.Replace(rule, "NAME", "r"+strings.Repeat("x", i/26)+string(rune('a'+i%26)), 1))
	}
	checks := "version: 1\ngroups:\n  g: [" + strings.TrimSuffix(strings.Repeat("c, ", 1), ", ")
	for i := range 1001 {
		checks += ", c" + strings.Repeat("x", i/26) + string(rune('a'+i%26))
	}
	for name, tt := range map[string]struct{ body, says string }{
		"rules":   {many.String(), "rules: more than 64"},
		"checks":  {checks + "]\nrules: []\n", "more than 1000 checks"},
		"signs":   {"version: 1\nrules:\n  - {name: r, action: warn, because: it does, all: [" + strings.Repeat("{class: node}, ", 5) + "]}\n", "1 to 4 signs"},
		"because": {"version: 1\nrules:\n  - {name: r, action: warn, because: " + strings.Repeat("x", 161) + ", all: [{class: node}]}\n", "because must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := shipped(t).Override("my.yaml", strings.NewReader(tt.body)); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

// TestOverride: files that were written before there were groups, reach and rules keep working.
func TestOverride(t *testing.T) {
	t.Parallel()
	old := "version: 1\npoints: {proof: 100, strong: 50, weak: 20, context: 0}\nweakTogether: 40\n" +
		"thresholds: {warn: 40, quarantine: 70, block: 100}\nunanswered: block\n"
	p, err := shipped(t).Override("mine.yaml", strings.NewReader(old))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Load("mine.yaml", strings.NewReader(old)); err == nil {
		t.Error("a file without all sections was loaded by itself")
	}
	for name, tt := range map[string]struct {
		evidence trust.Evidence
		want     trust.Action
	}{
		"own-thresholds": {found(runs("a", trust.Strong)), trust.Warn},
		"own-points":     {found(find("a", trust.Strong)), trust.Allow},
		"own-unanswered": {trust.Evidence{Unanswered: map[string]string{"config": "odd"}}, trust.Block},
		"shipped-rules":  {found(classed(trust.ClassOpaque, runs("packed", trust.Weak))), trust.Quarantine},
	} {
		if got, reasons := p.Decide(tt.evidence); got != tt.want {
			t.Errorf("%s: %s, want %s: %q", name, got, tt.want, reasons)
		}
	}
	none, err := shipped(t).Override("mine.yaml", strings.NewReader("version: 1\nrules: []\ngroups: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := none.Decide(found(classed(trust.ClassOpaque, runs("packed", trust.Weak)))); got != trust.Allow {
		t.Errorf("without rules: %s", got)
	}
	if got, _ := none.Decide(found(hidden("a", trust.Proof))); got != trust.Quarantine {
		t.Errorf("the fixed rule is gone with the others: %s", got)
	}
}

func TestDigest_followsTheContent(t *testing.T) {
	t.Parallel()
	a := shipped(t)
	good := string(configs.DefaultPolicy())
	b, err := policy.Load("b", strings.NewReader("# a comment changes nothing\n"+good))
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest() != b.Digest() {
		t.Errorf("a comment changes the digest")
	}
	seen := map[string]string{a.Digest().String(): "shipped"}
	for _, change := range [][2]string{
		{"warn: 30", "warn: 31"}, {"present: 0.7", "present: 0.71"}, {"second: 0.3", "second: 0.4"}, {"[wallet, campaign]", "[wallet, campaign, x]"},
		{"name: miner-runs", "name: miner-goes"}, {"strength: proof, reach: runs}", "strength: proof}"}, {"weakIfAllowed: 0.5", "weakIfAllowed: 1"},
	} {
		c, err := policy.Load("c", strings.NewReader(strings.Replace(good, change[0], change[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[c.Digest().String()]; ok {
			t.Errorf("%q has the digest of %s", change[1], other)
		}
		seen[c.Digest().String()] = change[1]
	}
}

// TestDecide_isMonotone: whatever is added to what was found, the action never gets milder, and an order means nothing.
func TestDecide_isMonotone(t *testing.T) {
	t.Parallel()
	shippedPolicy := shipped(t)
	odd, err := shippedPolicy.Override("odd", strings.NewReader("version: 1\npoints: {proof: 90, strong: 41, weak: 40, context: 3}\n"+
		"reach: {runs: 1, present: 0.9, hidden: 0.01}\nsecond: 1\nweakTogether: 44\nweakIfAllowed: 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	checks := []string{"algorithm", "minerbinary", "commandline", "stratum", "pool", "wallet", "download", "anonymizer", "stealth", "packed", "tuning", "own1", "own2"}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		p := shippedPolicy
		if seed%2 == 1 {
			p = odd
		}
		var e trust.Evidence
		if seed%3 == 0 {
			e.Standing.Decided = &trust.Entry{Action: "allow"}
		}
		before := trust.Allow
		for range 12 {
			f := find(checks[rng.IntN(len(checks))], trust.Strength(rng.IntN(4)))
			if rng.IntN(3) > 0 {
				f.Strength = min(f.Strength, trust.Weak)
			}
			f.Reach = []trust.Reach{"", trust.ReachRuns, trust.ReachPresent, trust.ReachHidden}[rng.IntN(4)]
			f.Class = []trust.Class{"", "", "", trust.ClassNode, trust.ClassOpaque}[rng.IntN(5)]
			e.Findings = append(e.Findings, f)
			action, reasons := p.Decide(e)
			if action.Severity() < before.Severity() {
				t.Fatalf("seed %d: %s after %s with %+v: %q", seed, action, before, f, reasons)
			}
			if action == trust.Allow && len(reasons) > 0 || action != trust.Allow && len(reasons) == 0 {
				t.Fatalf("seed %d: %s with reasons %q", seed, action, reasons)
			}
			before = action
			shuffled := e
			shuffled.Findings = append([]trust.Finding(nil), e.Findings...)
			rng.Shuffle(len(shuffled.Findings), func(i, j int) {
				shuffled.Findings[i], shuffled.Findings[j] = shuffled.Findings[j], shuffled.Findings[i]
			})
			if _, again := p.Decide(shuffled); strings.Join(again, "\n") != strings.Join(reasons, "\n") {
				t.Fatalf("seed %d: another order gives other reasons:\n%q\n%q", seed, reasons, again)
			}
		}
		for _, more := range []func(*trust.Evidence){
			func(e *trust.Evidence) { e.Reference = trust.Reference{Registry: "docker.io", Repository: "acme/app"} },
			func(e *trust.Evidence) { e.Unanswered = map[string]string{"publisher": "y"} },
			func(e *trust.Evidence) { e.Unanswered = map[string]string{"publisher": "y", "x": "y"} },
			func(e *trust.Evidence) { e.Integrity = []string{"lies"} },
		} {
			more(&e)
			action, _ := p.Decide(e)
			if action.Severity() < before.Severity() || action.Serves() && len(e.Unanswered) > 1 || action == trust.Allow && len(e.Unanswered) > 0 {
				t.Fatalf("seed %d: %s after %s", seed, action, before)
			}
			before = action
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(configs.DefaultPolicy())
	f.Add([]byte("version: 1\npoints: [1]\n"))
	f.Add([]byte("version: 1\nrules: []\ngroups: {a: [b]}\nsecond: 1e-3\n"))
	base := shipped(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := base.Override("fuzz", bytes.NewReader(body))
		if err != nil {
			return
		}
		if a, _ := p.Decide(found(runs("a", trust.Proof))); a != trust.Block {
			t.Errorf("a policy that loads does not block a proof that runs: %s", a)
		}
		if a, _ := p.Decide(found(hidden("a", trust.Proof))); a.Serves() {
			t.Errorf("a policy that loads lets proof through: %s", a)
		}
		if a, _ := p.Decide(trust.Evidence{Unanswered: map[string]string{"config": "odd"}}); a.Serves() {
			t.Errorf("a policy that loads lets unknown through: %s", a)
		}
	})
}
