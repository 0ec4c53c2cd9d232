package blobcache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/proxy/blobcache"
	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		fillUntilKilled()
		return
	}
	goleak.VerifyTestMain(m)
}

var ref = trust.Reference{Registry: "registry.test", Repository: "acme/app"}

func onDisk(dir string) storagedriver.StorageDriver {
	return filesystem.New(filesystem.DriverParameters{RootDirectory: dir, MaxThreads: 100})
}

func open(t *testing.T, driver storagedriver.StorageDriver, o blobcache.Options) *blobcache.Cache {
	t.Helper()
	c, err := blobcache.Open(t.Context(), driver, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, c) })
	return c
}

// disk opens a cache on the files of a folder.
func disk(t *testing.T, dir string, o blobcache.Options) *blobcache.Cache {
	t.Helper()
	o.Root = dir
	return open(t, onDisk(dir), o)
}

// shut ends what the cache does in the background.
func shut(t *testing.T, c *blobcache.Cache) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

func describe(body []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(body), Size: int64(len(body))}
}

// fill fetches body through the cache from up.
func fill(t *testing.T, c *blobcache.Cache, up *upstream, body []byte) {
	t.Helper()
	desc := up.put(body)
	rc, err := c.Source(up).Fetch(t.Context(), ref, desc)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("fetched %d bytes of %d: %v", len(got), len(body), err)
	}
	if err := rc.Close(); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, c *blobcache.Cache, body []byte) bool {
	t.Helper()
	b, err := c.Get(t.Context(), digest.FromBytes(body))
	if errors.Is(err, blobcache.ErrMiss) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, body) {
		t.Fatalf("entry of %d bytes instead of %d: %v", len(got), len(body), err)
	}
	return true
}

// files are the paths below dir of all files of the cache, but for its inventory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) != "inventory" {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func blob(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }

func TestGet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		driver  func(dir string) storagedriver.StorageDriver
		options func(dir string) blobcache.Options
	}{
		"filesystem": {onDisk, func(dir string) blobcache.Options { return blobcache.Options{Root: dir} }},
		"in-memory":  {func(string) storagedriver.StorageDriver { return inmemory.New() }, func(string) blobcache.Options { return blobcache.Options{} }},
		"other": {onDisk, func(dir string) blobcache.Options {
			return blobcache.Options{Scratch: filepath.Join(dir, "scratch")}
		}},
		"shared": {func(string) storagedriver.StorageDriver { return inmemory.New() }, func(string) blobcache.Options {
			return blobcache.Options{Shared: true}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d := tt.driver(dir)
			c, up := open(t, d, tt.options(dir)), newUpstream()
			for _, n := range []int{0, 1, 4095, 4096, 4097, 100_000} {
				body := blob('a', n)
				if has(t, c, body) {
					t.Errorf("an entry of %d bytes before the fetch", n)
				}
				fill(t, c, up, body)
				if !has(t, c, body) {
					t.Errorf("no entry of %d bytes after the fetch", n)
				}
				fill(t, c, up, body)
			}
			if n := up.fetched(); n != 6 {
				t.Errorf("%d upstream fetches, want 6", n)
			}
			shut(t, c)
			again := open(t, d, tt.options(dir))
			again.Settle()
			if s := again.Stats(); s.Entries != 6 || s.Bytes != c.Stats().Bytes {
				t.Errorf("after opening again: %+v, before: %+v", s, c.Stats())
			}
			if !has(t, again, blob('a', 4097)) {
				t.Error("no entry after opening again")
			}
		})
	}
}

func TestSeek(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	body := []byte("0123456789")
	fill(t, c, newUpstream(), body)
	b, err := c.Get(t.Context(), digest.FromBytes(body))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	steps := []struct {
		offset int64
		whence int
		want   string
	}{
		{3, io.SeekStart, "3456789"},
		{-2, io.SeekEnd, "89"},
		{-5, io.SeekCurrent, "56789"},
		{0, io.SeekStart, "0123456789"},
		{0, io.SeekEnd, ""},
		{5, io.SeekEnd, ""},
	}
	for _, s := range steps {
		if _, err := b.Seek(s.offset, s.whence); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(b); string(got) != s.want || err != nil {
			t.Errorf("from %d of %d: %q, %v, want %q", s.offset, s.whence, got, err, s.want)
		}
	}
	for _, bad := range []struct {
		offset int64
		whence int
	}{{-1, io.SeekStart}, {0, 3}} {
		if _, err := b.Seek(bad.offset, bad.whence); err == nil {
			t.Errorf("seek to %d of %d went well", bad.offset, bad.whence)
		}
	}
	if b.Size() != 10 {
		t.Errorf("size %d", b.Size())
	}
}

func TestEviction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, up := disk(t, dir, blobcache.Options{MaxBytes: 300, Recent: -1}), newUpstream()
	fill(t, c, up, blob('a', 100))
	fill(t, c, up, blob('b', 100))
	fill(t, c, up, blob('c', 100))
	if !has(t, c, blob('a', 100)) {
		t.Fatal("a is gone although it fits")
	}
	fill(t, c, up, blob('d', 100)) // b was used the longest ago
	if !has(t, c, blob('a', 100)) || has(t, c, blob('b', 100)) {
		t.Error("not the least recently used entry went")
	}
	held, err := c.Get(t.Context(), digest.FromBytes(blob('c', 100)))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, c, up, blob('e', 200))
	if got, err := io.ReadAll(held); err != nil || !bytes.Equal(got, blob('c', 100)) {
		t.Errorf("an entry being read was evicted: %v", err)
	}
	fill(t, c, up, blob('f', 250)) // does not fit beside what is being read
	fill(t, c, up, blob('g', 301)) // never fits
	if has(t, c, blob('f', 250)) || has(t, c, blob('g', 301)) {
		t.Error("the cache took more than its bound")
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	fill(t, c, up, blob('f', 250))
	s := c.Stats()
	if s.Bytes != 250 || s.Entries != 1 || s.Skipped != 2 || s.Errors != 0 || s.Evictions == 0 {
		t.Errorf("stats %+v", s)
	}
	if n := len(files(t, dir)); n != 1 {
		t.Errorf("%d files for one entry", n)
	}
	shut(t, c)
	smaller := disk(t, dir, blobcache.Options{MaxBytes: 249, Recent: -1})
	smaller.Settle()
	if s := smaller.Stats(); s.Bytes != 0 || s.Entries != 0 || len(files(t, dir)) != 0 {
		t.Errorf("opened with a smaller bound: %+v, files %v", s, files(t, dir))
	}
}

// TestClaimedSizesEvictNothing: a manifest may say any size of a blob; what is kept goes only for what really comes.
func TestClaimedSizesEvictNothing(t *testing.T) {
	t.Parallel()
	c, up := disk(t, t.TempDir(), blobcache.Options{MaxBytes: 300, Recent: -1}), newUpstream()
	fill(t, c, up, blob('a', 100))
	fill(t, c, up, blob('b', 100))
	desc := describe(blob('c', 300))
	up.mu.Lock()
	up.fail = trust.ErrIntegrity // as upstreams do that say another size
	up.mu.Unlock()
	if rc, err := c.Source(up).Fetch(t.Context(), ref, desc); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("%v, %v", rc, err)
	}
	c.Settle()
	if s := c.Stats(); !has(t, c, blob('a', 100)) || !has(t, c, blob('b', 100)) || s.Evictions != 0 || s.Bytes != 200 {
		t.Errorf("%+v", s)
	}
}

func TestDamageOnDisk(t *testing.T) {
	t.Parallel()
	body := blob('x', 10_000)
	tests := map[string]struct {
		damage func(path string) error
		// unseen damage shows only while reading.
		unseen bool
	}{
		"truncated": {damage: func(p string) error { return os.Truncate(p, 9_999) }},
		"longer":    {damage: func(p string) error { return os.Truncate(p, 10_001) }},
		"gone":      {damage: os.Remove},
		"other-bytes": {unseen: true, damage: func(p string) error {
			return os.WriteFile(p, blob('y', 10_000), 0o600)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, up := disk(t, dir, blobcache.Options{}), newUpstream()
			if !tt.unseen {
				c.Settle() // the first sweep forgets such a file by itself; one that looks right it must not take over again
			}
			fill(t, c, up, body)
			if err := tt.damage(files(t, dir)[0]); err != nil {
				t.Fatal(err)
			}
			b, err := c.Get(t.Context(), digest.FromBytes(body))
			if tt.unseen {
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(b)
				if !errors.Is(err, trust.ErrUnavailable) || len(got) == len(body) {
					t.Errorf("read %d bytes, error %v", len(got), err)
				}
				_ = b.Close()
				_, err = c.Get(t.Context(), digest.FromBytes(body))
				if !errors.Is(err, blobcache.ErrMiss) {
					t.Errorf("second try: %v", err)
				}
			} else if !errors.Is(err, blobcache.ErrMiss) {
				t.Errorf("error %v, want a miss", err)
			}
			if s := c.Stats(); s.Damaged != 1 || s.Entries != 0 || s.Bytes != 0 {
				t.Errorf("stats %+v", s)
			}
			fill(t, c, up, body)
			if !has(t, c, body) || up.fetched() != 2 {
				t.Errorf("not fetched again: %d fetches", up.fetched())
			}
		})
	}
}

func TestOpenCleansUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := disk(t, dir, blobcache.Options{})
	fill(t, c, newUpstream(), blob('a', 100))
	shut(t, c)
	entry := files(t, dir)[0]
	write := func(path string, n int) string {
		path = filepath.Join(dir, "blobcache", "v1", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, blob('z', n), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	upload := write("uploads/LEFTOVER", 10)
	hex := strings.Repeat("0", 64)
	damaged := write("blobs/sha256/00/"+hex+".11", 10)
	foreign := []string{
		write("blobs/notes.txt", 10),
		write("blobs/sha256/11/"+hex+".10", 10),
		write("blobs/sha256/00/"+hex+"0.10", 10),
		write("blobs/sha256/00/"+hex+".010", 10),
		write("blobs/md5/00/"+hex+".10", 10),
	}
	again := disk(t, dir, blobcache.Options{})
	again.Settle()
	if s := again.Stats(); s.Entries != 1 || s.Bytes != 100 || s.Damaged != 1 {
		t.Errorf("stats %+v", s)
	}
	for path, want := range map[string]bool{entry: true, upload: false, damaged: false, foreign[0]: true, foreign[1]: true, foreign[2]: true, foreign[3]: true, foreign[4]: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: kept %v, want %v", path, err == nil, want)
		}
	}
}

func TestContextOfBlob(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	body := blob('a', 100)
	fill(t, c, newUpstream(), body)
	ctx, cancel := context.WithCancel(t.Context())
	b, err := c.Get(ctx, digest.FromBytes(body))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("read after cancel: %v", err)
	}
	if _, err := c.Get(ctx, digest.FromBytes(body)); !errors.Is(err, context.Canceled) {
		t.Errorf("get after cancel: %v", err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	if !has(t, c, body) || c.Stats().Errors+c.Stats().Damaged != 0 {
		t.Errorf("a cancelled read harmed the entry: %+v", c.Stats())
	}
	if _, err := b.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after close: %v", err)
	}
}
