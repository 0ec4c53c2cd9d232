//go:build unix

package wire

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/reference"
)

// TestOrganizationList_changedWhileTaken: a list that is changed while the lists are loaded counts with the next look.
func TestOrganizationList_changedWhileTaken(t *testing.T) {
	t.Parallel()
	own, cfg, _ := newOwn(t)
	// Another list, read after the organization's, is a pipe: whoever loads the lists waits there.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	own.from.lists = append(own.from.lists, listFiles(namespace.Organization, pipe)...)
	feed := func(change func()) {
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		change()
		if _, err := f.WriteString("version: 1\nentries: []\n"); err != nil {
			t.Error(err)
		}
		_ = f.Close()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		feed(func() {
			denied := "version: 1\nentries:\n  - {pattern: 'quay.io/evil/**', action: deny}\n"
			if err := os.WriteFile(cfg.Organization.List, []byte(denied), 0o600); err != nil {
				t.Error(err)
			}
			later := time.Now().Add(time.Second)
			if err := os.Chtimes(cfg.Organization.List, later, later); err != nil {
				t.Error(err)
			}
		})
	}()
	own.mu.Lock()
	err := own.take()
	own.mu.Unlock()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	go feed(func() {})
	if taken, err := own.again(); err != nil || !taken {
		t.Errorf("taken: %v, %v", taken, err)
	}
	ref, err := reference.Parse("quay.io/evil/x")
	if err != nil {
		t.Fatal(err)
	}
	if s := own.live.Match(ref, time.Now()); !s.Denied() {
		t.Errorf("%+v", s)
	}
}
