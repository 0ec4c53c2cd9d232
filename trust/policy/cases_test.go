package policy_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

const caseText = `version: 1
cases:
  - name: a miner that starts with the image
    image: acme/app:1
    findings:
      - {check: minerbinary, strength: proof, reach: runs}
    verdict: block
    rule: miner-runs
  - name: a node
    image: acme/node:1
    vouched: true
    findings: [{check: algorithm, strength: proof, reach: runs, class: node}]
    verdict: warn
    rule: node
  - name: what nobody answered
    allowed: true
    unanswered: [config]
    verdict: quarantine
  - name: a lie
    integrity: [it lies]
    verdict: block
  - name: a name that is denied
    image: acme/app
    denied: true
    verdict: block
`

func TestCases(t *testing.T) {
	t.Parallel()
	cases, err := policy.LoadCases("cases.yaml", strings.NewReader(caseText))
	if err != nil || len(cases) != 5 || cases[1].Line != 9 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	p, monitoring := shipped(t), named(t, "monitor")
	for _, c := range cases {
		if d, wrong := p.Try(c); wrong != "" {
			t.Errorf("%s: %s: %q", c.Name, wrong, d.Reasons)
		}
	}
	if _, wrong := monitoring.Try(cases[0]); wrong != "warn, want block" {
		t.Errorf("monitored: %q", wrong)
	}
	c := cases[0]
	c.Want, c.Called = trust.Warn, trust.Block
	if _, wrong := monitoring.Try(c); wrong != "" {
		t.Errorf("monitored, as wanted: %q", wrong)
	}
	if c.Called = trust.Quarantine; true {
		if _, wrong := monitoring.Try(c); wrong != `"block" was called for, want quarantine` {
			t.Errorf("%q", wrong)
		}
	}
	c = cases[0]
	c.Rule = "node"
	if _, wrong := p.Try(c); wrong != "rule node is not among the reasons" {
		t.Errorf("%q", wrong)
	}
}

func TestCases_refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, says string }{
		"empty":         {"", "the file is empty"},
		"version":       {"version: 2\ncases: [{name: a, verdict: warn}]\n", "reads version 1"},
		"no-cases":      {"version: 1\n", "there are no cases"},
		"unknown-key":   {"version: 1\ncases:\n  - name: a\n    verdikt: warn\n", `c.yaml:4:5: unknown key "verdikt"`},
		"top-key":       {"version: 1\ncase: []\n", `c.yaml:2:1: unknown key "case"`},
		"no-name":       {"version: 1\ncases: [{verdict: warn}]\n", "needs a name"},
		"no-verdict":    {"version: 1\ncases: [{name: a}]\n", "verdict is missing"},
		"odd-verdict":   {"version: 1\ncases: [{name: a, verdict: maybe}]\n", `unknown action "maybe"`},
		"no-strength":   {"version: 1\ncases: [{name: a, verdict: warn, findings: [{check: x}]}]\n", "needs a check and a strength"},
		"odd-reach":     {"version: 1\ncases: [{name: a, verdict: warn, findings: [{check: x, strength: weak, reach: far}]}]\n", `reach is "far"`},
		"odd-class":     {"version: 1\ncases: [{name: a, verdict: warn, findings: [{check: x, strength: weak, class: far}]}]\n", `class is "far"`},
		"odd-image":     {"version: 1\ncases: [{name: a, verdict: warn, image: \"A B\"}]\n", "c.yaml:2:9: "},
		"both":          {"version: 1\ncases: [{name: a, verdict: warn, allowed: true, denied: true}]\n", "not both"},
		"many":          {"version: 1\ncases:\n" + strings.Repeat("  - {name: a, verdict: warn}\n", 1001), "more than 1000"},
		"many-findings": {"version: 1\ncases: [{name: a, verdict: warn, unanswered: [" + strings.Repeat("x,", 257) + "]}]\n", "more than 256"},
		"large":         {"version: 1 #" + strings.Repeat("x", 300<<10), "more than"},
	} {
		if _, err := policy.LoadCases("c.yaml", strings.NewReader(tt.body)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

// TestAgain: evidence is decided again under other lists as far as it goes, and what it does not tell is said.
func TestAgain(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	allow := trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/acme/**", Action: "allow"}}
	deny := trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/acme/**", Action: "deny"}}
	waive := trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/acme/**", Action: "allow", SkipInspection: true}}
	imitates := under("acme/app", find("look-alike", trust.Strong))
	imitates.Unanswered = map[string]string{"publisher": "late"}
	denied, waived, stopped := under("acme/app"), under("acme/app"), under("acme/app", set("wallet", trust.Weak))
	denied.Standing, denied.NotAsked = deny, map[string]string{"manifest": "denied"}
	waived.Standing, waived.NotAsked = allow, map[string]string{"look-alike": "allowed"}
	stopped.NotAsked = map[string]string{"layer 1": "blocked", "layer 2": "blocked", "layer 3": "blocked", "layer 4": "blocked"}
	odd := under("acme/app", runs("a", trust.Proof))
	odd.Unanswered = map[string]string{"layer 1": "limit", "what runs": "limit"}
	signer := &trust.Signer{Identity: "release@acme.example", Issuer: "https://issuer.example"}
	signed := trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/acme/**", Action: "allow", RequireSignature: signer}}
	wrong, uncertain := under("acme/app"), under("acme/app")
	wrong.Standing, wrong.Answered = signed, []string{"signature"}
	wrong.Standing.Unmet = []string{"the entry docker.io/acme/** requires a signature: nobody signed it"}
	uncertain.Standing, uncertain.Unanswered = signed, map[string]string{"signature": "only the proxy can check"}
	nothing := under("acme/app")
	nothing.NotAsked = map[string]string{"publisher": "this registry tells nothing"}
	for name, tt := range map[string]struct {
		evidence trust.Evidence
		standing trust.Standing
		want     trust.Action
		open     string
	}{
		"signature-still-wrong":   {wrong, signed, trust.Quarantine, ""},
		"signature-still-unknown": {uncertain, signed, trust.Quarantine, ""},
		"signature-not-required":  {uncertain, allow, trust.Allow, ""},
		"signature-newly-wanted":  {under("acme/app"), signed, trust.Allow, "who signed it was not asked for at that time"},
		"no-question":             {nothing, trust.Standing{}, trust.Warn, ""},
		"the-same":                {imitates, trust.Standing{}, trust.Warn, ""},
		"newly-allowed":           {imitates, allow, trust.Allow, ""},
		"newly-denied":            {imitates, deny, trust.Block, ""},
		"no-longer-denied":        {denied, trust.Standing{}, trust.Warn, "it was denied and never inspected"},
		"no-longer-allowed":       {waived, trust.Standing{}, trust.Warn, "not asked at that time: look-alike"},
		"still-allowed":           {waived, allow, trust.Allow, ""},
		"was-stopped-early":       {stopped, trust.Standing{}, trust.Warn, "not asked at that time: layer 1, layer 2, layer 3 and more"},
		"still-blocked":           {odd, allow, trust.Block, ""},
		"inspection-newly-waived": {odd, waive, trust.Allow, ""},
	} {
		v := trust.Verdict{Evidence: tt.evidence, Action: trust.Quarantine, Decision: &trust.Decision{}}
		if name == "was-stopped-early" {
			v.Action = trust.Block
		}
		d, open := p.Again(v, tt.standing)
		if d.Action != tt.want || open != tt.open {
			t.Errorf("%s: %s, %q, want %s, %q: %q", name, d.Action, open, tt.want, tt.open, d.Reasons)
		}
	}
}

// TestAgain_whatCannotBe: evidence that says less than it might is said.
func TestAgain_whatCannotBe(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	old := trust.Verdict{Evidence: under("acme/app"), Action: trust.Warn}
	if _, open := p.Again(old, trust.Standing{}); !strings.Contains(open, "older safepull") {
		t.Errorf("without a decision: %q", open)
	}
	old.Decision, old.Passing = &trust.Decision{}, true
	if _, open := p.Again(old, trust.Standing{}); !strings.Contains(open, "may pass") {
		t.Errorf("passing: %q", open)
	}
	monitored := trust.Verdict{Evidence: under("acme/app"), Action: trust.Warn, Decision: &trust.Decision{Called: trust.Block}}
	monitored.Evidence.NotAsked = map[string]string{"layer 2": "blocked already"}
	if _, open := p.Again(monitored, trust.Standing{}); open != "not asked at that time: layer 2" {
		t.Errorf("blocked but for the mode: %q", open)
	}
}

func FuzzLoadCases(f *testing.F) {
	f.Add([]byte(caseText))
	f.Add([]byte("version: 1\ncases: [{name: a, verdict: warn, findings: [{check: x, strength: weak}]}]\n"))
	p := shipped(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		cases, err := policy.LoadCases("fuzz.yaml", bytes.NewReader(body))
		if err != nil {
			return
		}
		for _, c := range cases {
			if d, wrong := p.Try(c); wrong == "" && d.Action != c.Want {
				t.Errorf("%s is as wanted with %s, want %s", c.Name, d.Action, c.Want)
			}
		}
	})
}
