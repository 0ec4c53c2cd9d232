package policy_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

func shipped(t testing.TB) *policy.Policy {
	t.Helper()
	p, err := policy.Load("default.yaml", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// find is a finding in a file that nobody placed.
func find(check string, strength trust.Strength) trust.Finding {
	return trust.Finding{Check: check + "@1", Strength: strength, Layer: "sha256:0123456789abcdef", Path: "opt/" + check, Why: "shows " + check}
}

// runs is a finding in a file that the image runs.
func runs(check string, strength trust.Strength) trust.Finding {
	f := find(check, strength)
	f.Reach = trust.ReachRuns
	return f
}

func hidden(check string, strength trust.Strength) trust.Finding {
	f := find(check, strength)
	f.Reach = trust.ReachHidden
	return f
}

// set is a finding in the image's configuration.
func set(check string, strength trust.Strength) trust.Finding {
	return trust.Finding{Check: check + "@1", Strength: strength, Kind: trust.KindConfig, Path: "config:env", Why: "shows " + check}
}

func classed(class trust.Class, f trust.Finding) trust.Finding {
	f.Class = class
	return f
}

func found(findings ...trust.Finding) trust.Evidence { return trust.Evidence{Findings: findings} }

func TestDecide(t *testing.T) {
	t.Parallel()
	const at = " in layer sha256:0123456789ab"
	allowed := trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/x/**", Action: "allow"}}
	tests := map[string]struct {
		evidence trust.Evidence
		want     trust.Action
		reasons  []string
	}{
		"nothing-found": {want: trust.Allow},
		"context-only":  {evidence: found(find("a", trust.Context)), want: trust.Allow},
		"one-weak":      {evidence: found(set("a", trust.Weak)), want: trust.Allow},
		"many-weak-never-do-more-than-warn": {
			evidence: found(set("a", trust.Weak), set("b", trust.Weak), set("c", trust.Weak), set("d", trust.Weak)),
			want:     trust.Warn,
			reasons: []string{
				"shows a (config:env, runs): a 15, weak", "shows b (config:env, runs): b 15, weak",
				"shows c (config:env, runs): c 15, weak", "shows d (config:env, runs): d 15, weak",
				"30 points together, of which the weak ones at most 30: warn begins at 30",
			},
		},
		"same-check-counts-once": {
			evidence: found(find("a", trust.Strong), find("a", trust.Strong), find("a", trust.Weak)),
			want:     trust.Warn,
			reasons:  []string{"shows a (opt/a" + at + "): a 31.5, strong", "31.5 points together: warn begins at 30"},
		},
		"same-group-counts-little-more-than-once": {
			evidence: found(runs("stealth", trust.Strong), runs("packed", trust.Strong), runs("packed", trust.Strong)),
			want:     trust.Warn,
			reasons: []string{
				"shows packed (opt/packed" + at + ", runs): hiding 58.5, strong, with stealth (opt/stealth" + at + ", runs)",
				"58.5 points together: warn begins at 30",
			},
		},
		"different-groups-add-up": {
			evidence: found(runs("tuning", trust.Strong), runs("wallet", trust.Strong)),
			want:     trust.Block,
			reasons: []string{
				"shows tuning (opt/tuning" + at + ", runs): host 45, strong", "shows wallet (opt/wallet" + at + ", runs): identity 45, strong",
				"90 points together: block begins at 90",
			},
		},
		"reach-makes-the-difference": {
			evidence: found(hidden("stratum", trust.Strong), hidden("wallet", trust.Strong)),
			want:     trust.Warn,
			reasons: []string{
				"shows wallet (opt/wallet" + at + ", hidden by a later layer): identity 22.5, strong",
				"shows stratum (opt/stratum" + at + ", hidden by a later layer): protocol 22.5, strong",
				"45 points together: warn begins at 30",
			},
		},
		"proof-that-nothing-runs": {
			evidence: found(hidden("a", trust.Proof)), want: trust.Quarantine,
			reasons: []string{
				"it holds a sign that is proof by itself, though nothing known runs it: shows a (opt/a" + at + ", hidden by a later layer): rule proof, quarantine",
				"shows a (opt/a" + at + ", hidden by a later layer): a 45, proof", "45 points together: warn begins at 30",
			},
		},
		"proof-that-runs": {
			evidence: found(set("a", trust.Proof)), want: trust.Block,
			reasons: []string{"shows a (config:env, runs): a 90, proof", "90 points together: block begins at 90"},
		},
		"a-strength-of-the-future-is-proof": {
			evidence: found(runs("a", 9)), want: trust.Block,
			reasons: []string{"shows a (opt/a" + at + ", runs): a 90, strength(9)", "90 points together: block begins at 90"},
		},
		"a-reach-of-the-future-runs": {
			evidence: found(trust.Finding{Check: "a@1", Strength: trust.Proof, Reach: "sings", Path: "opt/a", Layer: "sha256:0123456789abcdef", Why: "shows a"}), want: trust.Block,
			reasons: []string{"shows a (opt/a" + at + ", runs): a 90, proof", "90 points together: block begins at 90"},
		},
		"opaque-that-runs": {
			evidence: found(classed(trust.ClassOpaque, runs("packed", trust.Context))), want: trust.Quarantine,
			reasons: []string{"what it runs is packed or encrypted so that nobody can see what it is: shows packed (opt/packed" + at + ", runs): rule opaque-runs, quarantine"},
		},
		"opaque-that-lies-there": {evidence: found(classed(trust.ClassOpaque, find("packed", trust.Weak))), want: trust.Allow},
		"unanswered": {
			evidence: trust.Evidence{Unanswered: map[string]string{"layer 1": "limit", "config": "odd"}}, want: trust.Quarantine,
			reasons: []string{"unanswered: config: odd", "unanswered: layer 1: limit"},
		},
		"integrity": {evidence: trust.Evidence{Integrity: []string{"lies"}}, want: trust.Block, reasons: []string{"lies"}},
		"unanswered-never-lowers-a-block": {
			evidence: trust.Evidence{Integrity: []string{"lies"}, Unanswered: map[string]string{"config": "odd"}},
			want:     trust.Block, reasons: []string{"lies", "unanswered: config: odd"},
		},
		"denied": {
			evidence: trust.Evidence{Standing: trust.Standing{Decided: &trust.Entry{Pattern: "docker.io/x/**", Action: "deny", Reason: "known", List: "my.yaml", Line: 3}}},
			want:     trust.Block, reasons: []string{"trust list denies docker.io/x/** (my.yaml, line 3): known"},
		},
		"a-condition-of-the-entry-is-not-met": {
			evidence: trust.Evidence{Standing: trust.Standing{
				Decided: &trust.Entry{Pattern: "docker.io/x/**", Action: "allow", Owner: "ops"}, Unmet: []string{"it is another digest"},
			}},
			want: trust.Quarantine, reasons: []string{"trust list: it is another digest (ask ops)"},
		},
		"allowed-name-weakens-weak-signs": {
			evidence: trust.Evidence{Standing: allowed, Findings: []trust.Finding{set("a", trust.Weak), set("b", trust.Weak)}}, want: trust.Allow,
		},
		"allowed-name-weakens-nothing-else": {
			evidence: trust.Evidence{Standing: allowed, Findings: []trust.Finding{runs("a", trust.Strong), runs("b", trust.Strong)}}, want: trust.Block,
			reasons: []string{
				"shows a (opt/a" + at + ", runs): a 45, strong", "shows b (opt/b" + at + ", runs): b 45, strong",
				"90 points together: block begins at 90",
			},
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

// TestDecide_examples are images as people meet them, by what is found in them.
func TestDecide_examples(t *testing.T) {
	t.Parallel()
	node := classed(trust.ClassNode, runs("algorithm", trust.Strong))
	tests := map[string]struct {
		found []trust.Finding
		want  trust.Action
		rule  string
	}{
		"python-script-that-fetches-a-miner": {
			found: []trust.Finding{
				runs("download", trust.Strong), runs("commandline", trust.Strong), runs("stratum", trust.Strong),
				runs("wallet", trust.Strong), runs("anonymizer", trust.Strong), runs("tuning", trust.Weak),
			},
			want: trust.Block, rule: "mines-for-account",
		},
		"the-same-with-a-pool-of-its-own-and-no-wallet": {
			found: []trust.Finding{runs("download", trust.Strong), runs("commandline", trust.Strong), runs("anonymizer", trust.Weak), runs("tuning", trust.Weak)},
			want:  trust.Block, rule: "mines-for-account",
		},
		"the-same-with-the-miner-in-a-layer": {
			found: []trust.Finding{runs("algorithm", trust.Proof), runs("minerbinary", trust.Proof)},
			want:  trust.Block, rule: "miner-runs",
		},
		"an-interpreter":            {want: trust.Allow},
		"a-proxy-through-tor":       {found: []trust.Finding{runs("anonymizer", trust.Weak)}, want: trust.Allow},
		"tools-for-proxies":         {found: []trust.Finding{find("anonymizer", trust.Weak), find("download", trust.Weak)}, want: trust.Allow},
		"an-installer-at-build":     {found: []trust.Finding{find("download", trust.Weak)}, want: trust.Allow},
		"a-node":                    {found: []trust.Finding{node}, want: trust.Warn, rule: "node"},
		"a-node-with-proof":         {found: []trust.Finding{classed(trust.ClassNode, runs("algorithm", trust.Proof))}, want: trust.Warn, rule: "node"},
		"a-node-tuned":              {found: []trust.Finding{node, runs("tuning", trust.Weak)}, want: trust.Warn, rule: "node"},
		"a-node-that-mines":         {found: []trust.Finding{node, set("commandline", trust.Proof), set("wallet", trust.Strong)}, want: trust.Block, rule: "node-mines"},
		"a-node-with-an-account":    {found: []trust.Finding{node, find("wallet", trust.Weak)}, want: trust.Quarantine, rule: "node-with-mining"},
		"a-node-through-tor":        {found: []trust.Finding{node, set("anonymizer", trust.Weak)}, want: trust.Quarantine, rule: "node-with-mining"},
		"a-miner-honestly-labelled": {found: []trust.Finding{runs("minerbinary", trust.Proof), runs("algorithm", trust.Proof)}, want: trust.Block, rule: "miner-runs"},
		"a-miner-nobody-runs":       {found: []trust.Finding{find("minerbinary", trust.Proof)}, want: trust.Quarantine, rule: "proof"},
		"a-miner-beneath-a-layer":   {found: []trust.Finding{hidden("algorithm", trust.Proof)}, want: trust.Quarantine, rule: "proof"},
		"likely-a-miner":            {found: []trust.Finding{runs("minerbinary", trust.Strong)}, want: trust.Quarantine, rule: "likely-miner-runs"},
		"a-scanner-with-its-rules":  {found: []trust.Finding{find("stratum", trust.Context), find("minerbinary", trust.Weak)}, want: trust.Allow},
		"a-database-tuned":          {found: []trust.Finding{runs("tuning", trust.Weak)}, want: trust.Allow},
		"a-server-with-a-hider":     {found: []trust.Finding{runs("stealth", trust.Proof)}, want: trust.Block, rule: "hides-processes"},
		"a-picture-with-a-script":   {found: []trust.Finding{runs("download", trust.Strong), runs("packed", trust.Strong)}, want: trust.Block},
		"a-settings-file-in-use":    {found: []trust.Finding{runs("minerconfig", trust.Strong), set("stratum", trust.Weak)}, want: trust.Block, rule: "mines-for-account"},
		"a-settings-file-alone":     {found: []trust.Finding{find("minerconfig", trust.Strong)}, want: trust.Warn},
		"speaks-to-a-pool":          {found: []trust.Finding{runs("stratum", trust.Strong), runs("pool", trust.Weak)}, want: trust.Quarantine, rule: "speaks-to-pool"},
		"speaks-for-an-account":     {found: []trust.Finding{runs("stratum", trust.Strong), runs("wallet", trust.Weak)}, want: trust.Quarantine, rule: "speaks-to-pool"},
		"a-pools-address-in-data":   {found: []trust.Finding{runs("stratum", trust.Weak), runs("pool", trust.Weak)}, want: trust.Allow},
		"fetches-for-a-pool":        {found: []trust.Finding{runs("download", trust.Strong), set("stratum", trust.Strong)}, want: trust.Block, rule: "fetches-miner-for-pool"},
	}
	p := shipped(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action, reasons := p.Decide(found(tt.found...))
			if action != tt.want {
				t.Errorf("action = %s, want %s: %q", action, tt.want, reasons)
			}
			if tt.rule != "" && (len(reasons) == 0 || !strings.Contains(reasons[0], "rule "+tt.rule+", ")) {
				t.Errorf("%q is not the first reason of %q", tt.rule, reasons)
			}
		})
	}
}

func TestDecide_namesLayersByNumber(t *testing.T) {
	t.Parallel()
	f := hidden("a", trust.Proof)
	f.HiddenBy = 3
	e := found(f)
	e.Layers = []digest.Digest{"sha256:ff", f.Layer, "sha256:ee", f.Layer}
	_, reasons := shipped(t).Decide(e)
	if len(reasons) == 0 || !strings.Contains(reasons[0], "(opt/a in layer 2 sha256:0123456789ab, hidden by layer 3)") {
		t.Errorf("%q", reasons)
	}
}

// TestGroups: every indicator that is shipped stands in a group, so that nobody forgets to think about it.
func TestGroups(t *testing.T) {
	t.Parallel()
	rules, err := configs.Rules()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(rules, ".")
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	p := shipped(t)
	for _, e := range entries {
		check, ok := strings.CutSuffix(e.Name(), ".yaml")
		if ok && p.Group(check) == check {
			t.Errorf("check %q stands in no group of configs/policy/default.yaml", check)
		}
	}
	if g := p.Group("what-a-user-added"); g != "what-a-user-added" {
		t.Errorf("a check in no group is in %q", g)
	}
}
