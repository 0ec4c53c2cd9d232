package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

func TestFetchBlob(t *testing.T) {
	t.Parallel()
	const size = 5000
	content := pattern(size)
	tests := map[string]struct {
		faults  []registrytest.Fault // armed in this order: the last is met first
		rate    int64
		change  func(*ocispec.Descriptor)
		wantErr error
		wantAll bool // every byte must have come although there is an error
		// wantGets is checked when positive.
		wantGets int
	}{
		"plain":              {wantGets: 1},
		"chunked":            {faults: []registrytest.Fault{{Chunked: true}}, wantGets: 1},
		"wrong-byte":         {faults: []registrytest.Fault{{Wrong: true}}, wantErr: trust.ErrIntegrity, wantGets: 1},
		"short-announced":    {faults: []registrytest.Fault{{Short: 1}}, wantErr: trust.ErrIntegrity, wantGets: 1},
		"short-chunked":      {faults: []registrytest.Fault{{Short: 1, Chunked: true}}, wantErr: trust.ErrIntegrity, wantGets: 1},
		"long-announced":     {faults: []registrytest.Fault{{Extra: 1}}, wantErr: trust.ErrIntegrity, wantGets: 1},
		"long-chunked":       {faults: []registrytest.Fault{{Extra: 1, Chunked: true}}, wantErr: trust.ErrIntegrity, wantAll: true, wantGets: 1},
		"endless":            {faults: []registrytest.Fault{{Endless: true}}, wantErr: trust.ErrIntegrity, wantAll: true, wantGets: 1},
		"descriptor-shorter": {change: func(d *ocispec.Descriptor) { d.Size-- }, wantErr: trust.ErrIntegrity},
		"descriptor-longer":  {change: func(d *ocispec.Descriptor) { d.Size++ }, wantErr: trust.ErrIntegrity},
		"cut-and-resume":     {faults: []registrytest.Fault{{CutAfter: 1000, Times: 1}}, wantGets: 2},
		"cut-at-n-1":         {faults: []registrytest.Fault{{CutAfter: size - 1, Times: 1}}, wantGets: 2},
		"cut-often":          {faults: []registrytest.Fault{{CutAfter: 700, Times: 5}}, wantGets: 6},
		"cut-before-first":   {faults: []registrytest.Fault{{CutAfter: -1, Times: 1}}, wantGets: 2},
		"cut-without-length": {faults: []registrytest.Fault{{CutAfter: 1000, Chunked: true, Times: 1}}, wantGets: 2},
		"cut-without-ranges": {faults: []registrytest.Fault{{NoRange: true}, {CutAfter: 1000, Times: 1}}, wantGets: 2},
		"cut-for-ever":       {faults: []registrytest.Fault{{CutAfter: 10}}, wantErr: trust.ErrUnavailable, wantGets: 9},
		"cut-then-wrong":     {faults: []registrytest.Fault{{Wrong: true}, {CutAfter: 1000, Times: 1}}, wantErr: trust.ErrIntegrity, wantGets: 2},
		"cut-then-404":       {faults: []registrytest.Fault{{Status: 404}, {CutAfter: 1000, Times: 1}}, wantErr: trust.ErrNotFound, wantGets: 2},
		"cut-then-403":       {faults: []registrytest.Fault{{Status: 403}, {CutAfter: 1000, Times: 1}}, wantErr: trust.ErrUnauthorized, wantGets: 2},
		"cut-then-503-once":  {faults: []registrytest.Fault{{Status: 503, Times: 1}, {CutAfter: 1000, Times: 1}}, wantGets: 3},
		"cut-then-longer":    {faults: []registrytest.Fault{{Extra: 7}, {CutAfter: 1000, Times: 1}}, wantErr: trust.ErrIntegrity, wantGets: 2},
		"cut-then-shorter":   {faults: []registrytest.Fault{{Short: 7}, {CutAfter: 1000, Times: 1}}, wantErr: trust.ErrIntegrity, wantGets: 2},
		"cut-then-elsewhere": {faults: []registrytest.Fault{{RangeStart: 900}, {CutAfter: 1000, Times: 1}}, wantErr: trust.ErrUnavailable, wantGets: 9},
		"stall-and-resume":   {faults: []registrytest.Fault{{StallAfter: 1000, Times: 1}}, wantGets: 2},
		"stall-after-last":   {faults: []registrytest.Fault{{StallAfter: size, Endless: true}}, wantGets: 1},
		"stall-for-ever":     {faults: []registrytest.Fault{{StallAfter: -1}}, wantErr: trust.ErrUnavailable},
		"slow-but-alive":     {faults: []registrytest.Fault{{BodyDelay: 20 * time.Millisecond}}, wantGets: 1},
		"too-slow":           {faults: []registrytest.Fault{{BodyDelay: 20 * time.Millisecond}}, rate: 1 << 40, wantErr: trust.ErrUnavailable, wantGets: 1},
		"slow-enough":        {faults: []registrytest.Fault{{BodyDelay: 20 * time.Millisecond}}, rate: 1, wantGets: 1},
		"slow-header":        {faults: []registrytest.Fault{{HeaderDelay: time.Minute}}, wantErr: trust.ErrUnavailable, wantGets: 1},
		"gzip-unasked":       {faults: []registrytest.Fault{header("Content-Encoding", "gzip")}, wantErr: trust.ErrUnavailable},
		"partial-unasked":    {faults: []registrytest.Fault{{Status: 206}}, wantErr: trust.ErrUnavailable},
		"missing":            {change: func(d *ocispec.Descriptor) { d.Digest = digest.FromString("else") }, wantErr: trust.ErrNotFound},
		"no-digest":          {change: func(d *ocispec.Descriptor) { d.Digest = "sha256:../../../etc" }, wantErr: trust.ErrMalformed},
		"negative-size":      {change: func(d *ocispec.Descriptor) { d.Size = -1 }, wantErr: trust.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			desc := r.PutBlob(repo, content)
			path := "/v2/" + repo + "/blobs/" + desc.Digest.String()
			for _, f := range tt.faults {
				r.Misbehave(path, f)
			}
			if tt.change != nil {
				tt.change(&desc)
			}
			u := dial(t, r, func(o *upstream.Options) {
				o.Timeouts = upstream.Timeouts{Header: 300 * time.Millisecond, Stall: 200 * time.Millisecond}
				if tt.rate > 0 {
					o.Timeouts.MinRate, o.Timeouts.RateWindow = tt.rate, 1
				}
				if name == "stall-for-ever" {
					o.Resumes = 1
				}
			})
			got, err := fetch(t.Context(), u, at(r), desc)
			if !errors.Is(err, tt.wantErr) {
				t.Errorf("error %v, want %v", err, tt.wantErr)
			}
			if tt.wantErr == nil || tt.wantAll {
				if !bytes.Equal(got, content) {
					t.Errorf("%d bytes differ from the %d put", len(got), len(content))
				}
			}
			if n := r.Count("GET", path); tt.wantGets > 0 && n != tt.wantGets {
				t.Errorf("%d requests, want %d", n, tt.wantGets)
			}
		})
	}
}

// A cut may come at every byte, and a reader may read in steps of every size.
func TestFetchCutEverywhere(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	u := dial(t, r, nil)
	content := pattern(40)
	desc := r.PutBlob(repo, content)
	for cut := -1; cut <= len(content); cut++ {
		for _, step := range []int{1, 7, 39, 40, 41} {
			r.Behave()
			r.Misbehave("/v2/"+repo+"/blobs/*", registrytest.Fault{CutAfter: cut, Times: 1})
			rc, err := u.Fetch(t.Context(), at(r), desc)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{rc}, make([]byte, step))
			if err != nil || !bytes.Equal(got.Bytes(), content) {
				t.Fatalf("cut at %d, steps of %d: %q, %v", cut, step, got.Bytes(), err)
			}
			if n, err := rc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("read after the end: %d, %v", n, err)
			}
			_ = rc.Close()
		}
	}
}

func TestFetchEmptyAndManifest(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	u := dial(t, r, nil)
	empty := r.PutBlob(repo, nil)
	if got, err := fetch(t.Context(), u, at(r), empty); err != nil || len(got) != 0 {
		t.Errorf("empty blob: %q, %v", got, err)
	}
	body := manifestOf(ocispec.MediaTypeImageManifest, empty)
	desc := r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, body)
	got, err := fetch(t.Context(), u, at(r), desc)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("manifest: %q, %v", got, err)
	}
	if r.Count("GET", "/v2/"+repo+"/manifests/"+desc.Digest.String()) != 1 {
		t.Errorf("the manifest was not asked for as one: %v", r.Requests())
	}
	desc.Size = upstream.MaxManifest + 1
	if _, err := fetch(t.Context(), u, at(r), desc); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("large manifest: %v, want %v", err, trust.ErrLimit)
	}
}

func TestFetchEndsWithContext(t *testing.T) {
	t.Parallel()
	tests := map[string]registrytest.Fault{
		"in-header": {HeaderDelay: time.Minute},
		"in-body":   {StallAfter: 100},
		"in-pause":  {CutAfter: -1},
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			u := dial(t, r, func(o *upstream.Options) { o.RetryWait = time.Minute })
			desc := r.PutBlob(repo, pattern(500))
			r.Misbehave("/v2/"+repo+"/blobs/*", fault)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := fetch(ctx, u, at(r), desc)
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, trust.ErrUnavailable) {
				t.Errorf("error %v, want the context's alone", err)
			}
		})
	}
}

// TestFetchForNobody: who went away before anything was asked gets the context's error.
func TestFetchForNobody(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	desc := r.PutBlob(repo, pattern(500))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fetch(ctx, dial(t, r, func(*upstream.Options) {}), at(r), desc); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestCloseEndsRead(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	u := dial(t, r, nil)
	desc := r.PutBlob(repo, pattern(500))
	r.Misbehave("/v2/"+repo+"/blobs/*", registrytest.Fault{StallAfter: 100})
	rc, err := u.Fetch(t.Context(), at(r), desc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(rc, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := rc.Read(make([]byte, 1))
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond)
	if err := rc.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the read ended with %v", err)
	}
	if _, err := rc.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("a read after Close ended with %v", err)
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	content := pattern(3000)
	newRegistry := func(t *testing.T, o registrytest.Options) (*registrytest.Registry, ocispec.Descriptor) {
		t.Helper()
		r := registrytest.Start(t, o)
		return r, r.PutBlob(repo, content)
	}
	login := registrytest.Options{Auth: "basic", User: "u", Password: "hush"}

	t.Run("login-stays-behind", func(t *testing.T) {
		t.Parallel()
		r, desc := newRegistry(t, login)
		cdn, _ := newRegistry(t, registrytest.Options{})
		r.Misbehave("/v2/"+repo+"/blobs/*", registrytest.Fault{Redirect: cdn.URL()})
		cdn.Misbehave("", registrytest.Fault{CutAfter: 1000, Times: 1})
		u := dial(t, r, func(o *upstream.Options) { o.Credential, o.Reach.RedirectHosts = staticLogin, []string{cdn.Host()} })
		got, err := fetch(t.Context(), u, at(r), desc)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if n := len(cdn.Requests()); n != 2 {
			t.Errorf("the other host was asked %d times, want 2", n)
		}
		for _, q := range cdn.Requests() {
			if a := q.Header.Get("Authorization"); a != "" {
				t.Errorf("the other host was sent %q", a)
			}
		}
	})
	t.Run("challenge-of-another-host", func(t *testing.T) {
		t.Parallel()
		r, desc := newRegistry(t, registrytest.Options{})
		thief, _ := newRegistry(t, login)
		r.Misbehave("/v2/"+repo+"/blobs/*", registrytest.Fault{Redirect: thief.URL()})
		u := dial(t, r, func(o *upstream.Options) { o.Credential, o.Reach.RedirectHosts = staticLogin, []string{thief.Host()} })
		if _, err := fetch(t.Context(), u, at(r), desc); !errors.Is(err, trust.ErrUnavailable) {
			t.Errorf("error %v, want %v", err, trust.ErrUnavailable)
		}
		for _, q := range thief.Requests() {
			if q.Header.Get("Authorization") != "" {
				t.Error("the other host got the login")
			}
		}
	})
	t.Run("https-to-http", func(t *testing.T) {
		t.Parallel()
		r, desc := newRegistry(t, registrytest.Options{TLS: true})
		cdn, _ := newRegistry(t, registrytest.Options{})
		r.Misbehave("/v2/"+repo+"/blobs/*", registrytest.Fault{Redirect: cdn.URL()})
		_, err := fetch(t.Context(), dial(t, r, nil), at(r), desc)
		if !errors.Is(err, trust.ErrUnavailable) || len(cdn.Requests()) != 0 {
			t.Errorf("error %v, want %v; %d requests", err, trust.ErrUnavailable, len(cdn.Requests()))
		}
	})
	t.Run("in-a-circle", func(t *testing.T) {
		t.Parallel()
		r, desc := newRegistry(t, registrytest.Options{})
		r.Misbehave("/v2/"+repo+"/blobs/*", registrytest.Fault{Redirect: r.URL()})
		_, err := fetch(t.Context(), dial(t, r, nil), at(r), desc)
		if !errors.Is(err, trust.ErrUnavailable) || len(r.Requests()) > 8 {
			t.Errorf("error %v, want %v; %d requests", err, trust.ErrUnavailable, len(r.Requests()))
		}
	})
	t.Run("metadata-address", func(t *testing.T) {
		t.Parallel()
		r, desc := newRegistry(t, registrytest.Options{})
		r.Misbehave("/v2/"+repo+"/blobs/*", registrytest.Fault{Redirect: "http://169.254.169.254/?signature=hush"})
		_, err := fetch(t.Context(), dial(t, r, nil), at(r), desc)
		if !errors.Is(err, trust.ErrUnavailable) || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "hush") {
			t.Errorf("error %v", err)
		}
	})
}

func TestErrorsAreSafeToShow(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	desc := r.PutBlob(repo, pattern(10))
	r.Misbehave("", registrytest.Fault{Status: http.StatusForbidden, Body: "\x1b[2Jgo to https://u:hush@x/?sig=hush " + strings.Repeat("x", 1<<20)})
	_, err := fetch(t.Context(), dial(t, r, nil), at(r), desc)
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || strings.Contains(err.Error(), "hush") || len(err.Error()) > 500 {
		t.Errorf("error %q", err)
	}
}
