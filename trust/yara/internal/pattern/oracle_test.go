package pattern

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// An expr is a string of a rule as text, with the obvious and slow way to match it.
type expr struct {
	text string
	// ends are where a match may end in s that begins at i. Characters are stride bytes wide.
	ends func(s subject, i int) map[int]bool
}

type subject struct {
	text   string
	stride int
}

// char is the character at byte i; ok is false when there is none of this width.
func (s subject) char(i int) (c byte, ok bool) {
	if i < 0 || i+s.stride > len(s.text) || s.stride == 2 && s.text[i+1] != 0 {
		return 0, false
	}
	return s.text[i], true
}

func (s subject) word(i int, underscore bool) bool {
	c, ok := s.char(i)
	return ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || underscore && c == '_')
}

func single(text string, fits func(c byte) bool) expr {
	return expr{text, func(s subject, i int) map[int]bool {
		if c, ok := s.char(i); ok && fits(c) {
			return map[int]bool{i + s.stride: true}
		}
		return nil
	}}
}

func placeOf(text string, fits func(s subject, i int) bool) expr {
	return expr{text, func(s subject, i int) map[int]bool {
		if fits(s, i) {
			return map[int]bool{i: true}
		}
		return nil
	}}
}

func inRow(space string, all ...expr) expr {
	var texts []string
	for _, e := range all {
		texts = append(texts, e.text)
	}
	return expr{strings.Join(texts, space), func(s subject, i int) map[int]bool {
		now := map[int]bool{i: true}
		for _, e := range all {
			next := map[int]bool{}
			for at := range now {
				maps.Copy(next, e.ends(s, at))
			}
			now = next
		}
		return now
	}}
}

func anyOf(open, mark, end string, all ...expr) expr {
	var texts []string
	for _, e := range all {
		texts = append(texts, e.text)
	}
	return expr{open + strings.Join(texts, mark) + end, func(s subject, i int) map[int]bool {
		out := map[int]bool{}
		for _, e := range all {
			maps.Copy(out, e.ends(s, i))
		}
		return out
	}}
}

func times(text string, e expr, low, high int) expr {
	return expr{text, func(s subject, i int) map[int]bool {
		out, now := map[int]bool{}, map[int]bool{i: true}
		for n := 0; n <= high && n <= low+len(s.text)+1; n++ {
			if n >= low {
				maps.Copy(out, now)
			}
			next := map[int]bool{}
			for at := range now {
				maps.Copy(next, e.ends(s, at))
			}
			now = next
		}
		return out
	}}
}

type writer struct {
	*rand.Rand
	lazy   string
	fold   bool
	dotAll bool
}

func (w writer) letter(c byte) expr {
	return single(string(c), func(b byte) bool { return b == c || w.fold && b|0x20 == c|0x20 && c|0x20 >= 'a' && c|0x20 <= 'z' })
}

func (w writer) atom(depth int) expr {
	switch n := w.IntN(16); {
	case n < 7:
		return w.letter("abcB1_ "[w.IntN(7)])
	case n == 7:
		return single(".", func(b byte) bool { return w.dotAll || b != '\n' })
	case n == 8:
		return single("[^a1]", func(b byte) bool { return b != 'a' && b != '1' && !(w.fold && b == 'A') })
	case n == 9:
		return single("[a-c-]", func(b byte) bool { return b >= 'a' && b <= 'c' || b == '-' || w.fold && b >= 'A' && b <= 'C' })
	case n == 10:
		return single(`\w`, func(b byte) bool { return subject{string([]byte{b}), 1}.word(0, true) })
	case n == 11:
		return single(`[^\W\n_]`, func(b byte) bool { return subject{string([]byte{b}), 1}.word(0, false) })
	case n == 12:
		return single(`\x0a`, func(b byte) bool { return b == '\n' })
	case n == 13:
		return []expr{
			placeOf(`\b`, func(s subject, i int) bool { return s.word(i-s.stride, true) != s.word(i, true) }),
			placeOf(`\B`, func(s subject, i int) bool { return s.word(i-s.stride, true) == s.word(i, true) }),
			placeOf(`^`, func(_ subject, i int) bool { return i == 0 }),
			placeOf(`$`, func(s subject, i int) bool { return i == len(s.text) }),
		}[w.IntN(4)]
	case depth > 0:
		all := []expr{w.regex(depth - 1), w.regex(depth - 1), w.regex(depth - 1)}
		return anyOf("(", "|", ")", all[:1+w.IntN(3)]...)
	}
	return w.letter('b')
}

func (w writer) regex(depth int) expr {
	var all []expr
	for range 1 + w.IntN(5) {
		e := w.atom(depth)
		place := strings.Contains("^ $ \\b \\B", e.text) && e.text != "b" && e.text != "B" && e.text != " "
		if n := w.IntN(16); n < 8 && !place {
			low, high := w.IntN(4), w.IntN(5)
			high += low
			if high == 0 {
				high = 1
			}
			quantifier := fmt.Sprintf("{%d,%d}", low, high)
			switch n {
			case 0:
				quantifier, low, high = "*", 0, 1<<30
			case 1:
				quantifier, low, high = "+", 1, 1<<30
			case 2:
				quantifier, low, high = "?", 0, 1
			case 3:
				quantifier, high = fmt.Sprintf("{%d,}", low), 1<<30
			case 4:
				quantifier, low = fmt.Sprintf("{,%d}", high), 0
			case 5:
				quantifier, low = fmt.Sprintf("{%d}", high), high
			}
			e = times(e.text+quantifier+w.lazy, e, low, high)
		}
		all = append(all, e)
	}
	return inRow("", all...)
}

func (w writer) hexByte() expr {
	c := "\x41\x42\x4a\x00"[w.IntN(4)]
	switch w.IntN(9) {
	case 0:
		return single("??", func(byte) bool { return true })
	case 1:
		return single(fmt.Sprintf("%X?", c>>4), func(b byte) bool { return b>>4 == c>>4 })
	case 2:
		return single(fmt.Sprintf("?%x", c&15), func(b byte) bool { return b&15 == c&15 })
	case 3:
		return single(fmt.Sprintf("~%02x", c), func(b byte) bool { return b != c })
	case 4:
		return single(fmt.Sprintf("~?%x", c&15), func(b byte) bool { return b&15 != c&15 })
	}
	return single(fmt.Sprintf("%02X", c), func(b byte) bool { return b == c })
}

func (w writer) hex(depth int) expr {
	all := []expr{w.hexByte()}
	for range w.IntN(5) {
		switch n := w.IntN(8); {
		case n == 0:
			low := w.IntN(3)
			high := low + w.IntN(4)
			if high == 0 {
				high = 2
			}
			text := fmt.Sprintf("[%d-%d]", low, high)
			if low == high {
				text = fmt.Sprintf("[ %d ]", low)
			}
			all = append(all, times(text, single("??", func(byte) bool { return true }), low, high), w.hexByte())
		case n == 1 && depth > 0:
			alternatives := []expr{w.hex(depth - 1), w.hex(depth - 1), w.hex(depth - 1)}
			all = append(all, anyOf("(", "|", ")", alternatives[:1+w.IntN(3)]...))
		default:
			all = append(all, w.hexByte())
		}
	}
	return inRow(" ", all...)
}

// checkAgainstOracle compares which places match, and that each end is one of those that are right.
func checkAgainstOracle(t *testing.T, e expr, definition string, p *Pattern, text string, strides []int, fullWord bool) {
	t.Helper()
	want := map[int]map[int]bool{}
	sure := map[int]bool{} // a match at this place ends in one way only, or nothing asks for words
	for _, stride := range strides {
		s := subject{text, stride}
		for i := range len(text) {
			ends := e.ends(s, i)
			single := len(ends) == 1
			for end := range ends {
				if fullWord && (s.word(i-stride, false) || s.word(end, false)) || end == i {
					continue
				}
				if want[i] == nil {
					want[i] = map[int]bool{}
				}
				want[i][end] = true
				sure[i] = sure[i] || single || !fullWord
			}
		}
	}
	got := map[int]bool{}
	for _, m := range find(p, text) {
		got[m.start] = true
		if !want[m.start][m.end] {
			t.Fatalf("%s in %q: %d to %d is no match; there are ends %v", definition, text, m.start, m.end, slices.Sorted(maps.Keys(want[m.start])))
		}
	}
	for i := range want {
		if sure[i] && !got[i] {
			t.Fatalf("%s in %q: no match at %d, which ends at %v", definition, text, i, slices.Sorted(maps.Keys(want[i])))
		}
	}
}

func someText(rng *rand.Rand, letters string, wide bool) string {
	var b bytes.Buffer
	for range 20 + rng.IntN(30) {
		b.WriteByte(letters[rng.IntN(len(letters))])
		if wide && rng.IntN(12) > 0 {
			b.WriteByte(0)
		}
	}
	return b.String()
}

// TestRegexAgainstOracle: whatever atoms are chosen, a regular expression matches where the obvious way says.
func TestRegexAgainstOracle(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 11))
	accepted := 0
	for range 500 {
		w := writer{rng, []string{"", "?"}[rng.IntN(2)], rng.IntN(3) == 0, rng.IntN(2) == 0}
		e := w.regex(2)
		definition := "/" + e.text + "/"
		if w.fold {
			definition += "i"
		}
		if w.dotAll {
			definition += "s"
		}
		strides, fullWord := []int{1}, rng.IntN(4) == 0
		switch rng.IntN(4) {
		case 0:
			definition, strides = definition+" wide", []int{2}
		case 1:
			definition, strides = definition+" wide ascii", []int{1, 2}
		}
		if fullWord {
			definition += " fullword"
		}
		p, err := New("t.yar", str(t, definition))
		if err != nil {
			continue // no literal
		}
		accepted++
		for range 3 {
			text := someText(rng, "aabbcB1_ -\nA", slices.Contains(strides, 2))
			checkAgainstOracle(t, e, definition, p, text, strides, fullWord)
		}
	}
	if accepted < 120 {
		t.Errorf("only %d expressions were accepted", accepted)
	}
}

// TestHexAgainstOracle does the same for hex strings.
func TestHexAgainstOracle(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 3))
	accepted := 0
	for range 1200 {
		e := writer{Rand: rng}.hex(2)
		definition := "{ " + e.text + " }"
		p, err := New("t.yar", str(t, definition))
		if err != nil {
			continue // no literal
		}
		accepted++
		for range 3 {
			checkAgainstOracle(t, e, definition, p, someText(rng, "AABBJ\x00Kq", false), []int{1}, false)
		}
	}
	if accepted < 250 {
		t.Errorf("only %d hex strings were accepted", accepted)
	}
}
