package blobcache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/proxy/blobcache"
)

// lost are the digests of what was dropped, in order.
type lost struct {
	mu  sync.Mutex
	all []digest.Digest
}

func (l *lost) add(d digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

func (l *lost) digests() []digest.Digest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// reopened is a cache of the bodies after a restart: nobody verified them since, and the last was used last.
func reopened(t *testing.T, o blobcache.Options, bodies ...[]byte) (*blobcache.Cache, string) {
	t.Helper()
	dir := t.TempDir()
	c := disk(t, dir, blobcache.Options{})
	for _, body := range bodies {
		fill(t, c, newUpstream(), body)
	}
	c.Settle()
	if n := c.Due(); n != 0 {
		t.Errorf("%d entries are due that were verified when they came", n)
	}
	shut(t, c)
	c = disk(t, dir, o)
	c.Settle()
	now := uint32(time.Now().Unix()) //nolint:gosec // until 2106
	for i, body := range bodies {
		c.Used(digest.FromBytes(body), now-uint32(len(bodies)-i)) //nolint:gosec // few
	}
	return c, dir
}

// rot changes one byte of a body's file, as a disk does: without a trace.
func rot(t *testing.T, dir string, body []byte) {
	t.Helper()
	at := fileOf(t, dir, body)
	was, err := os.Stat(at)
	if err != nil {
		t.Fatal(err)
	}
	wrong := slices.Clone(body)
	wrong[len(wrong)/2] ^= 1
	if err := errors.Join(os.WriteFile(at, wrong, 0o600), os.Chtimes(at, was.ModTime(), was.ModTime())); err != nil {
		t.Fatal(err)
	}
}

func fileOf(t *testing.T, dir string, body []byte) string {
	t.Helper()
	for _, f := range files(t, dir) {
		if strings.Contains(filepath.Base(f), digest.FromBytes(body).Encoded()) {
			return f
		}
	}
	t.Fatal("no file")
	return ""
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// TestScrubFindsWhatRotted, drops it, and leaves the rest and its order as it was; each is looked at once.
func TestScrubFindsWhatRotted(t *testing.T) {
	t.Parallel()
	var l lost
	a, b, other, large := blob('a', 5000), blob('b', 1), blob('c', 5000), blob('d', 700_000)
	c, dir := reopened(t, blobcache.Options{Damaged: l.add}, a, b, large, other)
	rot(t, dir, a)
	rot(t, dir, large)
	order := c.Order()
	if n := c.Due(); n != 4 {
		t.Errorf("%d are due after a restart, want 4", n)
	}
	c.Scrub(1 << 40)
	eventually(t, "all are looked at", func() bool { return c.Due() == 0 })
	if got, want := l.digests(), []digest.Digest{digest.FromBytes(large), digest.FromBytes(a)}; !slices.Equal(got, want) {
		t.Errorf("dropped %v, want %v: what was used last comes first", got, want)
	}
	kept := slices.DeleteFunc(order, func(s string) bool {
		return strings.HasPrefix(s, digest.FromBytes(a).Encoded()) || strings.HasPrefix(s, digest.FromBytes(large).Encoded())
	})
	if got := c.Order(); !slices.Equal(got, kept) {
		t.Errorf("the order is %v, was %v", got, kept)
	}
	if s := c.Stats(); s.Damaged != 2 || s.Entries != 2 || s.Bytes != 5001 || s.Errors != 0 || s.Hits != 0 || s.Evictions != 0 || len(files(t, dir)) != 2 {
		t.Errorf("%+v, files %v", s, files(t, dir))
	}
	fill(t, c, newUpstream(), a)
	if !has(t, c, a) || !has(t, c, b) || !has(t, c, other) {
		t.Error("what is right is not there")
	}
}

// TestScrubOfOddFiles: what is gone or cannot be read is looked at once, and no reason to stop.
func TestScrubOfOddFiles(t *testing.T) {
	t.Parallel()
	var l lost
	gone, short, long, folder, right := blob('a', 10), blob('b', 300_000), blob('c', 10), blob('d', 10), blob('e', 10)
	c, dir := reopened(t, blobcache.Options{Damaged: l.add}, gone, short, long, folder, right)
	at := fileOf(t, dir, folder)
	if err := errors.Join(os.Remove(fileOf(t, dir, gone)), os.Truncate(fileOf(t, dir, short), 299_999), os.Truncate(fileOf(t, dir, long), 11),
		os.Remove(at), os.Mkdir(at, 0o700)); err != nil {
		t.Fatal(err)
	}
	c.Scrub(1 << 40)
	eventually(t, "all are looked at", func() bool { return c.Due() == 0 })
	if s := c.Stats(); s.Damaged != 2 || s.Errors != 1 || len(l.digests()) != 2 || !has(t, c, right) {
		t.Errorf("%+v", s)
	}
}

// TestScrubSparesWhatCameInBetween: the wrong file was evicted while it was read, and the right one fetched.
func TestScrubSparesWhatCameInBetween(t *testing.T) {
	t.Parallel()
	var l lost
	a := blob('a', 5000)
	c, dir := reopened(t, blobcache.Options{Damaged: l.add}, a)
	file, err := os.Open(fileOf(t, dir, a))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	at := fileOf(t, dir, a)
	if err := errors.Join(os.Remove(at), os.WriteFile(at, a, 0o600)); err != nil {
		t.Fatal(err)
	}
	c.DropFile(file, digest.FromBytes(a), 5000)
	if !has(t, c, a) || len(l.digests()) != 0 {
		t.Error("the right file was dropped")
	}
	// Who reads it goes on; it is no entry any more.
	b, err := c.Get(t.Context(), digest.FromBytes(a))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	same, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer same.Close()
	c.DropFile(same, digest.FromBytes(a), 5000)
	c.DropFile(same, digest.FromBytes(a), 5000)
	if got := make([]byte, 10); c.Stats().Damaged != 1 || len(l.digests()) != 1 {
		t.Errorf("%+v", c.Stats())
	} else if _, err := b.Read(got); err != nil {
		t.Error(err)
	}
}

// TestScrubIsGentleAndEnds: it keeps to its rate, waits after a start, and a cache that is closed does not wait for it.
func TestScrubIsGentleAndEnds(t *testing.T) {
	t.Parallel()
	c, _ := reopened(t, blobcache.Options{ScrubBytesPerSecond: 1 << 40}, blob('a', 100_000), blob('b', 900_000))
	time.Sleep(50 * time.Millisecond)
	if c.Due() != 2 {
		t.Error("it began at once")
	}
	c.Scrub(1000)
	time.Sleep(50 * time.Millisecond)
	if c.Due() != 2 { // 900 kB would be a quarter of an hour, the first 256 KiB are free
		t.Error("it reads faster than it may")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
	if c.Stats().Damaged != 0 || c.Stats().Errors != 0 {
		t.Errorf("%+v", c.Stats())
	}
}
