package syntax

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("t.yar", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return f
}

func TestRule(t *testing.T) {
	t.Parallel()
	f := parse(t, `
// a comment
import "elf" /* another
one */ global private rule first : one two
{
	meta:
		author = "somebody \"else\""
		count = 12
		less = -3
		good = true
		bad = false
	strings:
		$a = "text\x41\n\t\r\\" nocase wide ascii fullword private
		$b = { 01 ?2 } private
		$c = /re\/x[0-9]/is
		$ = "no name" xor(1-0x10)
		$ = "base" base64 base64wide
	condition:
		any of them
}
rule second { condition: true }`)
	if len(f.Rules) != 2 || len(f.Imports) != 1 || f.Imports[0] != (Import{Pos{3, 8}, "elf"}) {
		t.Fatalf("%+v", f)
	}
	r := f.Rules[0]
	if r.Name != "first" || r.Pos != (Pos{4, 28}) || !r.Global || !r.Private || !cmp.Equal(r.Tags, []string{"one", "two"}) {
		t.Errorf("%+v", r)
	}
	meta := map[string]any{}
	for _, m := range r.Meta {
		meta[m.Key] = m.Value
	}
	want := map[string]any{"author": `somebody "else"`, "count": int64(12), "less": int64(-3), "good": true, "bad": false}
	if diff := cmp.Diff(want, meta); diff != "" {
		t.Error(diff)
	}
	strs := []*String{
		{Pos{13, 3}, "a", Text, "textA\n\t\r\\", Pos{13, 8}, false, false, Modifiers{NoCase: true, Wide: true, ASCII: true, FullWord: true, Private: true}},
		{Pos{14, 3}, "b", Hex, " 01 ?2 ", Pos{14, 9}, false, false, Modifiers{Private: true}},
		{Pos{15, 3}, "c", Regex, `re\/x[0-9]`, Pos{15, 9}, true, true, Modifiers{}},
		{Pos{16, 3}, "", Text, "no name", Pos{16, 7}, false, false, Modifiers{XOR: true, XORMin: 1, XORMax: 16}},
		{Pos{17, 3}, "", Text, "base", Pos{17, 7}, false, false, Modifiers{Base64: true, Base64Wide: true}},
	}
	if diff := cmp.Diff(strs, r.Strings); diff != "" {
		t.Error(diff)
	}
	if second := f.Rules[1]; second.Global || second.Private || second.Condition.Op != OpTrue {
		t.Errorf("%+v", second)
	}
}

// shown writes an expression with all its parentheses.
func shown(e *Expr) string {
	var args []string
	for _, a := range e.Args {
		args = append(args, shown(a))
	}
	quantifier := func() string {
		q := e.Quantifier
		s := q.Word
		if q.N != nil {
			s = shown(q.N)
		}
		if q.Percent {
			s += "%"
		}
		var set []string
		for _, m := range e.Set {
			s := m.Name
			if m.Wild {
				s += "*"
			}
			if m.Rule {
				s = "rule:" + s
			}
			set = append(set, s)
		}
		return s + " " + strings.Join(set, ",")
	}
	switch e.Op {
	case OpTrue:
		return "T"
	case OpFalse:
		return "F"
	case OpInt:
		return fmt.Sprint(e.Int)
	case OpFloat:
		return fmt.Sprint(e.Float)
	case OpText, OpRegex:
		return fmt.Sprintf("%q", e.Text)
	case OpFileSize:
		return "size"
	case OpEntryPoint:
		return "entry"
	case OpName:
		return e.Text
	case OpString:
		return "$" + e.Text
	case OpCount:
		return "#" + e.Text + strings.Join(args, "..")
	case OpOffset:
		return "@" + e.Text + strings.Join(args, "")
	case OpLength:
		return "!" + e.Text + strings.Join(args, "")
	case OpAt:
		return "($" + e.Text + " at " + args[0] + ")"
	case OpIn:
		return "($" + e.Text + " in " + args[0] + ".." + args[1] + ")"
	case OpOf:
		return "(" + quantifier() + " of" + strings.Join(args, "..") + ")"
	case OpForOf:
		return "(for " + quantifier() + ": " + args[0] + ")"
	case OpForIn:
		mark := ","
		if e.Range {
			mark = ".."
		}
		return "(for " + quantifier() + e.Text + " in " + strings.Join(args[1:], mark) + ": " + args[0] + ")"
	case OpAnd:
		return "(" + args[0] + " and " + args[1] + ")"
	case OpOr:
		return "(" + args[0] + " or " + args[1] + ")"
	case OpNot:
		return "(not " + args[0] + ")"
	case OpDefined:
		return "(defined " + args[0] + ")"
	case OpMatches:
		return "(" + args[0] + " matches " + args[1] + ")"
	case OpRead, OpCall:
		return e.Text + "(" + strings.Join(args, ", ") + ")"
	case OpCompare, OpArith, OpContains:
		if len(args) == 1 {
			return "(" + e.Text + args[0] + ")"
		}
		return "(" + args[0] + " " + e.Text + " " + args[1] + ")"
	}
	return "?"
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`true or false and not true`:                  `(T or (F and (not T)))`,
		`not $a == 1 and true`:                        `((not ($a == 1)) and T)`,
		`not not true`:                                `(not (not T))`,
		`defined $a or true`:                          `((defined $a) or T)`,
		`1 + 2 * 3 - 4`:                               `((1 + (2 * 3)) - 4)`,
		`1 | 2 ^ 3 & 4 << 5 + 6 * -7`:                 `(1 | (2 ^ (3 & (4 << (5 + (6 * (-7)))))))`,
		`(1 | 2) \ 3 % 4`:                             `(((1 | 2) \ 3) % 4)`,
		`1 < 2 == 3 >= 4`:                             `((1 < 2) == (3 >= 4))`,
		`~1 >> 2 != 0x10`:                             `(((~1) >> 2) != 16)`,
		`1KB + 2MB + 0o17`:                            `((1024 + 2097152) + 15)`,
		`1.5 > 1`:                                     `(1.5 > 1)`,
		`$a at 10 + 1 and $b in (0..filesize)`:        `(($a at (10 + 1)) and ($b in 0..size))`,
		`#a in (1..2) > 3`:                            `(#a1..2 > 3)`,
		`#a > 3 and @a[2] < !a[1] and @b == 0`:        `(((#a > 3) and (@a2 < !a1)) and (@b == 0))`,
		`all of them`:                                 `(all * of)`,
		`none of ($a, $b*)`:                           `(none a,b* of)`,
		`2 of ($*) in (1..9)`:                         `(2 * of1..9)`,
		`1 of them at 5 + 1 and true`:                 `((1 * of(5 + 1)..(5 + 1)) and T)`,
		`#a + 1 of them`:                              `((#a + 1) * of)`,
		`50% of them and 3 % 2 == 1`:                  `((50% * of) and ((3 % 2) == 1))`,
		`any of (rule1, other*)`:                      `(any rule:rule1,rule:other* of)`,
		`for any of them : ( $ at 0 or # > 1 )`:       `(for any *: (($ at 0) or (# > 1)))`,
		`for 2 of ($a) : ( @[1] == !)`:                `(for 2 a: (@1 == !))`,
		`for all i in (1..#a) : ( @a[i] > i )`:        `(for all i in 1..#a: (@ai > i))`,
		`for none i in (1,2, 3) : ( i == 1 )`:         `(for none i in 1,2,3: (i == 1))`,
		`for #a + 1 i in (1..2) : ( true )`:           `(for (#a + 1) i in 1..2: T)`,
		`uint16be(0) == 1 and int8(filesize - 1) < 0`: `((uint16be(0) == 1) and (int8((size - 1)) < 0))`,
		`elf.type == elf.ET_EXEC`:                     `(elf.type == elf.ET_EXEC)`,
		`hash.md5(0, filesize) == "x"`:                `(hash.md5(0, size) == "x")`,
		`f() or entrypoint`:                           `(f() or entry)`,
		`"a" icontains "b" or "c" matches /d/i`:       `(("a" icontains "b") or ("c" matches "d"))`,
		`((($a)))`:                                    `$a`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			f := parse(t, "rule r { condition: "+text+" }")
			if got := shown(f.Rules[0].Condition); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// rule wraps the strings and the condition of a test.
func rule(strs, condition string) string {
	if strs != "" {
		strs = "strings: " + strs + " "
	}
	return "rule r { " + strs + "condition: " + condition + " }"
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"word":             {"\n rul a {}", `2:2: expected a rule or an import, found "rul"`},
		"include":          {`include "x"`, "1:1: include is not supported"},
		"import":           {`import elf`, `1:8: expected the name of a module in quotes, found "elf"`},
		"comment":          {"/* never", "1:1: the comment has no end"},
		"no name":          {"rule {", `1:6: expected the name of the rule, found "{"`},
		"reserved":         {"rule all {", `1:6: expected the name of the rule, found "all"`},
		"private twice":    {"private private x", `expected "rule", found "x"`},
		"tag twice":        {"rule a : b b {", `1:12: the tag "b" stands twice`},
		"no tag":           {"rule a : {", `1:10: expected a tag, found "{"`},
		"no brace":         {"rule a condition", `1:8: expected "{", found "condition"`},
		"no condition":     {"rule a { }", `1:10: expected "condition", found "}"`},
		"end":              {"rule a {", `1:9: expected "condition", found the end of the file`},
		"open":             {"rule a { condition: true", `expected "}", found the end of the file`},
		"meta empty":       {"rule a { meta: condition: true }", `1:16: expected a meta key`},
		"meta value":       {"rule a { meta: a = $b condition: true }", `1:20: expected a text, a number, true or false, found "$b"`},
		"meta minus":       {`rule a { meta: a = -"x" condition: true }`, "1:21: expected a number, found a text"},
		"strings empty":    {"rule a { strings: condition: true }", "1:19: expected a string such as $a"},
		"string twice":     {rule(`$a = "x" $a = "y"`, "true"), "1:28: the string $a stands twice"},
		"string star":      {rule(`$a* = "x"`, "true"), "1:19: a string's name has no *"},
		"string equals":    {rule(`$a "x"`, "true"), `1:22: expected "=", found a text`},
		"string value":     {rule(`$a = 12`, "true"), "1:24: expected a text, a hex string or a regular expression, found a number"},
		"text open":        {rule("$a = \"x\n", "true"), "1:24: the text has no end on its line"},
		"text escape":      {rule(`$a = "x\q"`, "true"), `1:26: unknown escape`},
		"text hex":         {rule(`$a = "\x4"`, "true"), `1:25: unknown escape`},
		"hex open":         {rule(`$a = { 01 `, "true")[:30], "1:24: the hex string has no end"},
		"hex comment":      {"rule a { strings: $a = { 01 /* 02", "1:24: the hex string has no end"},
		"hex line comment": {"rule a { strings: $a = { 01 // }", "1:24: the hex string has no end"},
		"regex open":       {rule("$a = /abc\\/", "true"), "1:24: the regular expression has no end on its line"},
		"modifier":         {rule(`$a = "x" any`, "true"), `1:28: expected a modifier, another string or the condition, found "any"`},
		"modifier twice":   {rule(`$a = "x" wide wide`, "true"), "1:33: the modifier wide stands twice"},
		"modifier args":    {rule(`$a = "x" wide(1)`, "true"), "1:28: wide takes no argument"},
		"hex modifier":     {rule(`$a = { 01 02 } nocase`, "true"), "1:34: a hex string takes no modifier but private"},
		"regex xor":        {rule(`$a = /x/ xor`, "true"), "1:28: a regular expression takes no xor"},
		"regex base64":     {rule(`$a = /x/ base64`, "true"), "a regular expression takes no base64"},
		"nocase xor":       {rule(`$a = "x" nocase xor`, "true"), "1:35: xor does not go with the modifiers before it"},
		"base64 full":      {rule(`$a = "x" base64 fullword`, "true"), "fullword does not go with"},
		"xor full":         {rule(`$a = "x" xor fullword`, "true"), "1:32: xor together with fullword is not supported"},
		"xor range":        {rule(`$a = "x" xor(9-2)`, "true"), "the first key of xor is greater than the last"},
		"xor key":          {rule(`$a = "x" xor(256)`, "true"), "1:32: a key of xor is a number from 0 to 255"},
		"xor word":         {rule(`$a = "x" xor(1-a)`, "true"), "a key of xor is a number"},
		"xor open":         {rule(`$a = "x" xor(1-2`, "true"), `expected ")"`},
		"alphabet":         {rule(`$a = "x" base64("abc")`, "true"), "1:35: an alphabet of base64 is a text of 64 different bytes"},
		"two alphabets": {rule(`$a = "x" base64("`+alphabet("x")+`") base64wide("`+alphabet("y")+`")`, "true"),
			"base64 and base64wide have one alphabet"},
		"byte":           {"rule a { condition: ` }", "1:21: unexpected character '`'"},
		"number":         {rule("", "0x"), `1:21: "0x" is no number below 2^63`},
		"number letters": {rule("", "12abc"), `"12abc" is no number`},
		"number large":   {rule("", "9223372036854775807MB"), "is no number below 2^63"},
		"decimal":        {rule("", "1.5e3"), `"1.5e3" is no number`},
		"empty":          {rule("", ""), `expected a condition, found "}"`},
		"operand":        {rule("", "1 +"), `1:25: expected a condition, found "}"`},
		"parenthesis":    {rule("", "(true"), `expected ")"`},
		"word there":     {rule("", "wide"), `1:21: expected a condition, found "wide"`},
		"plural":         {rule(`$a = "x"`, "$a*"), "$a* stands for several strings: write any of ($a*)"},
		"of what":        {rule("", "any of filesize"), `expected "("`},
		"of anonymous":   {rule(`$ = "x"`, "any of ($)"), "an anonymous string cannot be named in a set"},
		"of number":      {rule("", "any of (1)"), `expected a string such as $a, $a*, or a rule after "of (", found a number`},
		"of mixed":       {rule(`$a = "x"`, "any of ($a, r)"), "a set is of strings or of rules, not of both"},
		"of open":        {rule(`$a = "x"`, "any of ($a"), `expected ")"`},
		"all alone":      {rule(`$a = "x"`, "all ($a)"), `expected "of"`},
		"range":          {rule(`$a = "x"`, "$a in (1, 2)"), `expected "..", found ","`},
		"range open":     {rule(`$a = "x"`, "$a in 1..2"), `expected "("`},
		"for what":       {rule("", "for all 1 in (1..2) : (true)"), `expected "of" or the name of a variable, found a number`},
		"for pair":       {rule("", "for all k, v in x : (true)"), "a loop over several variables is not supported"},
		"for module":     {rule("", "for all s in elf.sections : (true)"), "a loop over a module's values is not supported"},
		"for percent":    {rule("", "for 50% of them : (true)"), "a percentage in for is not supported"},
		"for rules":      {rule("", "for any of (a) : (true)"), "for … of is over strings, not over rules"},
		"for colon":      {rule("", "for all i in (1..2) (true)"), `expected ":"`},
		"for body":       {rule("", "for all i in (1..2) : true"), `expected "("`},
		"index":          {rule("", "elf.sections[0] == 1"), "an index into a module's values is not supported"},
		"dot":            {rule("", "elf.1 == 1"), `expected a name`},
		"call open":      {rule("", "f(1"), `expected ")"`},
		"read":           {rule("", "uint8 == 1"), `expected "("`},
		"matches":        {rule("", `"a" matches "b"`), "expected a regular expression, found a text"},
		"long name":      {"rule " + strings.Repeat("a", 129), "1:6: the name is longer than 128 bytes"},
		"long path":      {rule("", "a."+strings.Repeat("b", 127)), "the name is longer than 128 bytes"},
		"long text":      {rule(`$a = "`+strings.Repeat("a", maxText+1)+`"`, "$a"), "1:24: the text is longer than 4096 bytes"},
		"long regex":     {rule(`$a = /`+strings.Repeat("a", maxSource+1)+`/`, "$a"), "the regular expression is longer than 16384 bytes"},
		"long hex":       {rule(`$a = {`+strings.Repeat("aa", maxSource/2+1)+`}`, "$a"), "the hex string is longer than 16384 bytes of text"},
		"large":          {strings.Repeat(" ", MaxFile+1), "1:1: the file is larger than 4194304 bytes"},
		"many tags":      {"rule a : " + many("t%d ", maxTags+1) + "{", "the rule has more than 64 tags"},
		"many meta":      {"rule a { meta: " + many("m%d = 1 ", maxMeta+1) + "condition: true }", "the rule has more than 256 meta keys"},
		"many strings":   {rule(many(`$a%d = "x" `, MaxStrings+1), "true"), "the rule has more than 1024 strings"},
		"many rules":     {many("rule r%d { condition: true }\n", MaxRules+1), "10001:1: the file has more than 10000 rules"},
		"many members":   {rule("", "any of ("+strings.TrimSuffix(many("$a%d,", MaxStrings+1), ",")+")"), "the set has more than 1024 members"},
		"many parts":     {rule("", strings.Repeat("true or ", maxNodes)+"true"), "the condition has more than 10000 parts"},
		"deep":           {rule("", strings.Repeat("(", MaxNesting+1)), "the condition nests deeper than 128"},
		"deep not":       {rule("", strings.Repeat("not ", MaxNesting+1)+"true"), "the condition nests deeper than 128"},
		"deep minus":     {rule("", strings.Repeat("-", MaxNesting+1)+"1"), "the condition nests deeper than 128"},
		"deep read":      {rule("", strings.Repeat("uint8(", MaxNesting+1)), "the condition nests deeper than 128"},
		"deep call":      {rule("", strings.Repeat("f(", MaxNesting+1)), "the condition nests deeper than 128"},
		"deep index":     {rule(`$a = "x"`, strings.Repeat("@a[", MaxNesting+1)), "the condition nests deeper than 128"},
		"deep loop":      {rule("", strings.Repeat("for any i in (1..2) : (", MaxNesting+1)), "the condition nests deeper than 128"},
		"deep count":     {rule(`$a = "x"`, strings.Repeat("#a in (", MaxNesting+1)), "the condition nests deeper than 128"},
		"deep at":        {rule(`$a = "x"`, strings.Repeat("$a at ", MaxNesting+1)), "the condition nests deeper than 128"},
		"deep list":      {rule("", strings.Repeat("for any i in (", MaxNesting+1)), "expected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("t.yar", []byte(c.text))
			var where *Error
			if !errors.As(err, &where) || !strings.HasPrefix(err.Error(), "t.yar:") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %.300v\nwant %s", err, c.want)
			}
			if where.Line < 1 || where.Column < 1 || strings.Contains(err.Error(), "\n") || strings.HasSuffix(err.Error(), ".") {
				t.Errorf("no sentence with a place: %q", err)
			}
		})
	}
}

func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// alphabet is one of 64 bytes that ends in c.
func alphabet(c string) string {
	return strings.Replace("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+", c, "-", 1) + c
}

func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	if f := parse(t, "\xef\xbb\xbfrule a { condition: true }\r\n"); len(f.Rules) != 1 {
		t.Errorf("%d rules", len(f.Rules))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`rule a : b { meta: c = 1 strings: $a = "x" wide $b = { 01 [1-2] ?? } $c = /a/i condition: any of them and #a > 1 }`)
	f.Add(`import "elf" private rule a { condition: for all i in (1..2) : ( uint8(i) == 0x10KB ) }`)
	f.Add("rule a { condition: 50% of (a*) in (1..2) or @a[1] \\ 2 == -1.5 }")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("f", []byte(text))
		var where *Error
		if err != nil && !errors.As(err, &where) {
			t.Fatalf("an error without a place: %v", err)
		}
		if err == nil && file == nil {
			t.Fatal("neither a file nor an error")
		}
	})
}
