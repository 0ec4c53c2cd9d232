package closure

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestRel: what is taken for clean is what cleaning would make of it, and a word is what the pattern fits.
func TestRel(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		b := make([]byte, rng.IntN(9))
		for i := range b {
			b[i] = "ab/./.A9_@%+~- [`{:\x00\xff"[rng.IntN(21)]
		}
		p := string(b)
		want := strings.TrimPrefix(path.Clean("/"+p), "/")
		if want == "" {
			want = "."
		}
		if got := rel(p); got != want {
			t.Fatalf("%q is %q, not %q", p, got, want)
		}
		if got := isWord(p); p != "" && got != (wordPattern.FindString(p) == p) {
			t.Fatalf("%q is a word: %t", p, got)
		}
	}
}

func TestLinksOf(t *testing.T) {
	t.Parallel()
	l := LinksOf(map[string]string{"a": "b"}, map[string]string{"a": "c", "d": "e"}, map[string]string{"a": "b"})
	if !slices.Equal(l.targets["a"], []string{"b", "c"}) || !slices.Equal(l.targets["d"], []string{"e"}) || l.kept != 3 || l.Bytes() < 3*80 {
		t.Errorf("%+v", l)
	}
}
