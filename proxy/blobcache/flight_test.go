package blobcache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/blobcache"
	"github.com/safepull/safepull/proxy/blobcache/spool"
	"github.com/safepull/safepull/trust"
)

// gated is an upstream that gives 1000 bytes, or its end, for every step, and all when the gate is closed.
func gated(body []byte) (*upstream, ocispec.Descriptor) {
	up := newUpstream()
	up.gate = make(chan struct{})
	return up, up.put(body)
}

func (u *upstream) steps(n int) {
	for range n {
		u.gate <- struct{}{}
	}
}

func fetch(t *testing.T, c *blobcache.Cache, up *upstream, desc ocispec.Descriptor) io.ReadCloser {
	t.Helper()
	rc, err := c.Source(up).Fetch(t.Context(), ref, desc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rc.Close() })
	return rc
}

func wantNext(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes of %d: %v", n, len(want), err)
	}
}

func wantRest(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes of %d: %v", len(got), len(want), err)
	}
}

// notYet fails when r gives something although nothing came.
func notYet(t *testing.T, r io.Reader) (arrives <-chan []byte) {
	t.Helper()
	read := make(chan []byte, 1)
	go func() {
		buf := make([]byte, 100_000)
		n, _ := io.ReadAtLeast(r, buf, 1)
		read <- buf[:n]
	}()
	select {
	case p := <-read:
		t.Fatalf("%d bytes arrived too early", len(p))
	case <-time.After(20 * time.Millisecond):
	}
	return read
}

func counting(n int) []byte {
	body := make([]byte, n)
	for i := range body {
		body[i] = byte(i * 31 >> 3)
	}
	return body
}

func TestLateJoinersStream(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]blobcache.Options{"filesystem": {Root: t.TempDir()}, "other": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver := onDisk(o.Root)
			if o.Root == "" {
				driver = onDisk(t.TempDir())
			}
			c := open(t, driver, o)
			body := counting(10_000)
			up, desc := gated(body)
			first := fetch(t, c, up, desc)
			up.steps(3)
			wantNext(t, first, body[:3000])

			late := fetch(t, c, up, desc)
			wantNext(t, late, body[:3000]) // without a byte more from upstream
			arrives := notYet(t, late)
			up.steps(1)
			if got := <-arrives; !bytes.Equal(got, body[3000:4000]) {
				t.Fatalf("%d bytes", len(got))
			}
			seeker, ok := fetch(t, c, up, desc).(io.ReadSeeker)
			if !ok {
				t.Fatal("no seeker")
			}
			if n, err := seeker.Seek(-7500, io.SeekEnd); n != 2500 || err != nil {
				t.Fatal(n, err)
			}
			wantNext(t, seeker, body[2500:4000])
			if n, err := seeker.Seek(9000, io.SeekStart); n != 9000 || err != nil {
				t.Fatal(n, err)
			}
			if _, err := seeker.Seek(-1, io.SeekStart); err == nil {
				t.Error("seek before the begin")
			}
			notYet := notYet(t, seeker)
			close(up.gate)
			if got := <-notYet; !bytes.Equal(got, body[9000:]) {
				t.Errorf("%d bytes from 9000 on", len(got))
			}
			wantRest(t, first, body[3000:])
			wantRest(t, late, body[4000:])
			if s := c.Stats(); up.fetched() != 1 || s.Joins != 2 || s.Misses != 1 {
				t.Errorf("%d fetches, %+v", up.fetched(), s)
			}
			if !has(t, c, body) {
				t.Error("no entry")
			}
		})
	}
}

func TestSlowReaderHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	body := counting(3 << 20)
	up := newUpstream()
	desc := up.put(body)
	slow := fetch(t, c, up, desc)
	wantNext(t, slow, body[:10])
	wantRest(t, fetch(t, c, up, desc), body)
	c.Settle()
	if !has(t, c, body) {
		t.Error("no entry while the first reader sleeps")
	}
	wantRest(t, slow, body[10:])
	if up.fetched() != 1 {
		t.Errorf("%d fetches", up.fetched())
	}
}

// Nobody sees the end of content before its digest was verified, nor before the entry is there.
func TestEndIsWithheld(t *testing.T) {
	t.Parallel()
	t.Run("good", func(t *testing.T) {
		t.Parallel()
		c := disk(t, t.TempDir(), blobcache.Options{})
		body := counting(3000)
		up, desc := gated(body)
		rc := fetch(t, c, up, desc)
		up.steps(3)
		wantNext(t, rc, body[:2000])
		arrives := notYet(t, rc)
		if has(t, c, body) {
			t.Error("an entry before the end")
		}
		up.steps(1)
		if got := <-arrives; !bytes.Equal(got, body[2000:]) {
			t.Errorf("%d bytes", len(got))
		}
		if !has(t, c, body) {
			t.Error("no entry although the end was seen")
		}
	})
	t.Run("bad", func(t *testing.T) {
		t.Parallel()
		c := disk(t, t.TempDir(), blobcache.Options{})
		up, desc := gated(counting(3000))
		up.content[desc.Digest] = blob('x', 3000)
		readers := []io.Reader{fetch(t, c, up, desc), fetch(t, c, up, desc)}
		close(up.gate)
		for _, r := range readers {
			if got, err := io.ReadAll(r); len(got) > 2000 || !errors.Is(err, trust.ErrIntegrity) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, trust.ErrIntegrity) {
				t.Errorf("again: %d, %v", n, err)
			}
		}
	})
}

func TestAbandoned(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		steps  int
		cancel bool // instead of Close
		want   bool
	}{
		"less-than-half":       {steps: 5},
		"at-once":              {},
		"more-than-half":       {steps: 6, want: true},
		"all-but-the-end":      {steps: 10, want: true},
		"context-ends":         {steps: 5, cancel: true},
		"context-ends-at-more": {steps: 6, cancel: true, want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := disk(t, dir, blobcache.Options{})
			body := counting(10_000)
			up, desc := gated(body)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			rc, err := c.Source(up).Fetch(ctx, ref, desc)
			if err != nil {
				t.Fatal(err)
			}
			up.steps(tt.steps)
			wantNext(t, rc, body[:min(1000*tt.steps, 9000)])
			if tt.cancel {
				cancel()
				for up.left(t, tt.want) {
					time.Sleep(time.Millisecond)
				}
			} else if err := errors.Join(rc.Close(), rc.Close()); err != nil {
				t.Error(err)
			}
			if tt.want {
				close(up.gate)
			}
			c.Settle()
			_ = rc.Close()
			if n, err := rc.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
				t.Errorf("read after close: %d, %v", n, err)
			}
			if has(t, c, body) != tt.want || (len(files(t, dir)) == 1) != tt.want {
				t.Errorf("kept %v, files %v", !tt.want, files(t, dir))
			}
			if s := c.Stats(); up.open != 0 || s.Errors != 0 || (s.Bytes != 0) != tt.want {
				t.Errorf("%d readers open, %+v", up.open, s)
			}
		})
	}
}

// left reports whether a cancelled reader still reads; one that goes on is not waited for.
func (u *upstream) left(t *testing.T, goesOn bool) bool {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open > 0 && !goesOn
}

// Who comes while a fetch goes on without readers follows it; who comes after one was given up begins anew.
func TestJoinAbandoned(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ steps, fetches int }{"goes-on": {6, 1}, "given-up": {2, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := disk(t, t.TempDir(), blobcache.Options{})
			body := counting(10_000)
			up, desc := gated(body)
			first := fetch(t, c, up, desc)
			up.steps(want.steps)
			wantNext(t, first, body[:1000*want.steps])
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			second := fetch(t, c, up, desc)
			close(up.gate)
			wantRest(t, second, body)
			if up.fetched() != want.fetches || !has(t, c, body) {
				t.Errorf("%d fetches", up.fetched())
			}
		})
	}
}

func TestFinishTakesTooLong(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	c.FinishWithin(10 * time.Millisecond)
	body := counting(10_000)
	up, desc := gated(body)
	rc := fetch(t, c, up, desc)
	up.steps(8)
	wantNext(t, rc, body[:8000])
	_ = rc.Close()
	c.Settle()
	if has(t, c, body) || up.open != 0 || c.Stats().Bytes != 0 {
		t.Errorf("%d readers open, %+v", up.open, c.Stats())
	}
}

func TestJoinerLeaves(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	body := counting(10_000)
	up, desc := gated(body)
	first := fetch(t, c, up, desc)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	late, err := c.Source(up).Fetch(ctx, ref, desc)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if _, err := io.ReadAll(late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	close(up.gate)
	wantRest(t, first, body)
}

// A joiner does not get an error that upstream gave to another.
func TestRefusalIsNotShared(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	body := counting(10_000)
	up := newUpstream()
	desc := up.put(body)
	up.fail, up.slow = trust.ErrUnauthorized, make(chan struct{})
	refused := make(chan error)
	go func() {
		_, err := c.Source(up).Fetch(t.Context(), ref, desc)
		refused <- err
	}()
	for up.fetched() == 0 {
		time.Sleep(time.Millisecond)
	}
	other := newUpstream()
	other.put(body)
	served := make(chan error)
	go func() {
		rc, err := c.Source(other).Fetch(t.Context(), ref, desc)
		if err == nil {
			_, err = io.Copy(io.Discard, rc)
			_ = rc.Close()
		}
		served <- err
	}()
	for c.Stats().Joins == 0 {
		time.Sleep(time.Millisecond)
	}
	close(up.slow)
	if err := <-refused; !errors.Is(err, trust.ErrUnauthorized) {
		t.Errorf("first: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("second: %v", err)
	}
}

// A registry that is slow or lies harms nobody who reads the same digest from another.
func TestRegistriesAreApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := disk(t, dir, blobcache.Options{})
	body := counting(10_000)
	bad, desc := gated(body)
	bad.content[desc.Digest] = blob('x', 10_000)
	first := fetch(t, c, bad, desc)
	good := newUpstream()
	good.put(body)
	rc, err := c.Source(good).Fetch(t.Context(), trust.Reference{Registry: "other.test", Repository: "x"}, desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	wantRest(t, rc, body)
	close(bad.gate)
	if _, err := io.ReadAll(first); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("error %v", err)
	}
	_ = first.Close()
	c.Settle()
	if s := c.Stats(); !has(t, c, body) || s.Bytes != 10_000 || len(files(t, dir)) != 1 {
		t.Errorf("%+v, %v", s, files(t, dir))
	}
}

func TestTwoRegistriesOneEntry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := disk(t, dir, blobcache.Options{})
	body := counting(10_000)
	up, desc := gated(body)
	first := fetch(t, c, up, desc)
	second, err := c.Source(up).Fetch(t.Context(), trust.Reference{Registry: "other.test", Repository: "x"}, desc)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	close(up.gate)
	wantRest(t, first, body)
	wantRest(t, second, body)
	_ = first.Close()
	_ = second.Close()
	c.Settle()
	if s := c.Stats(); !has(t, c, body) || s.Bytes != 10_000 || s.Entries != 1 || len(files(t, dir)) != 1 {
		t.Errorf("%+v, %v", s, files(t, dir))
	}
}

func TestSizesDiffer(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	body := counting(10_000)
	up, desc := gated(body)
	wrong := desc
	wrong.Size = 9000
	liar := fetch(t, c, up, wrong)
	errs := make(chan error)
	go func() {
		rc, err := c.Source(up).Fetch(t.Context(), ref, desc)
		if err == nil {
			_, err = io.Copy(io.Discard, rc)
			_ = rc.Close()
		}
		errs <- err
	}()
	for c.Stats().Joins == 0 {
		time.Sleep(time.Millisecond)
	}
	close(up.gate)
	if _, err := io.ReadAll(liar); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("wrong size: %v", err)
	}
	if err := <-errs; err != nil {
		t.Errorf("right size: %v", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	body := counting(10_000)
	up, desc := gated(body)
	rc := fetch(t, c, up, desc)
	up.steps(8)
	wantNext(t, rc, body[:8000])
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	shut(t, c)
	if err := c.Close(ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := io.ReadAll(rc); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Source(up).Fetch(t.Context(), ref, desc); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

type panics struct{ *upstream }

func (panics) Fetch(context.Context, trust.Reference, ocispec.Descriptor) (io.ReadCloser, error) {
	panic("no")
}

func TestUpstreamPanics(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	up := newUpstream()
	if _, err := c.Source(panics{up}).Fetch(t.Context(), ref, up.put(counting(10))); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

// full is a spool that has room for so many bytes.
type full struct {
	spool.Spool
	room int
}

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n, _ := f.Spool.Write(p[:f.room])
		f.room = 0
		return n, syscall.ENOSPC
	}
	f.room -= len(p)
	return f.Spool.Write(p)
}

// When the disk is full, who waits goes on without the cache, each from where it is.
func TestNoRoomOnDisk(t *testing.T) {
	t.Parallel()
	for name, room := range map[string]int{"at-once": 0, "in-the-middle": 4_500, "at-the-end": 9_999} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var failures, ends atomic.Int32
			c := disk(t, dir, blobcache.Options{
				Failed: func(err error) {
					failures.Add(1)
					if !errors.Is(err, syscall.ENOSPC) {
						t.Error(err)
					}
				},
				Works: func() { ends.Add(1) },
			})
			var freed atomic.Bool
			c.WrapSpool(func(s spool.Spool) spool.Spool {
				if freed.Load() {
					return s
				}
				return &full{s, room}
			})
			body := counting(10_000)
			up, desc := gated(body)
			readers := []io.ReadCloser{fetch(t, c, up, desc), fetch(t, c, up, desc), fetch(t, c, up, desc)}
			steps := room / 1000
			up.steps(steps)
			wantNext(t, readers[0], body[:steps*1000])
			wantNext(t, readers[1], body[:steps*500])
			seeker, _ := readers[2].(io.Seeker)
			if _, err := seeker.Seek(1234, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			close(up.gate)
			wantRest(t, readers[0], body[steps*1000:])
			wantRest(t, readers[1], body[steps*500:])
			wantRest(t, readers[2], body[1234:])
			wantRest(t, fetch(t, c, up, desc), body)
			for _, r := range readers {
				_ = r.Close()
			}
			if s := c.Stats(); s.Errors != 1 || s.Bytes != 0 || s.Skipped == 0 || has(t, c, body) || len(files(t, dir)) != 0 || up.fetched() != 5 {
				t.Errorf("%d fetches, %+v, files %v", up.fetched(), s, files(t, dir))
			}
			if failures.Load() != 1 || ends.Load() != 0 {
				t.Errorf("told of %d failures, %d ends", failures.Load(), ends.Load())
			}
			freed.Store(true)
			c.Resume()
			fill(t, c, newUpstream(), body)
			fill(t, c, newUpstream(), counting(9_000))
			c.Settle()
			if failures.Load() != 1 || ends.Load() != 1 || !has(t, c, body) {
				t.Errorf("told of %d failures, %d ends", failures.Load(), ends.Load())
			}
		})
	}
}

// The bytes that were delivered from a spool count too when the rest comes from elsewhere.
func TestNoRoomAndOtherBytes(t *testing.T) {
	t.Parallel()
	c := disk(t, t.TempDir(), blobcache.Options{})
	c.WrapSpool(func(s spool.Spool) spool.Spool { return &full{s, 4500} })
	body := counting(10_000)
	up, desc := gated(body)
	up.content[desc.Digest] = append(blob('x', 5000), body[5000:]...)
	rc := fetch(t, c, up, desc)
	up.steps(4)
	wantNext(t, rc, blob('x', 4000))
	up.put(body) // the second answer is good
	close(up.gate)
	if _, err := io.ReadAll(rc); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("error %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("needs the right to mount:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	c, err := blobcache.Open(t.Context(), onDisk(dir), blobcache.Options{Root: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, c)
	c.Pause(0)
	small, large := counting(200_000), counting(2<<20)
	up := newUpstream()
	fill(t, c, up, small)
	desc := up.put(large)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			rc, err := c.Source(up).Fetch(t.Context(), ref, desc)
			if err != nil {
				t.Error(err)
				return
			}
			defer rc.Close()
			if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, large) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
	c.Settle()
	left, err := os.ReadDir(filepath.Join(dir, "blobcache", "v1", "uploads"))
	if !has(t, c, small) || has(t, c, large) || len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	fill(t, c, up, counting(300_000))
	if !has(t, c, counting(300_000)) {
		t.Error("what fits is not kept")
	}
}
