package syntax

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestLimitsAreInclusive: what is exactly as large as allowed is read, and one more is refused at the place of the excess.
func TestLimitsAreInclusive(t *testing.T) {
	t.Parallel()
	list := func(format string, n int) string { return strings.TrimSuffix(many(format, n), ",") }
	for name, c := range map[string]struct {
		limit int
		text  func(n int) string
		want  string // of limit+1
	}{
		"rule name": {maxName, func(n int) string { return "rule " + strings.Repeat("n", n) + " { condition: true }" },
			"1:6: the name is longer than 128 bytes"},
		"string name": {maxName, func(n int) string { return rule("$"+strings.Repeat("n", n)+` = "x"`, "true") },
			"1:19: the name is longer than 128 bytes"},
		"path": {maxName, func(n int) string { return rule("", "ab."+strings.Repeat("n", n-3)) },
			"1:24: the name is longer than 128 bytes"},
		"text": {maxText, func(n int) string { return rule(`$a = "`+strings.Repeat("x", n)+`"`, "$a") },
			"1:24: the text is longer than 4096 bytes"},
		"text of escapes": {maxText, func(n int) string { return rule(`$a = "`+strings.Repeat(`\x41`, n)+`"`, "$a") },
			"1:24: the text is longer than 4096 bytes"},
		"text that ends in an escape": {maxText, func(n int) string { return rule(`$a = "`+strings.Repeat("x", n-1)+`\n"`, "$a") },
			"1:24: the text is longer than 4096 bytes"},
		"regular expression": {maxSource, func(n int) string { return rule("$a = /"+strings.Repeat("x", n)+"/", "$a") },
			"1:24: the regular expression is longer than 16384 bytes"},
		"hex string": {maxSource, func(n int) string { return rule("$a = {"+strings.Repeat(" ", n)+"}", "$a") },
			"1:24: the hex string is longer than 16384 bytes of text"},
		"tags": {maxTags, func(n int) string { return "rule a : " + many("t%d ", n) + "{ condition: true }" },
			fmt.Sprintf("1:%d: the rule has more than 64 tags", len("rule a : "+many("t%d ", maxTags))+1)},
		"meta": {maxMeta, func(n int) string { return "rule a {\nmeta:\n" + many("m%d = 1\n", n) + "condition: true }" },
			"259:1: the rule has more than 256 meta keys"},
		"strings": {MaxStrings, func(n int) string { return "rule a {\nstrings:\n" + many("$a%d = \"x\"\n", n) + "condition: true }" },
			"1027:1: the rule has more than 1024 strings"},
		"anonymous strings": {MaxStrings, func(n int) string {
			return "rule a {\nstrings:\n" + strings.Repeat("$ = \"x\"\n", n) + "condition: true }"
		}, "1027:1: the rule has more than 1024 strings"},
		"members": {MaxStrings, func(n int) string { return "rule a { condition: any of (\n" + list("$a%d\n,", n) + ") }" },
			"1026:2: the set has more than 1024 members"},
		"rules": {MaxRules, func(n int) string { return many("rule r%d { condition: true }\n", n) },
			"10001:1: the file has more than 10000 rules"},
		"file": {MaxFile, func(n int) string {
			const r = "rule a { condition: true }"
			return r + strings.Repeat("\n", n-len(r))
		}, "1:1: the file is larger than 4194304 bytes"},
		"parentheses": {(MaxNesting - 2) / 2, func(n int) string {
			return "rule a { condition:\n" + strings.Repeat("(", n) + "true" + strings.Repeat(")", n) + " }"
		}, fmt.Sprintf("2:%d: the condition nests deeper than 128", (MaxNesting-2)/2+2)},
		"negations": {MaxNesting - 2, func(n int) string { return "rule a { condition:\n" + strings.Repeat("not ", n) + "true }" },
			fmt.Sprintf("2:%d: the condition nests deeper than 128", 4*(MaxNesting-1)+1)},
		"minuses": {MaxNesting - 2, func(n int) string { return "rule a { condition:\n" + strings.Repeat("-", n) + "1 == 1 }" },
			fmt.Sprintf("2:%d: the condition nests deeper than 128", MaxNesting)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{c.limit - 1, c.limit} {
				if _, err := Parse("t.yar", []byte(c.text(n))); err != nil {
					t.Errorf("%d, of at most %d: %.200v", n, c.limit, err)
				}
			}
			if _, err := Parse("t.yar", []byte(c.text(c.limit+1))); err == nil || err.Error() != "t.yar:"+c.want {
				t.Errorf("got  %.200v\nwant %s", err, c.want)
			}
		})
	}
}

// TestPartsAreBounded: however a condition grows, it ends at about maxNodes parts.
func TestPartsAreBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]func(n int) string{
		"or":         func(n int) string { return strings.Repeat("true or ", n) + "true" },
		"plus":       func(n int) string { return strings.Repeat("1 + ", n) + "1 == 1" },
		"values":     func(n int) string { return "for any i in (" + strings.Repeat("1,", n) + "1) : (true)" },
		"arguments":  func(n int) string { return "f(" + strings.Repeat("1,", n) + "1)" },
		"of":         func(n int) string { return strings.Repeat("any of them or ", n) + "true" },
		"matches":    func(n int) string { return strings.Repeat(`"a" matches /b/ or `, n) + "true" },
		"references": func(n int) string { return strings.Repeat("#a in (1..2) > 1 or ", n) + "true" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse("t.yar", []byte(rule("", text(1000)))); err != nil {
				t.Errorf("a thousand: %v", err)
			}
			_, err := Parse("t.yar", []byte(rule("", text(maxNodes+1))))
			if err == nil || !strings.Contains(err.Error(), "the condition has more than 10000 parts") {
				t.Errorf("too many: %.200v", err)
			}
		})
	}
	// The bound is of one condition: a file may have many.
	one := strings.Repeat("true or ", maxNodes/3) + "true"
	parse(t, many("rule r%d { condition: "+one+" }\n", 5))
}

// TestEveryReservedWord may name nothing.
func TestEveryReservedWord(t *testing.T) {
	t.Parallel()
	for w := range strings.FieldsSeq(words) {
		for _, text := range []string{
			"rule " + w + " { condition: true }",
			"rule a : " + w + " { condition: true }",
			"rule a { meta: " + w + " = 1 condition: true }",
			"rule a { condition: for any " + w + " in (1..2) : (true) }",
			"rule a { condition: elf." + w + " == 1 }",
			"rule a { condition: any of (" + w + ") }",
		} {
			if _, err := Parse("t.yar", []byte(text)); err == nil {
				t.Errorf("accepted: %s", text)
			}
		}
		if w == "of" || w == "in" {
			continue
		}
		// A longer word and another case name what they like.
		for _, name := range []string{w + "1", "_" + w, strings.ToUpper(w[:1]) + w[1:]} {
			parse(t, "rule "+name+" : "+name+" { meta: "+name+" = 1 strings: $"+name+` = "x" $`+w+" = \"y\" condition: $"+w+" }")
		}
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "007": 7, "9223372036854775807": 1<<63 - 1, "0x7fffffffffffffff": 1<<63 - 1, "0xAbC": 0xabc,
		"0o777": 0o777, "1KB": 1024, "1MB": 1 << 20, "0x10KB": 16 << 10, "0o10MB": 8 << 20,
		"9007199254740991KB": (1<<53 - 1) << 10, "8796093022207MB": (1<<43 - 1) << 20, "0KB": 0,
	} {
		e := parse(t, rule("", text+" == 1")).Rules[0].Condition.Args[0]
		if e.Op != OpInt || e.Int != want {
			t.Errorf("%s is %v %d, want %d", text, e.Op, e.Int, want)
		}
	}
	for text, want := range map[string]float64{"0.0": 0, "1.5": 1.5, "00.25": 0.25, "123456789.125": 123456789.125} {
		e := parse(t, rule("", text+" == 1")).Rules[0].Condition.Args[0]
		if e.Op != OpFloat || e.Float != want {
			t.Errorf("%s is %v %v, want %v", text, e.Op, e.Float, want)
		}
	}
	for _, text := range []string{
		"9223372036854775808", "0x8000000000000000", "0o1000000000000000000000", "9007199254740992KB", "8796093022208MB",
		"0x", "0xg", "0o8", "0o", "KB1", "1kb", "1GB", "1K", "1_000", "0b11", "1e3", "1.5e3", "1.5KB", "0x1.5", "1.0inf", "1.5_0", "1.0x1p4",
		"0x0x1", "0xKB",
	} {
		f, err := Parse("t.yar", []byte(rule("", text+" == 1")))
		if err == nil && f.Rules[0].Condition.Args[0].Op != OpName {
			t.Errorf("%s was read as %s", text, shown(f.Rules[0].Condition))
		}
	}
}

func TestEscapes(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for _, format := range []string{`\x%02x`, `\x%02X`} {
			s := parse(t, rule(`$a = "a`+fmt.Sprintf(format, c)+`b"`, "$a")).Rules[0].Strings[0]
			if want := "a" + string([]byte{byte(c)}) + "b"; s.Body != want {
				t.Errorf("%q, want %q", s.Body, want)
			}
		}
		// Of all others only a handful.
		text := `$a = "\` + string([]byte{byte(c)}) + `z"`
		_, err := Parse("t.yar", []byte(rule(text, "$a")))
		if ok := strings.IndexByte(`\tnr`, byte(c)) >= 0; c != '"' && (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, bad := range []string{`"\`, `"\"`, `"\x`, `"\x4`, `"\x4"`, `"\x-1"`, `"\x+1"`, `"\x 1"`, `"\x_1"`, `"\X41"`, `"\u0041"`, `"\101"`, `"\0"`} {
		if _, err := Parse("t.yar", []byte(rule("$a = "+bad, "$a"))); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}

// TestRegexLiterals: what ends a regular expression, and what does not.
func TestRegexLiterals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`/a/`: `a`, `/\//`: `\/`, `/\\/`: `\\`, `/a\\\//`: `a\\\/`, `//`: "", `/[\/]/`: `[\/]`, `/"/`: `"`, `/{}/`: `{}`, `/$a/`: `$a`, "/a\tb/": "a\tb",
	} {
		if text == "//" { // a comment
			if _, err := Parse("t.yar", []byte(rule("$a = //\n", "$a"))); err == nil {
				t.Error("a comment was read as a string")
			}
			continue
		}
		if got := parse(t, rule("$a = "+text+" ", "$a")).Rules[0].Strings[0]; got.Body != want || got.Form != Regex {
			t.Errorf("%s: %q", text, got.Body)
		}
	}
	for flags, want := range map[string][2]bool{"": {}, "i": {true, false}, "s": {false, true}, "is": {true, true}, "si": {true, true}, "iiss": {true, true}} {
		s := parse(t, rule("$a = /b/"+flags+" wide", "$a")).Rules[0].Strings[0]
		e := parse(t, rule("", `"x" matches /b/`+flags)).Rules[0].Condition.Args[1]
		if got := [2]bool{s.Fold, s.DotAll}; got != want || [2]bool{e.Fold, e.DotAll} != want || !s.Wide {
			t.Errorf("%q: %v", flags, got)
		}
	}
	for _, bad := range []string{"/a\n/", "/a\\\n/", "/a", `/a\/`, "/a/g", "/a/ix"} {
		if f, err := Parse("t.yar", []byte(rule("$a = "+bad+" ", "$a"))); err == nil {
			t.Errorf("%q was read as %q", bad, f.Rules[0].Strings[0].Body)
		}
	}
}

// TestCommas: a list has one comma between two, and none after the last.
func TestCommas(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"f(,)", "f(1,)", "f(,1)", "f(1,,2)", "f(1 2)", "any of ($a,)", "any of (,$a)", "any of ()", "any of ($a $b)",
		"for any i in (1,) : (true)", "for any i in () : (true)", "for any i in (1,,2) : (true)", "for any i in (1..) : (true)",
		"for any i in (1..2,3) : (true)", "for any i in (1,2..3) : (true)", "$a in (1..2..3)", "$a in (..2)", "@a[]", "@a[1,2]", "uint8()", "uint8(1,2)", "()",
	} {
		if f, err := Parse("t.yar", []byte(rule("", bad))); err == nil {
			t.Errorf("%s was read as %s", bad, shown(f.Rules[0].Condition))
		}
	}
}

// binaryLevels are YARA's operators from loosest to tightest, as its manual lists them.
var binaryLevels = [][]string{
	{"or"}, {"and"}, {"==", "!=", "contains", "startswith", "iequals"}, {"<", "<=", ">", ">="},
	{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "\\", "%"},
}

// grouped writes all parentheses into operands with operators between them: the last of the loosest operators is the
// outermost.
func grouped(operands, operators []string) string {
	for _, level := range binaryLevels {
		for i := len(operators) - 1; i >= 0; i-- {
			if slices.Contains(level, operators[i]) {
				return "(" + grouped(operands[:i+1], operators[:i]) + " " + operators[i] + " " + grouped(operands[i+1:], operators[i+1:]) + ")"
			}
		}
	}
	return operands[0]
}

// TestPrecedence compares with the obvious way to group a row of operators.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 2))
	for range 2000 {
		var operands, operators []string
		var b strings.Builder
		for i := range 2 + rng.IntN(9) {
			if i > 0 {
				level := binaryLevels[rng.IntN(len(binaryLevels))]
				operators = append(operators, level[rng.IntN(len(level))])
				b.WriteString(" " + operators[i-1] + " ")
			}
			n := fmt.Sprint(i)
			switch rng.IntN(4) {
			case 0:
				operands = append(operands, "(-"+n+")")
				b.WriteString("-" + n)
			case 1:
				operands = append(operands, "(~(-"+n+"))")
				b.WriteString("~-" + n)
			default:
				operands = append(operands, n)
				b.WriteString(n)
			}
		}
		want := grouped(operands, operators)
		for _, text := range []string{b.String(), want} { // written out, it means the same
			if got := shown(parse(t, rule("", text)).Rules[0].Condition); got != want {
				t.Fatalf("%s\ngot  %s\nwant %s", text, got, want)
			}
		}
	}
}

// TestNegationBinds tighter than and, and looser than any comparison.
func TestNegationBinds(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"not", "defined"} {
		for level, operators := range binaryLevels {
			for _, op := range operators {
				want := "(" + word + " (1 " + op + " 2))"
				if level < 2 {
					want = "((" + word + " 1) " + op + " 2)"
				}
				if got := shown(parse(t, rule("", word+" 1 "+op+" 2")).Rules[0].Condition); got != want {
					t.Errorf("%s 1 %s 2: %s, want %s", word, op, got, want)
				}
			}
		}
	}
}

// TestModifierPairs: of two modifiers, in both orders, the same pairs fit.
func TestModifierPairs(t *testing.T) {
	t.Parallel()
	all := []string{"nocase", "ascii", "wide", "fullword", "private", "xor", "base64", "base64wide"}
	refused := map[string]string{
		"nocase": "xor base64 base64wide", "xor": "nocase base64 base64wide fullword",
		"fullword": "xor base64 base64wide", "base64": "nocase xor fullword", "base64wide": "nocase xor fullword",
	}
	for _, a := range all {
		for _, b := range all {
			_, err := Parse("t.yar", []byte(rule(`$a = "text" `+a+" "+b, "$a")))
			if want := a == b || slices.Contains(strings.Fields(refused[a]), b); (err != nil) != want {
				t.Errorf("%s %s: %v", a, b, err)
			}
		}
		_, err := Parse("t.yar", []byte(rule(`$a = { 01 } `+a, "$a")))
		if (err != nil) != (a != "private") {
			t.Errorf("a hex string with %s: %v", a, err)
		}
		_, err = Parse("t.yar", []byte(rule(`$a = /re/ `+a, "$a")))
		if (err != nil) != (strings.Contains(a, "64") || a == "xor") {
			t.Errorf("a regular expression with %s: %v", a, err)
		}
	}
}

func TestXORKeys(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{
		"xor": {0, 255}, "xor(0)": {0, 0}, "xor(255)": {255, 255}, "xor(0-255)": {0, 255}, "xor( 0x0F - 0x10 )": {15, 16}, "xor(7-7)": {7, 7},
	} {
		s := parse(t, rule(`$a = "text" `+text, "$a")).Rules[0].Strings[0]
		if got := [2]int{s.XORMin, s.XORMax}; !s.XOR || got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for _, bad := range []string{"xor()", "xor(-1)", "xor(1-)", "xor(-)", "xor(1-2-3)", "xor(256)", "xor(0-256)", "xor(2-1)", "xor(1.0)", `xor("a")`, "xor(1,2)", "xor(1..2)"} {
		if _, err := Parse("t.yar", []byte(rule(`$a = "text" `+bad, "$a"))); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}

func TestAlphabets(t *testing.T) {
	t.Parallel()
	x, y := alphabet("x"), alphabet("y")
	for text, want := range map[string]string{
		`base64`: "", `base64wide`: "", `base64("` + x + `")`: x, `base64wide("` + y + `")`: y,
		`base64("` + x + `") base64wide("` + x + `")`: x,
	} {
		if s := parse(t, rule(`$a = "text" `+text, "$a")).Rules[0].Strings[0]; s.Alphabet != want {
			t.Errorf("%s: %q", text, s.Alphabet)
		}
	}
	for _, bad := range []string{`""`, `"` + x[1:] + `"`, `"` + x + `z"`, `"` + x[:63] + x[:1] + `"`, "1", "/" + x + "/", ""} {
		if _, err := Parse("t.yar", []byte(rule(`$a = "text" base64(`+bad+`)`, "$a"))); err == nil {
			t.Errorf("accepted: %s", bad)
		}
	}
}
