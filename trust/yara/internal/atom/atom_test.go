package atom

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

type hit struct{ literal, start int }

func scan(t *testing.T, literals []Literal, text []byte) []hit {
	t.Helper()
	f, err := New(literals)
	if err != nil {
		t.Fatal(err)
	}
	var got []hit
	f.Scan(text, func(l, start int) { got = append(got, hit{l, start}) })
	return sorted(got)
}

func sorted(hits []hit) []hit {
	slices.SortFunc(hits, func(a, b hit) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return a.literal - b.literal
	})
	return hits
}

// naive finds the same, one literal after the other.
func naive(literals []Literal, text []byte) []hit {
	var out []hit
	for id, l := range literals {
		for i := 0; i+len(l.Bytes) <= len(text); i++ {
			at := text[i : i+len(l.Bytes)]
			if bytes.Equal(at, l.Bytes) || l.Fold && equalFold(at, l.Bytes) {
				out = append(out, hit{id, i})
			}
		}
	}
	return sorted(out)
}

func TestScanFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	random := func(alphabet string, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return b
	}
	for round := range 60 {
		alphabet := []string{"ab", "aAbB\x00", "abcdefgh", "\x00\xff ", "@`[{"}[round%5]
		seen := map[string]bool{}
		var literals []Literal
		for range 1 + rng.IntN(30) {
			l := Literal{random(alphabet, 2+rng.IntN(8)), rng.IntN(2) == 0}
			if key := fmt.Sprintf("%t%q", l.Fold, l.Bytes); !seen[key] {
				seen[key] = true
				literals = append(literals, l)
			}
		}
		text := random(alphabet, 300)
		if got, want := scan(t, literals, text), naive(literals, text); !slices.Equal(got, want) {
			t.Fatalf("round %d: %d hits, want %d", round, len(got), len(want))
		}
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	literals := []Literal{{[]byte("ab"), false}, {[]byte("longer one"), false}, {[]byte("xyz"), true}}
	for text, want := range map[string][]hit{
		"":           nil,
		"a":          nil,
		"ab":         {{0, 0}},
		"xab":        {{0, 1}},
		"XyZ":        {{2, 0}},
		"xy":         nil,
		"longer one": {{1, 0}},
		"longer on":  nil,
	} {
		if got := scan(t, literals, []byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	f, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Scan([]byte("anything"), func(int, int) { t.Error("found nothing's literal") })
	if f.MaxLen() != 0 {
		t.Errorf("MaxLen %d", f.MaxLen())
	}
}

// TestManyAlike: long literals that the search cannot tell apart are found all the same.
func TestManyAlike(t *testing.T) {
	t.Parallel()
	var literals []Literal
	for i := range 100 {
		literals = append(literals, Literal{[]byte{'a', 'b', 'c', 'd', 'e', 0x80 + byte(i)}, false})
	}
	text := []byte("..abcde\x80..abcde\xe3abcde\x10")
	got := scan(t, literals, text)
	for _, want := range naive(literals, text) {
		if !slices.Contains(got, want) {
			t.Errorf("%v is missing", want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	alike := func(n int, text string) []Literal {
		var out []Literal
		for i := range n {
			out = append(out, Literal{append([]byte(text), byte(i), byte(i>>8)), false})
		}
		return out
	}
	for name, c := range map[string]struct {
		literals []Literal
		which    int
		want     string
	}{
		"short": {[]Literal{{[]byte("ok"), false}, {[]byte("x"), false}}, 1, "fewer than two bytes"},
		"count": {make([]Literal, MaxLiterals+1), MaxLiterals, "more than 65536 literals"},
		"long":  {alike(1000, "abcde"), -1, "alike"},
		"pairs": {func() []Literal {
			var out []Literal
			for range maxShare + 1 {
				out = append(out, Literal{[]byte("qz"), false})
			}
			return out
		}(), maxShare, "more than 300 short strings are alike"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.literals)
			var which *Error
			if !errors.As(err, &which) || c.which >= 0 && which.Literal != c.which {
				t.Fatalf("got %v", err)
			}
			if c.which >= 0 && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if which.Literal < 0 || which.Literal > len(c.literals) || errors.Unwrap(err) == nil {
				t.Errorf("literal %d of %d", which.Literal, len(c.literals))
			}
		})
	}
}

func TestCommonPairsAreAvoided(t *testing.T) {
	t.Parallel()
	f, err := New([]Literal{{[]byte{0, 0, 'q', 'z'}, false}})
	if err != nil {
		t.Fatal(err)
	}
	if f.pairs[0]&1 != 0 {
		t.Error("two zeros wake a literal that has rarer bytes")
	}
}

func BenchmarkShort(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 9))
	var literals []Literal
	for range 100 {
		l := make([]byte, 4)
		for i := range l {
			l[i] = byte(rng.Uint32())
		}
		literals = append(literals, Literal{l, false})
	}
	f, err := New(literals)
	if err != nil {
		b.Fatal(err)
	}
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = byte(rng.Uint32())
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		f.Scan(text, func(int, int) {})
	}
}
