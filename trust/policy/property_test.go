package policy_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

// anyPolicy is a policy as a user could write one, or nil where loading refuses what chance wrote.
func anyPolicy(t *testing.T, base *policy.Policy, rng *rand.Rand) *policy.Policy {
	t.Helper()
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	actions := []string{"warn", "quarantine", "block"}
	weak := rng.IntN(40)
	strong := weak + rng.IntN(60)
	block := strong + 2 + rng.IntN(100)
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\npoints: {context: %d, weak: %d, strong: %d, proof: %d}\n", rng.IntN(weak+1), weak, strong, block+rng.IntN(50))
	fmt.Fprintf(&b, "thresholds: {warn: %d, quarantine: %d, block: %d}\nweakTogether: %d\n", 1, 2+rng.IntN(block-2), block, weak+rng.IntN(60))
	present := rng.IntN(1001)
	fmt.Fprintf(&b, "reach: {runs: 1, present: %.3f, hidden: %.3f}\nsecond: %.3f\nweakIfAllowed: %.3f\n",
		float64(present)/1000, float64(rng.IntN(present+1))/1000, rng.Float64(), rng.Float64())
	fmt.Fprintf(&b, "unknownName: %s\nunanswered: {content: %s, reputation: %s}\nmoreRules:\n", pick("allow", "warn", "quarantine"), pick("quarantine", "block"), pick(actions...))
	atoms := []string{
		`findings.exists(f, f.check == "pool" && f.strength >= weak)`, `size(findings.filter(f, f.reach == "runs")) >= 2`, `allowed`, `!vouched`, `!allowed`,
		`unanswered.exists(q, q.startsWith("layer"))`, `size(findings) > 3`, `registry == "docker.io"`, `findings.exists(f, f.group != "name" && f.class == "")`,
		`size(findings.filter(f, f.strength >= strong)) >= 2`, `layers >= 3`, `findings.exists(f, 1 / (f.strength - 2) == 1)`, `platform != ""`,
	}
	for i := range rng.IntN(5) {
		fmt.Fprintf(&b, "  - name: own%d\n    action: %s\n    because: chance\n", i, pick(actions...))
		if rng.IntN(2) == 0 {
			fmt.Fprintf(&b, "    all: [{groups: [%s], strength: %s, reach: %s}, {class: %s, strength: context}]\n",
				pick("program", "protocol", "identity", "name"), pick("context", "weak", "strong"), pick("runs", "present", "hidden"), pick("node", "opaque"))
			continue
		}
		when := pick(atoms...)
		for range rng.IntN(3) {
			when = fmt.Sprintf("(%s) %s %s", when, pick("&&", "||"), pick(atoms...))
		}
		fmt.Fprintf(&b, "    when: %q\n", when)
	}
	text := b.String()
	p, err := base.Override("chance.yaml", strings.NewReader(strings.Replace(text, "moreRules:\n", pick("moreRules:\n", "rules:\n"), 1)))
	var wrong *policy.Invalid
	if errors.As(err, &wrong) {
		return nil
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

func anyFinding(rng *rand.Rand, most trust.Strength) trust.Finding {
	checks := []string{"algorithm", "minerbinary", "commandline", "stratum", "pool", "wallet", "campaign", "download", "look-alike", "stealth", "tuning", "own1"}
	f := find(checks[rng.IntN(len(checks))], trust.Strength(rng.IntN(int(most)+1)))
	f.Reach = []trust.Reach{"", trust.ReachRuns, trust.ReachPresent, trust.ReachHidden}[rng.IntN(4)]
	f.Class = []trust.Class{"", "", "", trust.ClassNode, trust.ClassOpaque}[rng.IntN(5)]
	f.Path = fmt.Sprintf("opt/%d", rng.IntN(50))
	return f
}

// anyEvidence is evidence about one image, of which another part may have been seen.
func anyEvidence(rng *rand.Rand, about trust.Evidence, most trust.Strength) trust.Evidence {
	e := about
	e.Unanswered = map[string]string{}
	for range rng.IntN(7) {
		e.Findings = append(e.Findings, anyFinding(rng, most))
	}
	if rng.IntN(5) == 0 {
		e.Unanswered[[]string{"layer 1", "config", "publisher"}[rng.IntN(3)]] = "late"
	}
	if rng.IntN(12) == 0 {
		e.Integrity = []string{"lies"}
	}
	e.Layers = slices.Repeat([]digest.Digest{"sha256:aa"}, rng.IntN(5))
	return e
}

func merged(a, b trust.Evidence) trust.Evidence {
	m := a
	m.Findings = slices.Concat(a.Findings, b.Findings)
	m.Unanswered = maps.Clone(a.Unanswered)
	maps.Copy(m.Unanswered, b.Unanswered)
	m.Integrity = slices.Concat(a.Integrity, b.Integrity)
	if len(b.Layers) > len(m.Layers) {
		m.Layers = b.Layers
	}
	return m
}

// TestProperties holds every policy that can be loaded to what all promise: the order of evidence says nothing, nor does
// how often something was seen; two parts of the evidence together are never milder than either; weak signs never block by
// points; a proof needs no company; what is explained is what was decided.
func TestProperties(t *testing.T) {
	t.Parallel()
	tried, base := 0, shipped(t)
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 11))
		p := anyPolicy(t, base, rng)
		if p == nil {
			continue
		}
		tried++
		about := under("acme/app")
		about.Platform = []string{"", "linux/amd64"}[rng.IntN(2)]
		switch rng.IntN(4) {
		case 0:
			about.Standing.Decided = &trust.Entry{Action: "allow", Pattern: "x"}
		case 1:
			about.Vouched = []string{"official"}
		}
		a, b := anyEvidence(rng, about, trust.Proof), anyEvidence(rng, about, trust.Proof)
		all := merged(a, b)
		together, reasons := p.Decide(all)
		for i, part := range []trust.Evidence{a, b} {
			if alone, why := p.Decide(part); alone.Severity() > together.Severity() {
				t.Fatalf("seed %d: part %d is %s, and all of it %s\n%q\n%q", seed, i, alone, together, why, reasons)
			}
		}
		shuffled := merged(b, a)
		shuffled.Findings = append(shuffled.Findings, all.Findings...)
		rng.Shuffle(len(shuffled.Findings), func(i, j int) {
			shuffled.Findings[i], shuffled.Findings[j] = shuffled.Findings[j], shuffled.Findings[i]
		})
		shuffled.Integrity, shuffled.Layers = all.Integrity, all.Layers
		if again, why := p.Decide(shuffled); again != together || strings.Join(why, "\n") != strings.Join(reasons, "\n") {
			t.Fatalf("seed %d: in another order, seen twice, it is %s, not %s\n%q\n%q", seed, again, together, why, reasons)
		}
		if d := p.Explain(all); d.Action != together || strings.Join(d.Reasons, "\n") != strings.Join(reasons, "\n") {
			t.Fatalf("seed %d: explained as %s, decided as %s", seed, d.Action, together)
		}
		weak := anyEvidence(rng, about, trust.Weak)
		weak.Unanswered, weak.Integrity = nil, nil
		if action, why := p.Decide(weak); action == trust.Block && !strings.Contains(why[0], ", block") {
			t.Fatalf("seed %d: weak signs block by their points: %q", seed, why)
		}
		proof := about
		proof.Findings = []trust.Finding{runs("own1", trust.Proof)}
		if action, why := p.Decide(proof); action != trust.Block {
			t.Fatalf("seed %d: a proof that runs is %s: %q", seed, action, why)
		}
		proof.Findings = []trust.Finding{hidden("own1", trust.Proof)}
		if action, why := p.Decide(proof); action.Serves() {
			t.Fatalf("seed %d: a proof that nothing runs is %s: %q", seed, action, why)
		}
	}
	if tried < 50 {
		t.Errorf("only %d policies could be loaded", tried)
	}
}
