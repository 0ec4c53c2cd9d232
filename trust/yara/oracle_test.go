package yara

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oracle is Debian's yara, the program that everyone means by YARA. Without it the comparison is skipped, unless
// YARA_ORACLE says that it must be there, as it does in "make e2e".
func oracle(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("yara")
	if err != nil {
		if os.Getenv("YARA_ORACLE") != "" {
			t.Fatal("YARA_ORACLE is set, but there is no program yara")
		}
		t.Skip("SKIPPED: there is no program yara to compare with; Debian's package is called yara")
	}
	return path
}

// TestOracle compares with YARA: which rules match which files, and where every string of theirs stands.
func TestOracle(t *testing.T) {
	t.Parallel()
	program := oracle(t)
	dir := t.TempDir()
	content := samples()
	names := slices.Sorted(maps.Keys(content))
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), content[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, text := range snippets() {
		t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
			t.Parallel()
			text = complete_(text)
			file := filepath.Join(t.TempDir(), "rules.yar")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			rules, err := Compile("rules.yar", []byte(text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			for _, name := range names {
				want := ask(t, program, file, filepath.Join(dir, name))
				got := answerOf(t, rules, content[name])
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (- yara, + here):\n%s\n%s", name, diff, text)
				}
			}
		})
	}
}

// complete_ makes a rule of a snippet that is only strings and a condition.
func complete_(text string) string {
	if strings.Contains(text, "rule ") {
		return text
	}
	section, condition, ok := strings.Cut(text, "condition:")
	if !ok {
		condition = "any of them"
	}
	if strings.TrimSpace(section) != "" {
		section = "\tstrings:\n\t\t" + strings.TrimSpace(section) + "\n"
	}
	return "rule r {\n" + section + "\tcondition:\n\t\t" + strings.TrimSpace(condition) + "\n}\n"
}

// ask runs YARA: rule names, and "rule $string offset length" for every match.
func ask(t *testing.T, program, rules, file string) []string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(program, "-w", "-s", "-L", rules, file)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("yara: %v %s", err, stderr.String())
	}
	lines, rule := []string{}, ""
	for line := range strings.Lines(string(out)) {
		var offset int64
		var rest string
		if n, _ := fmt.Sscanf(line, "0x%x:%s", &offset, &rest); n == 2 {
			length, name, _ := strings.Cut(rest, ":")
			name, _, _ = strings.Cut(name, ":")
			lines = append(lines, fmt.Sprintf("%s %s %d %s", rule, name, offset, length))
			continue
		}
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), " "+file); ok {
			rule = name
			lines = append(lines, rule)
		}
	}
	slices.Sort(lines)
	return lines
}

// answerOf is what ask says, by this package.
func answerOf(t *testing.T, rules *Rules, content []byte) []string {
	t.Helper()
	for i := range rules.strings {
		rules.strings[i].places = true
	}
	s := rules.Begin()
	if _, err := s.Write(content); err != nil {
		t.Fatal(err)
	}
	s.search(true)
	lines := []string{}
	for i := range s.seen {
		s.seen[i].end(rules.strings[i].pattern.Greedy)
	}
	matches, err := s.judge()
	if err != nil {
		t.Errorf("unanswered: %v", err)
	}
	for _, m := range matches {
		lines = append(lines, m.Rule.Name)
		for _, id := range rules.rules[slices.Index(rules.Names(), m.Rule.Name)].strings {
			str := rules.strings[id]
			if str.private {
				continue
			}
			for _, sp := range s.seen[id].spans {
				lines = append(lines, fmt.Sprintf("%s %s %d %d", m.Rule.Name, str.name, sp.start, sp.length))
			}
		}
	}
	slices.Sort(lines)
	return lines
}
