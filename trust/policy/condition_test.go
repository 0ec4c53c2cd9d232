package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

func withCondition(t testing.TB, when string) (*policy.Policy, error) {
	t.Helper()
	return shipped(t).Override("mine.yaml", strings.NewReader(fmt.Sprintf(
		"version: 1\nunknownName: allow\nrules:\n  - name: own\n    action: quarantine\n    because: the condition holds\n    when: %q\n", when)))
}

func TestConditions(t *testing.T) {
	t.Parallel()
	e := under("acme/app", runs("pool", trust.Weak), find("stealth", trust.Strong))
	e.Unanswered, e.Platform = map[string]string{"publisher": "late"}, "linux/amd64"
	for when, holds := range map[string]bool{
		`registry == "docker.io" && publisher.startsWith("docker.io/acme")`: true,
		`registry == "ghcr.io"`: false,
		`findings.exists(f, f.group == "protocol" && f.reach == "runs")`: true,
		`findings.exists(f, f.check == "pool" && f.strength >= strong)`:  false,
		`size(findings) >= 2`:                                                     true,
		`findings.size() > 2`:                                                     false,
		`2 <= size(findings.filter(f, f.strength >= weak))`:                       true,
		`size(findings.filter(f, f.strength >= strong)) >= 2`:                     false,
		`!allowed && !vouched && findings.exists(f, f.class == "")`:               true,
		`allowed || unanswered.exists(q, q == "publisher")`:                       true,
		`platform == "linux/amd64" && findings.exists(f, !(f.reach == "hidden"))`: true,
		`layers == 0`: true,
		// One that fails while it is evaluated holds: unknown is not clean.
		`1 / layers == 1`: true,
	} {
		p, err := withCondition(t, when)
		if err != nil {
			t.Errorf("%s: %v", when, err)
			continue
		}
		_, reasons := p.Decide(e)
		if got := strings.Contains(strings.Join(reasons, "\n"), "the condition holds: rule own, quarantine"); got != holds {
			t.Errorf("%s: %t, want %t: %q", when, got, holds, reasons)
		}
	}
}

func TestConditions_refused(t *testing.T) {
	t.Parallel()
	const absence = "more evidence must never let more through"
	for when, says := range map[string]string{
		`findings.all(f, f.strength < strong)`:                 absence,
		`!findings.exists(f, f.check == "pool")`:               absence,
		`size(findings) == 0`:                                  absence,
		`size(findings) < 3`:                                   absence,
		`0 >= size(findings)`:                                  absence,
		`findings.exists_one(f, f.check == "pool")`:            absence,
		`findings == []`:                                       absence,
		`findings[0].check == "pool"`:                          absence,
		`size(findings) >= size(unanswered)`:                   absence,
		`allowed ? size(findings) >= 1 : true`:                 absence,
		`findings.exists(f, size(findings) < 2)`:               absence,
		`findings.exists(f, unanswered.all(q, q != f.check))`:  absence,
		`findings.map(f, f.check).exists(c, c == "pool")`:      absence,
		`[1].exists(x, size(findings) < 1)`:                    absence,
		`size(findings.filter(f, size(unanswered) == 0)) >= 1`: absence,
		`findings.exists(f, f.chek == "pool")`:                 "undefined field 'chek'",
		`findings.exists(f, f.strength >= "strong")`:           "column",
		`nothing == 1`:                                         "undeclared reference",
		`layers`:                                               "must be true or false",
		`registry ==`:                                          "column",
		strings.Repeat("allowed && ", 200) + "allowed":         "more than 1000 bytes",
	} {
		if _, err := withCondition(t, when); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "mine.yaml:7:11: rule own") {
			t.Errorf("%s: %v, want %q", when, err, says)
		}
	}
}

// TestConditions_areMonotone: a condition that is accepted never stops to hold when evidence is added.
func TestConditions_areMonotone(t *testing.T) {
	t.Parallel()
	atoms := []string{
		`findings.exists(f, f.check == "pool" && f.strength >= weak)`, `size(findings.filter(f, f.reach == "runs")) >= 2`, `allowed`, `!vouched`,
		`unanswered.exists(q, q.startsWith("layer"))`, `size(findings) > 3`, `registry == "docker.io"`, `findings.exists(f, f.group != "name")`,
	}
	checks := []string{"pool", "wallet", "look-alike", "stealth"}
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		when := atoms[rng.IntN(len(atoms))]
		for range rng.IntN(4) {
			when = fmt.Sprintf("(%s) %s %s", when, []string{"&&", "||"}[rng.IntN(2)], atoms[rng.IntN(len(atoms))])
		}
		p, err := withCondition(t, when)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		e, before := under("acme/app"), false
		for range 10 {
			if rng.IntN(4) == 0 {
				e.Unanswered = map[string]string{"layer 1": "limit"}
			}
			f := find(checks[rng.IntN(len(checks))], trust.Strength(rng.IntN(3)))
			f.Reach = []trust.Reach{"", trust.ReachRuns, trust.ReachHidden}[rng.IntN(3)]
			e.Findings = append(e.Findings, f)
			_, reasons := p.Decide(e)
			holds := strings.Contains(strings.Join(reasons, "\n"), "rule own")
			if before && !holds {
				t.Fatalf("seed %d: %s stopped to hold with %+v", seed, when, f)
			}
			before = holds
		}
	}
}

func FuzzCondition(f *testing.F) {
	f.Add(`findings.exists(f, f.strength >= strong)`)
	f.Add(`size(unanswered) >= 1 && !allowed`)
	f.Add(`[[[`)
	quiet, loud := under("acme/app"), under("acme/app", runs("pool", trust.Strong), hidden("wallet", trust.Weak))
	loud.Unanswered = map[string]string{"config": "odd"}
	f.Fuzz(func(t *testing.T, when string) {
		p, err := withCondition(t, when)
		if err != nil {
			return
		}
		a, _ := p.Decide(quiet)
		if b, _ := p.Decide(loud); b.Severity() < a.Severity() {
			t.Errorf("%s: %s, and with more evidence %s", when, a, b)
		}
	})
}
