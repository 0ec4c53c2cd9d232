package blobcache_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/proxy/blobcache"
	"github.com/safepull/safepull/proxy/blobcache/inventory"
)

// stuck is a driver whose listings come when they are let go.
type stuck struct {
	storagedriver.StorageDriver
	free <-chan struct{}
}

func (s *stuck) List(ctx context.Context, path string) ([]string, error) {
	select {
	case <-s.free:
		return s.StorageDriver.List(ctx, path)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func inventoryIn(dir string) string { return filepath.Join(dir, "blobcache", "v1", "inventory") }

// list writes an inventory of n entries that nothing else knows of.
func list(tb testing.TB, dir string, n int) {
	tb.Helper()
	v, err := inventory.Open(inventoryIn(dir), nil) // nothing to tell
	if v == nil {
		tb.Fatal(err)
	}
	err = v.Write(func(yield func(inventory.Record) bool) {
		var name [8]byte
		for i := range n {
			binary.LittleEndian.PutUint64(name[:], uint64(i))
			if !yield(inventory.Record{Sum: sha256.Sum256(name[:]), Size: 1000, Used: uint32(1_700_000_000 + i/1000)}) {
				return
			}
		}
	}, n)
	if err := errors.Join(err, v.Close()); err != nil {
		tb.Fatal(err)
	}
}

// A million entries are there in less than 2 s, whatever time it takes to look at the disk.
func TestMillionEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const million = 1_000_000 / slower
	dir := t.TempDir()
	list(t, dir, million)
	free := make(chan struct{})
	d := &stuck{onDisk(dir), free}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start, cpu := time.Now(), cpuTime(t)
	c := open(t, d, blobcache.Options{Root: dir})
	took, cpu := time.Since(start), cpuTime(t)-cpu
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("ready in %s, %s of a processor, %d bytes an entry", took, cpu, (after.HeapAlloc-before.HeapAlloc)/million)
	if s := c.Stats(); s.Entries != million || s.Bytes != million*1000 || !s.Sweeping || s.Rebuilt {
		t.Errorf("%+v", s)
	}
	if cpu > 2*time.Second { // the time on the clock depends on what else the machine does
		t.Errorf("ready after %s of a processor", cpu)
	}
	body := counting(5000)
	fill(t, c, newUpstream(), body)
	close(free)
	c.Settle() // none of the million has a file
	if s := c.Stats(); s.Entries != 1 || s.Bytes != 5000 || !has(t, c, body) {
		t.Errorf("after the sweep: %+v", s)
	}
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkOpenMillion(b *testing.B) {
	dir := b.TempDir()
	list(b, dir, 1_000_000)
	for b.Loop() {
		c, err := blobcache.Open(b.Context(), &stuck{onDisk(dir), nil}, blobcache.Options{Root: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// A damaged inventory is not believed; meanwhile what is fetched is found on disk.
func TestInventoryIsRebuilt(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(snapshot string) error{
		"gone": os.Remove,
		"damaged": func(snapshot string) error {
			return os.WriteFile(snapshot, []byte(strings.Repeat("x", 500)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, up := disk(t, dir, blobcache.Options{}), newUpstream()
			for i := range 10 {
				fill(t, c, up, blob(byte(i), 1000))
			}
			shut(t, c)
			if err := damage(filepath.Join(inventoryIn(dir), "snapshot")); err != nil {
				t.Fatal(err)
			}
			free := make(chan struct{})
			c = open(t, &stuck{onDisk(dir), free}, blobcache.Options{Root: dir})
			if s := c.Stats(); s.Entries != 0 || s.Rebuilt != (name == "damaged") {
				t.Errorf("%+v", s)
			}
			fill(t, c, up, blob(3, 1000))
			if up.fetched() != 10 {
				t.Error("fetched what was on disk")
			}
			fill(t, c, up, blob(77, 1000))
			close(free)
			c.Settle()
			if s := c.Stats(); s.Entries != 11 || s.Bytes != 11_000 || s.Sweeping || s.Damaged != 0 {
				t.Errorf("%+v", s)
			}
			for i := range 10 {
				if !has(t, c, blob(byte(i), 1000)) {
					t.Errorf("%d is not there", i)
				}
			}
		})
	}
}

// The order of use survives.
func TestOrderSurvives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := blobcache.Options{MaxBytes: 3000, Recent: -1}
	c, up := disk(t, dir, o), newUpstream()
	for _, b := range "abc" {
		fill(t, c, up, blob(byte(b), 1000))
	}
	has(t, c, blob('a', 1000))
	shut(t, c)
	c = disk(t, dir, o)
	fill(t, c, up, blob('d', 1000))
	if has(t, c, blob('b', 1000)) || !has(t, c, blob('a', 1000)) {
		t.Error("not the least recently used went")
	}
}

func TestEntriesThatAreGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, up := disk(t, dir, blobcache.Options{}), newUpstream()
	fill(t, c, up, blob('a', 1000))
	fill(t, c, up, blob('b', 1000))
	shut(t, c)
	if err := os.Remove(files(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
	c = disk(t, dir, blobcache.Options{})
	c.Settle()
	if s := c.Stats(); s.Entries != 1 || s.Bytes != 1000 {
		t.Errorf("%+v", s)
	}
}

func TestRecentIsKept(t *testing.T) {
	t.Parallel()
	c, up := disk(t, t.TempDir(), blobcache.Options{MaxBytes: 1500}), newUpstream()
	fill(t, c, up, blob('a', 1000))
	fill(t, c, up, blob('b', 1000))
	if s := c.Stats(); !has(t, c, blob('a', 1000)) || has(t, c, blob('b', 1000)) || s.Skipped != 1 || s.Evictions != 0 {
		t.Errorf("%+v", s)
	}
}

func TestQuarantinedIsKept(t *testing.T) {
	t.Parallel()
	asked := 0
	keep := []digest.Digest{"sha256:bad"}
	for _, b := range "ab" {
		keep = append(keep, digest.FromBytes(blob(byte(b), 1000)))
	}
	c, up := disk(t, t.TempDir(), blobcache.Options{MaxBytes: 3000, Recent: -1, Keep: func(context.Context) ([]digest.Digest, error) {
		asked++
		return keep, nil
	}}), newUpstream()
	for _, b := range "abcdefg" {
		fill(t, c, up, blob(byte(b), 1000))
	}
	// b is beyond half of the cache.
	for b, want := range map[byte]bool{'a': true, 'b': false, 'c': false, 'f': true, 'g': true} {
		if got := has(t, c, blob(b, 1000)); got != want {
			t.Errorf("%c: %v", b, got)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

func TestKeepFails(t *testing.T) {
	t.Parallel()
	c, up := disk(t, t.TempDir(), blobcache.Options{MaxBytes: 1000, Recent: -1, Keep: func(context.Context) ([]digest.Digest, error) {
		return nil, errors.New("no")
	}}), newUpstream()
	fill(t, c, up, blob('a', 1000))
	fill(t, c, up, blob('b', 1000))
	if s := c.Stats(); !has(t, c, blob('b', 1000)) || s.Errors != 1 {
		t.Errorf("%+v", s)
	}
}

// Other processes' entries are found when they are wanted, and forgotten when they are gone.
func TestSharedStorage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := func() blobcache.Options { return blobcache.Options{Shared: true, Scratch: t.TempDir()} }
	one, two, up := open(t, onDisk(dir), o()), open(t, onDisk(dir), o()), newUpstream()
	one.Settle()
	two.Settle()
	body := counting(5000)
	fill(t, one, up, body)
	one.Settle()
	fill(t, two, up, body)
	if up.fetched() != 1 || !has(t, two, body) {
		t.Errorf("%d fetches", up.fetched())
	}
	if err := os.RemoveAll(filepath.Join(dir, "blobcache", "v1", "blobs")); err != nil {
		t.Fatal(err)
	}
	fill(t, two, up, body)
	two.Settle()
	if up.fetched() != 2 || !has(t, one, body) || !has(t, two, body) {
		t.Errorf("%d fetches", up.fetched())
	}
}

func TestOtherDigestsAreNotKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, up := disk(t, dir, blobcache.Options{}), newUpstream()
	body := counting(1000)
	desc := describe(body)
	desc.Digest = digest.SHA512.FromBytes(body)
	up.content[desc.Digest] = body
	for range 2 {
		wantRest(t, fetch(t, c, up, desc), body)
	}
	if _, err := c.Get(t.Context(), desc.Digest); !errors.Is(err, blobcache.ErrMiss) || len(files(t, dir)) != 0 || up.fetched() != 2 {
		t.Errorf("%v, %v", err, files(t, dir))
	}
}

// Content is given as a file when its digest was verified in this life of the process.
func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, up := disk(t, dir, blobcache.Options{}), newUpstream()
	body := counting(5000)
	fill(t, c, up, body)
	file := func(c *blobcache.Cache) (string, *os.File) {
		b, err := c.Get(t.Context(), digest.FromBytes(body))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		if _, err := b.Seek(4000, 0); err != nil {
			t.Fatal(err)
		}
		f := b.(interface{ File() *os.File }).File()
		if f == nil {
			return "", nil
		}
		got := make([]byte, 2000)
		n, _ := f.Read(got)
		_ = b.Close()
		if b.(interface{ File() *os.File }).File() != nil {
			t.Error("a file of a closed blob")
		}
		return string(got[:n]), f
	}
	if got, _ := file(c); got != string(body[4000:]) {
		t.Errorf("%d bytes", len(got))
	}
	shut(t, c)
	c = disk(t, dir, blobcache.Options{})
	if _, f := file(c); f != nil {
		t.Error("a file that nobody verified")
	}
	if !has(t, c, body) {
		t.Error("no entry")
	}
	if got, _ := file(c); got != string(body[4000:]) {
		t.Errorf("%d bytes after it was read whole", len(got))
	}
}

// Files that cannot be opened, for one because there are too many, are read from upstream.
func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, up := disk(t, dir, blobcache.Options{}), newUpstream()
	body := counting(5000)
	fill(t, c, up, body)
	c.Settle() // else the first sweep may find the broken file before anybody reads it
	path := files(t, dir)[0]
	if err := errors.Join(os.Remove(path), os.Symlink(path, path)); err != nil { // too many levels of links
		t.Fatal(err)
	}
	fill(t, c, up, body)
	if s := c.Stats(); up.fetched() != 2 || s.Entries != 1 || s.Errors == 0 {
		t.Errorf("%d fetches, %+v", up.fetched(), s)
	}
	if _, err := c.Get(t.Context(), digest.FromBytes(body)); !errors.Is(err, blobcache.ErrMiss) {
		t.Errorf("error %v", err)
	}
}
