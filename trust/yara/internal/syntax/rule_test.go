package syntax

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOrderOfSections: each section stands at most once, in its order, with a colon and with something in it.
func TestOrderOfSections(t *testing.T) {
	t.Parallel()
	meta, strs, condition := "meta: a = 1 ", `strings: $a = "xy" `, "condition: true "
	for body, want := range map[string]string{
		condition:                            "",
		meta + condition:                     "",
		strs + condition:                     "",
		meta + strs + condition:              "",
		"":                                   `1:10: expected "condition", found "}"`,
		meta:                                 `1:22: expected "condition", found "}"`,
		strs + meta + condition:              `expected a modifier, another string or the condition, found "meta"`,
		condition + strs:                     `expected "}", found "strings"`,
		condition + condition:                `expected "}", found "condition"`,
		meta + meta + condition:              `expected "condition", found "meta"`,
		"meta: " + condition:                 `expected a meta key, found "condition"`,
		"strings: " + condition:              `expected a string such as $a, found "condition"`,
		"meta a = 1 " + condition:            `expected ":", found "a"`,
		"condition true ":                    `expected ":", found "true"`,
		"meta: a 1 " + condition:             `expected "=", found a number`,
		"meta: a = 1.5 " + condition:         "expected a text, a number, true or false, found a number",
		"meta: a = - true " + condition:      `expected a number, found "true"`,
		"meta: a = -- 1 " + condition:        `expected a number, found "-"`,
		"meta: a = b " + condition:           `expected a text, a number, true or false, found "b"`,
		"meta: a = { 01 } " + condition:      `expected a text, a number, true or false, found "{"`,
		"meta: a = /x/ " + condition:         "unexpected character '/'",
		"variables: a = 1 " + condition:      `expected "condition", found "variables"`,
		"strings: $a " + condition:           `expected "=", found "condition"`,
		"strings: a = \"xy\" " + condition:   `expected a string such as $a, found "a"`,
		"strings: #a = \"xy\" " + condition:  `expected a string such as $a, found "#a"`,
		"strings: $a* = \"xy\" " + condition: "a string's name has no *",
		"strings: $a = $b " + condition:      `expected a text, a hex string or a regular expression, found "$b"`,
	} {
		_, err := Parse("t.yar", []byte("rule r { "+body+"}"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// TestTopOfAFile: what stands outside rules, and before them.
func TestTopOfAFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", " \n\t// nothing\n/* at all */": "", `import "a" import "b"`: "", "private global private rule a { condition: true }": "",
		"import a":                        "1:8: expected the name of a module in quotes, found \"a\"",
		`import`:                          "1:7: expected the name of a module in quotes, found the end of the file",
		`include "x.yar"`:                 "1:1: include is not supported",
		"rul a { condition: true }":       `1:1: expected a rule or an import, found "rul"`,
		"private import \"a\"":            `1:9: expected "rule", found "import"`,
		"rule a { condition: true } }":    `1:28: expected a rule or an import, found "}"`,
		"rule a : { condition: true }":    `1:10: expected a tag, found "{"`,
		"rule a : b b { condition: true":  `1:12: the tag "b" stands twice`,
		"rule a b { condition: true }":    `1:8: expected "{", found "b"`,
		"rule 1 { condition: true }":      "1:6: expected the name of the rule, found a number",
		"rule $a { condition: true }":     `1:6: expected the name of the rule, found "$a"`,
		"/* rule":                         "1:1: the comment has no end",
		"/*/ rule":                        "1:1: the comment has no end",
		"rule a { condition: true } \x00": "1:28: unexpected character '\\x00'",
	} {
		_, err := Parse("t.yar", []byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestSets: the members of a set, with their places.
func TestSets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]Member{
		"them":        {{Pos{1, 28}, "", true, false}},
		"($a)":        {{Pos{1, 29}, "a", false, false}},
		"($a*, $b)":   {{Pos{1, 29}, "a", true, false}, {Pos{1, 34}, "b", false, false}},
		"($*)":        {{Pos{1, 29}, "", true, false}},
		"(r1 , r2 *)": {{Pos{1, 29}, "r1", false, true}, {Pos{1, 34}, "r2", true, true}},
	} {
		if diff := cmp.Diff(want, parse(t, rule("", "any of "+text)).Rules[0].Condition.Set); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}
