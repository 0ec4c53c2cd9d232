package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

func withCondition(t testing.TB, when string) (*policy.Policy, error) {
	t.Helper()
	return withConditionOn(shipped(t), when)
}

// withConditionOn is faster, where there are many.
func withConditionOn(base *policy.Policy, when string) (*policy.Policy, error) {
	return base.Override("mine.yaml", strings.NewReader(fmt.Sprintf(
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
		`layers >= 0`: true,
		`2 <= layers`: false,
		// One that fails while it is evaluated holds: unknown is not clean.
		`1 / (size(registry) - 9) == 1`: true,
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
		`findings.exists(f, f.strength >= "strong")`:           "no matching overload",
		`nothing == 1`:                                         "undeclared reference",
		`layers`:                                               "must be true or false",
		`registry ==`:                                          "mine.yaml:7:23: rule own: when: Syntax error: mismatched input",
		`layers == 3`:                                          absence,
		`layers < 3 || allowed`:                                absence,
		`findings.exists(f, f.strength > layers)`:              absence,
		strings.Repeat("allowed && ", 200) + "allowed":         "more than 1000 bytes",
	} {
		if _, err := withCondition(t, when); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "mine.yaml:7:") || !strings.Contains(err.Error(), "rule own") {
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
	base := shipped(t)
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		when := atoms[rng.IntN(len(atoms))]
		for range rng.IntN(4) {
			when = fmt.Sprintf("(%s) %s %s", when, []string{"&&", "||"}[rng.IntN(2)], atoms[rng.IntN(len(atoms))])
		}
		p, err := withConditionOn(base, when)
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
	loud.Unanswered, loud.Layers = map[string]string{"config": "odd"}, []digest.Digest{"sha256:aa", "sha256:bb"}
	base := shipped(f)
	f.Fuzz(func(t *testing.T, when string) {
		p, err := withConditionOn(base, when)
		if err != nil {
			return
		}
		a, _ := p.Decide(quiet)
		if b, _ := p.Decide(loud); b.Severity() < a.Severity() {
			t.Errorf("%s: %s, and with more evidence %s", when, a, b)
		}
	})
}

// TestConditions_thatBlock: a rule that blocks may ask for a weak sign by name, and count those that are strong; never weak
// ones by their number.
func TestConditions_thatBlock(t *testing.T) {
	t.Parallel()
	for when, refused := range map[string]bool{
		`findings.exists(f, f.check == "pool" && f.strength >= weak)`:              false,
		`size(findings.filter(f, f.strength >= strong && f.group != "name")) >= 2`: false,
		`size(findings.filter(f, f.group == "name" && strong <= f.strength)) >= 2`: false,
		`size(findings.filter(f, f.strength > weak)) >= 2`:                         false,
		`size(findings.filter(f, f.strength == proof || weak < f.strength)) >= 2`:  false,
		`size(findings.filter(f, f.strength >= 2)) >= 2 || size(unanswered) >= 3`:  false,
		`layers >= 100`:       false,
		`size(findings) >= 5`: true,
		`findings.size() > 4`: true,
		`allowed || size(findings.filter(f, f.strength >= weak)) >= 2`:                         true,
		`size(findings.filter(f, f.strength >= strong || f.reach == "runs")) >= 2`:             true,
		`size(findings.filter(f, f.strength >= context)) >= 2`:                                 true,
		`size(findings.filter(f, !(f.strength >= strong))) >= 2`:                               true,
		`size(findings.filter(f, f.strength < strong)) >= 2`:                                   true,
		`size(findings.filter(f, f.check == "pool" ? f.strength >= strong : true)) >= 2`:       true,
		`size(findings.filter(strong, strong.strength >= 2)) >= 2`:                             false,
		`size(findings.filter(weak, weak.strength > weak.strength)) >= 2`:                      true,
		`size(findings.filter(f, f.strength >= size(repository))) >= 2`:                        true,
		`size(findings.filter(f, f.check == "a")) >= 1 && findings.exists(f, f.strength >= 2)`: true,
	} {
		_, err := shipped(t).Override("mine.yaml", strings.NewReader(fmt.Sprintf(
			"version: 1\nrules:\n  - {name: own, action: block, because: the condition holds, when: %q}\n", when)))
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "weak signs never block by their number alone") {
			t.Errorf("%s: %v, refused should be %t", when, err, refused)
		}
	}
}
