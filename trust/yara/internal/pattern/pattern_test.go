package pattern

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// str parses the definition of a string, such as `"a" wide`.
func str(t testing.TB, definition string) *syntax.String {
	t.Helper()
	f, err := syntax.Parse("t.yar", []byte("rule r { strings:\n$a = "+definition+" condition: $a }"))
	if err != nil {
		t.Fatalf("%s: %v", definition, err)
	}
	return f.Rules[0].Strings[0]
}

func compile(t testing.TB, definition string) *Pattern {
	t.Helper()
	p, err := New("t.yar", str(t, definition))
	if err != nil {
		t.Fatalf("%s: %v", definition, err)
	}
	return p
}

type match struct{ start, end int }

// find looks for the atoms one by one, and confirms them in the whole text.
func find(p *Pattern, text string) []match {
	var m Machine
	best := map[int]int{}
	w := Window{Bytes: []byte(text)}
	for i := range p.Branches {
		b := &p.Branches[i]
		for _, a := range b.Atoms {
			for at := 0; at+len(a.Bytes) <= len(text); at++ {
				here := []byte(text[at : at+len(a.Bytes)])
				if !bytes.Equal(here, a.Bytes) && !(a.Fold && bytes.EqualFold(here, a.Bytes)) {
					continue
				}
				b.Confirm(&m, w, at, func(start, end int) {
					if old, ok := best[start]; !ok || p.Greedy == (end > old) {
						best[start] = end
					}
				})
			}
		}
	}
	var out []match
	for start, end := range best {
		out = append(out, match{start, end})
	}
	slices.SortFunc(out, func(a, b match) int { return a.start - b.start })
	return out
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		definition, text string
		want             []match
	}{
		{`"abc"`, "abcxabc", []match{{0, 3}, {4, 7}}},
		{`"abab"`, "ababab", []match{{0, 4}, {2, 6}}},
		{`"AbC" nocase`, "abc ABC aBd", []match{{0, 3}, {4, 7}}},
		{`"ab" wide`, "ab a\x00b\x00", []match{{3, 7}}},
		{`"ab" ascii wide`, "ab a\x00b\x00", []match{{0, 2}, {3, 7}}},
		{`"ab" fullword`, "ab xab abx _ab_ ab", []match{{0, 2}, {12, 14}, {16, 18}}},
		{`"ab" wide fullword`, "a\x00b\x00c\x00a\x00b\x00", nil},
		{`"ab" wide fullword`, "c\x00 \x00a\x00b\x00 \x00", []match{{4, 8}}},
		{`"abcd" xor(1)`, "abcd`cbe", []match{{4, 8}}},
		{`"abcd" xor`, "abcd`cbe", []match{{0, 4}, {4, 8}}},
		{`"ab" wide xor(2)`, "c\x02`\x02", []match{{0, 4}}},
	} {
		if got := find(compile(t, c.definition), c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s in %q: %v, want %v", c.definition, c.text, got, c.want)
		}
	}
}

func TestHexMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		definition, text string
		want             []match
	}{
		{`{ 61 62 ?? 64 }`, "abxd ab\nd", []match{{0, 4}, {5, 9}}},
		{`{ 61 62 [1-3] 64 }`, "abxd abxxxxd abdd", []match{{0, 4}, {13, 17}}},
		{`{ 61 62 [2] 64 }`, "abxd abxxd", []match{{5, 10}}},
		{`{ 61 62 [-2] 64 }`, "abd abxxd", []match{{0, 3}, {4, 9}}},
		{`{ 61 62 [0-6] 64 }`, "abd..d", []match{{0, 3}}},
		{`{ 61 62 6? }`, "abc abz", []match{{0, 3}}},
		{`{ 61 62 ?3 }`, "abc ab3 abz", []match{{0, 3}, {4, 7}}},
		{`{ 61 62 ~63 }`, "abc abd", []match{{4, 7}}},
		{`{ 61 62 ~6? }`, "abc ab3", []match{{4, 7}}},
		{`{ 61 62 ( 63 | 64 65 ) }`, "abc abd abde", []match{{0, 3}, {8, 12}}},
		{`{ ( 61 62 | 63 64 ) 7? }`, "abx cdx abc", []match{{0, 3}, {4, 7}}},
		{`{ 4? 48 ( 01 | 02 [0-1] 03 ) }`, "AH\x02\x03 AH\x02\x00\x03", []match{{0, 4}, {5, 10}}},
		{"{ 61 /* b */ 62 // c\n }", "ab", []match{{0, 2}}},
		{`{ 8? 4? }`, "\x81A\x8fB", []match{{0, 2}, {2, 4}}},
	} {
		if got := find(compile(t, c.definition), c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s in %q: %v, want %v", c.definition, c.text, got, c.want)
		}
	}
}

func TestRegexMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		definition, text string
		want             []match
	}{
		{`/abc+/`, "abccc", []match{{0, 5}}},
		{`/abc+?/`, "abccc", []match{{0, 3}}},
		{`/^abc/`, "abc abc", []match{{0, 3}}},
		{`/abc$/`, "abc abc", []match{{4, 7}}},
		{`/\babc\B/`, "abc abcd xabcd", []match{{4, 7}}},
		{`/\babc\b/ wide`, "a\x00b\x00c\x00", []match{{0, 6}}},
		{`/abc.d/`, "abc\nd abcxd", []match{{6, 11}}},
		{`/abc.d/s`, "abc\nd", []match{{0, 5}}},
		{`/ab[^c]/i`, "abC ABx", []match{{4, 7}}},
		{`/[]a]bc/`, "]bc abc", []match{{0, 3}, {4, 7}}},
		{`/ab[\]\-x-]/`, "ab] ab- abx", []match{{0, 3}, {4, 7}, {8, 11}}},
		{`/ab\x63\/\t/`, "abc/\t", []match{{0, 5}}},
		{`/ab{/`, "ab{", []match{{0, 3}}},
		{`/ab{x}/`, "ab{x}", []match{{0, 5}}},
		{`/abc{,2}d/`, "abd abcd abccd abcccd", []match{{0, 3}, {4, 8}, {9, 14}}},
		{`/ab(cd){2,}/`, "abcdcdcd abcd", []match{{0, 8}}},
		{`/ab(c|d){1,2}e/`, "abce abcde abcdce", []match{{0, 4}, {5, 10}}},
		{`/[a-z]{0,4000}needle/`, strings.Repeat("x", 5) + "needle", []match{{0, 11}, {1, 11}, {2, 11}, {3, 11}, {4, 11}, {5, 11}}},
		{`/ab(\b)*c/`, "abc", []match{{0, 3}}},
		{`/ab()c/`, "abc", []match{{0, 3}}},
		{`/ab(c*)*d/`, "abccd", []match{{0, 5}}},
		{`/ab[c]{2}[d]{2}/ fullword`, "abccdd abccdde", []match{{0, 6}}},
		{`/ab.{2}/ wide`, "a\x00b\x00c\x00\x01\x00", []match{{0, 8}}},
		{`/ab.{2}/ wide`, "a\x00b\x00c\x00\x01\x01", nil},
	} {
		if got := find(compile(t, c.definition), c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s in %q: %v, want %v", c.definition, c.text, got, c.want)
		}
	}
}

// TestAgainstRegexp compares with the standard library, which reads the same dialect where it is asked to here.
func TestAgainstRegexp(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 3))
	for range 1500 {
		source := randomRegex(rng, 2, []string{"", "?"}[rng.IntN(2)])
		p, err := New("t.yar", str(t, "/"+source+"/s"))
		if err != nil {
			continue // no literal
		}
		re := regexp.MustCompile(`(?s)^(?:` + source + `)`)
		text := make([]byte, 60)
		for i := range text {
			text[i] = "aabbcd "[rng.IntN(7)]
		}
		var want []match
		for i := range text {
			if loc := re.FindIndex(text[i:]); loc != nil {
				want = append(want, match{i, i + loc[1]})
			}
		}
		got := find(p, string(text))
		// Where several literals lead to one start, the longest or shortest of them counts, so that ends may differ.
		starts := func(all []match) (out []int) {
			for _, m := range all {
				out = append(out, m.start)
			}
			return out
		}
		if diff := cmp.Diff(starts(want), starts(got)); diff != "" {
			t.Fatalf("/%s/ in %q:\n%s", source, text, diff)
		}
	}
}

func randomRegex(rng *rand.Rand, depth int, lazy string) string {
	var b strings.Builder
	for range 1 + rng.IntN(5) {
		item := []string{"a", "b", "ab", "[ab]", "[^a]", ".", "c", "bcd"}[rng.IntN(8)]
		if depth > 0 && rng.IntN(4) == 0 {
			item = "(" + randomRegex(rng, depth-1, lazy) + "|" + randomRegex(rng, depth-1, lazy) + ")"
		}
		if q := rng.IntN(14); q < 7 && len(item) != 2 && item != "bcd" {
			item += []string{"*", "+", "?", "{2}", "{1,3}", "{0,4}", "{2,}"}[q] + lazy
		}
		b.WriteString(item)
	}
	return b.String()
}

func TestBase64(t *testing.T) {
	t.Parallel()
	const custom = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, text := range []string{"abc", "hello world", "\x00\xff\x10\x80", "any text of 17 b."} {
		for shift := range 5 {
			for tail := range 4 {
				plain := strings.Repeat("x", shift) + text + strings.Repeat("y", tail)
				quoted := fmt.Sprintf(`"%s" base64`, escaped(text))
				if got := find(compile(t, quoted), base64.StdEncoding.EncodeToString([]byte(plain))); len(got) != 1 {
					t.Errorf("%q shifted by %d: %v", text, shift, got)
				}
				if got := find(compile(t, quoted+`("`+custom+`")`), base64.URLEncoding.EncodeToString([]byte(plain))); len(got) != 1 {
					t.Errorf("%q shifted by %d in another alphabet: %v", text, shift, got)
				}
			}
		}
	}
	if got := string(encode([]byte("This program cannot"), 0, "")); got != "VGhpcyBwcm9ncmFtIGNhbm5vd" {
		t.Errorf("got %s", got)
	}
}

func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, `\x%02x`, s[i])
	}
	return b.String()
}

func TestAtoms(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string][]string{
		`"short text"`:                            {"short text"},
		`"AB" nocase`:                             {"~AB"},
		`{ 01 02 ?? 03 04 05 06 07 }`:             {"\x03\x04\x05\x06\x07"},
		`{ 00 00 00 00 [4] 41 42 43 }`:            {"ABC"},
		`{ 41 ( 01 02 03 04 | 05 06 07 08 ) }`:    {"A\x01\x02\x03\x04", "A\x05\x06\x07\x08"},
		`{ 41 42 43 44 ( 01 | 02 ) }`:             {"ABCD"},
		`/https?:\/\/[a-z]+\.example/`:            {".example"},
		`/foo(bar|baz)+quux.*/`:                   {"quux"},
		`/(alpha|beta)/`:                          {"alpha", "beta"},
		`/(alpha|beta|x)/`:                        nil,
		`/abcd/i`:                                 {"~abcd"},
		`/abcd/ wide`:                             {"a\x00b\x00c\x00d\x00"},
		`/[0-9]{3}ab/`:                            {"ab"},
		`/a[01]b/`:                                {"a0b", "a1b"},
		`/(ab)+/`:                                 {"ab"},
		`/a{5}/`:                                  {"aaaaa"},
		`/x(abcd){3}/`:                            {"xabcd"},
		`{ 4? 4? }`:                               nil, // 256 of them
		`/[^a]bc/`:                                {"bc"},
		`/` + strings.Repeat("a", 100) + `/`:      {strings.Repeat("a", maxAtom/2)},
		`"` + strings.Repeat("b", 100) + `"`:      {strings.Repeat("b", maxAtom)},
		`/a.(b|(cd|ef(gh|ij))k)lmno/`:             {"lmno"},
		`/((aa|bb)(cc|dd))/`:                      {"aacc", "aadd", "bbcc", "bbdd"},
		`/\bcommand\b --[a-z]+/`:                  {"command"},
		`{ ( 41 | 42 ) ( 01 | 02 ) 03 }`:          {"A\x01\x03", "A\x02\x03", "B\x01\x03", "B\x02\x03"},
		`/(a|b)(c|d)/`:                            {"ac", "ad", "bc", "bd"},
		`{ 7F 45 4C 46 02 01 01 00 [8] 02 00 }`:   {"\x7fELF\x02\x01\x01\x00"},
		`{ E8 ?? ?? ?? ?? ( 85 C0 | 48 85 C0 ) }`: {"\x85\xc0", "H\x85\xc0"},
	} {
		p, err := New("t.yar", str(t, definition))
		var got []string
		if err == nil {
			for _, b := range p.Branches {
				for _, a := range b.Atoms {
					text := string(a.Bytes)
					if a.Fold {
						text = "~" + text
					}
					got = append(got, text)
				}
			}
		}
		if definition == `{ 4? 4? }` {
			if len(got) != 256 {
				t.Errorf("%s: %d atoms", definition, len(got))
			}
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %v\n%s", definition, err, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string]string{
		`"a"`:                                    "2:1: the string $a is shorter than 2 bytes",
		`"a" base64`:                             "2:1: the string $a is shorter than 2 bytes",
		`/[a-z]+/`:                               "2:1: the string $a has no run of at least 2 fixed bytes",
		`/a|bcd/`:                                "has no run of",
		`{ ?? ?? }`:                              "has no run of",
		`{ 41 }`:                                 "has no run of",
		`/(ab/`:                                  "2:7: a ( without its )",
		`/ab)/`:                                  "2:9: a ) without its (",
		`/ab[c/`:                                 "2:9: a [ without its ]",
		`/ab[]/`:                                 "2:9: a [ without its ]",
		`/ab[z-a]/`:                              "2:11: a range that runs from no byte to a higher one",
		`/ab[\w-z]/`:                             "a range that runs from no byte",
		`/ab[^\x00-\xff]/`:                       "a class that no byte is in",
		`/(*ab)/`:                                `2:8: a '*' that follows nothing to repeat`,
		`/ab(+c)/`:                               `2:10: a '+' that follows nothing`,
		`/ab**/`:                                 "2:9: two quantifiers follow each other",
		`/ab*{2}/`:                               "two quantifiers follow each other",
		`/ab^*/`:                                 "2:9: a place cannot be repeated",
		`/(?i)ab/`:                               "2:7: groups that begin with (? are not supported",
		`/ab\z/`:                                 `2:9: the escape \z is not supported`,
		`/ab\1/`:                                 `the escape \1 is not supported`,
		`/ab\xg0/`:                               `2:9: \x needs two hexadecimal digits`,
		`/ab\x/`:                                 `\x needs two hexadecimal digits`,
		"/ab\xc3\xa4/":                           `2:9: only printable ASCII characters stand in a regular expression: write \xc3`,
		"/ab[\x01]/":                             `only printable ASCII characters`,
		`/ab{5000}/`:                             "2:9: a repetition is at most 4096 times",
		`/ab{3,2}/`:                              "a repetition of 3 to 2 times",
		`/ab{99999999999999999999}/`:             "a repetition is at most 4096 times",
		`/ab+c+?/`:                               "2:7: greedy and lazy quantifiers in one regular expression",
		`/ab((cd){100}){100}/`:                   "too complex: its repetitions make more than 8192 steps",
		"/ab" + strings.Repeat("(", 33) + "/":    "groups nest deeper than 32",
		`{ }`:                                    "2:7: the hex string is empty",
		`{ 4 }`:                                  "2:8: a byte is two hexadecimal digits or ?",
		`{ 41 4G }`:                              "2:11: a byte is two hexadecimal digits or ?",
		`{ 41 42 ~?? }`:                          "2:14: ~?? stands for no byte",
		`{ [1] 41 }`:                             "2:8: a hex string does not begin with a jump",
		`{ 41 [1] }`:                             "2:11: a hex string does not end with a jump",
		`{ 41 [4-] 42 }`:                         "2:11: a jump without an upper bound is not supported",
		`{ 41 [-] 42 }`:                          "a jump without an upper bound is not supported",
		`{ 41 [4-2] 42 }`:                        "2:11: a jump of 4 to 2 bytes",
		`{ 41 [0] 42 }`:                          "a jump of 0 to 0 bytes",
		`{ 41 [x] 42 }`:                          "2:11: a jump is [n] or [n-m]",
		`{ 41 [1-x] 42 }`:                        "a jump is [n] or [n-m]",
		`{ 41 [5000] 42 }`:                       "2:11: a jump is at most 4096 bytes",
		`{ 41 [3000] 42 [3000] 43 }`:             "2:7: the hex string can be longer than 4096 bytes",
		`{ 41 [1 }`:                              "a [ without its ]",
		`{ ( 41 | 42 }`:                          "2:8: a ( without its )",
		`{ ( 41 | ) }`:                           "an empty alternative",
		`{ 41 ) }`:                               "2:11: unexpected ')' in a hex string",
		"{ 41\n 42\n  4X }":                      "4:3: a byte is two hexadecimal digits or ?",
		"{ " + strings.Repeat("( 41 ", 33) + "}": "alternatives nest deeper than 32",
	} {
		t.Run(definition[:min(len(definition), 30)], func(t *testing.T) {
			t.Parallel()
			_, err := New("t.yar", str(t, definition))
			var where *syntax.Error
			if !errors.As(err, &where) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "t.yar:") {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	for _, m := range []syntax.Modifiers{{XOR: true}, {Base64: true}, {Base64Wide: true}} {
		_, err := New("t.yar", &syntax.String{Form: syntax.Text, Body: strings.Repeat("x", maxVaried+1), Modifiers: m})
		if err == nil || !strings.Contains(err.Error(), "longer than 256 bytes") {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if _, err := New("t.yar", &syntax.String{Form: syntax.Text, Body: strings.Repeat("x", Reach+1)}); err == nil || !strings.Contains(err.Error(), "longer than 4096 bytes") {
		t.Errorf("a long text: %v", err)
	}
}

// TestReach: nothing further away than Reach is looked at, and what is said about it is true.
func TestReach(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string][2]int{
		`"abcdef"`:                 {2, 8},
		`/x{3}abcdefgh/`:           {2, 13},
		`/.*abcdefgh.*/`:           {Reach + 2, Reach + 2},
		`{ 41 42 43 44 [100] 45 }`: {2, 107},
		`{ 45 [100] 41 42 43 44 }`: {103, 6},
	} {
		before, after := compile(t, definition).Reaches()
		if got := [2]int{before, after}; got != want {
			t.Errorf("%s: %v, want %v", definition, got, want)
		}
	}
	text := strings.Repeat("x", 2*Reach) + "abcdefgh" + strings.Repeat("y", 2*Reach)
	got := find(compile(t, `/x*abcdefghy*/`), text)
	if len(got) != Reach+1 || got[0].start != Reach || got[0].end != 3*Reach {
		t.Errorf("%d matches, the first %v", len(got), got[0])
	}
}

// TestStepsAreBounded: however a pattern and a text conspire, a confirmation looks at each byte once for each state.
func TestStepsAreBounded(t *testing.T) {
	t.Parallel()
	for _, definition := range []string{`/(a*)*(a|aa)+abcd(a+a+)+z/`, `/a{0,4000}a{0,4000}abcda{0,4000}a{0,4000}z/`, `/((a?){50}){20}abcd/`, `{ 61 62 63 64 [0-4000] 7A }`} {
		p := compile(t, definition)
		text := []byte(strings.Repeat("a", 3*Reach) + "bcd" + strings.Repeat("a", 3*Reach))
		var m Machine
		for i := range p.Branches {
			b := &p.Branches[i]
			for _, a := range b.Atoms {
				at := bytes.Index(text, a.Bytes)
				states := 2
				if b.before != nil {
					states = len(b.before.insts) + len(b.after.insts)
				}
				m.Steps = 0
				b.Confirm(&m, Window{Bytes: text}, at, func(int, int) {})
				if limit := int64(Reach+1) * int64(states+1) * 2; m.Steps > limit {
					t.Errorf("%s: %d steps, at most %d are right", definition, m.Steps, limit)
				}
			}
		}
	}
}

func TestMatcher(t *testing.T) {
	t.Parallel()
	matcher := func(source string) (*Matcher, error) {
		f, err := syntax.Parse("t.yar", []byte(`rule r { condition: "x" matches /`+source+`/i }`))
		if err != nil {
			t.Fatal(err)
		}
		return NewMatcher("t.yar", f.Rules[0].Condition.Args[1])
	}
	var m Machine
	for source, want := range map[string]bool{"b": true, "^ab": true, "b$": false, "ABC": true, "c$": true, "x*": true, "[x-z]": false, "a.?c": true} {
		x, err := matcher(source)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Match(&m, "abc"); got != want {
			t.Errorf("/%s/: %t", source, got)
		}
	}
	for _, source := range []string{"(", "((a{9}b){99}){99}"} {
		if _, err := matcher(source); err == nil {
			t.Errorf("/%s/ was accepted", source)
		}
	}
}

func TestSets(t *testing.T) {
	t.Parallel()
	var s set
	s.addRange('a', 'c')
	s.add('Z')
	s.addSet(one(0xff))
	if got := string(s.members()); got != "Zabc\xff" || s.size() != 5 {
		t.Errorf("%q", got)
	}
	if got := string(s.folded().members()); got != "ABCZabcz\xff" {
		t.Errorf("%q", got)
	}
	if n := s.negated(); n.size() != 251 || n.has('a') || !n.has('d') {
		t.Errorf("%d", n.size())
	}
}

// FuzzPattern: whatever is accepted finds the same in a text as in the text between other bytes.
func FuzzPattern(f *testing.F) {
	for _, d := range []string{`"abc" wide`, `/ab(c|d){2,5}?\b/`, `{ 61 ( 62 | ?3 ) [0-9] 64 65 }`, `/a.*bcd[^x]/is`, `"ab" xor(1-3)`, `/(a{0,9}){0,9}bc$/`} {
		f.Add(d, "abcdabcd")
	}
	f.Fuzz(func(t *testing.T, definition, text string) {
		file, err := syntax.Parse("f", []byte("rule r { strings: $a = "+definition+" condition: $a }"))
		if err != nil || len(file.Rules) != 1 || len(file.Rules[0].Strings) != 1 || len(text) > 1000 {
			return
		}
		p, err := New("f", file.Rules[0].Strings[0])
		var where *syntax.Error
		if err != nil {
			if !errors.As(err, &where) {
				t.Fatalf("an error without a place: %v", err)
			}
			return
		}
		if before, after := p.Reaches(); before > Reach+2 || after > Reach+2 {
			t.Fatalf("reaches %d and %d", before, after)
		}
		if len(p.Branches) > 64 {
			return
		}
		for _, m := range find(p, text) {
			if m.start < 0 || m.end > len(text) || m.start > m.end {
				t.Fatalf("match %v in %d bytes", m, len(text))
			}
		}
	})
}
