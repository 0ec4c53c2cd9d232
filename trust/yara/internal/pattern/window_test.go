package pattern

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// confirmed are the matches of every atom that stands in text, each confirmed in the window that cut gives for it.
func confirmed(m *Machine, p *Pattern, text string, cut func(at int) Window) (out []string) {
	for i := range p.Branches {
		b := &p.Branches[i]
		for _, a := range b.Atoms {
			for at := 0; at+len(a.Bytes) <= len(text); at++ {
				here := []byte(text[at : at+len(a.Bytes)])
				if bytes.Equal(here, a.Bytes) || a.Fold && bytes.EqualFold(here, a.Bytes) {
					w := cut(at)
					b.Confirm(m, w, at-int(w.Base), func(start, end int) {
						out = append(out, fmt.Sprint(i, at, start+int(w.Base), end+int(w.Base)))
					})
				}
			}
		}
	}
	return out
}

// TestWindows: what Reaches says is enough: cut there, a window shows the same matches as the whole file, to a machine
// that has run many others before.
func TestWindows(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 9))
	var m Machine
	accepted := 0
	for range 800 {
		w := writer{rng, []string{"", "?"}[rng.IntN(2)], false, true}
		definition := "/" + w.regex(1).text + "/s" + []string{"", " wide", " fullword", " wide fullword", " wide ascii"}[rng.IntN(5)]
		p, err := New("t.yar", str(t, definition))
		if err != nil {
			continue
		}
		accepted++
		text := strings.Repeat("ab c1\n", 3) + someText(rng, "aabbcB1_ -\n", strings.Contains(definition, "wide")) + "\x00a\x00b"
		whole := confirmed(new(Machine), p, text, func(int) Window { return Window{Bytes: []byte(text)} })
		before, after := p.Reaches()
		near := confirmed(&m, p, text, func(at int) Window {
			from, to := max(0, at-before), min(len(text), at+after)
			return Window{Bytes: []byte(text[from:to]), Base: int64(from)}
		})
		if !slices.Equal(whole, near) {
			t.Fatalf("%s in %q, %d before and %d after:\nwhole %v\nnear  %v", definition, text, before, after, whole, near)
		}
	}
	if accepted < 200 {
		t.Errorf("only %d expressions were accepted", accepted)
	}
}

// TestPlacesOfAFile: the ends of a window are those of the file only when they are.
func TestPlacesOfAFile(t *testing.T) {
	t.Parallel()
	var m Machine
	for _, c := range []struct {
		definition, text string
		base             int64
		want             int
	}{
		{`/^abc/`, "abc", 0, 1},
		{`/^abc/`, "abc", 1, 0},
		{`/^abc/`, "xabc", 0, 0},
		{`/abc$/`, "abc", 5, 1},
		{`/abc$/`, "abc\n", 0, 0},
		{`/\babc\b/`, "abc", 0, 1},
		{`/\Babc/`, "abc", 0, 0},
		{`/\babc\b/ wide`, "x\x01a\x00b\x00c\x00x\x01", 0, 1},
		{`/\babc\b/ wide`, "x\x00a\x00b\x00c\x00", 0, 0},
		{`/\babc\b/ wide`, "\x00a\x00b\x00c\x00x", 0, 1},
		{`"abc" wide fullword`, "x\x01a\x00b\x00c\x00x\x01", 0, 1},
	} {
		p := compile(t, c.definition)
		a := p.Branches[0].Atoms[0]
		got := 0
		p.Branches[0].Confirm(&m, Window{Bytes: []byte(c.text), Base: c.base}, strings.Index(c.text, string(a.Bytes)), func(int, int) { got++ })
		if got != c.want {
			t.Errorf("%s in %q at %d: %d matches, want %d", c.definition, c.text, c.base, got, c.want)
		}
	}
}

// TestTextsAgainstOracle: a text with modifiers is found exactly where one of the texts that it stands for is.
func TestTextsAgainstOracle(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 14))
	for range 1500 {
		body := someText(rng, "abA\x00", false)[:2+rng.IntN(4)]
		low := rng.IntN(256)
		high := min(255, low+rng.IntN(4))
		var wants []string
		ascii, wide := rng.IntN(2) == 0, rng.IntN(2) == 0
		if ascii || !wide {
			wants = append(wants, body)
		}
		if wide {
			wants = append(wants, strings.Join(strings.Split(body, ""), "\x00")+"\x00")
		}
		modifiers, fold := "", false
		if ascii {
			modifiers += " ascii"
		}
		if wide {
			modifiers += " wide"
		}
		switch rng.IntN(3) {
		case 0:
			modifiers, fold = modifiers+" nocase", true
		case 1:
			modifiers += fmt.Sprintf(" xor(%d-%d)", low, high)
			var keyed []string
			for _, w := range wants {
				for key := low; key <= high; key++ {
					k := []byte(w)
					for i := range k {
						k[i] ^= byte(key)
					}
					keyed = append(keyed, string(k))
				}
			}
			wants = keyed
		}
		text := someText(rng, "abAB\x00", false) + wants[rng.IntN(len(wants))] + someText(rng, "abAB\x00", false)
		want := map[int]bool{}
		for _, w := range wants {
			for i := 0; i+len(w) <= len(text); i++ {
				here := text[i : i+len(w)]
				if here == w || fold && strings.EqualFold(here, w) {
					want[i] = true
				}
			}
		}
		definition := `"` + escaped(body) + `"` + modifiers
		got := find(compile(t, definition), text)
		for _, m := range got {
			if !want[m.start] {
				t.Fatalf("%s in %q: found at %d", definition, text, m.start)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%s in %q: %v, want %v", definition, text, got, want)
		}
	}
}

// TestLimitsAreInclusive: what is exactly as large as allowed is compiled, and one more is refused.
func TestLimitsAreInclusive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit      int
		definition func(n int) string
		want       string // of limit+1
	}{
		"repetition": {maxRepeat, func(n int) string { return "/abc.{" + strconv.Itoa(n) + "}/" }, "2:11: a repetition is at most 4096 times"},
		"least":      {maxRepeat, func(n int) string { return "/abc.{" + strconv.Itoa(n) + ",}/" }, "2:11: a repetition is at most 4096 times"},
		"most":       {maxRepeat, func(n int) string { return "/abc.{," + strconv.Itoa(n) + "}/" }, "2:11: a repetition is at most 4096 times"},
		"jump": {maxRepeat - 4, func(n int) string { return "{ 41 42 [" + strconv.Itoa(n) + "] 43 44 }" },
			"2:7: the hex string can be longer than 4096 bytes"},
		"jumps": {(Reach - 4) / 2, func(n int) string { return fmt.Sprintf("{ 41 42 [0-%d] 43 [%d] 44 }", n, n) },
			"2:7: the hex string can be longer than 4096 bytes"},
		"longest alternative": {Reach - 5, func(n int) string { return fmt.Sprintf("{ 41 42 43 ( 44 | 45 [%d] 46 ) }", n) },
			"2:7: the hex string can be longer than 4096 bytes"},
		"groups": {maxNesting, func(n int) string { return "/ab" + strings.Repeat("(", n) + "c" + strings.Repeat(")", n) + "/" },
			"groups nest deeper than 32"},
		"alternatives": {maxNesting, func(n int) string {
			return "{ 41 42 " + strings.Repeat("( 43 | ", n) + "44 " + strings.Repeat(") ", n) + "}"
		}, "alternatives nest deeper than 32"},
		"xor":    {maxVaried, func(n int) string { return `"` + strings.Repeat("x", n) + `" xor` }, "2:1: the string $a is longer than 256 bytes"},
		"base64": {maxVaried, func(n int) string { return `"` + strings.Repeat("x", n) + `" base64` }, "2:1: the string $a is longer than 256 bytes"},
		"wide":   {Reach / 2, func(n int) string { return `"` + strings.Repeat("x", n) + `" wide` }, "2:1: the string $a is longer than 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{c.limit - 1, c.limit} {
				if _, err := New("t.yar", str(t, c.definition(n))); err != nil {
					t.Errorf("%d, of at most %d: %.200v", n, c.limit, err)
				}
			}
			if _, err := New("t.yar", str(t, c.definition(c.limit+1))); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %.200v\nwant %s", err, c.want)
			}
		})
	}
}

// TestWhatIsTaken reads, in the order of the alphabet, the bytes that one item of a regular expression stands for.
func TestWhatIsTaken(t *testing.T) {
	t.Parallel()
	all := func(fits func(c byte) bool) string {
		var out []byte
		for c := range 256 {
			if fits(byte(c)) {
				out = append(out, byte(c))
			}
		}
		return string(out)
	}
	not := func(s string) string { return all(func(c byte) bool { return strings.IndexByte(s, c) < 0 }) }
	const word = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	for item, want := range map[string]string{
		`a`: "a", `\.`: ".", `\*`: "*", `\\`: `\`, `\/`: "/", `\_`: "_", `\-`: "-", `\"`: `"`, `{`: "{", `}`: "}", `]`: "]", `-`: "-", `,`: ",",
		`\n`: "\n", `\t`: "\t", `\r`: "\r", `\f`: "\f", `\a`: "\a", `\v`: "\v", `\x00`: "\x00", `\xfF`: "\xff", `\x5d`: "]",
		`.`: not("\n"), `\d`: word[:10], `\D`: not(word[:10]), `\w`: word, `\W`: not(word), `\s`: "\t\n\v\f\r ", `\S`: not("\t\n\v\f\r "),
		`[a]`: "a", `[^a]`: not("a"), `[abc]`: "abc", `[a-c]`: "abc", `[a-]`: "-a", `[-a]`: "-a", `[a\-c]`: "-ac", `[]]`: "]", `[^]]`: not("]"),
		`[]a]`: "]a", `[]-a]`: "]^_`a", `[\]]`: "]", `[.]`: ".", `[$^]`: "$^", `[\^a]`: "^a", `[a^]`: "^a", `[\d_]`: word[:10] + "_", `[\Da]`: not(word[:10]),
		`[\w\W]`: not(""), `[^\W]`: word, `[\x00-\x02]`: "\x00\x01\x02", `[\x41-C]`: "ABC", `[a-a]`: "a", `[*+?(){}|]`: "()*+?{|}", `[/]`: "",
		`[\/]`: "/", `[a-c-e]`: "-abce", `[\w-]`: "-" + word, `[\\]`: `\`, `[ -~]`: all(func(c byte) bool { return c >= ' ' && c <= '~' }),
	} {
		if item == "[/]" { // ends the regular expression
			continue
		}
		e := str(t, "/"+item+"/")
		r := &regex{source: source{text: e.Body}}
		n, err := r.parse()
		if err != nil {
			t.Errorf("%s: %v", item, err)
			continue
		}
		if len(n.subs) != 1 || n.subs[0].op != opSet {
			t.Errorf("%s is %d items", item, len(n.subs))
			continue
		}
		if got := string(n.subs[0].set.members()); got != want && got != sorted(want) {
			t.Errorf("%s takes %q, want %q", item, got, want)
		}
		// In both cases, it takes what it took, with the other case of every letter.
		folded := &regex{source: source{text: e.Body}, fold: true}
		n, err = folded.parse()
		if err != nil {
			t.Errorf("%s: %v", item, err)
			continue
		}
		if !strings.HasPrefix(item, "[^") {
			both := all(func(c byte) bool {
				return strings.IndexByte(want, c) >= 0 || letterOf(c) && strings.IndexByte(want, c^0x20) >= 0
			})
			if got := string(n.subs[0].set.members()); got != both {
				t.Errorf("%s in both cases takes %q, want %q", item, got, both)
			}
		}
	}
}

func letterOf(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func sorted(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

// TestErrorsShowNoControls: whatever byte stands in a string, its error is one line of printable text, with a place.
func TestErrorsShowNoControls(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for _, text := range []string{"ab%s", `ab\%s`, "ab[%s]", `ab[\%s]`, `ab\x%s`, `ab\x4%s`, "ab(?%s", "ab{%s}", "ab{1%s}", "ab.%s", "%s"} {
			text = fmt.Sprintf(text, string([]byte{byte(c)}))
			for _, form := range []syntax.Form{syntax.Regex, syntax.Hex} {
				_, err := New("t.yar", &syntax.String{Name: "a", Pos: syntax.Pos{Line: 7, Column: 1}, Form: form, Body: text, BodyPos: syntax.Pos{Line: 7, Column: 5}})
				var where *syntax.Error
				if err == nil {
					continue
				}
				if !errors.As(err, &where) || where.Line < 7 || where.Column < 1 || where.Line == 7 && where.Column > 5+len(text) {
					t.Errorf("%q: no such place: %q", text, err)
				}
				if i := strings.IndexFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd }); i >= 0 {
					t.Errorf("%q: a control character in %q", text, err)
				}
			}
		}
	}
}

// TestHexForms: what may stand in a hex string, and what each stands for.
func TestHexForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{4142}": "AB", "{ 4 1 42 }": "", "{41\n42}": "AB", "{41\t42\r\n}": "AB", "{ 6a6B }": "jk", "{ 41/**/42 }": "AB", "{ 41//}\n42 }": "AB",
		"{ 41 /*/ 42 */ 43 }": "AC", "{ ( 41 42 ) }": "AB", "{ ( 41 | 42 ) 43 }": "AC", "{ ~40 42 43 }": "ABC", "{ ~?0 42 43 }": "ABC", "{ ~5? 42 43 }": "ABC",
		"{ 41 42 [ 1 - 2 ] 43 }": "ABxC", "{ 41 42 [-1] 43 }": "ABC", "{ 41 42 [1] [1] 43 }": "ABxyC", "{ ( 41 ( 42 | 43 ) | 44 ) 45 46 }": "ACEF",
		"{ 41 42 | 43 }": "", "{ ( | 41 ) 42 }": "", "{ () 41 42 }": "", "{ ( 41 [1] ) 42 43 }": "", "{ ( [1] 41 ) 42 43 }": "", "{ ~ 41 42 }": "", "{ ~~41 42 }": "",
		"{ 41 42 [1-2 }": "", "{ 41 42 ] 43 }": "", "{ 41 42 [1,2] 43 }": "", "{ 41 42 [+1] 43 }": "", "{ 41 42 [0x1] 43 }": "", "{ 41 42 [1-2-3] 43 }": "",
		"{ 41 42 [2147483648] 43 }": "", "{ 41 42 [99999999999999999999-1] 43 }": "", "{ 41 42 [0-0] 43 }": "", "{ 41 42 \\x43 }": "", "{ 41 42 / 43 }": "", "{ 41 42 ?}": "",
	} {
		p, err := New("t.yar", str(t, text))
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if want == "" {
			t.Errorf("accepted: %s", text)
			continue
		}
		if got := find(p, "q"+want+"q"); !slices.Equal(got, []match{{1, 1 + len(want)}}) {
			t.Errorf("%s in %q: %v", text, want, got)
		}
	}
}

// TestMachineIsClean: what a machine ran before changes nothing, nor does where it gave up.
func TestMachineIsClean(t *testing.T) {
	t.Parallel()
	var definitions []*Pattern
	for _, d := range []string{`/a{2,5}bc/`, `/(a|b)*?bc{1,3}?/`, `/a*bca*/`, `/.{3,}bc.{2}/`, `{ 61 [0-3] 62 63 [1-2] 61 }`, `/(a{1,2}b){2}cb/ wide ascii`, `"bc" fullword`} {
		definitions = append(definitions, compile(t, d))
	}
	rng := rand.New(rand.NewPCG(8, 8))
	var used Machine
	for range 500 {
		p, text := definitions[rng.IntN(len(definitions))], someText(rng, "aabc", rng.IntN(2) == 0)
		whole := func(int) Window { return Window{Bytes: []byte(text)} }
		if want, got := confirmed(new(Machine), p, text, whole), confirmed(&used, p, text, whole); !slices.Equal(want, got) {
			t.Fatalf("in %q: %v, want %v", text, got, want)
		}
	}
}

// TestMatcherAgainstOracle: a regular expression of a condition is found anywhere, or not.
func TestMatcherAgainstOracle(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(6, 6))
	var m Machine
	for range 1500 {
		w := writer{rng, "", rng.IntN(2) == 0, false}
		e := w.regex(2)
		x, err := NewMatcher("t.yar", &syntax.Expr{Text: e.text, Fold: w.fold})
		if err != nil {
			t.Fatalf("/%s/: %v", e.text, err)
		}
		text := someText(rng, "abcB1_ -\n", false)[:rng.IntN(12)]
		want := false
		for i := 0; i <= len(text); i++ {
			want = want || len(e.ends(subject{text, 1}, i)) > 0
		}
		if got := x.Match(&m, text); got != want {
			t.Fatalf("/%s/ in %q (both cases: %t): %t", e.text, text, w.fold, got)
		}
	}
}

// FuzzWindows: whatever is accepted finds the same in a window as in the whole.
func FuzzWindows(f *testing.F) {
	for _, d := range []string{`"abc" wide fullword`, `/\bab(c|d){2,5}?\B/ wide`, `{ 61 ( 62 | ?3 ) [0-9] 64 65 }`, `/^a.*bcd[^x]$/is`, `/(a{0,9}){0,9}bc$/ fullword`, `"abc" base64wide`} {
		f.Add(d, "xxabcdabcd\x00a\x00b\x00c\x00d\x00")
	}
	f.Fuzz(func(t *testing.T, definition, text string) {
		file, err := syntax.Parse("f", []byte("rule r { strings: $a = "+definition+" condition: $a }"))
		if err != nil || len(file.Rules) != 1 || len(file.Rules[0].Strings) != 1 || len(text) > 500 {
			return
		}
		p, err := New("f", file.Rules[0].Strings[0])
		if err != nil || len(p.Branches) > 32 || p.Steps() > 4096 {
			return
		}
		before, after := p.Reaches()
		whole := confirmed(new(Machine), p, text, func(int) Window { return Window{Bytes: []byte(text)} })
		near := confirmed(new(Machine), p, text, func(at int) Window {
			from, to := max(0, at-before), min(len(text), at+after)
			return Window{Bytes: []byte(text[from:to]), Base: int64(from)}
		})
		if !slices.Equal(whole, near) {
			t.Fatalf("%s in %q:\nwhole %v\nnear  %v", definition, text, whole, near)
		}
	})
}
