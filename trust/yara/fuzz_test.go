package yara

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzCompile: whatever text is given, there are rules or one sentence with a place.
func FuzzCompile(f *testing.F) {
	for _, s := range snippets() {
		f.Add(completed(s))
	}
	f.Add(`rule a { strings: $a = "aa" xor wide ascii condition: for all i in (1..#a) : (uint8(@a[i]) \ 0 == 1) }`)
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Compile("f.yar", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f.yar:") || rules != nil {
				t.Fatalf("%v", err)
			}
			return
		}
		if _, err := inspect(t, rules, []byte(text), 7); err != nil && !strings.Contains(err.Error(), "unanswered") {
			t.Fatal(err)
		}
	})
}

// FuzzScan: the answer does not depend on how the file is written, nor on what was scanned before.
func FuzzScan(f *testing.F) {
	for _, content := range samples() {
		if len(content) < 5000 {
			f.Add(content, 3)
		}
	}
	var all strings.Builder
	for i, text := range snippets() {
		if !strings.Contains(text, "rule ") {
			all.WriteString(strings.Replace(completed(text), "rule r ", fmt.Sprintf("rule r%d ", i), 1))
		}
	}
	rules, err := Compile("f.yar", []byte(all.String()))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte, step int) {
		if len(content) > 1<<12 {
			return
		}
		want, errWant := inspect(t, rules, content, 0)
		got, errGot := inspect(t, rules, content, min(max(step, 1), 100))
		if diff := cmp.Diff(want, got); diff != "" || (errWant == nil) != (errGot == nil) {
			t.Errorf("%v, %v:\n%s", errWant, errGot, diff)
		}
		for _, m := range got {
			if m.String != "" && !bytes.HasPrefix(content[m.Offset:], m.Excerpt) {
				t.Errorf("%s of %s is not at %d", m.String, m.Rule.Name, m.Offset)
			}
		}
	})
}
