package policy_test

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

// TestDecide_name: whom a name resembles warns, never blocks, and is told beside what else was found.
func TestDecide_name(t *testing.T) {
	t.Parallel()
	name := func(part string, s trust.Strength) trust.Finding {
		return trust.Finding{Check: "look-alike@1", Strength: s, Reach: trust.ReachPresent, Path: "name:" + part, Why: "it resembles " + part}
	}
	p := shipped(t)
	for what, tt := range map[string]struct {
		findings []trust.Finding
		want     trust.Action
	}{
		"context":        {[]trust.Finding{name("namespace", trust.Context)}, trust.Allow},
		"weak":           {[]trust.Finding{name("namespace", trust.Weak)}, trust.Warn},
		"strong":         {[]trust.Finding{name("registry", trust.Strong)}, trust.Warn},
		"all parts":      {[]trust.Finding{name("registry", trust.Strong), name("namespace", trust.Strong), name("repository", trust.Strong)}, trust.Warn},
		"weak signs":     {[]trust.Finding{name("namespace", trust.Weak), find("pool", trust.Weak), find("tuning", trust.Weak), find("wallet", trust.Weak)}, trust.Warn},
		"strong content": {[]trust.Finding{name("namespace", trust.Strong), runs("stratum", trust.Strong)}, trust.Quarantine},
		"proof":          {[]trust.Finding{name("namespace", trust.Weak), runs("algorithm", trust.Proof)}, trust.Block},
	} {
		action, reasons := p.Decide(found(tt.findings...))
		all := strings.Join(reasons, "\n")
		if action != tt.want {
			t.Errorf("%s: %s, want %s: %q", what, action, tt.want, reasons)
		}
		if tt.want != trust.Allow && !strings.Contains(all, "of its name)") {
			t.Errorf("%s: the reasons %q do not name it", what, reasons)
		}
	}
}
