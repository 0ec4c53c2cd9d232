package upstream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const repo = "acme/app"

// dial makes a client for r that loses no time.
func dial(t *testing.T, r *registrytest.Registry, change func(*upstream.Options)) *upstream.Registry {
	t.Helper()
	o := upstream.Options{Host: r.Host(), URL: r.URL(), RetryWait: time.Millisecond}
	if roots := r.Roots(); roots != nil {
		transport := upstream.NewTransport(upstream.Timeouts{})
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		t.Cleanup(transport.CloseIdleConnections)
		o.Transport = transport
	}
	if change != nil {
		change(&o)
	}
	u, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

func at(r *registrytest.Registry) trust.Reference {
	return trust.Reference{Registry: r.Host(), Repository: repo}
}

func tagged(r *registrytest.Registry, tag string) trust.Reference {
	ref := at(r)
	ref.Tag = tag
	return ref
}

func manifestOf(mediaType string, layers ...ocispec.Descriptor) []byte {
	m := map[string]any{
		"schemaVersion": 2,
		"config":        ocispec.DescriptorEmptyJSON,
		"layers":        append([]ocispec.Descriptor{}, layers...),
	}
	if mediaType != "" {
		m["mediaType"] = mediaType
	}
	body, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return body
}

// pattern is content in which no two places look alike.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,", i)
	}
	return b.Bytes()[:n]
}

func fetch(ctx context.Context, u *upstream.Registry, ref trust.Reference, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := u.Fetch(ctx, ref, desc)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(rc)
	return body, errors.Join(err, rc.Close())
}

func TestResolve(t *testing.T) {
	t.Parallel()
	image := manifestOf(ocispec.MediaTypeImageManifest)
	other := digest.FromString("other")
	path := "/v2/" + repo + "/manifests/latest"
	tests := map[string]struct {
		mediaType string
		body      []byte
		method    string
		fault     registrytest.Fault
		wantType  string
		wantErr   error
		wantText  string
		wantGets  int
	}{
		"head-is-enough":      {mediaType: ocispec.MediaTypeImageManifest, body: image, wantType: ocispec.MediaTypeImageManifest},
		"docker-list":         {mediaType: "application/vnd.docker.distribution.manifest.list.v2+json", body: []byte(`{"schemaVersion":2,"manifests":[]}`), wantType: "application/vnd.docker.distribution.manifest.list.v2+json"},
		"head-405":            {mediaType: ocispec.MediaTypeImageManifest, body: image, method: "HEAD", fault: registrytest.Fault{Status: 405}, wantType: ocispec.MediaTypeImageManifest, wantGets: 1},
		"head-404":            {mediaType: ocispec.MediaTypeImageManifest, body: image, method: "HEAD", fault: registrytest.Fault{Status: 404}, wantType: ocispec.MediaTypeImageManifest, wantGets: 1},
		"no-digest":           {mediaType: ocispec.MediaTypeImageManifest, body: image, fault: header("Docker-Content-Digest"), wantType: ocispec.MediaTypeImageManifest, wantGets: 1},
		"malformed-digest":    {mediaType: ocispec.MediaTypeImageManifest, body: image, fault: header("Docker-Content-Digest", "sha256:../../x"), wantType: ocispec.MediaTypeImageManifest, wantGets: 1},
		"lying-digest-on-get": {mediaType: "application/json", body: image, fault: header("Docker-Content-Digest", other.String()), wantErr: trust.ErrIntegrity, wantText: other.String(), wantGets: 1},
		"two-media-types":     {mediaType: ocispec.MediaTypeImageIndex, body: image, fault: header("Docker-Content-Digest"), wantErr: trust.ErrIntegrity, wantGets: 1},
		"wrong-media-type":    {mediaType: ocispec.MediaTypeImageManifest, body: image, fault: header("Content-Type", "text/plain; charset=utf-8"), wantType: ocispec.MediaTypeImageManifest, wantGets: 1},
		"no-type-in-body":     {mediaType: "application/json", body: manifestOf(""), wantType: ocispec.MediaTypeImageManifest, wantGets: 1},
		"no-type-index":       {mediaType: "application/json", body: []byte(`{"schemaVersion":2,"manifests":[]}`), wantType: ocispec.MediaTypeImageIndex, wantGets: 1},
		"no-json":             {mediaType: "text/html", body: []byte("<html>"), wantErr: trust.ErrMalformed, wantGets: 1},
		"unknown-type":        {mediaType: "application/json", body: []byte(`{"mediaType":"application/vnd.evil\u001b[2J"}`), wantErr: trust.ErrUnsupported, wantText: "·[2J", wantGets: 1},
		"schema1":             {mediaType: "application/vnd.docker.distribution.manifest.v1+prettyjws", body: []byte(`{"schemaVersion":1}`), wantErr: trust.ErrUnsupported, wantText: "schema 1"},
		"schema1-as-json":     {mediaType: "application/json", body: []byte(`{"schemaVersion":1}`), wantErr: trust.ErrUnsupported, wantText: "schema 1", wantGets: 1},
		"too-large":           {mediaType: ocispec.MediaTypeImageManifest, body: make([]byte, upstream.MaxManifest+1), wantErr: trust.ErrLimit},
		"too-large-on-get":    {mediaType: ocispec.MediaTypeImageManifest, body: make([]byte, upstream.MaxManifest+1), fault: header("Docker-Content-Digest"), wantErr: trust.ErrLimit, wantGets: 1},
		"endless-on-get":      {mediaType: ocispec.MediaTypeImageManifest, body: image, fault: registrytest.Fault{Endless: true, Header: http.Header{"Docker-Content-Digest": nil}}, wantErr: trust.ErrLimit, wantGets: 1},
		"largest":             {mediaType: ocispec.MediaTypeImageManifest, body: bytes.Repeat([]byte(" "), upstream.MaxManifest), wantType: ocispec.MediaTypeImageManifest},
		"unauthorised":        {fault: registrytest.Fault{Status: 401}, wantErr: trust.ErrUnauthorized},
		"denied":              {fault: registrytest.Fault{Status: 403}, wantErr: trust.ErrUnauthorized},
		"unknown":             {wantErr: trust.ErrNotFound, wantText: "manifest unknown", wantGets: 1},
		"rate-limited":        {fault: registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"3600"}}}, wantErr: trust.ErrRateLimited, wantText: "1h0m0s"},
		"server-error":        {fault: registrytest.Fault{Status: 500}, wantErr: trust.ErrUnavailable},
		"passing-503":         {mediaType: ocispec.MediaTypeImageManifest, body: image, fault: registrytest.Fault{Status: 503, Times: 2}, wantType: ocispec.MediaTypeImageManifest},
		"passing-429":         {mediaType: ocispec.MediaTypeImageManifest, body: image, fault: registrytest.Fault{Status: 429, Times: 1}, wantType: ocispec.MediaTypeImageManifest},
		"teapot":              {fault: registrytest.Fault{Status: 418}, wantErr: trust.ErrUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			if tt.body != nil {
				r.PutManifest(repo, "latest", tt.mediaType, tt.body)
			}
			tt.fault.Method = tt.method
			r.Misbehave(path, tt.fault)
			desc, err := dial(t, r, nil).Resolve(t.Context(), tagged(r, "latest"))
			if !errors.Is(err, tt.wantErr) || (err != nil && !strings.Contains(err.Error(), tt.wantText)) {
				t.Fatalf("Resolve: %v, want %v with %q", err, tt.wantErr, tt.wantText)
			}
			if n := r.Count("GET", path); tt.wantGets != n && !errors.Is(tt.wantErr, trust.ErrNotFound) {
				t.Errorf("%d GETs, want %d", n, tt.wantGets)
			}
			if tt.wantErr != nil {
				return
			}
			want := ocispec.Descriptor{MediaType: tt.wantType, Digest: digest.FromBytes(tt.body), Size: int64(len(tt.body))}
			if diff := cmp.Diff(want, desc); diff != "" {
				t.Errorf("descriptor (-want +got):\n%s", diff)
			}
		})
	}
}

func header(name string, values ...string) registrytest.Fault {
	return registrytest.Fault{Header: http.Header{name: values}}
}

func TestRetryAfterIsHandedOn(t *testing.T) {
	t.Parallel()
	const path = "/v2/" + repo + "/manifests/latest"
	for name, tt := range map[string]struct {
		status int
		after  string
		want   time.Duration
	}{
		"seconds":     {429, "3600", time.Hour},
		"date":        {429, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		"unavailable": {503, "120", 2 * time.Minute},
		"past":        {429, "0", 0},
		"none":        {429, "", 0},
		"nonsense":    {429, "soon", 0},
		"not-found":   {404, "60", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			r.Misbehave(path, registrytest.Fault{Status: tt.status, Header: http.Header{"Retry-After": {tt.after}}})
			_, err := dial(t, r, nil).Resolve(t.Context(), tagged(r, "latest"))
			if err == nil {
				t.Fatal("no error")
			}
			var later interface{ RetryAfter() time.Duration }
			got := time.Duration(0)
			if errors.As(err, &later) {
				got = later.RetryAfter()
			}
			if got > tt.want || got < tt.want-time.Minute || got <= 0 && tt.want > 0 {
				t.Errorf("%v from %v, want %v", got, err, tt.want)
			}
		})
	}
}
