package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/store/storetest"
)

func openIn(folder string) (storetest.Store, error) { return Open(filepath.Join(folder, "memory.db")) }

func TestMain(m *testing.M) {
	storetest.Main(openIn, func() { goleak.VerifyTestMain(m) })
}

func openStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Store {
		s, err := openIn(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	storetest.RunShared(t, openIn)
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "a b", "c?d#e%41&f=g")
	s, err := Open(filepath.Join(folder, "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.KeepVerdict(t.Context(), "k", storetest.NewVerdict("a", 1)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{".": 0o700, "memory.db": 0o600, "memory.db-wal": 0o600, "memory.db-shm": 0o600} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", name, info, err, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, path string)
		says  string
	}{
		"text":   {func(t *testing.T, path string) { overwrite(t, path, 0, strings.Repeat("no database. ", 1000)) }, "damaged or not a store: move the file away"},
		"header": {func(t *testing.T, path string) { overwrite(t, path, 0, "SQLite format 4") }, "move the file away"},
		"schema": {func(t *testing.T, path string) { overwrite(t, path, 100, strings.Repeat("\xff", 3000)) }, "move the file away"},
		"newer": {func(t *testing.T, path string) {
			spoilSQL(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
		}, "newer safepull"},
		"folder": {func(t *testing.T, path string) { _ = os.Remove(path); _ = os.Mkdir(path, 0o700) }, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "memory.db")
			s, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, path)
			s, err = Open(path)
			if err == nil {
				_ = s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q does not say %q", err, tc.says)
			}
		})
	}
}

func overwrite(t *testing.T, path string, at int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(text), at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func spoilSQL(t *testing.T, path, statement string) {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedRows: whatever a row has become, it is an error and never an answer.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"empty":            `UPDATE verdicts SET body = ''`,
		"empty object":     `UPDATE verdicts SET body = '{}'`,
		"null":             `UPDATE verdicts SET body = 'null'`,
		"cut":              `UPDATE verdicts SET body = substr(body, 1, length(body) - 1)`,
		"other action":     `UPDATE verdicts SET body = replace(body, '"action":"quarantine"', '"action":"allow"')`,
		"action column":    `UPDATE verdicts SET action = 'allow'`,
		"no action":        `UPDATE verdicts SET action = '', body = replace(body, '"action":"quarantine",', '')`,
		"unknown action":   `UPDATE verdicts SET action = 'pass', body = replace(body, '"action":"quarantine"', '"action":"pass"')`,
		"other ID":         `UPDATE verdicts SET body = replace(body, '"id":"SP-', '"id":"SQ-')`,
		"other manifest":   `UPDATE verdicts SET manifest = 'sha256:00'`,
		"other repository": `UPDATE verdicts SET body = replace(body, '"repository":"a"', '"repository":"b"')`,
		"unknown strength": `UPDATE verdicts SET body = replace(body, '"strong"', '"feeble"')`,
		"blob":             `UPDATE verdicts SET body = x'00ff'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t)
			v := storetest.NewVerdict("a", 1)
			if err := s.KeepVerdict(t.Context(), "k", v); err != nil {
				t.Fatal(err)
			}
			if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			for by, ask := range map[string]func() (trust.Verdict, bool, error){
				"key": func() (trust.Verdict, bool, error) { return s.Verdict(t.Context(), "k") },
				"ID":  func() (trust.Verdict, bool, error) { return s.VerdictByID(t.Context(), v.ID) },
			} {
				if got, found, err := ask(); err == nil || found || got.Action != "" || !strings.Contains(err.Error(), "damaged") {
					t.Errorf("by %s: %q, %v, %v", by, got.Action, found, err)
				}
			}
			if got, err := s.Verdicts(t.Context(), v.Reference.Name(), 10); name != "other repository" && (err == nil || got != nil) {
				t.Errorf("Verdicts = %v, %v", got, err)
			}
			if err := s.KeepVerdict(t.Context(), "k", v); err != nil && name != "other manifest" {
				t.Errorf("a damaged row cannot be replaced: %v", err)
			}
		})
	}
	for _, body := range []string{``, `{}`, `null`, `{"findings":null}`, `{"findings":[{"strength":"feeble"}]}`, `[]`} {
		s := openStore(t)
		if err := s.KeepInspection(t.Context(), "b", "k", trust.Inspection{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.write.ExecContext(t.Context(), `UPDATE inspections SET body = $1`, body); err != nil {
			t.Fatal(err)
		}
		if _, found, err := s.Inspection(t.Context(), "b", "k"); found || err == nil {
			t.Errorf("inspection %q: found %v, %v", body, found, err)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	v := storetest.NewVerdict("a", 1)
	v.Reasons = []string{strings.Repeat("x", bodyLimit)}
	if err := s.KeepVerdict(t.Context(), "k", v); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("KeepVerdict: %v", err)
	}
	large := trust.Inspection{Findings: []trust.Finding{{Why: strings.Repeat("x", bodyLimit)}}}
	if err := s.KeepInspection(t.Context(), "b", "k", large); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("KeepInspection: %v", err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	day := 0
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s.now = func() time.Time { return start.AddDate(0, 0, day) }
	ctx := t.Context()
	keep := func(key string, v trust.Verdict) {
		t.Helper()
		if err := errors.Join(s.KeepVerdict(ctx, digest.Digest(key), v), s.KeepInspection(ctx, digest.Digest(key), "k", trust.Inspection{})); err != nil {
			t.Fatal(err)
		}
	}
	old, used, again := storetest.NewVerdict("a", 1), storetest.NewVerdict("a", 2), storetest.NewVerdict("a", 1)
	again.ID = "SP-AGAIN"
	keep("old", old)
	keep("used", used)
	for i := range pruneAtOnce + 1 {
		keep(fmt.Sprint("many", i), storetest.NewVerdict("many", i))
	}
	day = 40
	keep("again", again) // the manifest of old, judged once more
	for _, id := range []string{"used"} {
		if _, found, err := s.Verdict(ctx, digest.Digest(id)); !found || err != nil {
			t.Fatal(found, err)
		}
		if _, found, err := s.Inspection(ctx, digest.Digest(id), "k"); !found || err != nil {
			t.Fatal(found, err)
		}
	}
	day = 50
	n, err := s.Prune(ctx, 30*24*time.Hour)
	if want := int64(2 * (pruneAtOnce + 2)); n != want || err != nil {
		t.Errorf("Prune = %d, %v; want %d", n, err, want)
	}
	for key, want := range map[string]bool{"old": false, "many7": false, "used": true, "again": true} {
		_, found, err := s.Verdict(ctx, digest.Digest(key))
		_, inspected, err2 := s.Inspection(ctx, digest.Digest(key), "k")
		if found != want || inspected != want || err != nil || err2 != nil {
			t.Errorf("%s: verdict %v, inspection %v, want %v; %v, %v", key, found, inspected, want, err, err2)
		}
	}
	if got, err := s.Manifests(ctx, "ghcr.io/a", old.Blobs[0].Digest); len(got) != 1 || err != nil {
		t.Errorf("the references of a manifest that has another verdict are gone: %v, %v", got, err)
	}
	var left int
	if err := s.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM blob_references WHERE name = 'ghcr.io/many') + (SELECT count(*) FROM answers)`).Scan(&left); err != nil || left != 2 {
		t.Errorf("%d rows are left over, want the 2 answers: %v", left, err)
	}
	if n, err := s.Prune(ctx, 30*24*time.Hour); n != 0 || err != nil {
		t.Errorf("a second Prune = %d, %v", n, err)
	}
}

// TestPruneNotes: tags and pauses go with everything else, what was told of publishers years later, or when there is too much.
func TestPruneNotes(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	day := 0
	s.now = func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day) }
	keep := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			if err := s.KeepNote(t.Context(), key, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	left := func(prunedOn int, want ...string) {
		t.Helper()
		day = prunedOn
		if _, err := s.Prune(t.Context(), 90*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		notes, err := s.Notes(t.Context(), "", 10)
		var got []string
		for _, n := range notes {
			got = append(got, n.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("day %d: %v\n%s", prunedOn, err, diff)
		}
	}
	keep("account a", "pause a", "tag a", "tagged a")
	day = 80
	keep("account b", "tag b")
	left(89, "account a", "account b", "pause a", "tag a", "tag b", "tagged a")
	left(100, "account a", "account b", "tag b", "tagged a")
	left(200, "account a", "account b", "tagged a")
	left(740, "account b")
	keep("account c", "account d")
	s.notesMax = 2
	left(741, "account c", "account d")
}

func TestPruneCancelled(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Prune(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestWhileLocked: another process in the middle of a transaction stops writers, who may be cancelled, and no reader.
func TestWhileLocked(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	v := storetest.NewVerdict("a", 1)
	if err := s.KeepVerdict(t.Context(), "k", v); err != nil {
		t.Fatal(err)
	}
	other, err := Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.write.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	s.now = func() time.Time { return time.Now().Add(10 * touchEvery) } // reads now want to note their use
	if _, found, err := s.Verdict(t.Context(), "k"); !found || err != nil {
		t.Errorf("read while locked: %v, %v", found, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.KeepVerdict(ctx, "k", v); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write while locked: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := s.KeepVerdict(t.Context(), "k", v); err != nil {
		t.Errorf("write after the lock: %v", err)
	}
}

func BenchmarkVerdict(b *testing.B) {
	s := openStore(b)
	v := storetest.NewVerdict("a", 1)
	for range 20 {
		v.Blobs = append(v.Blobs, trust.Blob{Digest: digest.FromString(fmt.Sprint(len(v.Blobs)))})
	}
	b.Run("put", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			v.ID = fmt.Sprintf("SP-%010d", i)
			if err := s.KeepVerdict(b.Context(), digest.Digest(v.ID), v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, found, err := s.Verdict(b.Context(), digest.Digest(v.ID)); !found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			again, err := Open(s.path)
			if err != nil {
				b.Fatal(err)
			}
			if err := again.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
