package wire

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/safepull/safepull/test/registrytest"
)

func TestWritable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		w := writable{dir: dir}
		check := func(good bool, when string) {
			t.Helper()
			if err := w.check(t.Context()); (err == nil) != good {
				t.Errorf("%s: %v", when, err)
			}
		}
		check(false, "no directory")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		check(false, "too soon to try again")
		time.Sleep(writeEvery)
		check(true, "later")
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		check(true, "as just now")
		time.Sleep(writeEvery)
		check(false, "directory gone")
	})
}

// TestWritableThatHangs: a pipe that nobody reads stands for a disk that does not answer.
func TestWritableThatHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "ready")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	w := writable{dir: dir}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	first := w.last()
	if err := w.check(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if w.last() != first {
		t.Error("a second trial began")
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0) // lets it end
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := w.check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNotReadyWithoutState(t *testing.T) {
	t.Parallel()
	p := start(t, registrytest.Start(t, registrytest.Options{}), "")
	if err := os.Mkdir(filepath.Join(p.stateDir, "ready"), 0o700); err != nil { // in the place of the file
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.stateDir, "ready", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if resp, body := p.get(t, "/readyz"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s %s", resp.Status, body)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if log := p.log.String(); !strings.Contains(log, "the state directory cannot be written") {
		t.Errorf("the log does not say why: %s", log)
	}
}

func TestFilesInForceAreLogged(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "trust.yaml")
	if err := os.WriteFile(list, []byte("version: 1\nentries: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, registrytest.Start(t, registrytest.Options{}), "trustLists: ["+list+"]\n")
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	loaded, err := loadFiles(judgedFrom(p.config))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{list, loaded.policy.Digest().String(), loaded.rules.Digest().String(), loaded.lists.Digest().String()} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("%s is not in the log:\n%s", want, p.log)
		}
	}
}
