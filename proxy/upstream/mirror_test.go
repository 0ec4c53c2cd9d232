package upstream_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

// world is a registry with a mirror, both with the same content.
type world struct {
	base, mirror *registrytest.Registry
	content      []byte
	desc         ocispec.Descriptor
	source       *upstream.Registry
}

func mirrored(t *testing.T, resolve bool) world {
	t.Helper()
	w := world{base: registrytest.Start(t, registrytest.Options{}), mirror: registrytest.Start(t, registrytest.Options{}), content: pattern(300_000)}
	w.desc = w.base.PutBlob(repo, w.content)
	w.mirror.PutBlob(repo, w.content)
	w.source = dial(t, w.base, func(o *upstream.Options) {
		o.Mirrors = []upstream.Mirror{{URL: w.mirror.URL(), Resolve: resolve}}
		o.Retries = -1
	})
	return w
}

func (w world) fetch(t *testing.T) ([]byte, error) {
	t.Helper()
	return fetch(t.Context(), w.source, at(w.base), w.desc)
}

func TestMirrorIsAskedFirst(t *testing.T) {
	t.Parallel()
	w := mirrored(t, false)
	got, err := w.fetch(t)
	if err != nil || !bytes.Equal(got, w.content) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if len(w.base.Requests()) != 0 || w.mirror.Count("GET", "") != 1 {
		t.Errorf("%d requests to the registry, %d to the mirror", len(w.base.Requests()), w.mirror.Count("GET", ""))
	}
}

// TestMirrorFails: whatever a mirror does, the right bytes arrive, or an error that asks to try again, after which they do.
func TestMirrorFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault registrytest.Fault
		now   bool // the first try brings the content
		again int  // requests to the mirror in the second try
	}{
		"has_it_not":   {registrytest.Fault{Status: http.StatusNotFound}, true, 1},
		"down":         {registrytest.Fault{Status: http.StatusBadGateway}, true, 0},
		"wants_login":  {registrytest.Fault{Status: http.StatusForbidden}, true, 0},
		"breaks_off":   {registrytest.Fault{CutAfter: 100_000}, true, 0},
		"other_length": {registrytest.Fault{Short: 5}, true, 0},
		"wrong_bytes":  {registrytest.Fault{Wrong: true}, false, 0},
		"too_much":     {registrytest.Fault{Endless: true}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := mirrored(t, false)
			w.mirror.Misbehave("", c.fault)
			got, err := w.fetch(t)
			if ok := err == nil && bytes.Equal(got, w.content); ok != c.now {
				t.Errorf("first: %d bytes, %v", len(got), err)
			}
			if err != nil && !errors.Is(err, trust.ErrUnavailable) {
				t.Errorf("%v blames the registry", err)
			}
			before := len(w.mirror.Requests())
			if got, err = w.fetch(t); err != nil || !bytes.Equal(got, w.content) {
				t.Errorf("second: %d bytes, %v", len(got), err)
			}
			if n := len(w.mirror.Requests()) - before; n != c.again {
				t.Errorf("the mirror was asked %d times again, want %d", n, c.again)
			}
		})
	}
}

// TestMirrorRestsForAll: what one reader of an upstream found out need not be found out by the next.
func TestMirrorRestsForAll(t *testing.T) {
	t.Parallel()
	w := mirrored(t, false)
	w.mirror.Misbehave("", registrytest.Fault{Status: http.StatusBadGateway})
	shared := []upstream.Mirror{upstream.NewMirror(w.mirror.URL(), false)}
	for range 3 {
		w.source = dial(t, w.base, func(o *upstream.Options) { o.Mirrors = shared })
		if got, err := w.fetch(t); err != nil || !bytes.Equal(got, w.content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if n := len(w.mirror.Requests()); n != 1 {
		t.Errorf("the mirror was asked %d times", n)
	}
}

// TestBaseLies: the registry's own lie stays one.
func TestBaseLies(t *testing.T) {
	t.Parallel()
	w := mirrored(t, false)
	w.mirror.Misbehave("", registrytest.Fault{Status: http.StatusNotFound})
	w.base.Misbehave("", registrytest.Fault{Wrong: true})
	if _, err := w.fetch(t); !errors.Is(err, trust.ErrIntegrity) {
		t.Error(err)
	}
}

func TestWhoSaysWhereTagsPoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		resolve bool
		base    registrytest.Fault
		mirror  registrytest.Fault
		want    string // whose manifest
		err     error
	}{
		"base":               {want: "base"},
		"base_down":          {base: registrytest.Fault{Status: 503}, want: "mirror"},
		"base_has_it_not":    {base: registrytest.Fault{Status: 404}, err: trust.ErrNotFound},
		"base_forbids":       {base: registrytest.Fault{Status: 403}, err: trust.ErrUnauthorized},
		"both_down":          {base: registrytest.Fault{Status: 503}, mirror: registrytest.Fault{Status: 503}, err: trust.ErrUnavailable},
		"mirror_may":         {resolve: true, want: "mirror"},
		"mirror_may_is_down": {resolve: true, mirror: registrytest.Fault{Status: 503}, want: "base"},
		"mirror_may_has_not": {resolve: true, mirror: registrytest.Fault{Status: 404}, want: "base"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := mirrored(t, c.resolve)
			want := map[string]ocispec.Descriptor{
				"base":   w.base.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf("", w.desc)),
				"mirror": w.mirror.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf("")),
			}
			if c.base.Status != 0 {
				w.base.Misbehave("", c.base)
			}
			if c.mirror.Status != 0 {
				w.mirror.Misbehave("", c.mirror)
			}
			got, err := w.source.Resolve(t.Context(), tagged(w.base, "latest"))
			if !errors.Is(err, c.err) || got.Digest != want[c.want].Digest {
				t.Errorf("%v, %v", got.Digest, err)
			}
		})
	}
}

// TestRetryAfter: the registry's own wish is honoured, up to a bound.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
	for name, c := range map[string]struct {
		fault registrytest.Fault
		least time.Duration
		err   error
	}{
		"within":         {registrytest.Fault{Status: 429, Times: 1, Header: http.Header{"Retry-After": {"1"}}}, time.Second, nil},
		"within_by_503":  {registrytest.Fault{Status: 503, Times: 1, Header: http.Header{"Retry-After": {"1"}}}, time.Second, nil},
		"beyond":         {registrytest.Fault{Status: 429, Times: 1, Header: http.Header{"Retry-After": {"3"}}}, 0, trust.ErrRateLimited},
		"without":        {registrytest.Fault{Status: 429, Times: 1}, 0, nil},
		"without_an_end": {registrytest.Fault{Status: 429}, 0, trust.ErrRateLimited},
	} {
		u := dial(t, r, func(o *upstream.Options) { o.RetryAfter = 2 * time.Second })
		r.Behave()
		r.Misbehave("", c.fault)
		start := time.Now()
		_, err := u.Resolve(t.Context(), tagged(r, "latest"))
		if took := time.Since(start); !errors.Is(err, c.err) || took < c.least || took > c.least+900*time.Millisecond {
			t.Errorf("%s: %v after %s", name, err, took)
		}
	}
}

// TestOwnLimit: who asks too much is told when to come back, and the registry is not asked.
func TestOwnLimit(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
	u := dial(t, r, func(o *upstream.Options) { o.Limits = upstream.NewLimits(0.01, 0) })
	if _, err := u.Resolve(t.Context(), tagged(r, "latest")); err != nil {
		t.Fatal(err)
	}
	_, err := u.Resolve(t.Context(), tagged(r, "latest"))
	var later interface{ RetryAfter() time.Duration }
	if !errors.Is(err, trust.ErrRateLimited) || !errors.As(err, &later) || later.RetryAfter() < time.Minute {
		t.Error(err)
	}
	if n := len(r.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}
