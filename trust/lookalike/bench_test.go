package lookalike

import (
	"strings"
	"testing"
)

// BenchmarkResembles is one reference; the goal is at most 1 ms.
func BenchmarkResembles(b *testing.B) {
	names := shipped(b)
	for name, s := range map[string]string{
		"own namespace": "docker.io/acmecorporation/payments-service",
		"many parts":    "ghcr.io/some-company-with-a-name/a-b/thing-that-has-rather-many-parts-in-it-for-a-benchmark",
		"mistyped":      "docker.io/grafnaa/grafana",
		"host":          "registry.internal.example.com/team/project/image",
		"longest":       "docker.io/" + strings.Repeat("a1-", 40) + "z/" + strings.Repeat("b", 120),
	} {
		ref := parse(b, s)
		b.Run(name, func(b *testing.B) {
			var out []Resemblance
			for b.Loop() {
				out = names.Resembles(ref)
			}
			_ = out
		})
	}
}

// BenchmarkLoad is what a command pays once.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		shipped(b)
	}
}
