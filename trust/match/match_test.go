package match_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/match"
)

type hit struct{ Pattern, Start int }

func sorted(hits []hit) []hit {
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Pattern, b.Pattern))
	})
	return hits
}

func scan(t testing.TB, set *match.Set, text []byte) []hit {
	t.Helper()
	var hits []hit
	set.Scan(text, func(pattern, start int) { hits = append(hits, hit{pattern, start}) })
	return sorted(hits)
}

// naive is the oracle: every pattern at every place.
func naive(patterns []match.Pattern, text []byte) []hit {
	var hits []hit
	for i, p := range patterns {
		for at := 0; at+len(p.Bytes) <= len(text); at++ {
			piece := text[at : at+len(p.Bytes)]
			if bytes.Equal(piece, p.Bytes) || p.Fold && bytes.Equal(asciiLower(piece), asciiLower(p.Bytes)) {
				hits = append(hits, hit{i, at})
			}
		}
	}
	return sorted(hits)
}

func asciiLower(p []byte) []byte {
	out := bytes.Clone(p)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 32
		}
	}
	return out
}

func mustNew(t testing.TB, patterns []match.Pattern) *match.Set {
	t.Helper()
	set, err := match.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestScan(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		patterns []match.Pattern
		text     string
		want     []hit
	}{
		"exact":              {[]match.Pattern{{Bytes: []byte("stratum")}}, "a stratum b Stratum", []hit{{0, 2}}},
		"fold":               {[]match.Pattern{{Bytes: []byte("StraTum+"), Fold: true}}, "sTRATUM+stratum+", []hit{{0, 0}, {0, 8}}},
		"fold-letters-only":  {[]match.Pattern{{Bytes: []byte("ab[]{}@`"), Fold: true}}, "AB{}[]`@ AB[]{}@`", []hit{{0, 9}}},
		"bit-five-collision": {[]match.Pattern{{Bytes: []byte("\x00\x01\x02\x03\x04\x05")}}, "\x20\x21\x22\x23\x24\x25\x00\x01\x02\x03\x04\x05", []hit{{0, 6}}},
		"overlap":            {[]match.Pattern{{Bytes: []byte("aaaaaa")}}, "aaaaaaaa", []hit{{0, 0}, {0, 1}, {0, 2}}},
		"nested":             {[]match.Pattern{{Bytes: []byte("mining.subscribe")}, {Bytes: []byte("mining")}, {Bytes: []byte("subscribe")}}, "mining.subscribe", []hit{{0, 0}, {1, 0}, {2, 7}}},
		"same-twice":         {[]match.Pattern{{Bytes: []byte("xmrig-")}, {Bytes: []byte("xmrig-")}}, "xmrig-", []hit{{0, 0}, {1, 0}}},
		"binary":             {[]match.Pattern{{Bytes: []byte{0xff, 0, 0xff, 0, 0xfe, 1}}}, "\xff\x00\xff\x00\xff\x00\xfe\x01", []hit{{0, 2}}},
		"cut":                {[]match.Pattern{{Bytes: []byte("stratum")}}, "stratu", nil},
		"empty-text":         {[]match.Pattern{{Bytes: []byte("stratum")}}, "", nil},
		"no-patterns":        {nil, "stratum", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := gocmp.Diff(tc.want, scan(t, mustNew(t, tc.patterns), []byte(tc.text))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScanAtEveryPlace(t *testing.T) {
	t.Parallel()
	for _, n := range []int{match.MinPattern, match.MinPattern + 1, 16, 17, match.MaxPattern} {
		pattern := []byte(strings.Repeat("qwertyuiopasdfgh7", n/17+1))[:n]
		set := mustNew(t, []match.Pattern{{Bytes: pattern}})
		for before := range 40 {
			for after := range 20 {
				text := slices.Concat(bytes.Repeat([]byte{'.'}, before), pattern, bytes.Repeat([]byte{'.'}, after))
				if diff := gocmp.Diff([]hit{{0, before}}, scan(t, set, text)); diff != "" {
					t.Fatalf("length %d, %d before, %d after: %s", n, before, after, diff)
				}
			}
		}
	}
}

func TestScanAgainstNaive(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		letters := 1 + rng.IntN(4)
		alphabet := "aAbB"[:letters] + "\x00\xff@`"[:rng.IntN(4)]
		text := randomBytes(rng, alphabet, rng.IntN(600))
		patterns := make([]match.Pattern, 1+rng.IntN(30))
		for i := range patterns {
			n := match.MinPattern + rng.IntN(20)
			p := randomBytes(rng, alphabet, n)
			if len(text) > n && rng.IntN(2) == 0 {
				at := rng.IntN(len(text) - n)
				p = bytes.Clone(text[at : at+n])
			}
			patterns[i] = match.Pattern{Bytes: p, Fold: rng.IntN(2) == 0}
		}
		set, err := match.New(patterns)
		if errors.Is(err, match.ErrPattern) {
			continue // too many patterns on one gram, as small alphabets bring about
		}
		if diff := gocmp.Diff(naive(patterns, text), scan(t, set, text)); diff != "" {
			t.Fatalf("patterns %v text %q: %s", patterns, text, diff)
		}
	}
}

func randomBytes(rng *rand.Rand, alphabet string, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return out
}

func TestNewLimits(t *testing.T) {
	t.Parallel()
	many := func(n int, text func(int) string) []match.Pattern {
		patterns := make([]match.Pattern, n)
		for i := range patterns {
			patterns[i].Bytes = []byte(text(i))
		}
		return patterns
	}
	for name, tc := range map[string]struct {
		patterns []match.Pattern
		ok       bool
	}{
		"shortest":       {many(1, func(int) string { return strings.Repeat("x", match.MinPattern) }), true},
		"too-short":      {many(1, func(int) string { return strings.Repeat("x", match.MinPattern-1) }), false},
		"empty":          {many(1, func(int) string { return "" }), false},
		"longest":        {many(1, func(int) string { return strings.Repeat("x", match.MaxPattern) }), true},
		"too-long":       {many(1, func(int) string { return strings.Repeat("x", match.MaxPattern+1) }), false},
		"most":           {many(match.MaxPatterns, func(i int) string { return fmt.Sprintf("%08x", i*2654435761) }), true},
		"too-many":       {many(match.MaxPatterns+1, func(i int) string { return fmt.Sprintf("%08x", i*2654435761) }), false},
		"shared-gram":    {many(50, func(int) string { return "abcdef" }), true},
		"crowded-gram":   {many(65, func(int) string { return "abcdef" }), false},
		"another-choice": {many(200, func(i int) string { return fmt.Sprintf("abcdef%06d", i*7919) }), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := match.New(tc.patterns)
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, match.ErrPattern) {
				t.Errorf("error %v, want ok %v", err, tc.ok)
			}
		})
	}
}

func TestNewCopies(t *testing.T) {
	t.Parallel()
	text := []byte("stratum")
	set := mustNew(t, []match.Pattern{{Bytes: text}})
	copy(text, "XXXXXXX")
	if got := scan(t, set, []byte("stratum XXXXXXX")); len(got) != 1 || got[0].Start != 0 {
		t.Errorf("changing the caller's bytes changed the set: %v", got)
	}
	if set.MaxLen() != 7 {
		t.Errorf("MaxLen %d", set.MaxLen())
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("stratum+tcp://pool"), []byte("stratum+tcp\npool://\nSTRATUM"), uint8(5))
	f.Add([]byte("aaaaaaaaaaaaaaaa"), []byte("aaaaaa\naaaaaaa\nAAAAAA"), uint8(2))
	f.Add([]byte{0, 0x20, 0, 0x20, 0, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0, '\n', 0x20, 0x20, 0, 0, 0, 0}, uint8(0))
	f.Fuzz(func(t *testing.T, text, list []byte, fold uint8) {
		var patterns []match.Pattern
		for i, p := range bytes.Split(list, []byte("\n")) {
			if len(p) >= match.MinPattern && len(p) <= match.MaxPattern {
				patterns = append(patterns, match.Pattern{Bytes: p, Fold: fold>>(i%8)&1 != 0})
			}
		}
		set, err := match.New(patterns)
		if err != nil {
			return
		}
		if diff := gocmp.Diff(naive(patterns, text), scan(t, set, text)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Whatever distance occurrences keep, of 54 in a row one is found, from wherever they begin.
func TestSampled_everyDistance(t *testing.T) {
	t.Parallel()
	word := []byte{0xad, 0x3a, 0x98, 0xd7}
	set := mustNew(t, []match.Pattern{{Bytes: word, Sampled: true}})
	for distance := 4; distance <= 75; distance++ {
		for begin := range 400 {
			text := make([]byte, begin+54*distance+100)
			for k := range 54 {
				copy(text[begin+k*distance:], word)
			}
			n := 0
			set.Scan(text, func(int, int) { n++ })
			if n == 0 {
				t.Fatalf("nothing is found where words stand %d apart from %d on", distance, begin)
			}
		}
	}
}

// A sampled pattern is found at every third position, and those are the same whatever else is in the set.
func TestSampled(t *testing.T) {
	t.Parallel()
	word := []byte{0xad, 0x3a, 0x98, 0xd7}
	set := mustNew(t, []match.Pattern{{Bytes: word, Sampled: true}, {Bytes: []byte("stratum"), Sampled: true}, {Bytes: []byte("stratum")}})
	found := map[int]int{}
	for at := range 300 {
		text := make([]byte, 400)
		copy(text[at:], word)
		n := 0
		set.Scan(text, func(pattern, start int) {
			if n++; pattern != 0 || start != at {
				t.Fatalf("pattern %d at %d, want 0 at %d", pattern, start, at)
			}
		})
		found[n]++
	}
	if found[1] < 95 || found[1] > 105 || found[0]+found[1] != 300 {
		t.Errorf("%v: want about one in three", found)
	}
	if _, err := match.New([]match.Pattern{{Bytes: word}}); err == nil {
		t.Error("four bytes are too short for a pattern that is always found")
	}
	if _, err := match.New([]match.Pattern{{Bytes: word[:3], Sampled: true}}); err == nil {
		t.Error("three bytes are too short")
	}
}
