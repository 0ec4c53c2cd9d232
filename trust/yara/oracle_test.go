package yara

import (
	"bytes"
	"fmt"
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
	version, err := exec.Command(path, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(version), "4.2.") { // Debian 12's; later ones changed some answers
		t.Skipf("SKIPPED: this is yara %s, and the comparison is with 4.2; TestRecorded has its answers", bytes.TrimSpace(version))
	}
	return path
}

// TestOracle compares with YARA: which rules match which files, and where every string of theirs stands.
func TestOracle(t *testing.T) {
	t.Parallel()
	program := oracle(t)
	content := samples()
	dir := written(t, content)
	for i, text := range append(snippets(), randomSnippets(60)...) {
		t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
			t.Parallel()
			text = completed(text)
			file := filepath.Join(t.TempDir(), "rules.yar")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			rules, err := Compile("rules.yar", []byte(text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			all := ask(t, program, file, dir)
			for name := range content {
				want := all[name]
				if strings.Contains(text, "entrypoint") { // YARA 4.2 remembers it from the file before
					want = ask(t, program, file, filepath.Join(dir, name))[name]
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, answerOf(t, rules, content[name])); diff != "" {
					t.Errorf("%s (- yara, + here):\n%s\n%s", name, diff, text)
				}
			}
		})
	}
}

// written puts files into a new folder.
func written(t *testing.T, content map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range content {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// completed makes a rule of a snippet that is only strings and a condition.
func completed(text string) string {
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

// ask runs YARA over a file or a folder: for every file, rule names, and "rule $string offset length" for every match.
func ask(t *testing.T, program, rules, path string) map[string][]string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(program, "-w", "-s", "-L", "-p", "1", rules, path)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("yara: %v %s", err, stderr.String())
	}
	lines, rule, file := map[string][]string{}, "", ""
	for line := range strings.Lines(string(out)) {
		var offset int64
		var rest string
		if n, _ := fmt.Sscanf(line, "0x%x:%s", &offset, &rest); n == 2 {
			length, name, _ := strings.Cut(rest, ":") // the length of what is printed: 512 bytes at most
			name, _, _ = strings.Cut(name, ":")
			lines[file] = append(lines[file], fmt.Sprintf("%s %s %d %s", rule, name, offset, length))
			continue
		}
		if name, where, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			rule, file = name, filepath.Base(where)
			lines[file] = append(lines[file], rule)
		}
	}
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
	var lines []string
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
				lines = append(lines, fmt.Sprintf("%s %s %d %d", m.Rule.Name, str.name, sp.start, min(sp.length, 512)))
			}
		}
	}
	slices.Sort(lines)
	return lines
}
