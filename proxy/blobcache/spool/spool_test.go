package spool_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/safepull/safepull/proxy/blobcache/spool"
)

func kinds(t *testing.T) map[string]spool.Spool {
	t.Helper()
	file, err := spool.Create(filepath.Join(t.TempDir(), "new", "folder"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]spool.Spool{"file": file, "memory": &spool.Memory{}}
}

func TestReadWhileWritten(t *testing.T) {
	t.Parallel()
	body := make([]byte, 1<<20+17)
	for i := range body {
		body[i] = byte(i * 7)
	}
	for name, s := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			written := 0
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for at := 0; at < len(body); {
						mu.Lock()
						end := written
						mu.Unlock()
						got := make([]byte, end-at)
						if n, err := s.ReadAt(got, int64(at)); n != len(got) || !bytes.Equal(got, body[at:end]) {
							t.Errorf("at %d: %d of %d bytes, %v", at, n, len(got), err)
							return
						}
						at = end
					}
				})
			}
			for at := 0; at < len(body); {
				n, err := s.Write(body[at:min(len(body), at+1+rand.IntN(100_000))])
				if err != nil {
					t.Fatal(err)
				}
				at += n
				mu.Lock()
				written = at
				mu.Unlock()
			}
			all.Wait()
			if n, err := s.ReadAt(make([]byte, 20), int64(len(body)-3)); n != 3 || err != io.EOF {
				t.Errorf("over the end: %d, %v", n, err)
			}
			if n, err := s.ReadAt(make([]byte, 1), int64(len(body)+3)); n != 0 || err != io.EOF {
				t.Errorf("behind the end: %d, %v", n, err)
			}
			if _, err := s.ReadAt(make([]byte, 1), -1); err == nil {
				t.Error("read before the begin")
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFileIsRemovedUnlessRenamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, keep := range []bool{false, true} {
		f, err := spool.Create(filepath.Join(dir, "uploads"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Size(); n != 10 || err != nil {
			t.Errorf("size %d, %v", n, err)
		}
		to := filepath.Join(dir, "a", "b", "entry")
		if keep {
			if err := f.Rename(to); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 4)
			if _, err := f.ReadAt(got, 3); err != nil || string(got) != "3456" {
				t.Errorf("read after the renaming: %q, %v", got, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(to); (err == nil) != keep {
			t.Errorf("kept %v, want %v", err == nil, keep)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "uploads")); len(left) != 0 || err != nil {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestCreateFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := spool.Create(file); err == nil {
		t.Error("a spool in a file")
	}
	f, err := spool.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Rename(filepath.Join(file, "x")); err == nil {
		t.Error("renamed into a file")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
