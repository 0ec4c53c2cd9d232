package namespace

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

const edited = `# Our list. Ask platform before you change it.

version: 1

entries:
  # --- ours ---

  # built here
  - pattern: ghcr.io/acme/**
    action: allow # for now
    # who to ask
    owner: platform

  - pattern: evil/x   # seen in June
    action: deny
    reason: >-
      it mines

  # --- theirs ---
  - pattern: quay.io/x/y
    action: allow
# the end
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trust.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAdd(t *testing.T) {
	t.Parallel()
	expires := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		entry     trust.Entry
		old, text string // what changes in edited
	}{
		"new": {
			trust.Entry{Pattern: "b/*", Action: "deny", Reason: "yes: \"no\" # x"},
			"    action: allow\n# the end",
			"    action: allow\n  - pattern: docker.io/b/*\n    action: deny\n    reason: 'yes: \"no\" # x'\n# the end",
		},
		"new with everything": {
			trust.Entry{Pattern: "b", Action: "allow", Reason: "two\nlines", Owner: "true", Expires: expires, SkipInspection: true},
			"    action: allow\n# the end",
			"    action: allow\n  - pattern: docker.io/library/b\n    action: allow\n    reason: |-\n      two\n      lines\n    owner: \"true\"\n    expires: 2027-01-31\n    inspect: false\n# the end",
		},
		"change action": {
			trust.Entry{Pattern: "ghcr.io/acme/**", Action: "deny", Owner: "platform"},
			"action: allow # for now", "action: deny # for now",
		},
		"add a key": {
			trust.Entry{Pattern: "quay.io/x/y", Action: "allow", Expires: expires.Add(time.Hour)},
			"y\n    action: allow\n", "y\n    action: allow\n    expires: 2027-01-31T01:00:00Z\n",
		},
		"remove a key": {
			trust.Entry{Pattern: "docker.io/evil/x", Action: "deny"},
			"    reason: >-\n      it mines\n", "",
		},
		"nothing to do": {
			trust.Entry{Pattern: "docker.io/evil/x", Action: "deny", Reason: "it mines"}, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, edited)
			if err := Add(path, tc.entry); err != nil {
				t.Fatal(err)
			}
			want := strings.Replace(edited, tc.old, tc.text, 1)
			// The encoder brings the line comment of a changed entry to one space.
			got := strings.Replace(read(t, path), "evil/x # seen", "evil/x   # seen", 1)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if err := Add(path, tc.entry); err != nil || strings.Replace(read(t, path), "evil/x # seen", "evil/x   # seen", 1) != got {
				t.Errorf("a second time changed the file: %v\n%s", err, read(t, path))
			}
		})
	}
}

func TestAddMakesFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "trust.yaml")
	entry := trust.Entry{Pattern: "b", Action: "deny"}
	if err := Add(path, entry); err != nil {
		t.Fatal(err)
	}
	const want = "version: 1\nentries:\n  - pattern: docker.io/library/b\n    action: deny\n"
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %q, %v", left, err)
	}
}

func TestAddMerges(t *testing.T) {
	t.Parallel()
	path := write(t, "version: 1\nentries:\n- {pattern: a, action: allow}\n- {pattern: b, action: allow}\n- {pattern: docker.io/a, action: deny}\n")
	if err := Add(path, trust.Entry{Pattern: "a", Action: "allow", Reason: "mine"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entriesOf(t, read(t, path)) {
		got = append(got, e.Action+" "+e.Pattern+" "+e.Reason)
	}
	if diff := cmp.Diff([]string{"allow docker.io/library/a mine", "allow docker.io/library/b "}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pattern string
		count   int
		old     string
	}{
		"first":  {"ghcr.io/acme/**", 1, "  # built here\n  - pattern: ghcr.io/acme/**\n    action: allow # for now\n    # who to ask\n    owner: platform\n"},
		"middle": {"index.docker.io/evil/x", 1, "  - pattern: evil/x   # seen in June\n    action: deny\n    reason: >-\n      it mines\n"},
		"last":   {"quay.io/x/y", 1, "  # --- theirs ---\n  - pattern: quay.io/x/y\n    action: allow\n"},
		"none":   {"quay.io/x/z", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, edited)
			count, err := Remove(path, tc.pattern)
			if err != nil || count != tc.count {
				t.Fatalf("Remove = %d, %v", count, err)
			}
			if diff := cmp.Diff(strings.Replace(edited, tc.old, "", 1), read(t, path)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRemoveAllAndAddAgain(t *testing.T) {
	t.Parallel()
	path := write(t, "# top\n\nversion: 1\nentries:\n  - {pattern: a, action: allow}\n  - {pattern: library/a, action: deny}\n")
	if count, err := Remove(path, "a"); count != 2 || err != nil {
		t.Fatal(count, err)
	}
	if err := Add(path, trust.Entry{Pattern: "b", Action: "deny"}); err != nil {
		t.Fatal(err)
	}
	const want = "# top\n\nversion: 1\nentries:\n  - pattern: docker.io/library/b\n    action: deny\n"
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRemoveWithoutFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "trust.yaml")
	if count, err := Remove(path, "a"); count != 0 || err != nil {
		t.Errorf("Remove = %d, %v", count, err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestEditRefuses(t *testing.T) {
	t.Parallel()
	const invalid = "version: 1\nentries:\n  - pattern: a\n    action: maybe\n"
	path := write(t, invalid)
	err := Add(path, trust.Entry{Pattern: "b", Action: "deny"})
	if err == nil || !strings.Contains(err.Error(), "not changed") || !strings.Contains(err.Error(), path+":4:13: ") {
		t.Errorf("Add to an invalid file: %v", err)
	}
	if _, err := Remove(path, "a"); err == nil {
		t.Error("Remove from an invalid file succeeded")
	}
	if read(t, path) != invalid {
		t.Error("the invalid file was changed")
	}
	for name, entry := range map[string]trust.Entry{
		"pattern": {Pattern: "*", Action: "deny"},
		"action":  {Pattern: "a", Action: "block"},
		"inspect": {Pattern: "a", Action: "allow", SkipInspection: true},
		"deny":    {Pattern: "a", Action: "deny", SkipInspection: true, Reason: "r", Owner: "o", Expires: time.Now()},
		"escape":  {Pattern: "a", Action: "deny", Reason: "\x1b[0m"},
		"space":   {Pattern: "a", Action: "deny", Reason: " r"},
		"year":    {Pattern: "a", Action: "deny", Expires: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		path := filepath.Join(t.TempDir(), "trust.yaml")
		if err := Add(path, entry); err == nil {
			t.Errorf("%s: an entry was added that Load refuses", name)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: a file was made: %v", name, err)
		}
	}
	if _, err := Remove(path, "*"); err == nil {
		t.Error("Remove of an invalid pattern succeeded")
	}
}

func TestAddFollowsLinkAndKeepsIt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("links need rights there")
	}
	path := write(t, edited)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := Add(link, trust.Entry{Pattern: "b", Action: "deny"}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v, %v", info, err)
	}
	if !strings.Contains(read(t, path), "docker.io/library/b") {
		t.Error("the file that the link points at was not changed")
	}
}

func TestAddFromManyWriters(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "trust.yaml")
	const writers, each = 8, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := Add(path, trust.Entry{Pattern: fmt.Sprintf("w%d/x%d", w, i), Action: "deny"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(entriesOf(t, read(t, path))); got != writers*each {
		t.Errorf("%d entries, want %d", got, writers*each)
	}
}

func entriesOf(t *testing.T, text string) []trust.Entry {
	t.Helper()
	list, err := Load("x", strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return Combine(list).Entries()
}

// checkEdits does to a valid list what the commands do. rewrite compares the result with what was wanted itself, so
// that what is left to check is that it finds a way, and that comments stay.
func checkEdits(t *testing.T, data []byte, list *List) {
	t.Helper()
	r, err := checkEntry(trust.Entry{Pattern: "ghcr.io/new/one", Action: "deny", Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	more := r
	more.entry.Pattern = "ghcr.io/new/two"
	edits := [][]change{additions(list.rules, []rule{r, more})}
	for i := range min(len(list.rules), 3) {
		changed := list.rules[i]
		changed.entry = trust.Entry{Pattern: changed.entry.Pattern, Action: deny, Reason: "changed"}
		edits = append(edits, additions(list.rules, []rule{changed}), []change{{at: i}})
	}
	for _, changes := range edits {
		text, done, err := rewrite("x", data, func([]rule) []change { return changes })
		if err != nil || len(done) > len(changes) {
			t.Errorf("changes %+v: %d, %v in:\n%s", changes, len(done), err, data)
		} else if changes[0].at == len(list.rules) {
			for _, line := range comments(data) {
				if !slices.Contains(comments(text), line) {
					t.Errorf("comment %q is lost from:\n%s\nin:\n%s", line, data, text)
				}
			}
		}
	}
}

func comments(data []byte) []string {
	var found []string
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("# ")) {
			found = append(found, string(line))
		}
	}
	return found
}
