package blobcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/blobcache"
	"github.com/safepull/safepull/trust"
)

// upstream is a trust.Source of what was put into it. Its readers wait at gate when there is one.
type upstream struct {
	mu      sync.Mutex
	content map[digest.Digest][]byte
	count   int
	open    int
	peak    int
	fail    error
	readErr error
	gate    chan struct{}
	slow    chan struct{} // Fetch waits for its end
}

func newUpstream() *upstream { return &upstream{content: map[digest.Digest][]byte{}} }

func (u *upstream) put(body []byte) ocispec.Descriptor {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.content[digest.FromBytes(body)] = body
	return describe(body)
}

func (u *upstream) fetched() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count
}

func (u *upstream) Resolve(context.Context, trust.Reference) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{Size: 42}, nil
}

func (u *upstream) Fetch(ctx context.Context, _ trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	u.mu.Lock()
	u.count++
	u.mu.Unlock()
	if u.slow != nil {
		<-u.slow
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fail != nil {
		return nil, u.fail
	}
	u.open++
	u.peak = max(u.peak, u.open)
	return &upstreamReader{u: u, ctx: ctx, r: bytes.NewReader(u.content[desc.Digest]), readErr: u.readErr}, nil
}

type upstreamReader struct {
	u       *upstream
	ctx     context.Context
	r       *bytes.Reader
	readErr error
	closed  bool
}

func (r *upstreamReader) Read(p []byte) (int, error) {
	if r.u.gate != nil {
		select {
		case <-r.u.gate:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	if r.readErr != nil && r.r.Len() == 0 {
		return 0, r.readErr
	}
	n, err := r.r.Read(p[:min(len(p), 1000)])
	return n, err
}

func (r *upstreamReader) Close() error {
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.u.open--
	}
	return nil
}

func TestSourceResolves(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	if d, err := c.Source(newUpstream()).Resolve(t.Context(), ref); d.Size != 42 || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestSourceKeepsOnlyTheWhole(t *testing.T) {
	t.Parallel()
	body := blob('a', 10_000)
	broken := errors.New("the registry went away")
	tests := map[string]struct {
		change  func(*upstream, *ocispec.Descriptor)
		wantErr error
		want    bool
	}{
		"whole":               {want: true},
		"upstream-breaks":     {change: func(u *upstream, _ *ocispec.Descriptor) { u.readErr = broken }, wantErr: broken},
		"upstream-says-wrong": {change: func(u *upstream, _ *ocispec.Descriptor) { u.readErr = trust.ErrIntegrity }, wantErr: trust.ErrIntegrity},
		"wrong-bytes": {wantErr: trust.ErrIntegrity, change: func(u *upstream, d *ocispec.Descriptor) {
			u.content[d.Digest] = blob('b', 10_000)
		}},
		"too-few": {wantErr: trust.ErrIntegrity, change: func(u *upstream, d *ocispec.Descriptor) {
			u.content[d.Digest] = body[1:]
		}},
		"too-many":         {wantErr: trust.ErrIntegrity, change: func(_ *upstream, d *ocispec.Descriptor) { d.Size-- }},
		"descriptor-lies":  {wantErr: trust.ErrIntegrity, change: func(_ *upstream, d *ocispec.Descriptor) { d.Size++ }},
		"upstream-refuses": {change: func(u *upstream, _ *ocispec.Descriptor) { u.fail = trust.ErrUnauthorized }, wantErr: trust.ErrUnauthorized},
		"no-digest":        {change: func(_ *upstream, d *ocispec.Descriptor) { d.Digest = "sha256:../.." }, wantErr: trust.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, up := disk(t, dir, blobcache.Options{}), newUpstream()
			desc := up.put(body)
			if tt.change != nil {
				tt.change(up, &desc)
			}
			rc, err := c.Source(up).Fetch(t.Context(), ref, desc)
			if err == nil {
				_, err = io.Copy(io.Discard, rc)
				_ = rc.Close()
				if n, err := rc.Read(make([]byte, 1)); n != 0 || err == nil || (err == io.EOF && !tt.want) {
					t.Errorf("read after close: %d, %v", n, err)
				}
			}
			if !errors.Is(err, tt.wantErr) {
				t.Errorf("error %v, want %v", err, tt.wantErr)
			}
			shut(t, c)
			if got := has(t, c, body); got != tt.want {
				t.Errorf("entry: %v, want %v", got, tt.want)
			}
			if n := len(files(t, dir)); (n == 1) != tt.want || n > 1 {
				t.Errorf("%d files: %v", n, files(t, dir))
			}
			s := c.Stats()
			if up.open != 0 || s.Errors != 0 || (s.Bytes != 0) != tt.want {
				t.Errorf("%d readers left open, %+v", up.open, s)
			}
		})
	}
}

func TestSourceSizeOfEntryDiffers(t *testing.T) {
	t.Parallel()
	c, up := disk(t, t.TempDir(), blobcache.Options{}), newUpstream()
	body := blob('a', 100)
	fill(t, c, up, body)
	desc := describe(body)
	desc.Size = 99
	if _, err := c.Source(up).Fetch(t.Context(), ref, desc); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("error %v", err)
	}
}

func TestSourceFetchesOnce(t *testing.T) {
	t.Parallel()
	c, up := disk(t, t.TempDir(), blobcache.Options{}), newUpstream()
	bodies := [][]byte{blob('a', 50_000), blob('b', 50_000)}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			body := bodies[i%2]
			rc, err := c.Source(up).Fetch(t.Context(), ref, up.put(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer rc.Close()
			if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
	if up.count != 2 || up.open != 0 {
		t.Errorf("%d fetches for two blobs, %d left open", up.count, up.open)
	}
}

// broken is a storage driver that fails in one place.
type broken struct {
	storagedriver.StorageDriver
	where string
}

var errBroken = errors.New("no space left on device")

func (b *broken) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	if b.where == "writer" {
		return nil, errBroken
	}
	w, err := b.StorageDriver.Writer(ctx, path, appending)
	return &brokenWriter{w, b.where}, err
}

func (b *broken) Move(ctx context.Context, from, to string) error {
	if b.where == "move" {
		return errBroken
	}
	return b.StorageDriver.Move(ctx, from, to)
}

func (b *broken) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	if b.where == "stat" {
		return nil, errBroken
	}
	return b.StorageDriver.Stat(ctx, path)
}

func (b *broken) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if b.where == "reader" {
		return nil, errBroken
	}
	return b.StorageDriver.Reader(ctx, path, offset)
}

type brokenWriter struct {
	storagedriver.FileWriter
	where string
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	switch {
	case w.where == "second-write" && w.Size() > 0, w.where == "write":
		return 0, errBroken
	case w.where == "loses-bytes":
		_, err := w.FileWriter.Write(p[:len(p)-1])
		return len(p), err
	}
	return w.FileWriter.Write(p)
}

func (w *brokenWriter) Commit(ctx context.Context) error {
	if w.where == "commit" {
		return errBroken
	}
	return w.FileWriter.Commit(ctx)
}

func (w *brokenWriter) Close() error {
	if w.where == "close" {
		_ = w.FileWriter.Close()
		return errBroken
	}
	return w.FileWriter.Close()
}

func TestStorageFails(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"writer", "write", "second-write", "commit", "close", "loses-bytes", "move", "stat"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := &broken{onDisk(dir), where}
			c, up := open(t, b, blobcache.Options{}), newUpstream()
			c.Pause(0)
			body := blob('a', 300_000)
			for range 2 {
				fill(t, c, up, body)
				c.Settle()
			}
			s := c.Stats()
			if up.count != 2 || s.Errors == 0 || s.Commits != 0 || s.Bytes != 0 || s.Entries != 0 {
				t.Errorf("%d fetches, %+v", up.count, s)
			}
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			b.where = ""
			fill(t, c, up, body)
			c.Settle()
			if !has(t, c, body) {
				t.Error("no entry although the storage is well again")
			}
		})
	}
	t.Run("reader", func(t *testing.T) {
		t.Parallel()
		b := &broken{onDisk(t.TempDir()), ""}
		c, up := open(t, b, blobcache.Options{}), newUpstream()
		body := blob('a', 5000)
		fill(t, c, up, body)
		c.Pause(0)
		c.Settle()
		b.where = "reader"
		rc, err := c.Source(up).Fetch(t.Context(), ref, describe(body))
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		if _, err := io.ReadAll(rc); !errors.Is(err, trust.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		b.where = "stat"
		if _, err := c.Get(t.Context(), digest.FromBytes(body)); !errors.Is(err, blobcache.ErrMiss) {
			t.Errorf("error %v", err)
		}
		fill(t, c, up, body) // by upstream
		if up.fetched() != 2 {
			t.Errorf("%d fetches", up.fetched())
		}
		b.where = ""
		if !has(t, c, body) {
			t.Error("a storage that failed for a moment cost the entry")
		}
	})
}

func TestManyAtOnceUnderPressure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, up := disk(t, dir, blobcache.Options{MaxBytes: 20_000, Recent: -1}), newUpstream()
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 60 {
				body := []byte(fmt.Sprintf("%06d", (i*7+worker)%12))
				body = bytes.Repeat(body, 500)
				rc, err := c.Source(up).Fetch(t.Context(), ref, up.put(body))
				if err != nil {
					t.Error(err)
					return
				}
				if i%5 == 0 {
					_, _ = rc.Read(make([]byte, 10))
				} else if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				_ = rc.Close()
			}
		})
	}
	all.Wait()
	c.Settle()
	s := c.Stats()
	if s.Bytes > 20_000 || s.Damaged != 0 || s.Errors != 0 || up.open != 0 || len(files(t, dir)) != s.Entries {
		t.Errorf("%+v, %d left open, %d files", s, up.open, len(files(t, dir)))
	}
}
