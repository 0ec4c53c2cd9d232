package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func open(questions ...string) map[string]string {
	out := map[string]string{}
	for _, q := range questions {
		out[q] = "no answer"
	}
	return out
}

// TestDecide_unanswered: what stays open counts by what it is about.
func TestDecide_unanswered(t *testing.T) {
	t.Parallel()
	p := shipped(t)
	severe, err := p.Override("severe", strings.NewReader("version: 1\nunanswered: {content: block, reputation: quarantine}\n"))
	if err != nil {
		t.Fatal(err)
	}
	// A file that was written before there were classes says one word, about content.
	word, err := p.Override("word", strings.NewReader("version: 1\nunanswered: block\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		open                  map[string]string
		shipped, severe, word trust.Action
	}{
		"nothing":       {nil, trust.Allow, trust.Allow, trust.Allow},
		"content":       {open("layer 1 sha256:aa"), trust.Quarantine, trust.Block, trust.Block},
		"reputation":    {open("publisher"), trust.Warn, trust.Quarantine, trust.Warn},
		"a-part-of-it":  {open("publisher: account"), trust.Warn, trust.Quarantine, trust.Warn},
		"both":          {open("publisher", "config"), trust.Quarantine, trust.Block, trust.Block},
		"only-so-named": {open("publishers"), trust.Quarantine, trust.Block, trust.Block},
		"a-future-one":  {open("weather"), trust.Quarantine, trust.Block, trust.Block},
	} {
		e := trust.Evidence{Unanswered: tt.open}
		for policy, d := range map[string]struct {
			p interface {
				Decide(trust.Evidence) (trust.Action, []string)
			}
			want trust.Action
		}{"shipped": {p, tt.shipped}, "severe": {severe, tt.severe}, "word": {word, tt.word}} {
			if action, reasons := d.p.Decide(e); action != d.want || len(reasons) != len(tt.open) {
				t.Errorf("%s, %s: %s %q, want %s", name, policy, action, reasons, d.want)
			}
		}
	}
}

// TestDecide_unknownName: a name that nobody knows is said, unless there is something worse to say.
func TestDecide_unknownName(t *testing.T) {
	t.Parallel()
	const says = "nobody here knows registry.example/acme: no trust list has an entry for it, and no registry vouches for it: unknown name, "
	p := shipped(t)
	strict, err := p.Override("strict", strings.NewReader("version: 1\nunknownName: quarantine\n"))
	if err != nil {
		t.Fatal(err)
	}
	ref := trust.Reference{Registry: "registry.example", Repository: "acme/app", Tag: "1"}
	for name, tt := range map[string]struct {
		change          func(*trust.Evidence)
		shipped, strict trust.Action
		said            bool
	}{
		"unknown":         {func(*trust.Evidence) {}, trust.Warn, trust.Quarantine, true},
		"allowed":         {func(e *trust.Evidence) { e.Standing.Decided = &trust.Entry{Action: "allow"} }, trust.Allow, trust.Allow, false},
		"vouched-for":     {func(e *trust.Evidence) { e.Vouched = []string{"a verified publisher"} }, trust.Allow, trust.Allow, false},
		"a-file":          {func(e *trust.Evidence) { e.Reference = trust.Reference{Repository: "oci-dir:x"} }, trust.Allow, trust.Allow, false},
		"something-worse": {func(e *trust.Evidence) { e.Findings = []trust.Finding{runs("a", trust.Proof)} }, trust.Block, trust.Block, false},
	} {
		e := trust.Evidence{Reference: ref}
		tt.change(&e)
		action, reasons := p.Decide(e)
		if said := strings.Contains(strings.Join(reasons, "\n"), says+"warn"); action != tt.shipped || said != tt.said {
			t.Errorf("%s: %s %q, want %s", name, action, reasons, tt.shipped)
		}
		action, reasons = strict.Decide(e)
		if said := strings.Contains(strings.Join(reasons, "\n"), says+"quarantine"); action != tt.strict || said != tt.said {
			t.Errorf("%s under a strict policy: %s %q, want %s", name, action, reasons, tt.strict)
		}
	}
	if _, reasons := p.Decide(trust.Evidence{Reference: ref}); cmp.Diff([]string{says + "warn"}, reasons) != "" {
		t.Errorf("%q", reasons)
	}
}
