package staging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// counter is a source of one body, however often it is asked.
type counter struct {
	mu   sync.Mutex
	body []byte
	end  error
	n    int
}

func (c *counter) Resolve(context.Context, trust.Reference) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, nil
}

func (c *counter) Fetch(context.Context, trust.Reference, ocispec.Descriptor) (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	var r io.Reader = bytes.NewReader(c.body)
	if c.end != nil {
		r = io.MultiReader(r, iotest.ErrReader(c.end))
	}
	return io.NopCloser(r), nil
}

func describe(body string) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromString(body), Size: int64(len(body))}
}

func area(t *testing.T) *Area {
	t.Helper()
	a, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func readAll(ctx context.Context, src trust.Source, d ocispec.Descriptor) (string, error) {
	r, err := src.Fetch(ctx, trust.Reference{}, d)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

// files is how much content an area has.
func files(t *testing.T, a *Area) int {
	t.Helper()
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == lockName }))
}

func TestFetchedOnce(t *testing.T) {
	t.Parallel()
	a, next := area(t), &counter{body: []byte("hello")}
	src := a.Source(next)
	for range 3 {
		if got, err := readAll(t.Context(), src, describe("hello")); got != "hello" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if next.n != 1 {
		t.Errorf("fetched %d times", next.n)
	}
	if info, err := os.Stat(a.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v %v", info.Mode(), err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// TestNotStaged: what did not end cleanly is never served as content.
func TestNotStaged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		end  error
		want error
	}{
		"broken":   {"hel", trust.ErrUnavailable, trust.ErrUnavailable},
		"rejected": {"hello", trust.ErrIntegrity, trust.ErrIntegrity},
		"longer":   {"hello!", nil, trust.ErrIntegrity},
		"shorter":  {"hell", nil, nil}, // A source that breaks its contract: read, not kept.
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, next := area(t), &counter{body: []byte(tt.body), end: tt.end}
			if _, err := readAll(t.Context(), a.Source(next), describe("hello")); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if n := files(t, a); n != 0 {
				t.Errorf("%d files", n)
			}
		})
	}
}

func TestClosedEarly(t *testing.T) {
	t.Parallel()
	a, next := area(t), &counter{body: []byte("hello")}
	r, err := a.Source(next).Fetch(t.Context(), trust.Reference{}, describe("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if n := files(t, a); n != 0 {
		t.Errorf("%d files", n)
	}
}

func TestSizeIsPartOfTheDescriptor(t *testing.T) {
	t.Parallel()
	a, next := area(t), &counter{body: []byte("hello")}
	src, d := a.Source(next), describe("hello")
	if _, err := readAll(t.Context(), src, d); err != nil {
		t.Fatal(err)
	}
	d.Size++
	if _, err := readAll(t.Context(), src, d); !errors.Is(err, trust.ErrIntegrity) {
		t.Error(err)
	}
	d.Digest = "sha256:../../etc/passwd"
	if _, err := readAll(t.Context(), src, d); !errors.Is(err, trust.ErrMalformed) {
		t.Error(err)
	}
}

// TestNoRoom: when the area cannot take content, it is read all the same.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	a, next := area(t), &counter{body: []byte("hello")}
	a.dir = filepath.Join(a.dir, "gone")
	for range 2 {
		if got, err := readAll(t.Context(), a.Source(next), describe("hello")); got != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if next.n != 2 {
		t.Errorf("fetched %d times", next.n)
	}
	if _, err := New(a.dir); err == nil {
		t.Error("an area in a folder that does not exist")
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	a, next := area(t), &counter{body: bytes.Repeat([]byte("x"), 1<<20)}
	src, d := a.Source(next), describe(string(next.body))
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		wg.Go(func() {
			got, err := readAll(t.Context(), src, d)
			if err == nil && got != string(next.body) {
				err = fmt.Errorf("read %d other bytes", len(got))
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if n := files(t, a); n != 1 {
		t.Errorf("%d files", n)
	}
}
