package policy_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

func override(t testing.TB, body string) *policy.Policy {
	t.Helper()
	p, err := shipped(t).Override("mine.yaml", strings.NewReader("version: 1\n"+body))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// named is a shipped policy.
func named(t testing.TB, name string) *policy.Policy {
	t.Helper()
	body, ok := configs.Policy(name)
	if !ok {
		t.Fatalf("no policy %s", name)
	}
	p, err := shipped(t).Override(name, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// under is evidence about an image with a name.
func under(repository string, findings ...trust.Finding) trust.Evidence {
	e := found(findings...)
	e.Reference = trust.Reference{Registry: "docker.io", Repository: repository, Tag: "1"}
	return e
}

// TestModes: no mode turns a refusal into silence, and what is fixed stays.
func TestModes(t *testing.T) {
	t.Parallel()
	p := override(t, "modes:\n  - {scope: docker.io/acme/app, mode: enforce}\n  - {scope: docker.io/acme/**, mode: warn, reason: until spring}\n"+
		"  - {scope: docker.io/lab/**, mode: monitor}\nunknownName: allow\n")
	mines, lies, denied := under("", runs("a", trust.Proof)), under(""), under("")
	lies.Integrity = []string{"lies"}
	denied.Standing.Decided = &trust.Entry{Action: "deny", Pattern: "**"}
	odd, weak := under(""), under("", set("a", trust.Weak), set("b", trust.Weak))
	odd.Unanswered = map[string]string{"config": "odd"}
	for name, tt := range map[string]struct {
		repository     string
		evidence       trust.Evidence
		action, called trust.Action
		says           string
	}{
		"enforced-elsewhere":   {"x/y", mines, trust.Block, "", ""},
		"first-scope-decides":  {"acme/app", mines, trust.Block, "", ""},
		"warned":               {"acme/other", mines, trust.Warn, trust.Block, "would have been blocked: the policy is in mode warn for docker.io/acme/**: until spring"},
		"monitored":            {"lab/x/y", mines, trust.Warn, trust.Block, "would have been blocked: the policy is in mode monitor for docker.io/lab/**"},
		"unanswered-warned":    {"acme/other", odd, trust.Warn, trust.Quarantine, "would have been quarantined"},
		"unanswered-monitored": {"lab/x", odd, trust.Warn, trust.Quarantine, "would have been quarantined"},
		"warning-stays":        {"acme/other", weak, trust.Warn, "", ""},
		"warning-is-recorded":  {"lab/x", weak, trust.Allow, trust.Warn, ""},
		"lies-are-refused":     {"lab/x", lies, trust.Block, "", ""},
		"denied-is-refused":    {"lab/x", denied, trust.Block, "", ""},
		"nothing-found":        {"lab/x", under(""), trust.Allow, "", ""},
	} {
		e := tt.evidence
		e.Reference.Repository = tt.repository
		d := p.Explain(e)
		if d.Action != tt.action || d.Called != tt.called || tt.says != "" && !strings.HasPrefix(d.Reasons[0], tt.says) {
			t.Errorf("%s: %s (called %q) %q, want %s (%q) %q", name, d.Action, d.Called, d.Reasons, tt.action, tt.called, tt.says)
		}
		if (d.Action != trust.Allow || d.Called != "") && len(d.Reasons) == 0 {
			t.Errorf("%s: no reasons", name)
		}
		if action, reasons := p.Decide(e); action != d.Action || strings.Join(reasons, "\n") != strings.Join(d.Reasons, "\n") {
			t.Errorf("%s: Decide says %s %q, Explain %s %q", name, action, reasons, d.Action, d.Reasons)
		}
	}
}

func TestModes_refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, says string }{
		"unknown-mode":  {"modes:\n  - scope: a/**\n    mode: off\n", `mine.yaml:4:11: modes: mode is "off": use enforce, warn or monitor`},
		"no-scope":      {"modes:\n  - {mode: warn}\n", "is no pattern of names"},
		"a-url":         {"modes:\n  - {scope: \"https://a/**\", mode: warn}\n", "is no pattern of names"},
		"a-digest":      {"modes:\n  - {scope: \"a/b@sha256:00\", mode: warn}\n", "is no pattern of names"},
		"a-bad-glob":    {"modes:\n  - {scope: \"a/[b\", mode: warn}\n", "is no pattern of names"},
		"alternatives":  {"modes:\n  - {scope: \"a/" + strings.Repeat("{a,a}", 60) + "\", mode: warn}\n", "is no pattern of names"},
		"never-reached": {"modes:\n  - {scope: a/**, mode: warn}\n  - {scope: a/b, mode: monitor}\n", `mine.yaml:4:13: modes: scope "a/b" is never reached: the one at number 1, "a/**", fits first`},
		"many":          {"modes:\n" + strings.Repeat("  - {scope: a, mode: warn}\n", 65), "more than 64"},
		"long-reason":   {"modes:\n  - {scope: a, mode: warn, reason: " + strings.Repeat("x", 161) + "}\n", "more than 160"},
		"contact":       {"contact: \"a\\nb\"\n", "mine.yaml:2:10: contact must be one printable line"},
		"least-group":   {"atLeast:\n  nothing: {weak: warn}\n", `mine.yaml:3:12: atLeast: group "nothing" is not one of groups`},
		"least-falls":   {"atLeast:\n  name: {weak: quarantine, strong: warn}\n", `mine.yaml:3:36: atLeast: name: strong is "warn"`},
		"least-allows":  {"atLeast:\n  name: {weak: allow}\n", "use warn, quarantine or block"},
		"unknown-key":   {"thresholds:\n  warm: 3\n", `mine.yaml:3:3: unknown key "warm"`},
		"more-rules":    {"moreRules:\n  - {name: one, action: warn, because: x, when: allowed}\n  - {name: two, action: allow, because: x, when: allowed}\n", "mine.yaml:4:25: rule two: action is"},
	} {
		if _, err := shipped(t).Override("mine.yaml", strings.NewReader("version: 1\n"+tt.body)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

// TestStrict: the strict policy is never milder than the shipped one, and holds what that only warns of.
func TestStrict(t *testing.T) {
	t.Parallel()
	usual, strict := shipped(t), named(t, "strict")
	known := func(findings ...trust.Finding) trust.Evidence {
		e := under("acme/app", findings...)
		e.Vouched = []string{"a verified publisher"}
		return e
	}
	silent := known()
	silent.Unanswered = map[string]string{"publisher": "no answer within 2s"}
	for name, tt := range map[string]struct {
		evidence      trust.Evidence
		usual, strict trust.Action
	}{
		"nothing":              {known(), trust.Allow, trust.Allow},
		"nobody-knows-it":      {under("acme/app"), trust.Warn, trust.Quarantine},
		"reputation-is-silent": {silent, trust.Warn, trust.Quarantine},
		"weak-pool":            {known(set("pool", trust.Weak)), trust.Allow, trust.Warn},
		"tuned-database":       {known(runs("tuning", trust.Weak)), trust.Allow, trust.Warn},
		"strong-pool":          {known(find("pool", trust.Strong)), trust.Warn, trust.Quarantine},
		"hidden-miner":         {known(hidden("algorithm", trust.Proof)), trust.Quarantine, trust.Block},
		"look-alike":           {known(find("look-alike", trust.Strong)), trust.Warn, trust.Quarantine},
		"malware":              {known(find("clamav", trust.Strong)), trust.Quarantine, trust.Block},
		"weak-signs-by-number": {known(set("pool", trust.Weak), set("wallet", trust.Weak), set("download", trust.Weak), set("tuning", trust.Weak), set("packed", trust.Weak)), trust.Warn, trust.Quarantine},
	} {
		a, _ := usual.Decide(tt.evidence)
		b, reasons := strict.Decide(tt.evidence)
		if a != tt.usual || b != tt.strict {
			t.Errorf("%s: %s, strict %s, want %s, %s: %q", name, a, b, tt.usual, tt.strict, reasons)
		}
	}
}
