package tags

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ref = trust.Reference{Registry: "docker.io", Repository: "library/app", Tag: "v1"}

func describe(text string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(text), Size: int64(len(text))}
}

// upstream answers with what was set last, and hangs when it is to.
type upstream struct {
	desc  ocispec.Descriptor
	err   error
	hangs bool
	asked int
}

func (u *upstream) Resolve(ctx context.Context, _ trust.Reference) (ocispec.Descriptor, error) {
	u.asked++
	if u.hangs {
		<-ctx.Done()
		return ocispec.Descriptor{}, ctx.Err()
	}
	if u.err != nil {
		return ocispec.Descriptor{}, u.err
	}
	return u.desc, nil
}

func (u *upstream) Fetch(context.Context, trust.Reference, ocispec.Descriptor) (io.ReadCloser, error) {
	return nil, errors.New("not asked here")
}

// told remembers stale answers.
type told struct {
	mu    sync.Mutex
	stale []string
}

func (t *told) Stale(ref trust.Reference, age time.Duration, _ error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stale = append(t.stale, ref.Tag+" "+age.String())
}

type world struct {
	t      *testing.T
	memory *Memory
	up     *upstream
	told   *told
	clock  time.Time
	public bool
}

func newWorld(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{t: t, up: &upstream{desc: describe("one")}, told: &told{}, clock: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), public: true}
	o.Observer = w.told
	o.Everyone = func(trust.Reference) bool { return w.public }
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	m.now = func() time.Time { return w.clock }
	m.wait = 20 * time.Millisecond
	w.memory = m
	return w
}

func (w *world) resolve(want string, wantErr error) {
	w.t.Helper()
	desc, err := w.memory.Source(w.up).Resolve(w.t.Context(), ref)
	if !errors.Is(err, wantErr) {
		w.t.Fatalf("error %v, want %v", err, wantErr)
	}
	if wantErr == nil && desc.Digest != describe(want).Digest {
		w.t.Fatalf("resolved to %s, want %q", desc.Digest, want)
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TTL: time.Minute})
	w.resolve("one", nil)
	w.up.desc = describe("two")
	w.clock = w.clock.Add(59 * time.Second)
	w.resolve("one", nil)
	if w.up.asked != 1 {
		t.Errorf("asked %d times", w.up.asked)
	}
	w.clock = w.clock.Add(time.Second)
	w.resolve("two", nil)
	w.up.err = trust.ErrUnavailable
	w.clock = w.clock.Add(time.Minute)
	w.resolve("", trust.ErrUnavailable)
	// Others are other tags.
	other := ref
	other.Tag = "v2"
	if _, err := w.memory.Source(w.up).Resolve(t.Context(), other); !errors.Is(err, trust.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestNothingToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{File: filepath.Join(t.TempDir(), "no", "folder")})
	if src := w.memory.Source(w.up); src != trust.Source(w.up) {
		t.Error("a memory without use stands in the way")
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a memory that knows of no rights")
	}
}

func TestDigestsAreNotTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TTL: time.Hour, StaleIfDown: time.Hour})
	for range 2 {
		if _, err := w.memory.Source(w.up).Resolve(t.Context(), ref.WithDigest(digest.FromString("one"))); err != nil {
			t.Error(err)
		}
	}
	if w.up.asked != 2 {
		t.Errorf("asked %d times", w.up.asked)
	}
}

func TestStaleIfDown(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err   error
		age   time.Duration
		stale bool
		after error // when upstream is asked again, down
	}{
		"unreachable":  {err: trust.ErrUnavailable, stale: true},
		"rate-limited": {err: trust.ErrRateLimited, stale: true},
		"too-old":      {err: trust.ErrUnavailable, age: time.Hour},
		"not-found":    {err: trust.ErrNotFound},
		"unauthorized": {err: trust.ErrUnauthorized},
		"lies":         {err: trust.ErrIntegrity},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{StaleIfDown: time.Hour})
			w.resolve("one", nil)
			w.up.err = tt.err
			w.clock = w.clock.Add(max(tt.age, time.Minute))
			if !tt.stale {
				w.resolve("", tt.err)
				if len(w.told.stale) > 0 {
					t.Errorf("told of %v", w.told.stale)
				}
				return
			}
			w.resolve("one", nil)
			w.resolve("one", nil) // without asking
			if want := []string{"v1 1m0s", "v1 1m0s"}; w.up.asked != 2 || !cmp.Equal(want, w.told.stale) {
				t.Errorf("asked %d times, told of %v", w.up.asked, w.told.stale)
			}
			w.clock = w.clock.Add(time.Minute)
			w.up.err, w.up.desc = nil, describe("two")
			w.resolve("two", nil)
			w.up.err = trust.ErrUnavailable
			w.resolve("two", nil)
		})
	}
}

// A registry that said no has taken the right away: no later outage gives it back.
func TestNoIsRemembered(t *testing.T) {
	t.Parallel()
	for _, no := range []error{trust.ErrNotFound, trust.ErrUnauthorized} {
		w := newWorld(t, Options{StaleIfDown: time.Hour})
		w.resolve("one", nil)
		w.up.err = no
		w.resolve("", no)
		w.up.err = trust.ErrUnavailable
		w.resolve("", trust.ErrUnavailable)
	}
}

// What was read with somebody's rights is given to nobody else, and is asked for each time.
func TestPrivateIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TTL: time.Hour, StaleIfDown: time.Hour})
	w.public = false
	w.resolve("one", nil)
	w.up.desc = describe("two")
	w.resolve("two", nil)
	w.up.err = trust.ErrUnavailable
	w.resolve("", trust.ErrUnavailable)

	w = newWorld(t, Options{StaleIfDown: time.Hour})
	w.resolve("one", nil)
	w.public = false
	w.up.err = trust.ErrUnavailable
	w.resolve("", trust.ErrUnavailable)
	w.public = true // somebody found out
	w.resolve("one", nil)
}

func TestHangingUpstreamIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{StaleIfDown: time.Hour})
	w.resolve("one", nil)
	w.up.hangs = true
	w.resolve("one", nil)
	if len(w.told.stale) != 1 {
		t.Errorf("told of %v", w.told.stale)
	}
	w.clock = w.clock.Add(time.Minute)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.memory.Source(w.up).Resolve(gone, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left got %v", err)
	}
}

func TestSurvivesRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tags.json")
	o := Options{StaleIfDown: time.Hour, File: path}
	w := newWorld(t, o)
	w.clock = time.Now()
	w.resolve("one", nil)
	if err := w.memory.Close(); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, o)
	again.clock = w.clock.Add(59 * time.Minute)
	again.up.err = trust.ErrUnavailable
	again.resolve("one", nil)
	again.clock = w.clock.Add(61 * time.Minute)
	again.resolve("", trust.ErrUnavailable)
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestBadFile(t *testing.T) {
	t.Parallel()
	good := `{"version":1,"tags":[{"name":"docker.io/library/app:v1","at":"2020-01-01T00:00:00Z","descriptor":{"mediaType":"x","size":3,"digest":"` + describe("one").Digest.String() + `"}}]}`
	tests := map[string]struct {
		body string
		bad  bool
		tags int
	}{
		"good":     {body: good, tags: 1},
		"future":   {body: strings.Replace(good, "2020", "2999", 1)},
		"version":  {body: strings.Replace(good, `:1,`, `:2,`, 1), bad: true},
		"digest":   {body: strings.Replace(good, "sha256", "sha256x", 1), bad: true},
		"size":     {body: strings.Replace(good, `"size":3`, `"size":-3`, 1), bad: true},
		"no-name":  {body: strings.Replace(good, "docker.io/library/app:v1", "", 1), bad: true},
		"long":     {body: strings.Replace(good, "app", strings.Repeat("a", maxKey), 1), bad: true},
		"cut":      {body: good[:50], bad: true},
		"empty":    {bad: true},
		"too-many": {body: `{"version":1,"tags":[` + strings.Repeat("{},", maxTags) + `{}]}`, bad: true},
		"too-long": {body: strings.Repeat(" ", maxFile) + good, bad: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "tags.json")
			if err := os.WriteFile(path, []byte(tt.body), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := New(Options{TTL: time.Second, File: path, Everyone: func(trust.Reference) bool { return true }})
			if m == nil || (err != nil) != tt.bad || m.known.Len() != tt.tags {
				t.Fatalf("error %v", err)
			}
			m.remember("docker.io", "a", describe("a"))
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			again, err := New(Options{TTL: time.Second, File: path, Everyone: m.options.Everyone})
			if err != nil || again.known.Len() != tt.tags+1 {
				t.Errorf("after the writing: %v", err)
			}
			_ = again.Close()
		})
	}
}

func TestUnwritableFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TTL: time.Second, File: filepath.Join(t.TempDir(), "no", "folder")})
	w.resolve("one", nil)
	if err := w.memory.Close(); err == nil {
		t.Error("written into no folder")
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{StaleIfDown: time.Hour})
	for i := range maxTags + 5 {
		w.memory.remember("docker.io", time.Duration(i).String(), describe("x"))
	}
	if n := w.memory.known.Len(); n != maxTags {
		t.Errorf("%d tags", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"version":1,"tags":[{"name":"a/b:c","at":"2020-01-01T00:00:00Z","descriptor":{"mediaType":"x","size":3,"digest":"` + describe("one").Digest.String() + `"}}]}`)
	f.Add(`{"version":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		now := time.Now()
		entries, err := parse(strings.NewReader(body), now)
		if err != nil && entries != nil {
			t.Error("entries of a bad file")
		}
		for _, e := range entries {
			if e.Name == "" || e.Descriptor.Digest.Validate() != nil || e.Descriptor.Size < 0 || e.At.After(now) {
				t.Errorf("%+v", e)
			}
		}
	})
}
