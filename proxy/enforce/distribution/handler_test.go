package distribution_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	manifest = []byte(`{"schemaVersion":2}`)
	someTag  = "/v2/acme/app/manifests/1"
	someHash = digest.FromString("some")
)

// fakeGate answers one thing and notes what it was asked.
type fakeGate struct {
	release enforce.Release
	err     error
	denied  error
	asked   []trust.Reference
	terms   []enforce.Terms
}

func (g *fakeGate) Manifest(_ context.Context, ref trust.Reference, terms enforce.Terms) (enforce.Release, error) {
	g.asked, g.terms = append(g.asked, ref), append(g.terms, terms)
	return g.release, g.err
}

func (g *fakeGate) Blob(_ context.Context, ref trust.Reference, terms enforce.Terms) (enforce.Blob, error) {
	g.asked, g.terms = append(g.asked, ref), append(g.terms, terms)
	return enforce.Blob{}, g.err
}

func (g *fakeGate) Permit(trust.Reference) error { return g.denied }

type fakeLister struct {
	tags  []string
	index ocispec.Index
	err   error
}

func (l fakeLister) Tags(_ context.Context, _ trust.Reference, n int, last string) ([]string, bool, error) {
	tags := l.tags
	for len(tags) > 0 && last != "" && tags[0] <= last {
		tags = tags[1:]
	}
	more := len(tags) > n
	return tags[:min(n, len(tags))], more, l.err
}

func (l fakeLister) Referrers(context.Context, trust.Reference, string) (ocispec.Index, error) {
	return l.index, l.err
}

// serve starts a server with a default upstream docker.io, ghcr.io under the alias gh, and one with a port.
func serve(t *testing.T, gate distribution.Gate, lister distribution.Lister) *httptest.Server {
	t.Helper()
	h, err := distribution.New(gate, []distribution.Upstream{
		{Host: "docker.io", Alias: "docker.io", Default: true, Lister: lister},
		{Host: "ghcr.io", Alias: "gh", Lister: lister},
		{Host: "127.0.0.1:5443", Alias: "local", Lister: lister},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

type answer struct {
	*http.Response
	body []byte
}

func (a answer) message() string {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(a.body, &e) != nil || len(e.Errors) != 1 {
		return ""
	}
	return e.Errors[0].Code + ": " + e.Errors[0].Message
}

func do(t *testing.T, s *httptest.Server, method, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return answer{resp, body}
}

func released() enforce.Release {
	return enforce.Release{Content: manifest, Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(manifest), Size: int64(len(manifest)),
	}}
}

func TestBase(t *testing.T) {
	t.Parallel()
	s := serve(t, &fakeGate{}, fakeLister{})
	for _, path := range []string{"/v2/", "/v2"} {
		got := do(t, s, "GET", path)
		if got.StatusCode != 200 || string(got.body) != "{}" || got.Header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
			t.Errorf("%s: %d %q %v", path, got.StatusCode, got.body, got.Header)
		}
	}
}

func TestManifestHeaders(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s := serve(t, &fakeGate{release: released()}, fakeLister{})
			got := do(t, s, method, someTag)
			d := digest.FromBytes(manifest).String()
			want := map[string]string{
				"Content-Type": ocispec.MediaTypeImageManifest, "Docker-Content-Digest": d, "Etag": `"` + d + `"`,
				"Content-Length": fmt.Sprint(len(manifest)), "Docker-Distribution-Api-Version": "registry/2.0",
				"Cache-Control": "no-store",
			}
			have := map[string]string{}
			for k := range want {
				have[k] = got.Header.Get(k)
			}
			if diff := cmp.Diff(want, have); got.StatusCode != 200 || diff != "" {
				t.Errorf("%d %s", got.StatusCode, diff)
			}
			if body := string(got.body); method == "GET" && body != string(manifest) || method == "HEAD" && body != "" {
				t.Errorf("body %q", body)
			}
			again := do(t, s, method, someTag, "If-None-Match", got.Header.Get("Etag"))
			if again.StatusCode != 304 || len(again.body) > 0 {
				t.Errorf("conditional: %d", again.StatusCode)
			}
		})
	}
}

func TestWarnTellsInAHeader(t *testing.T) {
	t.Parallel()
	release := released()
	release.Verdict = &trust.Verdict{ID: "SP-1", Action: trust.Warn, Reasons: []string{"a \"wallet\"\r\nX-Evil: 1"}}
	got := do(t, serve(t, &fakeGate{release: release}, fakeLister{}), "GET", someTag)
	if w := got.Header.Get("Warning"); !strings.HasPrefix(w, `299 - "safepull warns: a 'wallet'`) || !strings.Contains(w, "SP-1") || got.Header.Get("X-Evil") != "" {
		t.Errorf("Warning %q", w)
	}
}

func refusal(action trust.Action) error {
	return &enforce.Refusal{Verdict: trust.Verdict{
		ID: "SP-0123456789", Action: action, Manifest: someHash,
		Reference: trust.Reference{Registry: "docker.io", Repository: "acme/app", Tag: "1", Digest: someHash},
		Reasons:   []string{"a Stratum URL\x1b[31m\n(usr/bin/run in layer sha256:0123456789ab)", "another"},
	}}
}

type slow struct{ error }

func (slow) RetryAfter() time.Duration { return 77 * time.Second }
func (s slow) Unwrap() error           { return s.error }

// TestErrors is the table of what clients see, the same for GET and HEAD and for manifests and blobs.
func TestErrors(t *testing.T) {
	t.Parallel()
	ref := trust.Reference{Registry: "docker.io", Repository: "acme/app", Digest: someHash}
	wrapped := func(err error) error { return fmt.Errorf("registry docker.io: %w: secret detail", err) }
	cases := map[string]struct {
		err    error
		status int
		code   string
		says   string
		retry  string
	}{
		"block":            {refusal(trust.Block), 403, "DENIED", "safepull blocked docker.io/acme/app:1", ""},
		"quarantine":       {refusal(trust.Quarantine), 403, "DENIED", "docker safepull explain --proxy http://127.0.0.1:", ""},
		"no_action":        {refusal(""), 403, "DENIED", "refused", ""},
		"rejected":         {&enforce.Rejected{Reference: ref, Reason: "it has urls"}, 403, "DENIED", "it has urls", ""},
		"denied_name":      {&enforce.Denied{Reference: ref, Entry: trust.Entry{Pattern: "docker.io/acme/**"}}, 403, "DENIED", "docker.io/acme/**", ""},
		"pending":          {&enforce.Pending{Reference: ref, RetryAfter: 10 * time.Second}, 503, "UNAVAILABLE", "inspection is running", "10"},
		"unjudged":         {&enforce.Unjudged{Reference: ref, Err: wrapped(trust.ErrNotFound)}, 503, "UNAVAILABLE", "could not be judged: docker.io does not have all of it", "30"},
		"unjudged_timeout": {&enforce.Unjudged{Reference: ref, Err: context.DeadlineExceeded}, 503, "UNAVAILABLE", "could not be judged: it took too long", "30"},
		"unjudged_store":   {&enforce.Unjudged{Reference: ref, Err: errors.New("/var/lib/hunter2 is full")}, 503, "UNAVAILABLE", "log tells why", "30"},
		"overload":         {enforce.ErrOverloaded, 503, "UNAVAILABLE", "too many inspections", "30"},
		"not_configured":   {enforce.ErrNotConfigured, 403, "DENIED", "not configured", ""},
		"not_referenced":   {&enforce.NotReferenced{Name: "docker.io/acme/app", Digest: someHash}, 404, "BLOB_UNKNOWN", "no allowed manifest", ""},
		"unauthorized":     {wrapped(trust.ErrUnauthorized), 403, "DENIED", "does not exist, or is private", ""},
		"own_login":        {wrapped(&caller.LoginError{Own: true, Err: trust.ErrUnauthorized}), 403, "DENIED", "safepull's own login at docker.io was refused there: whoever runs safepull must renew it", ""},
		"unjudged_login":   {&enforce.Unjudged{Reference: ref, Err: &caller.LoginError{Own: true, Err: trust.ErrUnauthorized}}, 503, "UNAVAILABLE", "could not be judged: safepull's own login at docker.io was refused", "30"},
		"no_login":         {wrapped(&caller.LoginError{Err: trust.ErrUnauthorized}), 403, "DENIED", "docker.io gives no access to acme/app without a login: log in at the proxy", ""},
		"rate_limited":     {wrapped(trust.ErrRateLimited), 429, "TOOMANYREQUESTS", "limits the rate", "30"},
		"rate_limited_for": {slow{trust.ErrRateLimited}, 429, "TOOMANYREQUESTS", "limits the rate", "77"},
		"unavailable":      {wrapped(trust.ErrUnavailable), 502, "UNAVAILABLE", "could not be reached", "30"},
		"deadline":         {context.DeadlineExceeded, 504, "UNAVAILABLE", "did not answer", "30"},
		"integrity":        {wrapped(trust.ErrIntegrity), 403, "DENIED", "contradicts its digest", ""},
		"limit":            {wrapped(trust.ErrLimit), 403, "DENIED", "limit exceeded", ""},
		"anything_else":    {errors.New("password is hunter2"), 500, "UNKNOWN", "log", ""},
	}
	for name, c := range cases {
		for _, path := range []string{someTag, "/v2/acme/app/manifests/" + someHash.String(), "/v2/acme/app/blobs/" + someHash.String()} {
			t.Run(name+"_"+strings.Split(path, "/")[4], func(t *testing.T) {
				t.Parallel()
				s := serve(t, &fakeGate{err: c.err}, fakeLister{})
				got, head := do(t, s, "GET", path), do(t, s, "HEAD", path)
				if got.StatusCode != c.status || !strings.HasPrefix(got.message(), c.code+": ") || !strings.Contains(got.message(), c.says) {
					t.Errorf("%s: %s", got.Status, got.body)
				}
				if got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Retry-After") != c.retry {
					t.Errorf("header %v", got.Header)
				}
				if strings.ContainsAny(got.message(), "\x1b\n\r") || strings.Contains(string(got.body), "hunter2") {
					t.Errorf("unsafe message %q", got.message())
				}
				if got.Header.Get("Www-Authenticate") != "" || got.StatusCode == 401 {
					t.Error("clients are asked for logins")
				}
				if head.Status != got.Status || len(head.body) > 0 || head.Header.Get("Content-Length") != got.Header.Get("Content-Length") {
					t.Errorf("HEAD differs: %s, %s", head.Status, got.Status)
				}
			})
		}
	}
}

func TestNotFoundCodes(t *testing.T) {
	t.Parallel()
	for path, code := range map[string]string{
		someTag: "MANIFEST_UNKNOWN",
		"/v2/acme/app/blobs/" + someHash.String(): "BLOB_UNKNOWN",
		"/v2/acme/app/tags/list":                  "NAME_UNKNOWN",
	} {
		err := fmt.Errorf("%w: hidden", trust.ErrNotFound)
		got := do(t, serve(t, &fakeGate{err: err}, fakeLister{err: err}), "GET", path)
		if got.StatusCode != 404 || !strings.HasPrefix(got.message(), code) {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
}

// TestReasonPhrase: engines that drop the body of a refusal still show the status line.
func TestReasonPhrase(t *testing.T) {
	t.Parallel()
	s := serve(t, &fakeGate{err: refusal(trust.Block)}, fakeLister{})
	for _, method := range []string{"GET", "HEAD"} {
		got := do(t, s, method, someTag)
		if !strings.HasPrefix(got.Status, "403 safepull blocked docker.io/acme/app:1") || !strings.Contains(got.Status, "SP-0123456789") {
			t.Errorf("%s: status line %q", method, got.Status)
		}
		if !got.Close {
			t.Errorf("%s: the connection is kept", method)
		}
	}
}

func TestRefusalWithARequestBody(t *testing.T) {
	t.Parallel()
	s := serve(t, &fakeGate{err: refusal(trust.Block)}, fakeLister{})
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+someTag, bytes.NewReader(make([]byte, 1<<16)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestLogTellsTheErrorButNoSecretHeader(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&out)
	h, err := distribution.New(&fakeGate{err: errors.New("store broke")}, []distribution.Upstream{{Host: "docker.io", Default: true, Lister: fakeLister{}}}, logger)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", someTag, nil)
	r.Header.Set("Authorization", "Basic c2VjcmV0")
	w := httptest.NewRecorder()
	w.Header().Set(distribution.RequestID, "id-1")
	h.ServeHTTP(w, r)
	if s := out.String(); !strings.Contains(s, "store broke") || !strings.Contains(s, "id-1") || strings.Contains(s, "c2VjcmV0") {
		t.Errorf("log: %s", s)
	}
	r = httptest.NewRequest("GET", someTag, nil)
	r.URL.RawQuery = "access_token=c2VjcmV0&x=%zz"
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if s := out.String(); w.Code != http.StatusBadRequest || strings.Contains(s+w.Body.String(), "c2VjcmV0") {
		t.Errorf("%d, log: %s, body: %s", w.Code, s, w.Body)
	}
}

func TestPushesAreUnsupported(t *testing.T) {
	t.Parallel()
	gate := &fakeGate{release: released()}
	s := serve(t, gate, fakeLister{})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} {
		got := do(t, s, method, "/v2/acme/app/blobs/uploads/")
		if got.StatusCode != 405 || !strings.HasPrefix(got.message(), "UNSUPPORTED") || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d %s", method, got.StatusCode, got.body)
		}
	}
	if len(gate.asked) > 0 {
		t.Error("the gate was asked")
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	s := serve(t, &fakeGate{}, fakeLister{tags: []string{"a", "b", "c"}})
	cases := map[string]struct {
		status     int
		body, link string
	}{
		"/v2/acme/app/tags/list":                           {200, `{"name":"acme/app","tags":["a","b","c"]}`, ""},
		"/v2/acme/app/tags/list?n=2":                       {200, `{"name":"acme/app","tags":["a","b"]}`, `</v2/acme/app/tags/list?last=b&n=2>; rel="next"`},
		"/v2/acme/app/tags/list?n=2&last=b":                {200, `{"name":"acme/app","tags":["c"]}`, ""},
		"/v2/gh/acme/app/tags/list?n=1&ns=ghcr.io":         {200, `{"name":"gh/acme/app","tags":["a"]}`, `</v2/gh/acme/app/tags/list?last=a&n=1&ns=ghcr.io>; rel="next"`},
		"/v2/acme/app/tags/list?n=0":                       {200, `{"name":"acme/app","tags":[]}`, ""},
		"/v2/acme/app/tags/list?n=99999999":                {200, `{"name":"acme/app","tags":["a","b","c"]}`, ""},
		"/v2/acme/app/tags/list?n=-1":                      {400, "PAGINATION_NUMBER_INVALID", ""},
		"/v2/acme/app/tags/list?n=x":                       {400, "PAGINATION_NUMBER_INVALID", ""},
		"/v2/acme/app/tags/list?n=99999999999999999999999": {400, "PAGINATION_NUMBER_INVALID", ""},
		"/v2/acme/app/tags/list?last=%0d%0aX:1":            {400, "TAG_INVALID", ""},
	}
	for path, c := range cases {
		got := do(t, s, "GET", path)
		if got.StatusCode != c.status || !strings.Contains(string(got.body), c.body) || got.Header.Get("Link") != c.link {
			t.Errorf("%s: %d %s %q", path, got.StatusCode, got.body, got.Header.Get("Link"))
		}
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	path := "/v2/acme/app/referrers/" + someHash.String()
	signature := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: someHash, Size: 3, ArtifactType: "sig"}
	hostile := signature
	hostile.URLs, hostile.Data, hostile.ArtifactType = []string{"https://evil.example"}, []byte("abc"), "sbom"
	many := make([]ocispec.Descriptor, 1001)
	cases := map[string]struct {
		lister fakeLister
		query  string
		status int
		want   []ocispec.Descriptor
	}{
		"none":     {fakeLister{err: trust.ErrNotFound}, "", 200, []ocispec.Descriptor{}},
		"two":      {fakeLister{index: ocispec.Index{Manifests: []ocispec.Descriptor{signature, hostile}}}, "", 200, []ocispec.Descriptor{signature, {MediaType: signature.MediaType, Digest: someHash, Size: 3, ArtifactType: "sbom"}}},
		"filtered": {fakeLister{index: ocispec.Index{Manifests: []ocispec.Descriptor{signature, hostile}}}, "?artifactType=sig", 200, []ocispec.Descriptor{signature}},
		"many":     {fakeLister{index: ocispec.Index{Manifests: many}}, "", 403, nil},
		"down":     {fakeLister{err: trust.ErrUnavailable}, "", 502, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := do(t, serve(t, &fakeGate{}, c.lister), "GET", path+c.query)
			var index ocispec.Index
			if err := json.Unmarshal(got.body, &index); err != nil || got.StatusCode != c.status {
				t.Fatalf("%d %s", got.StatusCode, got.body)
			}
			if diff := cmp.Diff(c.want, index.Manifests); c.status == 200 && (diff != "" || got.Header.Get("Content-Type") != ocispec.MediaTypeImageIndex) {
				t.Error(diff)
			}
		})
	}
}

func TestDeniedNamesListNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, &fakeGate{denied: &enforce.Denied{}}, fakeLister{tags: []string{"a"}})
	for _, path := range []string{"/v2/acme/app/tags/list", "/v2/acme/app/referrers/" + someHash.String()} {
		if got := do(t, s, "GET", path); got.StatusCode != 403 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}
