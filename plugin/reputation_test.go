package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// fakeReputation knows one publisher.
type fakeReputation struct {
	answer   publisher.Answer
	err      error
	imported string
	made     time.Time
}

func (f *fakeReputation) Ask(context.Context, trust.Reference) (publisher.Answer, error) {
	return f.answer, f.err
}

func (f *fakeReputation) Export(_ context.Context, w io.Writer) (publisher.Snapshot, error) {
	_, err := io.WriteString(w, "{}\n")
	return publisher.Snapshot{Records: 7, Made: time.Now()}, errors.Join(err, f.err)
}

func (f *fakeReputation) Import(_ context.Context, r io.ReadSeeker) (publisher.Snapshot, error) {
	b, err := io.ReadAll(r)
	_, again := r.Seek(0, io.SeekStart)
	f.imported = string(b)
	return publisher.Snapshot{Records: 7, Made: f.made}, errors.Join(err, again, f.err)
}

func (f *fakeReputation) Hosts() map[string]string { return map[string]string{"docker.io": ""} }

func TestReputation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(file("in"), []byte("what they know"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := publisher.Answer{
		Known:    publisher.Known{Title: "Docker Hub"},
		Findings: []trust.Finding{{Check: publisher.Check, Strength: trust.Weak, Path: "publisher:account", Why: "\"acme\" is \x1b odd"}},
		Vouched:  []string{"a friend"},
	}
	away := fmt.Errorf("docker Hub did not answer: %w", trust.ErrUnavailable)
	for name, tt := range map[string]struct {
		args   []string
		fake   fakeReputation
		status int
		out    string
		err    string
	}{
		"show":           {[]string{"reputation", "show", "acme/app"}, fakeReputation{answer: good}, 0, "weak: the account \"acme\" is · odd", ""},
		"show-json":      {[]string{"reputation", "show", "--format", "json", "acme/app"}, fakeReputation{answer: good}, 0, `"vouched": [`, ""},
		"show-away":      {[]string{"reputation", "show", "acme/app"}, fakeReputation{answer: good, err: away}, 0, "did not answer", ""},
		"show-nothing":   {[]string{"reputation", "show", "ghcr.example/acme/app"}, fakeReputation{}, 0, "tells nothing that is known here", ""},
		"show-error":     {[]string{"reputation", "show", "acme/app"}, fakeReputation{err: errors.New("disk full")}, 1, "", "disk full"},
		"show-bad-name":  {[]string{"reputation", "show", "A//b"}, fakeReputation{}, 1, "", "reference"},
		"export":         {[]string{"reputation", "export", file("out")}, fakeReputation{}, 0, "Exported 7 records to", ""},
		"export-stdout":  {[]string{"reputation", "export", "-"}, fakeReputation{}, 0, "{}\n", ""},
		"export-nowhere": {[]string{"reputation", "export", file("no/such/folder")}, fakeReputation{}, 1, "", "no such file"},
		"export-error":   {[]string{"reputation", "export", file("out2")}, fakeReputation{err: errors.New("disk full")}, 1, "", "disk full"},
		"import":         {[]string{"reputation", "import", file("in")}, fakeReputation{}, 0, "Imported 7 records from", ""},
		"import-json":    {[]string{"reputation", "import", "--format", "json", file("in")}, fakeReputation{}, 0, `"records": 7`, ""},
		"import-old":     {[]string{"reputation", "import", file("in")}, fakeReputation{made: time.Now().AddDate(-1, 0, 0)}, 0, "counts no more", ""},
		"import-folder":  {[]string{"reputation", "import", dir}, fakeReputation{}, 1, "", "is a directory"},
		"import-missing": {[]string{"reputation", "import", file("missing")}, fakeReputation{}, 1, "", "no such file"},
		"import-error":   {[]string{"reputation", "import", file("in")}, fakeReputation{err: trust.ErrMalformed}, 1, "", "malformed"},
		"unknown":        {[]string{"reputation", "buy"}, fakeReputation{}, 1, "", "use show, export or import"},
		"help":           {[]string{"reputation"}, fakeReputation{}, 0, "SAFEPULL_REPUTATION_ASK", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.reputation = &tt.fake
			got := w.run(tt.args...)
			if got.status != tt.status || !strings.Contains(got.out, tt.out) || !strings.Contains(got.err, tt.err) || strings.Contains(got.out, "\x1b") {
				t.Errorf("status %d\n%s\n%s", got.status, got.out, got.err)
			}
			if strings.HasPrefix(name, "import") && tt.status == 0 && tt.fake.imported != "what they know" {
				t.Errorf("read %q", tt.fake.imported)
			}
		})
	}
	w := newWorld(t)
	if got := w.run("reputation", "show", "acme/app"); got.status != 1 || !strings.Contains(got.err, errMissing.Error()) {
		t.Errorf("%d %s", got.status, got.err)
	}
}

// TestReputationExportKeeps: an export that fails leaves an earlier one, and nothing else.
func TestReputationExportKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "facts.json")
	if err := os.WriteFile(out, []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.reputation = &fakeReputation{err: errors.New("disk full")}
	if got := w.run("reputation", "export", out); got.status != 1 {
		t.Errorf("%d %s", got.status, got.err)
	}
	entries, err := os.ReadDir(dir)
	if text, _ := os.ReadFile(out); string(text) != "earlier" || err != nil || len(entries) != 1 {
		t.Errorf("%q, %v, %v", text, entries, err)
	}
}
