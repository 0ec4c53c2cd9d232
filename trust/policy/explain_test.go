package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

// TestExplain_weights: what is listed is what was added up.
func TestExplain_weights(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	checks := []string{"algorithm", "minerbinary", "stratum", "pool", "wallet", "download", "tuning", "own"}
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 5))
		e := found()
		for range rng.IntN(9) {
			f := find(checks[rng.IntN(len(checks))], trust.Strength(1+rng.IntN(3)))
			f.Reach = []trust.Reach{trust.ReachRuns, trust.ReachPresent, trust.ReachHidden}[rng.IntN(3)]
			e.Findings = append(e.Findings, f)
		}
		d := p.Explain(e)
		strong := map[string]bool{}
		for _, f := range e.Findings {
			check, _, _ := strings.Cut(f.Check, "@")
			strong[p.Group(check)] = strong[p.Group(check)] || f.Strength > trust.Weak
		}
		sum, weak := 0.0, 0.0
		for _, w := range d.Weights {
			if w.Finding < 0 || w.Finding >= len(e.Findings) || w.Counted > w.Points {
				t.Fatalf("seed %d: %+v", seed, w)
			}
			if strong[w.Group] {
				sum += w.Counted
			} else {
				weak += w.Counted
			}
		}
		if sum += min(weak, 30); sum < d.Sum-0.01 || sum > d.Sum+0.01 {
			t.Errorf("seed %d: %v add up to %v, not %v", seed, d.Weights, sum, d.Sum)
		}
	}
}

func TestExplain_changes(t *testing.T) {
	t.Parallel()
	p := override(t, "contact: \"#containers, or +49 30 1234\"\n")
	open := under("acme/app", find("pool", trust.Weak))
	open.Unanswered = map[string]string{"layer 2 sha256:bb": "limit", "publisher": "late"}
	denied := under("acme/app")
	denied.Standing.Decided = &trust.Entry{Action: "deny", Pattern: "docker.io/acme/**"}
	known := under("acme/app")
	known.Standing.Decided = &trust.Entry{Action: "allow", Pattern: "docker.io/acme/**"}
	for name, tt := range map[string]struct {
		evidence trust.Evidence
		want     []string
	}{
		"one-check-decides": {
			under("acme/app", runs("minerbinary", trust.Proof), set("wallet", trust.Weak)),
			[]string{
				"without what minerbinary found: shows minerbinary (opt/minerbinary in layer sha256:0123456789ab, runs): warn",
				"with an entry that allows docker.io/acme/**: block",
				"with an entry for this digest that waives the inspection of its layers, which needs a reason, an owner and an end: allow",
			},
		},
		"two-checks-each-enough": {
			under("acme/app", runs("minerbinary", trust.Proof), runs("algorithm", trust.Proof), find("tuning", trust.Weak)),
			[]string{
				"without what algorithm and minerbinary found: warn",
				"with an entry that allows docker.io/acme/**: block",
				"with an entry for this digest that waives the inspection of its layers, which needs a reason, an owner and an end: allow",
			},
		},
		"unanswered": {
			open,
			[]string{
				"if layer 2 sha256:bb were answered, and nothing found there: warn",
				"with an entry that allows docker.io/acme/**: quarantine",
				"with an entry for this digest that waives the inspection of its layers, which needs a reason, an owner and an end: allow",
			},
		},
		"denied": {denied, []string{"if no trust list denied docker.io/acme/**, the image would be inspected first: "}},
		// A warning has a way out too, and it is not to look away.
		"warned": {under("acme/app"), []string{"with an entry that allows docker.io/acme/**: allow"}},
		"served": {known, nil},
	} {
		d := p.Explain(tt.evidence)
		var got []string
		for _, c := range d.Changes {
			got = append(got, c.If+": "+string(c.Then))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %s %q\n got %q\nwant %q", name, d.Action, d.Reasons, got, tt.want)
		}
		if d.Contact != "#containers, or +49 30 1234" {
			t.Errorf("%s: contact %q", name, d.Contact)
		}
		var back trust.Decision // what is remembered must be read again
		if text, err := json.Marshal(d); err != nil || json.Unmarshal(text, &back) != nil || !reflect.DeepEqual(back, d) {
			t.Errorf("%s: %+v became %+v, %v", name, d, back, err)
		}
	}
}

// TestExplain_isBounded: many findings, all different, lead to few tries.
func TestExplain_isBounded(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	e := under("acme/app")
	for i := range 300 {
		f := find(fmt.Sprintf("own%d", i), trust.Strength(i%4))
		f.Path = fmt.Sprintf("opt/%d", i)
		e.Findings = append(e.Findings, f)
	}
	if d := p.Explain(e); d.Action != trust.Block || len(d.Changes) == 0 || len(d.Changes) > 8 {
		t.Errorf("%s, %v", d.Action, d.Changes)
	}
}

func BenchmarkDecide(b *testing.B) {
	p := shipped(b)
	e := under("acme/app", runs("download", trust.Strong), runs("commandline", trust.Strong), set("wallet", trust.Weak), find("pool", trust.Weak), hidden("tuning", trust.Weak))
	b.Run("decide", func(b *testing.B) {
		for b.Loop() {
			p.Decide(e)
		}
	})
	b.Run("explain", func(b *testing.B) {
		for b.Loop() {
			p.Explain(e)
		}
	})
}

// TestDecide_campaign: what is shared with a blocked image holds by its rule, and adds no points to what shows it.
func TestDecide_campaign(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	e := under("acme/app", find("minerbinary", trust.Strong), set("wallet", trust.Strong))
	before := p.Explain(e)
	e.Findings = append(e.Findings, set("campaign", trust.Strong))
	after := p.Explain(e)
	if after.Sum != before.Sum || after.Action != trust.Quarantine || !strings.Contains(after.Reasons[0], "rule same-campaign, quarantine") {
		t.Errorf("%v points, then %v, %s: %q", before.Sum, after.Sum, after.Action, after.Reasons)
	}
}

// TestExplain_rules: the rules that decided are named for programs, as the reasons name them for people.
func TestExplain_rules(t *testing.T) {
	t.Parallel()
	p := override(t, "")
	for name, tt := range map[string]struct {
		evidence trust.Evidence
		want     []string
	}{
		"two":  {under("acme/app", runs("minerbinary", trust.Proof), runs("commandline", trust.Strong), runs("pool", trust.Weak)), []string{"miner-runs", "mines-for-account"}},
		"less": {under("acme/app", runs("commandline", trust.Weak), find("look-alike", trust.Weak)), []string{"look-alike"}},
		"none": {under("acme/app"), nil},
	} {
		if d := p.Explain(tt.evidence); !slices.Equal(d.Rules, tt.want) {
			t.Errorf("%s: %q, want %q", name, d.Rules, tt.want)
		}
	}
	// A finding of a case that names no layer says where it is without one.
	bare := runs("minerbinary", trust.Proof)
	bare.Path, bare.Layer = "finding 1", ""
	if d := p.Explain(under("acme/app", bare)); strings.Contains(strings.Join(d.Reasons, "\n"), "in layer") {
		t.Error(d.Reasons)
	}
}
