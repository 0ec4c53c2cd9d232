package yara

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const recorded = "testdata/answers.txt"

// TestRecorded compares with what YARA 4.2.3 answered when it was asked last: lines of a snippet's number, a file and
// the rules that match it. YARA_RECORD=1 asks again.
func TestRecorded(t *testing.T) {
	t.Parallel()
	if os.Getenv("YARA_RECORD") != "" {
		record(t)
	}
	body, err := os.ReadFile(recorded)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(body)), "\n")
	var got []string
	content := samples()
	for i, text := range append(snippets(), randomSnippets(60)...) {
		r := mustCompile(t, text)
		for _, name := range slices.Sorted(maps.Keys(content)) {
			if matched := names(t, r, content[name]); len(matched) > 0 {
				got = append(got, fmt.Sprintf("%03d %s %s", i, name, strings.Join(matched, " ")))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(- yara, + here):\n%s", diff)
	}
}

func record(t *testing.T) {
	t.Helper()
	program, content := oracle(t), samples()
	dir := written(t, content)
	var b strings.Builder
	for i, text := range append(snippets(), randomSnippets(60)...) {
		file := filepath.Join(t.TempDir(), "rules.yar")
		if err := os.WriteFile(file, []byte(completed(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(content)) {
			var rules []string
			for _, line := range ask(t, program, file, filepath.Join(dir, name))[name] {
				if !strings.Contains(line, " ") {
					rules = append(rules, line)
				}
			}
			if len(rules) > 0 {
				fmt.Fprintf(&b, "%03d %s %s\n", i, name, strings.Join(rules, " "))
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(recorded), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recorded, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
