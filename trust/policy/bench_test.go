package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
)

// BenchmarkDecision is one decision from the name to the explained verdict, with 10,000 trust entries: at most a
// millisecond is promised.
func BenchmarkDecision(b *testing.B) {
	var list strings.Builder
	list.WriteString("version: 1\nentries:\n")
	for i := range 10_000 {
		fmt.Fprintf(&list, "  - {pattern: docker.io/team%d/**, action: allow, reason: ours}\n", i)
	}
	loaded, err := namespace.Load("bench.yaml", strings.NewReader(list.String()))
	if err != nil {
		b.Fatal(err)
	}
	lists, p := namespace.Combine(loaded), shipped(b)
	quiet := under("acme/app")
	mines := under("acme/app", runs("download", trust.Strong), runs("commandline", trust.Strong), set("wallet", trust.Weak), find("pool", trust.Weak), hidden("tuning", trust.Weak))
	for name, e := range map[string]trust.Evidence{"nothing-found": quiet, "blocked": mines} {
		b.Run(name, func(b *testing.B) {
			now := time.Now()
			for b.Loop() {
				e.Standing = lists.Match(e.Reference, now)
				p.Explain(e)
			}
		})
	}
}
