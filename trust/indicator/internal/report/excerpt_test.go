package report_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

// TestExcerpt: it is what Sanitise makes of the whole, although it does not read the whole.
func TestExcerpt(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 2))
	inputs := []string{
		"", "a", strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 257), strings.Repeat("a", 254) + "世x", strings.Repeat("a", 255) + "éx",
		strings.Repeat("\U000e0041", 300), strings.Repeat("\x00", 300), strings.Repeat("\u202e", 300), strings.Repeat("a", 253) + "😀", strings.Repeat("世", 100),
	}
	for range 1000 {
		inputs = append(inputs, hostile(rng, 50+rng.IntN(400)))
	}
	for _, in := range inputs {
		got := report.Excerpt([]byte(in))
		if want := trust.Sanitise(in, trust.ExcerptLimit); got != want {
			t.Fatalf("%q: %q, want %q", in, got, want)
		}
	}
}

// hostile are characters of every length, and bytes that are none.
func hostile(rng *rand.Rand, n int) string {
	pieces := []string{"a", " ", "\n", "é", "世", "😀", "\x00", "\x1b", "\u202e", "\U000e0041", "\xff", "\xe4\xb8"}
	var b strings.Builder
	for range n {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

func FuzzExcerpt(f *testing.F) {
	f.Add("a\x1b]0;title\a\u202e\xff")
	f.Fuzz(func(t *testing.T, in string) {
		if got := report.Excerpt([]byte(in)); got != trust.Sanitise(in, trust.ExcerptLimit) {
			t.Fatalf("%q: excerpt %q", in, got)
		}
	})
}
