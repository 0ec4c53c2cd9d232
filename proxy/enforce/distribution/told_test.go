package distribution_test

import (
	"testing"
	"time"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/trust"
)

// TestProgramsAreTold: what a message says to people, headers say to programs, to HEAD as well.
func TestProgramsAreTold(t *testing.T) {
	t.Parallel()
	ref := trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1"}
	passed := released()
	passed.Verdict = &trust.Verdict{ID: "SP-AAAAAAAAAA", Action: trust.Allow}
	for name, c := range map[string]struct {
		gate       *fakeGate
		action, id string
	}{
		"allowed":     {&fakeGate{release: passed}, "allow", "SP-AAAAAAAAAA"},
		"sealed":      {&fakeGate{release: released()}, "", ""},
		"blocked":     {&fakeGate{err: &enforce.Refusal{Verdict: trust.Verdict{ID: "SP-BBBBBBBBBB", Action: trust.Block}}}, "block", "SP-BBBBBBBBBB"},
		"quarantined": {&fakeGate{err: &enforce.Refusal{Verdict: trust.Verdict{ID: "SP-CCCCCCCCCC", Action: trust.Quarantine}}}, "quarantine", "SP-CCCCCCCCCC"},
		"denied":      {&fakeGate{err: &enforce.Denied{Reference: ref}}, "block", ""},
		"rejected":    {&fakeGate{err: &enforce.Rejected{Reference: ref}}, "block", ""},
		"lies":        {&fakeGate{err: trust.ErrIntegrity}, "block", ""},
		"limit":       {&fakeGate{err: trust.ErrLimit}, distribution.ActionUnanswered, ""},
		"unjudged":    {&fakeGate{err: &enforce.Unjudged{Reference: ref, Err: trust.ErrUnauthorized}}, distribution.ActionUnanswered, ""},
		"overloaded":  {&fakeGate{err: enforce.ErrOverloaded}, distribution.ActionUnanswered, ""},
		"elsewhere":   {&fakeGate{err: enforce.ErrNotConfigured}, distribution.ActionNotConfigured, ""},
		"pending":     {&fakeGate{err: &enforce.Pending{Reference: ref, RetryAfter: time.Second}}, distribution.ActionPending, ""},
		"no access":   {&fakeGate{err: trust.ErrUnauthorized}, "", ""},
		"not there":   {&fakeGate{err: trust.ErrNotFound}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.gate, fakeLister{})
			for _, method := range []string{"GET", "HEAD"} {
				h := do(t, s, method, "/v2/docker.io/acme/app/manifests/1").Header
				if h.Get(distribution.ActionHeader) != c.action || h.Get(distribution.VerdictHeader) != c.id {
					t.Errorf("%s: %q, %q", method, h.Get(distribution.ActionHeader), h.Get(distribution.VerdictHeader))
				}
			}
		})
	}
}
