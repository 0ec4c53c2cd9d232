package policy_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

func shipped(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.Load("default.yaml", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func find(check string, strength trust.Strength) trust.Finding {
	return trust.Finding{Check: check, Strength: strength, Layer: "sha256:0123456789abcdef", Path: "opt/" + check, Why: "why " + check}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		evidence trust.Evidence
		want     trust.Action
		reasons  []string
	}{
		"nothing-found": {want: trust.Allow},
		"context-only":  {evidence: trust.Evidence{Findings: []trust.Finding{find("a", trust.Context)}}, want: trust.Allow},
		"one-weak":      {evidence: trust.Evidence{Findings: []trust.Finding{find("a", trust.Weak)}}, want: trust.Allow},
		"many-weak-never-do-more-than-warn": {
			evidence: trust.Evidence{Findings: []trust.Finding{find("a", trust.Weak), find("b", trust.Weak), find("c", trust.Weak), find("d", trust.Weak), find("e", trust.Weak)}},
			want:     trust.Warn,
			reasons: []string{
				"why a (opt/a in layer sha256:0123456789ab)", "why b (opt/b in layer sha256:0123456789ab)", "why c (opt/c in layer sha256:0123456789ab)",
				"why d (opt/d in layer sha256:0123456789ab)", "why e (opt/e in layer sha256:0123456789ab)",
			},
		},
		"same-check-counts-once": {
			evidence: trust.Evidence{Findings: []trust.Finding{find("a", trust.Strong), find("a", trust.Strong), find("a", trust.Weak)}},
			want:     trust.Warn, reasons: []string{"why a (opt/a in layer sha256:0123456789ab)"},
		},
		"strong-and-weak": {
			evidence: trust.Evidence{Findings: []trust.Finding{find("b", trust.Weak), find("a", trust.Strong)}},
			want:     trust.Quarantine, reasons: []string{"why a (opt/a in layer sha256:0123456789ab)", "why b (opt/b in layer sha256:0123456789ab)"},
		},
		"two-strong": {
			evidence: trust.Evidence{Findings: []trust.Finding{find("b", trust.Strong), find("a", trust.Strong)}},
			want:     trust.Block, reasons: []string{"why a (opt/a in layer sha256:0123456789ab)", "why b (opt/b in layer sha256:0123456789ab)"},
		},
		"proof": {
			evidence: trust.Evidence{Findings: []trust.Finding{{Check: "a", Strength: trust.Proof, Kind: trust.KindConfig, Path: "config:env", Why: "why"}}},
			want:     trust.Block, reasons: []string{"why (config:env)"},
		},
		"a-strength-of-the-future-is-proof": {evidence: trust.Evidence{Findings: []trust.Finding{find("a", 9)}}, want: trust.Block, reasons: []string{"why a (opt/a in layer sha256:0123456789ab)"}},
		"unanswered":                        {evidence: trust.Evidence{Unanswered: map[string]string{"layer 1": "limit", "config": "odd"}}, want: trust.Quarantine, reasons: []string{"unanswered: config: odd", "unanswered: layer 1: limit"}},
		"integrity":                         {evidence: trust.Evidence{Integrity: []string{"lies"}}, want: trust.Block, reasons: []string{"lies"}},
		"unanswered-never-lowers-a-block": {
			evidence: trust.Evidence{Integrity: []string{"lies"}, Unanswered: map[string]string{"config": "odd"}},
			want:     trust.Block, reasons: []string{"lies", "unanswered: config: odd"},
		},
		"denied": {
			evidence: trust.Evidence{Standing: trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/x/**", Action: "deny", Reason: "known", List: "my.yaml", Line: 3}}},
			want:     trust.Block, reasons: []string{"trust list denies docker.io/x/** (my.yaml, line 3): known"},
		},
		"allowed-by-name-but-mining": {
			evidence: trust.Evidence{
				Standing: trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/x/**", Action: "allow"}},
				Findings: []trust.Finding{find("a", trust.Proof)},
			},
			want: trust.Block, reasons: []string{"why a (opt/a in layer sha256:0123456789ab)"},
		},
	}
	p := shipped(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action, reasons := p.Decide(tt.evidence)
			if action != tt.want {
				t.Errorf("action = %s, want %s", action, tt.want)
			}
			if diff := cmp.Diff(tt.reasons, reasons); diff != "" {
				t.Errorf("reasons:\n%s", diff)
			}
		})
	}
}

func TestLoad_refuses(t *testing.T) {
	t.Parallel()
	good := string(configs.DefaultPolicy())
	tests := map[string]struct{ from, to, says string }{
		"unknown-key":          {"weakTogether", "weekTogether", `my.yaml:16: unknown key "weekTogether"`},
		"other-version":        {"version: 1", "version: 2", "reads version 1"},
		"proof-does-not-block": {"proof: 90", "proof: 80", "proof must block"},
		"falling-points":       {"weak: 15", "weak: 50", "points must rise"},
		"falling-thresholds":   {"quarantine: 60", "quarantine: 20", "thresholds must rise"},
		"zero-threshold":       {"warn: 30", "warn: 0", "thresholds must rise"},
		"unanswered-allowed":   {"\nunanswered: quarantine", "\nunanswered: allow", "unknown is not clean"},
		"unanswered-missing":   {"\nunanswered: quarantine", "", "unknown is not clean"},
		"weak-cap":             {"weakTogether: 30", "weakTogether: 10", "less than one weak"},
		"not-a-number":         {"warn: 30", "warn: many", "my.yaml:20: cannot unmarshal"},
		"two-documents":        {"version: 1", "version: 1\n---\nversion: 1", ""},
		"empty":                {good, "", "my.yaml: the file is empty"},
		"too-large":            {"version: 1", "version: 1 #" + strings.Repeat("x", 300<<10), "more than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := strings.Replace(good, tt.from, tt.to, 1)
			if _, err := policy.Load("my.yaml", strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "my.yaml") {
				t.Errorf("got %v, want an error that names the file and says %q", err, tt.says)
			}
		})
	}
}

func TestDigest_followsTheContent(t *testing.T) {
	t.Parallel()
	a := shipped(t)
	b, err := policy.Load("b", strings.NewReader("# a comment changes nothing\n"+string(configs.DefaultPolicy())))
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.Load("c", strings.NewReader(strings.Replace(string(configs.DefaultPolicy()), "warn: 30", "warn: 31", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest() != b.Digest() || a.Digest() == c.Digest() {
		t.Errorf("digests %s, %s, %s: want the first two alike and the third different", a.Digest(), b.Digest(), c.Digest())
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(configs.DefaultPolicy())
	f.Add([]byte("version: 1\npoints: [1]\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := policy.Load("fuzz", bytes.NewReader(body))
		if err != nil {
			return
		}
		if a, _ := p.Decide(trust.Evidence{Findings: []trust.Finding{find("a", trust.Proof)}}); a != trust.Block {
			t.Errorf("a policy that loads lets proof through: %s", a)
		}
		if a, _ := p.Decide(trust.Evidence{Unanswered: map[string]string{"config": "odd"}}); a.Serves() {
			t.Errorf("a policy that loads lets unknown through: %s", a)
		}
	})
}
