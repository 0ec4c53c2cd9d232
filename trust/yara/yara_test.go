package yara

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func mustCompile(t testing.TB, text string) *Rules {
	t.Helper()
	r, err := Compile("t.yar", []byte(completed(text)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inspect gives content in pieces of step bytes; 0 is all at once.
func inspect(t testing.TB, r *Rules, content []byte, step int) ([]Match, error) {
	t.Helper()
	if step <= 0 {
		step = max(1, len(content))
	}
	s := r.Begin()
	for i := 0; i < len(content); i += step {
		piece := bytes.Clone(content[i:min(i+step, len(content))])
		if n, err := s.Write(piece); err != nil || n != len(piece) {
			t.Fatalf("%d, %v", n, err)
		}
		clear(piece) // it is not the scan's to keep
	}
	return s.Close()
}

// names are the rules that match; an error is their last word.
func names(t testing.TB, r *Rules, content []byte) []string {
	t.Helper()
	matches, err := inspect(t, r, content, 0)
	var out []string
	for _, m := range matches {
		out = append(out, m.Rule.Name)
	}
	if err != nil {
		if !errors.Is(err, trust.ErrLimit) {
			t.Errorf("%v is no limit", err)
		}
		out = append(out, err.Error())
	}
	return out
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"rule a { condition: true }\nrule a { condition: true }":                `t.yar:2:6: the rule "a" stands twice`,
		"rule a { condition: b }":                                               `t.yar:1:21: there is no rule or variable "b" here; external variables are not supported`,
		"rule a { condition: a }":                                               `t.yar:1:21: there is no rule or variable "a" here`,
		"rule a { condition: b } rule b { condition: true }":                    `there is no rule or variable "b" here`,
		"rule a { condition: any of (b*) }":                                     "t.yar:1:29: the rule has no such string or rule",
		"rule a { condition: any of (b) }":                                      `t.yar:1:29: there is no rule "b" before this one`,
		"rule a { condition: any of them }":                                     "t.yar:1:28: the rule has no such string or rule",
		`import "pe" rule a { condition: true }`:                                `t.yar:1:8: the module "pe" is not supported: there are elf, hash, math`,
		`import "cuckoo" rule a { condition: true }`:                            `the module "cuckoo" is not supported`,
		"rule a { condition: elf.type == 1 }":                                   `t.yar:1:21: "elf.type" needs import "elf", or is no module`,
		`import "elf" rule a { condition: elf.dynsym == 1 }`:                    `t.yar:1:34: "elf.dynsym" is not supported`,
		`import "math" rule a { condition: math.PI == 1 }`:                      `"math.PI" is not supported`,
		`import "math" rule a { condition: math.mean(0, 1) > 1 }`:               `t.yar:1:35: the function "math.mean" is not supported`,
		`rule a { condition: math.entropy(0, filesize) > 1.0 }`:                 `"math.entropy" needs import "math"`,
		`import "math" rule a { condition: math.entropy(0, 10) > 1.0 }`:         "math.entropy is supported over the whole file only: write math.entropy(0, filesize)",
		`import "hash" rule a { condition: hash.md5("x") == "y" }`:              "hash.md5 is supported over the whole file only",
		`$a = "abc" condition: true`:                                            "t.yar:3:3: the condition does not use the string $a",
		`$a = "abc" condition: $b`:                                              "the rule has no string $b",
		`$a = "abc" condition: any of ($b*) and $a`:                             "the rule has no such string or rule",
		`$a = "abc" condition: $ and $a`:                                        "a string without a name stands only within for … of",
		`$a = "abc" condition: #a and $a + 1 == 2`:                              "+ does not go between a condition and a whole number",
		`$a = "abc" condition: $a == 1`:                                         "== does not go between a condition and a whole number",
		`$a = "abc" condition: $a at 1.5`:                                       "expected a whole number, found a decimal number",
		`$a = "abc" condition: $a in (1.."a")`:                                  "expected a whole number, found a text",
		`condition: "a" + "b" == 1`:                                             "+ does not go between a text and a text",
		`condition: "a" > 1`:                                                    "> does not go between a text and a whole number",
		`condition: "a" contains 1`:                                             "contains stands between two texts",
		`condition: 1 matches /a/`:                                              "matches stands behind a text",
		`condition: "a" matches /(/`:                                            "a ( without its )",
		`condition: 1.5 % 2 == 1`:                                               "% goes between whole numbers",
		`condition: ~1.5 == 1`:                                                  "~ stands before a number, not before a decimal number",
		`condition: -"a" == 1`:                                                  "- stands before a number, not before a text",
		`condition: uint8("a") == 1`:                                            "expected a whole number, found a text",
		`condition: for any i in (1..2) : ( for any i in (1..2) : (true))`:      `the variable "i" is in use by a loop around this one`,
		`condition: for any i in (1.5, 2) : ( true )`:                           "expected a whole number",
		`condition: for any i in (1..2) : ( j == 1 )`:                           `there is no rule or variable "j" here`,
		`condition: (for any i in (1..2) : ( true )) and i == 1`:                `there is no rule or variable "i" here`,
		`$a = "abc" condition: 0% of them`:                                      "a percentage is a number from 1 to 100",
		`$a = "abc" condition: 101% of them`:                                    "a percentage is a number from 1 to 100",
		`$a = "abc" condition: 1.5 of them`:                                     "expected a whole number",
		`$a = "abc" condition: any of them in (1.5..2)`:                         "expected a whole number",
		`$a = "abc" condition: any of them in (1..2.5)`:                         "expected a whole number",
		`$a = /[a-z]+/`:                                                         "t.yar:3:3: the string $a has no run of at least 2 fixed bytes to look for",
		"rule b { condition: true } rule a { condition: any of (b) in (1..2) }": "rules are not in a range",
		`condition: ` + loops(maxVariables+1):                                   "more than 8 loops within loops",
		`rule a { condition`:                                                    `expected ":"`,
	} {
		t.Run(text[:min(len(text), 50)], func(t *testing.T) {
			t.Parallel()
			rules, err := Compile("t.yar", []byte(completed(text)))
			if err == nil || !strings.HasPrefix(err.Error(), "t.yar:") || !strings.Contains(err.Error(), want) {
				t.Fatalf("got  %v\nwant %s", err, want)
			}
			if rules != nil {
				t.Error("half loaded")
			}
			if strings.Contains(err.Error(), "\n") || strings.HasSuffix(err.Error(), ".") {
				t.Errorf("not one sentence: %q", err)
			}
		})
	}
}

func loops(n int) string {
	text := "true"
	for i := range n {
		text = fmt.Sprintf("for any v%d in (1..2) : ( %s )", i, text)
	}
	return text
}

func TestCompileLimits(t *testing.T) {
	t.Parallel()
	repeat := func(n int, format string) []byte {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.Bytes()
	}
	rules := Source{"r.yar", repeat(9000, "rule r%d { condition: true }\n")}
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "rule r%d { strings:\n", i)
		for k := range 1000 {
			fmt.Fprintf(&text, "$a%d = \"text number %d\"\n", k, k)
		}
		text.WriteString("condition: any of them }\n")
	}
	words := Source{"w.yar", []byte(text.String())}
	xor := Source{"x.yar", []byte("rule x { strings:\n" + string(repeat(400, `$a%d = "word%[1]d is long" xor`+"\n")) + "condition: any of them }")}
	var groups strings.Builder
	groups.WriteString("rule r { strings:\n")
	for i := range 300 {
		fmt.Fprintf(&groups, "$a%d = /word%[1]d((ab){90}x){40}/\n", i)
	}
	groups.WriteString("condition: any of them }")
	for name, c := range map[string]struct {
		sources []Source
		want    string
	}{
		"steps":    {[]Source{{"s.yar", []byte(groups.String())}}, "the hex strings and regular expressions up to $a289 have more than 2097152 steps"},
		"sources":  {make([]Source, MaxSources+1), "257 rule files are more than 256"},
		"rules":    {[]Source{rules, rules, rules}, "r.yar:2001:6: more than 20000 rules"},
		"literals": {[]Source{xor}, "x.yar:258:1: the string $a256 brings more than 65536 literals"},
		"strings":  {[]Source{words, words}, ": more than 65536 strings"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := CompileAll(c.sources...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestTooManyAlike: what cannot be searched for names its string.
func TestTooManyAlike(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("rule r { strings:\n")
	for i := range 900 {
		fmt.Fprintf(&b, "$a%d = { 01 02 03 04 05 %02X %02X }\n", i, i&0xff, i>>8)
	}
	b.WriteString("condition: any of them }")
	_, err := Compile("t.yar", []byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "cannot be searched for") || !strings.HasPrefix(err.Error(), "t.yar:") {
		t.Errorf("got %v", err)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	a := Source{"a.yar", []byte("rule one : tag { meta: k = \"v\" n = 2 b = true strings: $x = \"abc\" $ = \"def\" condition: any of them }\nprivate global rule two { condition: one }")}
	b := Source{"b.yar", []byte("rule one { condition: true }")}
	r, err := CompileAll(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two", "one"}, r.Names()); diff != "" {
		t.Error(diff)
	}
	want := []*Info{
		{Source: "a.yar", Line: 1, Column: 6, Name: "one", Tags: []string{"tag"}, Meta: []Meta{{"k", "v"}, {"n", int64(2)}, {"b", true}}, Strings: []string{"$x", "$"}},
		{Source: "a.yar", Line: 2, Column: 21, Name: "two", Private: true, Global: true},
		{Source: "b.yar", Line: 1, Column: 6, Name: "one"},
	}
	if diff := cmp.Diff(want, r.Info()); diff != "" {
		t.Error(diff)
	}
	digests := map[string]bool{}
	for _, sources := range [][]Source{{a, b}, {a}, {b}, {b, a}, {{"c.yar", b.Text}}, {}} {
		r, err := CompileAll(sources...)
		if err != nil {
			t.Fatal(err)
		}
		digests[r.Digest().String()] = true
	}
	if len(digests) != 6 {
		t.Errorf("%d digests of 6 sets", len(digests))
	}
}

func TestSourcesAreApart(t *testing.T) {
	t.Parallel()
	r, err := CompileAll(
		Source{"a.yar", []byte("global rule g { condition: filesize < 10 } rule a { condition: true }")},
		Source{"b.yar", []byte("rule g { condition: filesize > 10 } rule b { condition: g }")},
	)
	if err != nil {
		t.Fatal(err)
	}
	for content, want := range map[string][]string{"short": {"g", "a"}, "longer than ten": {"g", "b"}} {
		if diff := cmp.Diff(want, names(t, r, []byte(content))); diff != "" {
			t.Errorf("%s: %s", content, diff)
		}
	}
}

func TestMatchSaysWhere(t *testing.T) {
	t.Parallel()
	r := mustCompile(t, `rule a { strings: $x = "later" $y = /first[0-9]+/ $z = "secret" private condition: any of them }
		rule b { strings: $z = "secret" private condition: $z } rule c { condition: true }`)
	content := []byte("secret first123 later" + strings.Repeat(".", 100) + "first4")
	matches, err := inspect(t, r, content, 0)
	if err != nil || len(matches) != 3 {
		t.Fatalf("%v %v", matches, err)
	}
	infos := r.Info()
	want := []Match{
		{Rule: infos[0], String: "$y", Offset: 7, Length: 8, Excerpt: []byte("first123")},
		{Rule: infos[1]}, {Rule: infos[2]},
	}
	if diff := cmp.Diff(want, matches); diff != "" {
		t.Error(diff)
	}
	long := mustCompile(t, `$a = /start.*end/`)
	matches, _ = inspect(t, long, []byte("start"+strings.Repeat("x", 500)+"end"), 0)
	if len(matches) != 1 || matches[0].Length != 508 || len(matches[0].Excerpt) != excerptBytes {
		t.Errorf("%+v", matches)
	}
}

// TestChunking: the answers are those of the whole file however it is written, also for what lies across blocks.
func TestChunking(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for i, text := range snippets() {
		if !strings.Contains(text, "rule ") && !strings.Contains(text, "import") {
			all.WriteString(strings.Replace(completed(text), "rule r ", fmt.Sprintf("rule r%d ", i), 1))
		}
	}
	r := mustCompile(t, all.String())
	for name, content := range samples() {
		want, err := inspect(t, r, content, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []int{1, 7, 4096, blockBytes, blockBytes + 1, 70_001} {
			got, err := inspect(t, r, content, step)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s in pieces of %d:\n%s", name, step, diff)
			}
		}
	}
}

// TestEveryOffset puts a string at each place near the edges of blocks.
func TestEveryOffset(t *testing.T) {
	t.Parallel()
	r := mustCompile(t, `$a = /x[0-9]{3,9}needle[0-9]{3,9}y/ $b = "needle" $c = "le"
		condition: @a == @b - 5 and #a == 1 and #b == 1 and @c == @b + 4 and !a == 15 and !b == 6`)
	needle := []byte("x1234needle567y")
	size := len(mustBegin(r).buf)
	for _, edge := range []int{0, blockBytes, size, size + blockBytes, 2*size - r.after} {
		for at := max(edge-40, 0); at < edge+40; at++ {
			content := bytes.Repeat([]byte{'.'}, at+60)
			copy(content[at:], needle)
			if got := names(t, r, content); len(got) != 1 {
				t.Fatalf("at %d: %v", at, got)
			}
		}
	}
}

func mustBegin(r *Rules) *Scan { return r.Begin() }

// TestReads: both ends of a file can be read, what is between is unanswered unless the rest decides.
func TestReads(t *testing.T) {
	t.Parallel()
	content := make([]byte, 300_000)
	for i := range content {
		content[i] = byte(i % 251)
	}
	const unread = "and only the first 65536 and the last 4096 bytes of a file are kept"
	for condition, want := range map[string]string{
		"uint8(65535) == 24":                              "r",
		"uint16(65534) == 0x1817":                         "r",
		"uint16(65535) == 0":                              "reads byte 65535",
		"uint8(65536) == 0":                               unread,
		"uint8(filesize - 4096) == 226":                   "r",
		"uint8(filesize - 4097) == 225":                   "reads byte 295903",
		"uint32(filesize - 4) == 0x36353433":              "r",
		"uint32(filesize - 3) == 0":                       "",
		"uint8(-1) == 0":                                  "",
		"uint8(0x7fffffffffffffff) == 0":                  "",
		"uint8(100000) == 1 and filesize == 1":            "",
		"uint8(100000) == 1 or filesize > 1":              "r",
		"filesize > 1 or uint8(100000) == 1":              "r",
		"filesize == 1 or uint8(100000) == 1":             unread,
		"not uint8(100000) == 1":                          unread,
		"defined uint8(100000)":                           unread,
		"uint8(100000) + 1 > 0":                           unread,
		"uint8(uint8(100000)) == 0":                       unread,
		"for any i in (100000..100002) : (uint8(i) == 0)": unread,
		"for any i in (0, 100000) : (uint8(i) == 0)":      "r",
		"for all i in (1, 100000) : (uint8(i) == 0)":      "",
		"for all i in (0, 100000) : (uint8(i) == 0)":      unread,
		"for none i in (1, 100000) : (uint8(i) == 0)":     unread,
		"for none i in (0, 100000) : (uint8(i) == 0)":     "",
		"for uint8(100000) i in (1, 2) : (true)":          unread,
		"for any i in (1..uint8(100000)) : (true)":        unread,
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			r := mustCompile(t, "condition: "+condition)
			got := strings.Join(names(t, r, content), " ")
			if got != want && (len(want) < 3 || !strings.Contains(got, want)) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestUnansweredSpreads(t *testing.T) {
	t.Parallel()
	content := make([]byte, 200_000)
	r := mustCompile(t, `
		private rule u { condition: uint8(100000) == 0 }
		rule needs { condition: u }
		rule either { condition: u or true }
		rule neither { condition: u and false }
		rule inverse { condition: not u }
		rule several { condition: 1 of (u, either) }
		rule more { condition: all of (u, either) }
		rule sure { condition: true }`)
	got := names(t, r, content)
	if diff := cmp.Diff([]string{"either", "several", "sure"}, got[:len(got)-1]); diff != "" {
		t.Error(diff)
	}
	if text := got[len(got)-1]; strings.Count(text, "; ") != 2 || !strings.Contains(text, "rule needs of t.yar") {
		t.Errorf("got %q", text)
	}
	global := mustCompile(t, `global rule g { condition: uint8(100000) == 1 } rule a { condition: true } rule b { condition: false }`)
	got = names(t, global, content)
	if len(got) != 1 || !strings.Contains(got[0], "rule g of t.yar: it reads byte 100000") || !strings.Contains(got[0], "rule a of t.yar: it depends on rule g") {
		t.Errorf("got %q", got)
	}
	many := mustCompile(t, `rule a { condition: uint8(100000) == 1 } rule b { condition: uint8(100000) == 1 } rule c { condition: uint8(100000) == 1 } rule d { condition: uint8(100000) == 1 } rule e { condition: uint8(100000) == 1 }`)
	if got = names(t, many, content); len(got) != 1 || !strings.HasSuffix(got[0], "; and 2 more") {
		t.Errorf("got %q", got)
	}
}

func TestConditionStepsAreBounded(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		"for all i in (1..1048577) : (true)",
		"for any i in (0..0x7ffffffffffffff0) : (i < 0)",
		"for all i in (1..2000) : (for all j in (1..2000) : (true))",
	} {
		r := mustCompile(t, "condition: "+condition)
		got := names(t, r, []byte("x"))
		if len(got) != 1 || !strings.Contains(got[0], "its condition takes more than 1048576 steps") {
			t.Errorf("%s: %v", condition, got)
		}
	}
	r := mustCompile(t, "condition: for all i in (1..1000000) : (true)")
	if got := names(t, r, nil); len(got) != 1 || got[0] != "r" {
		t.Errorf("got %v", got)
	}
}

// TestPlacesAreBounded: a file full of matches drops some; what lies before the first dropped one is exact, what the
// rest decides is decided, and all else is unanswered.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	content := make([]byte, 400_000)
	copy(content, "head")
	const unread = "its strings stand there more often"
	for condition, want := range map[string]string{
		"$a":                                  "r",
		"#a > 1000":                           "r",
		"#a >= 1000 and 1000 < #a":            "r",
		"#a < 1000":                           "",
		"#a == 5":                             "",
		"#a != 5":                             "r",
		"#a <= 7 or 7 > #a or 7 == #a":        "",
		"7 != #a and 7 <= #a":                 "r",
		"#a > 390000":                         unread,
		"#a + 1 > 2":                          unread,
		"$a at 4":                             "r",
		"$a at 3":                             "",
		"$a at 20000":                         "r",
		"$a at 399999":                        unread,
		"$a in (0..3)":                        "",
		"$a in (0..399999)":                   "r",
		"$a in (399990..399995)":              unread,
		"#a in (0..9) == 6":                   "r",
		"@a[2] == 5":                          "r",
		"@a[0] == 5":                          "",
		"@a[399990] == 5":                     unread,
		"!a[3] == 2":                          "r",
		"for all i in (1..#a) : (true)":       unread,
		"any of them in (399990..399995)":     unread,
		"for any of them : ($ at 399990)":     unread,
		"for any of them : (@ == 4)":          "r",
		"#a of them":                          unread,
		"(#a > 390000 or true) and not false": "r",
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			r := mustCompile(t, `$a = { 00 00 } condition: `+condition)
			got := strings.Join(names(t, r, content), " ")
			if got != want && (len(want) < 3 || !strings.Contains(got, want)) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	// One string alone never drops what begins in the first block; several share a bound for the file.
	r := mustCompile(t, `$a = { 00 00 } $b = { 00 00 00 } $c = { 00 ( 00 | 01 ) 00 00 } condition: $a at 20000 and $b at 20000 and $c at 20000`)
	if got := names(t, r, content); len(got) != 1 || got[0] != "r" {
		t.Errorf("got %v", got)
	}
	s := r.Begin()
	if _, err := s.Write(content); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for i := range s.seen {
		kept += len(s.seen[i].spans)
	}
	if kept > placesOfFile || kept != s.places {
		t.Errorf("%d places kept, counted as %d", kept, s.places)
	}
	if _, err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestStepsAreBounded: content made of near-matches costs a bounded amount, and then strings are unanswered.
func TestStepsAreBounded(t *testing.T) {
	t.Parallel()
	near := bytes.Repeat([]byte("abcd"), 60_000)
	r := mustCompile(t, `$a = /abcd[abcd]*[a-d]*(a|b|c|d)*z/ $b = "abcdabcd" condition: $a or $b at 1`)
	got := names(t, r, near)
	if len(got) != 1 || !strings.Contains(got[0], "more often, or cost more to confirm") {
		t.Errorf("got %v", got)
	}
	s := r.Begin()
	if _, err := s.Write(near); err != nil {
		t.Fatal(err)
	}
	if limit := int64(stepsOfFile + stepsOfByte*len(near) + 100_000_000); s.machine.Steps > limit {
		t.Errorf("%d steps, more than %d", s.machine.Steps, limit)
	}
	// What was found before counts, and so does what the rest decides.
	decided := mustCompile(t, `$a = /abcd[abcd]*[a-d]*(a|b|c|d)*z/ $b = "abcdabcd" condition: $b or $a`)
	if got := names(t, decided, near); len(got) != 1 || got[0] != "r" {
		t.Errorf("got %v", got)
	}
	// The next file starts anew.
	if got := names(t, r, []byte("abcdz")); len(got) != 1 || got[0] != "r" {
		t.Errorf("got %v", got)
	}
}

// TestScansAreReusable: nothing of one file is left in the next.
func TestScansAreReusable(t *testing.T) {
	t.Parallel()
	r := mustCompile(t, `import "hash" import "math" rule a { strings: $a = "alpha" condition: $a } rule b { strings: $a = "beta" condition: #a == 2 }
		rule c { condition: uint16(0) == 0x6261 } rule d { condition: hash.sha256(0, filesize) startswith "ba7816bf" } rule e { condition: math.entropy(0, filesize) > 1.5 }
		rule f { condition: entrypoint == 0 }`)
	for range 3 {
		for content, want := range map[string][]string{
			"alpha": {"a", "e"}, "beta beta": {"b", "e"}, "abc": {"c", "d", "e"}, "": nil, "xx": nil, "beta": {"e"},
		} {
			if diff := cmp.Diff(want, names(t, r, []byte(content))); diff != "" {
				t.Errorf("%q: %s", content, diff)
			}
		}
	}
}

func TestConcurrentScans(t *testing.T) {
	t.Parallel()
	r := mustCompile(t, `$a = "needle" $b = /hay[a-z]+k/ condition: #a == 1 and $b`)
	content := []byte(strings.Repeat("haystack ", 9000) + "needle")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				matches, err := inspect(t, r, content, 1000+i)
				if len(matches) != 1 || err != nil {
					t.Errorf("%v %v", matches, err)
				}
			}
		})
	}
	group.Wait()
}

// TestOfAt is newer than the oracle.
func TestOfAt(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]int{
		"any of them at 6": 1, "any of them at 5": 0, "2 of them at 6": 1, "all of them at 0": 0, "none of them at 0": 1, "any of them at filesize": 0,
	} {
		r := mustCompile(t, `$a = "beta" $b = "bet" condition: `+condition)
		if got := names(t, r, []byte("alpha beta alpha")); len(got) != want {
			t.Errorf("%s: %v", condition, got)
		}
	}
}

// TestNeeds: rules that cannot match without a string are not asked about files without any.
func TestNeeds(t *testing.T) {
	t.Parallel()
	for condition, always := range map[string]bool{
		"$a":                                 false,
		"$a and filesize > 1":                false,
		"filesize > 1 and $a":                false,
		"$a or $b":                           false,
		"$a or filesize > 1":                 true,
		"not $a":                             true,
		"any of them":                        false,
		"all of them":                        false,
		"2 of them":                          false,
		"0 of them":                          true,
		"none of them":                       true,
		"50% of them":                        false,
		"#a of them":                         true,
		"#a > 0":                             false,
		"#a >= 1":                            false,
		"#a >= 0":                            true,
		"#a == 0":                            true,
		"#a == 2":                            false,
		"#a < 2":                             true,
		"@a == 0":                            false,
		"@a[2] + 1 == 5":                     false,
		"uint8(@a) == 1":                     false,
		"$a at 0":                            false,
		"$a in (0..5)":                       false,
		"for any of them : ($)":              false,
		"for any of them : (not $)":          true,
		"for all of them : ($ at 0)":         false,
		"for any i in (1..2) : ($a at i)":    false,
		"for all i in (1..#a) : (@a[i] > 1)": true,
		"false":                              false,
		"defined @a":                         true,
		`"x" == "x"`:                         true,
	} {
		r := mustCompile(t, `$a = "aaa" $b = "bbb" condition: (`+condition+`) and ($a or $b or true)`)
		// The second half keeps the strings in use, and needs nothing.
		if got := len(r.always) == 1; got != always {
			t.Errorf("%s: asked about every file: %t, want %t", condition, got, always)
		}
	}
}

func TestExecutables(t *testing.T) {
	t.Parallel()
	cut := func(b []byte, n int) []byte { return b[:n] }
	far := append(elf64(), make([]byte, 200_000)...)
	far[0x20+2] = 0x02 // the program headers are at 128 KiB
	for name, c := range map[string]struct {
		content   []byte
		condition string
		want      string
	}{
		"elf64":       {elf64(), "entrypoint == 0x80", "r"},
		"elf32":       {elf32(), "entrypoint == 0x90", "r"},
		"pe":          {pe(), "entrypoint == 0x210", "r"},
		"text":        {[]byte(strings.Repeat("text", 50)), "entrypoint >= 0", ""},
		"elf cut":     {cut(elf64(), 0x50), "entrypoint >= 0", ""},
		"pe cut":      {cut(pe(), 0x90), "entrypoint >= 0", ""},
		"no pe":       {append([]byte("MZ"), make([]byte, 100)...), "entrypoint >= 0", ""},
		"headers far": {far, "entrypoint >= 0", "it reads byte 131136"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(names(t, mustCompile(t, "condition: "+c.condition), c.content), " ")
			if got != c.want && (len(c.want) < 2 || !strings.Contains(got, c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	// An entry that no segment holds has no place.
	lost := elf64()
	lost[0x1b] = 0x7f
	if got := names(t, mustCompile(t, "condition: not defined entrypoint"), lost); !slices.Equal(got, []string{"r"}) {
		t.Errorf("got %v", got)
	}
}
