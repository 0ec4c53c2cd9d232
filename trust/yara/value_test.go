package yara

import (
	"fmt"
	"testing"
)

func decimals(f float64) value { return value{state: decimal, f: f} }
func texts(s string) value     { return value{state: text, s: s} }
func least(i int64) value      { return value{state: atLeast, i: i} }

func TestHolds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v          value
		yes, known bool
	}{
		{whole(0), false, true},
		{whole(-3), true, true},
		{decimals(0), false, true},
		{decimals(0.5), true, true},
		{texts(""), false, true},
		{texts("x"), true, true},
		{least(1), true, true},
		{least(0), false, false},
		{value{state: undefined}, false, true},
		{value{state: unread}, false, false},
	} {
		if yes, known := c.v.holds(); yes != c.yes || known != c.known {
			t.Errorf("%+v: %t %t", c.v, yes, known)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	no, yes, undef, gone := truth(false), truth(true), value{state: undefined}, value{state: unread}
	for _, c := range []struct {
		a    value
		op   string
		b    value
		want value
	}{
		{whole(1), "<", whole(2), yes},
		{whole(2), "<=", whole(2), yes},
		{whole(2), ">", whole(2), no},
		{whole(2), ">=", whole(2), yes},
		{whole(2), "==", whole(2), yes},
		{whole(2), "!=", whole(2), no},
		{whole(1), "<", decimals(1.5), yes},
		{decimals(1.5), "==", decimals(1.5), yes},
		{decimals(2.5), ">", whole(2), yes},
		{texts("a"), "<", texts("b"), yes},
		{texts("a"), "==", texts("A"), no},
		{undef, "==", undef, undef},
		{undef, "!=", whole(1), undef},
		{gone, "==", whole(1), gone},
		{undef, "==", gone, gone},
		{least(5), ">", whole(4), yes},
		{least(5), ">", whole(5), gone},
		{least(5), ">=", whole(5), yes},
		{least(5), "<", whole(5), no},
		{least(5), "<", whole(6), gone},
		{least(5), "<=", whole(4), no},
		{least(5), "<=", whole(5), gone},
		{least(5), "==", whole(4), no},
		{least(5), "==", whole(5), gone},
		{least(5), "!=", whole(4), yes},
		{least(5), "!=", whole(5), gone},
		{whole(4), "<", least(5), yes},
		{whole(4), ">=", least(5), no},
		{whole(4), "==", least(5), no},
		{least(4), "==", least(5), gone},
		{least(4), "==", undef, gone},
	} {
		if got := compare(c.op, c.a, c.b); got != c.want {
			t.Errorf("%+v %s %+v: %+v", c.a, c.op, c.b, got)
		}
	}
}

func TestArith(t *testing.T) {
	t.Parallel()
	undef := value{state: undefined}
	for _, c := range []struct {
		a    value
		op   string
		b    value
		want value
	}{
		{whole(7), "+", whole(-2), whole(5)},
		{whole(7), "-", whole(9), whole(-2)},
		{whole(7), "*", whole(3), whole(21)},
		{whole(7), "\\", whole(2), whole(3)},
		{whole(-7), "%", whole(3), whole(-1)},
		{whole(7), "\\", whole(0), undef},
		{whole(7), "%", whole(0), undef},
		{whole(-1 << 63), "\\", whole(-1), undef},
		{whole(6), "&", whole(3), whole(2)},
		{whole(6), "|", whole(1), whole(7)},
		{whole(6), "^", whole(3), whole(5)},
		{whole(1), "<<", whole(4), whole(16)},
		{whole(1), "<<", whole(64), whole(0)},
		{whole(1), "<<", whole(-1), undef},
		{whole(-8), ">>", whole(1), whole(-4)},
		{whole(8), ">>", whole(70), whole(0)},
		{decimals(1.5), "+", whole(1), decimals(2.5)},
		{whole(3), "-", decimals(0.5), decimals(2.5)},
		{decimals(1.5), "*", whole(2), decimals(3)},
		{whole(3), "\\", decimals(2), decimals(1.5)},
		{undef, "+", whole(1), undef},
		{least(1), "+", whole(1), value{state: unread}},
		{value{state: unread}, "*", undef, value{state: unread}},
	} {
		if got := arith(c.op, c.a, c.b); got != c.want {
			t.Errorf("%+v %s %+v: %+v", c.a, c.op, c.b, got)
		}
	}
}

func TestContains(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, word, b string
		want       bool
	}{
		{"abc", "contains", "b", true}, {"abc", "contains", "B", false}, {"aBc", "icontains", "Bc", true},
		{"abc", "startswith", "ab", true}, {"Abc", "startswith", "ab", false}, {"Abc", "istartswith", "aB", true},
		{"abc", "endswith", "bc", true}, {"abC", "endswith", "bc", false}, {"abC", "iendswith", "Bc", true},
		{"abC", "iequals", "ABc", true}, {"abC", "iequals", "AB", false}, {"\xc3\x84", "iequals", "\xc3\xa4", false},
	} {
		if got := contains(c.word, texts(c.a), texts(c.b)); got != truth(c.want) {
			t.Errorf("%q %s %q: %+v", c.a, c.word, c.b, got)
		}
	}
	if got := contains("contains", value{state: unread}, texts("")); got.state != unread {
		t.Errorf("%+v", got)
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	answers := map[byte]value{'y': truth(true), 'n': truth(false), '?': {state: unread}, 'u': {state: undefined}}
	for _, c := range []struct {
		asked string
		need  int64
		none  bool
		want  value
		used  int // answers after which all is decided
	}{
		{"yyn", 2, false, truth(true), 2},
		{"nny", 2, false, truth(false), 2},
		{"nyy", 3, false, truth(false), 1},
		{"y?n", 2, false, value{state: unread}, 3},
		{"?yy", 2, false, truth(true), 3},
		{"?nn", 2, false, truth(false), 3},
		{"nnn", 1, true, truth(true), 3},
		{"nyn", 1, true, truth(false), 2},
		{"n?n", 1, true, value{state: unread}, 3},
		{"uuu", 1, false, truth(false), 3},
	} {
		tl := tally{need: c.need, none: c.none, left: int64(len(c.asked))}
		used := 0
		for i := range len(c.asked) {
			used++
			if tl.add(answers[c.asked[i]]) {
				break
			}
		}
		if got := tl.value(); got != c.want || used != c.used {
			t.Errorf("%s of %d (%t): %+v after %d", c.asked, c.need, c.none, got, used)
		}
	}
}

func TestSighting(t *testing.T) {
	t.Parallel()
	s := &sighting{known: complete}
	for _, sp := range []span{{30, 3}, {10, 5}, {10, 2}, {20, 1}, {20, 1}} {
		s.add(sp, true, true, 100)
	}
	s.end(true)
	if got := fmt.Sprint(s.spans); got != "[{10 5} {20 1} {30 3}]" {
		t.Errorf("got %s", got)
	}
	for _, c := range []struct {
		got, want value
	}{
		{s.found(), truth(true)},
		{s.countAll(), whole(3)},
		{s.count(whole(10), whole(20)), whole(2)},
		{s.count(whole(11), whole(19)), whole(0)},
		{s.count(whole(20), whole(10)), whole(0)},
		{s.count(whole(0), whole(1<<63-1)), whole(3)},
		{s.count(value{state: undefined}, whole(1)), value{state: undefined}},
		{s.at(whole(20)), truth(true)},
		{s.at(whole(21)), truth(false)},
		{s.at(value{state: unread}), value{state: unread}},
		{s.place(whole(1), false), whole(10)},
		{s.place(whole(1), true), whole(5)},
		{s.place(whole(4), false), value{state: undefined}},
		{s.place(whole(0), false), value{state: undefined}},
		{s.place(value{state: unread}, false), value{state: unread}},
	} {
		if c.got != c.want {
			t.Errorf("got %+v, want %+v", c.got, c.want)
		}
	}
	s.known = 25
	s.end(true)
	for _, c := range []struct {
		got, want value
	}{
		{s.countAll(), least(2)},
		{s.at(whole(20)), truth(true)},
		{s.at(whole(24)), truth(false)},
		{s.at(whole(25)), value{state: unread}},
		{s.count(whole(0), whole(24)), whole(2)},
		{s.count(whole(0), whole(25)), least(2)},
		{s.count(whole(30), whole(26)), whole(0)},
		{s.place(whole(2), false), whole(20)},
		{s.place(whole(3), false), value{state: unread}},
	} {
		if c.got != c.want {
			t.Errorf("cut: got %+v, want %+v", c.got, c.want)
		}
	}
	if got := (&sighting{known: 0}).found(); got.state != unread {
		t.Errorf("a string that was given up: %+v", got)
	}
	full := &sighting{known: complete}
	for i := range 10 {
		if ok := full.add(span{int64(i), 1}, true, false, 5); ok != (i < 5) {
			t.Errorf("place %d: %t", i, ok)
		}
	}
}
