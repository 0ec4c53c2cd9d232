//go:build unix

package staging

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// leftover is an area whose process is gone: the lock file is there and nobody holds it.
func leftover(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockName, "sha256-abc"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestSweep(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	living, err := New(parent)
	if err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(parent, prefix+"stale")
	leftover(t, stale, 0o700)
	open := filepath.Join(parent, prefix+"open")
	leftover(t, open, 0o755)
	foreign := filepath.Join(parent, "other-program")
	leftover(t, foreign, 0o700)
	unlocked := filepath.Join(parent, prefix+"being-made")
	if err := os.Mkdir(unlocked, 0o700); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "precious")
	leftover(t, elsewhere, 0o700)
	link := filepath.Join(parent, prefix+"link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}

	next, err := New(parent)
	if err != nil {
		t.Fatal(err)
	}
	if exists(stale) {
		t.Error("what a killed process left is still there")
	}
	for _, path := range []string{living.dir, open, foreign, unlocked, link, filepath.Join(elsewhere, "sha256-abc")} {
		if !exists(path) {
			t.Errorf("%s was removed", path)
		}
	}
	for _, area := range []*Area{living, next} {
		if err := area.Close(); err != nil || exists(area.dir) {
			t.Errorf("closed: %v", err)
		}
		if err := area.lock.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("the lock's file stays open: %v", err)
		}
	}
}

// TestKilled: the lock ends with its process, although nothing of ours ran at its end.
func TestKilled(t *testing.T) {
	if parent := os.Getenv("STAGING_TEST_PARENT"); parent != "" {
		if _, err := New(parent); err != nil {
			t.Fatal(err)
		}
		os.Exit(0)
	}
	t.Parallel()
	parent := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), "STAGING_TEST_PARENT="+parent)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil || len(before) != 1 {
		t.Fatalf("the child left %q, %v", before, err)
	}
	area, err := New(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer area.Close()
	if exists(before[0]) {
		t.Error("what the killed process left is still there")
	}
}

// TestTaken: an area that a sweeper took for an abandoned one is not used.
func TestTaken(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), prefix+"x")
	leftover(t, dir, 0o700)
	lock, ok := takeOver(dir)
	if !ok {
		t.Fatal("not taken")
	}
	defer lock.Close()
	if _, ok := takeOver(dir); ok {
		t.Error("taken twice")
	}
}
