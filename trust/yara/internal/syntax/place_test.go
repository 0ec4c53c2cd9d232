package syntax

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample has every construct of the grammar at least once.
const sample = `import "elf"
/* a comment
   over lines */
private global rule sample_1 : tag other
{
  meta: // about it
    author = "an \"author\"" count = -0x1F good = false
  strings:
    $text = "a\tb\x00" nocase wide ascii fullword private
    $hex = { 01 ?2 // one
      ( 03 | ~04 ) [2-4] /* } */ 05 } private
    $re = /a\/[^\/]{2,3}\\/is
    $ = "key" xor(0x01-255)
    $b64 = "text" base64("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") base64wide
  condition:
    (all of them or 2 of ($text, $h*) in (0..10KB)) and not defined $re
    and for any i in (1..#text in (1..2)) : ( @text[i] + !text[i] < filesize \ 2 )
    and for all of ($*) : ( $ at 0 or # > 1 or @ == 0x10 )
    and for none n in (1, 2MB, -3) : ( uint16be(n) == 3 | 4 ^ 5 & ~6 << 1 )
    and elf.number_of_sections > 1.5 and f.g("x", 1) and any of (rule_a, rule_b*)
    and "abc" icontains "B" and "abc" matches /b$/i and 50 % of them and $text in (0 .. 9) and entrypoint % 2 >= 0
}
rule second { condition: true }
`

// offset is the index in src of a place; ok is false when there is no such place.
func offset(src string, p Pos) (i int, ok bool) {
	for line := 1; line < p.Line; line++ {
		n := strings.IndexByte(src[i:], '\n')
		if n < 0 {
			return 0, false
		}
		i += n + 1
	}
	line, _, _ := strings.Cut(src[i:], "\n")
	return i + p.Column - 1, p.Line >= 1 && p.Column >= 1 && p.Column <= len(line)+1
}

// misplaced lists what does not stand where the tree says it does.
func misplaced(src string, f *File) (out []string) {
	check := func(p Pos, begins ...string) {
		i, ok := offset(src, p)
		for _, b := range begins {
			if ok && strings.HasPrefix(src[i:], b) {
				return
			}
		}
		out = append(out, fmt.Sprintf("%v does not begin with any of %q", p, begins))
	}
	for _, m := range f.Imports {
		check(m.Pos, `"`)
	}
	var walk func(e *Expr)
	walk = func(e *Expr) {
		switch e.Op {
		case OpString, OpAt, OpIn:
			check(e.Pos, "$"+e.Text)
		case OpCount:
			check(e.Pos, "#"+e.Text)
		case OpOffset:
			check(e.Pos, "@"+e.Text)
		case OpLength:
			check(e.Pos, "!"+e.Text)
		case OpForOf, OpForIn:
			check(e.Pos, "for")
		case OpNot:
			check(e.Pos, "not")
		case OpDefined:
			check(e.Pos, "defined")
		case OpAnd:
			check(e.Pos, "and")
		case OpOr:
			check(e.Pos, "or")
		case OpTrue, OpFalse, OpFileSize, OpEntryPoint, OpRead, OpCompare, OpArith, OpMatches, OpContains:
			check(e.Pos, e.Text)
		case OpName, OpCall:
			first, _, _ := strings.Cut(e.Text, ".")
			check(e.Pos, first)
		case OpText:
			check(e.Pos, `"`)
		case OpRegex:
			check(e.Pos, "/"+e.Text+"/")
			check(e.BodyPos, e.Text+"/")
		case OpInt, OpFloat:
			check(e.Pos, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
		case OpOf:
		}
		for _, m := range e.Set {
			switch {
			case m.Rule:
				check(m.Pos, m.Name)
			default:
				check(m.Pos, "$"+m.Name, "them")
			}
		}
		if e.Quantifier.N != nil {
			walk(e.Quantifier.N)
		}
		for _, a := range e.Args {
			walk(a)
		}
	}
	for _, r := range f.Rules {
		check(r.Pos, r.Name)
		for _, m := range r.Meta {
			check(m.Pos, m.Key)
		}
		for _, s := range r.Strings {
			check(s.Pos, "$"+s.Name)
			switch s.Form {
			case Text:
				check(s.BodyPos, `"`)
			case Hex:
				check(s.BodyPos, s.Body+"}")
			case Regex:
				check(s.BodyPos, s.Body+"/")
			}
		}
		walk(r.Condition)
	}
	return out
}

// checkPlaces parses src: what is read stands where the tree says, and an error is at a place within src.
func checkPlaces(t *testing.T, src string) {
	t.Helper()
	f, err := Parse("t.yar", []byte(src))
	if err == nil {
		for _, m := range misplaced(src, f) {
			t.Errorf("%s in\n%s", m, src)
		}
		return
	}
	var where *Error
	if !errors.As(err, &where) {
		t.Fatalf("an error without a place: %v", err)
	}
	if _, ok := offset(src, where.Pos); !ok && len(src) <= MaxFile {
		t.Errorf("no such place: %q in\n%q", err, src)
	}
	for _, c := range err.Error() {
		if c < ' ' || c == 0x7f {
			t.Errorf("a control character in %q", err)
		}
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	parse(t, sample)
	checkPlaces(t, sample)
	checkPlaces(t, strings.ReplaceAll(sample, "\n", "\r\n"))
	checkPlaces(t, strings.ReplaceAll(sample, " of ", "\n/* a\n\nb */of// }\n\t"))
}

// TestTruncated cuts the sample everywhere: nothing is read from half a rule, and the error has a place in what is left.
func TestTruncated(t *testing.T) {
	t.Parallel()
	first := strings.Index(sample, "rule second")
	for n := range sample {
		src := sample[:n]
		checkPlaces(t, src)
		f, err := Parse("t.yar", []byte(src))
		half := n > strings.Index(sample, "private global") && n < strings.LastIndex(sample[:first], "}")+1
		if half && err == nil {
			t.Errorf("%d bytes were read as %d rules", n, len(f.Rules))
		}
	}
}

// TestHostileBytes puts bytes that mean something, or nothing, over bytes of the sample and before them.
func TestHostileBytes(t *testing.T) {
	t.Parallel()
	for k, bad := range []string{"\x00", "\n", "\r", "\\", "\"", "/", "/*", "*/", "//", "{", "}", "(", ")", "$", "\x1b", "\x7f", "\xff", "é", "-", ".", "\\\n"} {
		for i := k % 3; i < len(sample); i += 3 {
			checkPlaces(t, sample[:i]+bad+sample[i:])
			checkPlaces(t, sample[:i]+bad+sample[i+1:])
		}
	}
}

// TestRemovedWords leaves out each word: most rules are then wrong, none may be read with an error's remains.
func TestRemovedWords(t *testing.T) {
	t.Parallel()
	words := strings.SplitAfter(sample, " ")
	for i := range words {
		checkPlaces(t, strings.Join(words[:i], "")+strings.Join(words[i+1:], ""))
		checkPlaces(t, strings.Join(words[:i], "")+words[i]+words[i]+strings.Join(words[i+1:], ""))
	}
}

// TestSpaceMeansNothing: the same tokens make the same tree, whatever stands between them.
func TestSpaceMeansNothing(t *testing.T) {
	t.Parallel()
	tokens := strings.Fields(`rule r : a b { meta: k = - 3 strings: $a = "x" xor ( 1 - 2 ) $b = { 01 02 } private $c = /x/ wide
		condition: 2 of ( $a , $b* ) in ( 0 .. 1KB ) and for any i in ( 1 , 2 ) : ( @a [ i ] == - 1 or f . g ( i , 2 ) ) and 50 % of them }`)
	gaps := []string{" ", "\n", "\t", "\r\n", " /**/ ", "/* } \" */", " // \" { \n", " /* a\n b */ "}
	want := parse(t, strings.Join(tokens, " "))
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		var b strings.Builder
		for _, tok := range tokens {
			gap := gaps[rng.IntN(len(gaps))]
			if tok == "01" || tok == "02" { // within a hex string
				gap = " "
			}
			b.WriteString(gap + tok)
		}
		got := parse(t, b.String())
		checkPlaces(t, b.String())
		hexBody := func(f *File) string { return strings.Join(strings.Fields(f.Rules[0].Strings[1].Body), " ") }
		if hexBody(got) != "01 02" && !strings.Contains(hexBody(got), "/") {
			t.Errorf("the hex string is %q", hexBody(got))
		}
		if diff := cmp.Diff(shown(want.Rules[0].Condition), shown(got.Rules[0].Condition)); diff != "" {
			t.Fatalf("%s\n%s", b.String(), diff)
		}
		ignorePos := cmp.FilterPath(func(p cmp.Path) bool {
			return p.Last().String() == ".Pos" || p.Last().String() == ".BodyPos" || p.Last().String() == ".Body"
		}, cmp.Ignore())
		if diff := cmp.Diff(want.Rules[0].Strings, got.Rules[0].Strings, ignorePos); diff != "" {
			t.Fatalf("%s\n%s", b.String(), diff)
		}
	}
}

// FuzzPlaces: whatever is read stands where the tree says, and whatever is wrong has a place.
func FuzzPlaces(f *testing.F) {
	f.Add(sample)
	f.Add("rule a { strings: $a = /b\\\nc/ condition: $a }")
	f.Add("rule a { condition: 1 % 2 == \"x\" % of }")
	f.Fuzz(func(t *testing.T, src string) {
		src = strings.TrimPrefix(src, "\xef\xbb\xbf")
		checkPlaces(t, src)
	})
}
