package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/config"
	"github.com/safepull/safepull/test/registrytest"
)

func TestFaultsOfTheCacheAreSaidOnceAMinute(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	now := time.Unix(1_800_000_000, 0)
	c := newCacheFaults(config.Cache{}, "/var/cache/safepull", log)
	c.now = func() time.Time { return now }
	said := func(want ...string) {
		t.Helper()
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if out.Len() == 0 {
			lines = nil
		}
		out.Reset()
		if len(lines) != len(want) {
			t.Errorf("%q, want %d lines", lines, len(want))
			return
		}
		for i, w := range want {
			if !strings.Contains(lines[i], w) || !strings.Contains(lines[i], "/var/cache/safepull") {
				t.Errorf("%q, want %q", lines[i], w)
			}
		}
	}
	full := fmt.Errorf("spool: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	c.works()
	said()
	for range 100 {
		c.failed(full)
	}
	said("level=warning msg=\"the cache fails: pulls go on, read from the registries anew; its disk is full: free space there, or lower cache.maxBytes and restart\"")
	now = now.Add(59 * time.Second)
	c.failed(full)
	said()
	now = now.Add(time.Second)
	c.failed(fmt.Errorf("spool: %w", fs.ErrPermission))
	c.works()
	c.works()
	said("may not write there", "level=info msg=\"the cache keeps content again\"")
	c.failed(full) // some content fits and some does not: that is no reason for a line each
	c.works()
	said()
	now = now.Add(time.Minute)
	c.failed(errors.New("odd\x1b[31m"))
	said("look after its storage")
	for range 10_000 {
		c.damaged("sha256:0123")
	}
	if n := strings.Count(out.String(), "level=warning msg=\"the cache had other bytes than it was given"); n < 1 || n > saidLost+10 || !strings.Contains(out.String(), "sha256:0123") {
		t.Errorf("%d lines of 10,000 damaged blobs", n)
	}
}

// TestCacheThatCannotBeWritten costs no pull, and the operator reads of it, and of the end of it.
func TestCacheThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	put(r, "acme/good", "latest", clean())
	p := start(t, r, "")
	uploads := filepath.Join(p.stateDir, "cache", "blobcache", "v1", "uploads")
	if err := os.MkdirAll(filepath.Dir(uploads), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(uploads, nil, 0o600); err != nil { // no folder can be made there, by root either
		t.Fatal(err)
	}
	if resp, body := p.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, body)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(p.log.String(), "level=warning msg=\"the cache fails: "); n != 1 {
		t.Errorf("%d lines: %s", n, p.log)
	}
}
