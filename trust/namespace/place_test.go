package namespace

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
)

// Files as other programs and other hands leave them.

var denied = trust.Entry{Pattern: "ghcr.io/evil/x", Action: "deny", Reason: "it mines"}

// TestOddFiles: ends of lines, marks at the beginning and comments stay as they were.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	const bom = "\ufeff"
	windows := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	const added = "  - pattern: ghcr.io/evil/x\n    action: deny\n    reason: it mines\n"
	for name, tt := range map[string]struct{ old, want string }{
		"crlf":           {windows(edited), windows(strings.Replace(edited, "action: allow\n# the end", "action: allow\n"+added+"# the end", 1))},
		"crlf-empty":     {windows("# ours\nversion: 1\nentries:\n# end\n"), windows("# ours\nversion: 1\nentries:\n" + added + "# end\n")},
		"bom":            {bom + edited, bom + strings.Replace(edited, "action: allow\n# the end", "action: allow\n"+added+"# the end", 1)},
		"bom-crlf-empty": {bom + windows("version: 1\nentries:\n"), bom + windows("version: 1\nentries:\n"+added)},
		"no-last-line":   {"version: 1\nentries:\n  - pattern: a # ours\n    action: deny", "version: 1\nentries:\n  - pattern: a # ours\n    action: deny\n" + added},
		"document-marks": {"---\nversion: 1\nentries:\n  - pattern: a\n    action: deny\n", "---\nversion: 1\nentries:\n  - pattern: a\n    action: deny\n" + added},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := File{Path: write(t, tt.old)}
			if _, err := f.Add(denied); err != nil {
				t.Fatal(err)
			}
			if got := read(t, f.Path); got != tt.want {
				t.Errorf("%q\nwant %q", got, tt.want)
			}
			if _, err := f.Remove(denied.Pattern); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimRight(read(t, f.Path), "\r\n"); got != strings.TrimRight(tt.old, "\r\n") {
				t.Errorf("after its removal: %q\nwant %q", got, tt.old)
			}
		})
	}
}

// TestRefusedFiles: what cannot be edited safely stays as it is, and one sentence says why.
func TestRefusedFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, say string }{
		"alias":       {"version: 1\nentries:\n  - &a {pattern: a, action: deny}\n  - *a\n", ":4:5: "},
		"anchor":      {"version: 1\nentries:\n  - {pattern: &p a, action: deny}\n", ":3:15: anchors, aliases and tags are not supported"},
		"merge":       {"version: 1\nentries:\n  - {<<: {pattern: a}, action: deny}\n", `:3:6: unknown key "<<"`},
		"latin-1":     {"version: 1\n# caf\xe9\nentries:\n", "not UTF-8"},
		"utf-16":      {"\xff\xfev\x00e\x00r\x00", "not UTF-8"},
		"two":         {"version: 1\n---\nversion: 1\n", "more than one YAML document"},
		"too-large":   {"version: 1\n#" + strings.Repeat("x", fileLimit), "is larger than"},
		"no-list":     {"<html>", "version"},
		"another-one": {"version: 2\nentries:\n", "or a newer safepull"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := File{Path: write(t, tt.text)}
			_, err := f.Add(denied)
			if err == nil || !strings.Contains(err.Error(), tt.say) || !strings.Contains(err.Error(), "not changed") || strings.Contains(err.Error(), "\n") || read(t, f.Path) != tt.text {
				t.Errorf("%v, want %q", err, tt.say)
			}
			if edits, err := f.History(); err != nil || len(edits) > 0 {
				t.Errorf("it is in the history: %v, %v", edits, err)
			}
		})
	}
}

// TestLinks: the file that a link points at is edited, and the link stays.
func TestLinks(t *testing.T) {
	t.Parallel()
	real := write(t, edited)
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(real, link); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip(err) // it needs rights there
		}
		t.Fatal(err)
	}
	if _, err := (File{Path: link}).Add(denied); err != nil || !strings.Contains(read(t, real), "evil/x") {
		t.Error(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link is gone", err)
	}
	if edits, err := (File{Path: real}).History(); err != nil || len(edits) != 1 {
		t.Error(edits, err)
	}
	if err := os.Remove(real); err != nil {
		t.Fatal(err)
	}
	for what, do := range map[string]func(string) error{
		"add":    func(p string) error { _, err := File{Path: p}.Add(denied); return err },
		"remove": func(p string) error { _, err := File{Path: p}.Remove("x"); return err },
	} {
		if err := do(link); err == nil || !strings.Contains(err.Error(), "is a link to "+real+", which does not exist") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestLeftovers: what a program that was killed left goes with the next edit, and hinders nobody.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	path := write(t, edited)
	left := filepath.Join(filepath.Dir(path), ".trust.yaml.new")
	if err := os.WriteFile(left, []byte("half of a li"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := (File{Path: path}).Add(denied); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it lies there still")
	}
}

// TestTornHistory: a record that was not finished takes no other with it.
func TestTornHistory(t *testing.T) {
	t.Parallel()
	f := File{Path: write(t, edited), By: "anna"}
	if _, err := f.Add(denied); err != nil {
		t.Fatal(err)
	}
	h, err := os.OpenFile(historyOf(f.Path), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteString(`{"at":"2026-01-01T0`); err != nil || h.Close() != nil {
		t.Fatal(err)
	}
	if _, err := f.Remove(denied.Pattern); err != nil {
		t.Fatal(err)
	}
	edits, err := f.History()
	if err == nil || !strings.Contains(err.Error(), "1 records are damaged") || len(edits) != 2 || edits[0].Word() != "removed" || edits[1].Word() != "added" {
		t.Errorf("%+v, %v", edits, err)
	}
}

// TestLater: a list is later than the one before, whatever the clock says, since its number is made of its time.
func TestLater(t *testing.T) {
	t.Parallel()
	path := write(t, edited)
	last := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, last, last); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		e := denied
		e.Reason = strings.Repeat("x", i+1)
		if _, err := (File{Path: path}).Add(e); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.ModTime().UnixMilli() <= last.UnixMilli() || info.ModTime().Sub(last) > time.Second {
			t.Fatalf("%s after %s, %v", info.ModTime(), last, err)
		}
		last = info.ModTime()
	}
}

// TestKilledWhileEditing: at whatever moment a program is killed, the list is the old one or the new one.
func TestKilledWhileEditing(t *testing.T) {
	t.Parallel()
	if path := os.Getenv("EDIT_UNTIL_KILLED"); path != "" {
		for i := 0; ; i++ {
			e := denied
			e.Reason = strings.Repeat("x", 1+i%50)
			if _, err := (File{Path: path, By: "anna"}).Add(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := write(t, edited)
	for i := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileEditing$")
		cmd.Env = append(os.Environ(), "EDIT_UNTIL_KILLED="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Stat(historyOf(path))
		for range 200 { // until it edits
			if now, err := os.Stat(historyOf(path)); err == nil && (before == nil || now.Size() > before.Size()) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		text := read(t, path)
		list, err := Load("killed", strings.NewReader(text))
		if err != nil || len(list.rules) < 3 || !strings.Contains(text, "# --- theirs ---") || !strings.HasSuffix(text, "# the end\n") {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	if _, err := (File{Path: path}).Remove("quay.io/x/y"); err != nil {
		t.Error(err)
	}
	if edits, _ := (File{Path: path}).History(); len(edits) < 2 || edits[0].Word() != "removed" {
		t.Errorf("%d edits", len(edits))
	}
}
