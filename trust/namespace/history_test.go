package namespace

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	f := File{Path: filepath.Join(t.TempDir(), "trust.yaml"), By: "anna@host\x1b"}
	if edits, err := f.History(); err != nil || len(edits) != 0 {
		t.Fatal(edits, err)
	}
	a := trust.Entry{Pattern: "ghcr.io/a/**", Action: "allow", Reason: "ours"}
	for _, do := range []func() ([]Change, error){
		func() ([]Change, error) { return f.Add(a) },
		func() ([]Change, error) { return f.Add(a) }, // says nothing new
		func() ([]Change, error) {
			return f.Import([]trust.Entry{{Pattern: "ghcr.io/a/**", Action: "deny"}, {Pattern: "quay.io/b", Action: "allow"}, {Pattern: "quay.io/b", Action: "deny"}})
		},
		func() ([]Change, error) { return f.Remove("quay.io/b") },
	} {
		if _, err := do(); err != nil {
			t.Fatal(err)
		}
	}
	edits, err := f.History()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range edits {
		if e.At.IsZero() || strings.ContainsRune(e.By, 0x1b) {
			t.Errorf("%+v", e)
		}
		got = append(got, e.Word()+" "+e.Pattern())
	}
	want := []string{"removed quay.io/b", "removed quay.io/b", "added quay.io/b", "added quay.io/b", "changed ghcr.io/a/**", "added ghcr.io/a/**"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(f.Path + ".history"); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(f.Path+".history", []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.History(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
	if err := os.WriteFile(f.Path+".history", []byte(strings.Repeat(`{"at":"2026-01-01T00:00:00Z","by":"x","after":{"pattern":"a","action":"deny"}}`+"\n", 80_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if edits, err := f.History(); err != nil || len(edits) < 50_000 || len(edits) >= 80_000 {
		t.Errorf("%d edits of a history beyond its limit, %v", len(edits), err)
	}
}

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	path := write(t, edited)
	f := File{Path: path}
	if _, err := f.Import([]trust.Entry{{Pattern: "a", Action: "allow"}, {Pattern: "b", Action: "maybe"}}); err == nil || read(t, path) != edited {
		t.Errorf("%v\n%s", err, read(t, path))
	}
	var many []trust.Entry
	for i := range 3000 {
		many = append(many, trust.Entry{Pattern: fmt.Sprintf("ghcr.io/a/x%d", i), Action: "allow", Reason: "r"})
	}
	changes, err := f.Import(many)
	text := read(t, path)
	if err != nil || len(changes) != len(many) || !strings.Contains(text, "# --- theirs ---") || !strings.HasSuffix(text, "# the end\n") {
		t.Errorf("%d changes, %v", len(changes), err)
	}
	got := entriesOf(t, text)
	if len(got) != 3+len(many) || got[3].Pattern != "ghcr.io/a/x0" || got[len(got)-1].Pattern != "ghcr.io/a/x2999" {
		t.Errorf("%d entries: %+v", len(got), got[len(got)-1])
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	a := load(t, "1", "  - {pattern: a, action: allow}\n  - {pattern: b, action: allow}\n  - {pattern: c, action: deny}\n").Entries()
	b := load(t, "2", "  - {pattern: c, action: deny}\n  - {pattern: b, action: deny}\n  - {pattern: d, action: deny}\n  - {pattern: d, action: allow}\n").At(User).Entries()
	var got []string
	for _, c := range Diff(a, b) {
		got = append(got, c.Word()+" "+c.Pattern())
	}
	want := []string{"changed docker.io/library/b", "added docker.io/library/d", "added docker.io/library/d", "removed docker.io/library/a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := Diff(b, b); len(d) > 0 || len(Diff(nil, nil)) > 0 {
		t.Errorf("%+v", d)
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte("{\"at\":\"2026-01-01T00:00:00Z\",\"by\":\"x\",\"after\":{\"pattern\":\"a\",\"action\":\"deny\"}}\n"))
	f.Add([]byte("{}\n{\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		edits, err := parseHistory("h", body)
		for _, e := range edits {
			if err == nil && (e.Word() == "" || e.Before == nil && e.After == nil) {
				t.Errorf("%+v", e)
			}
			_ = e.Pattern()
		}
	})
}
