package registrytest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/test/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is what a test looks at.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Err    error
}

func ask(t *testing.T, r *registrytest.Registry, method, path string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := r.Client().Transport
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return answer{resp.StatusCode, resp.Header, string(body), err}
}

func TestContent(t *testing.T) {
	t.Parallel()
	for _, tls := range []bool{false, true} {
		r := registrytest.Start(t, registrytest.Options{TLS: tls})
		blob := r.PutBlob("a/b", []byte("0123456789"))
		manifest := r.PutManifest("a/b", "latest", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
		tests := map[string]struct {
			method, path, ranges string
			status               int
			mediaType, body      string
			length, dgst         string
		}{
			"ping":            {"GET", "/v2/", "", 200, "application/json", "{}", "2", ""},
			"blob":            {"GET", "/v2/a/b/blobs/" + blob.Digest.String(), "", 200, "application/octet-stream", "0123456789", "10", blob.Digest.String()},
			"blob-head":       {"HEAD", "/v2/a/b/blobs/" + blob.Digest.String(), "", 200, "application/octet-stream", "", "10", blob.Digest.String()},
			"blob-range":      {"GET", "/v2/a/b/blobs/" + blob.Digest.String(), "bytes=3-", 206, "application/octet-stream", "3456789", "7", blob.Digest.String()},
			"manifest-tag":    {"GET", "/v2/a/b/manifests/latest", "", 200, ocispec.MediaTypeImageManifest, `{"schemaVersion":2}`, "19", manifest.Digest.String()},
			"manifest-digest": {"HEAD", "/v2/a/b/manifests/" + manifest.Digest.String(), "", 200, ocispec.MediaTypeImageManifest, "", "19", manifest.Digest.String()},
			"other-repo":      {"HEAD", "/v2/a/c/blobs/" + blob.Digest.String(), "", 404, "application/json", "", "", ""},
			"blob-as-tag":     {"HEAD", "/v2/a/b/manifests/" + blob.Digest.String(), "", 404, "application/json", "", "", ""},
			"push":            {"POST", "/v2/a/b/blobs/uploads", "", 404, "application/json", "", "", ""},
		}
		for name, tt := range tests {
			var header []string
			if tt.ranges != "" {
				header = []string{"Range", tt.ranges}
			}
			got := ask(t, r, tt.method, tt.path, header...)
			if got.Err != nil || got.Status != tt.status || got.Header.Get("Content-Type") != tt.mediaType ||
				(tt.length != "" && got.Header.Get("Content-Length") != tt.length) ||
				got.Header.Get("Docker-Content-Digest") != tt.dgst || (tt.body != "" && got.Body != tt.body) {
				t.Errorf("%s, TLS %v: %+v", name, tls, got)
			}
		}
		if n := r.Count("GET", "/v2/a/b/*"); n != 3 {
			t.Errorf("%d GETs counted", n)
		}
		r.ForgetRequests()
		if n := r.Count("", ""); n != 0 {
			t.Errorf("%d requests after forgetting", n)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{PageSize: 2})
	subject := r.PutManifest("a", "v1", ocispec.MediaTypeImageManifest, []byte("{}"))
	for _, tag := range []string{"v2", "v3"} {
		body, err := json.Marshal(ocispec.Manifest{ArtifactType: "x/" + tag, Subject: &subject})
		if err != nil {
			t.Fatal(err)
		}
		r.PutManifest("a", tag, ocispec.MediaTypeImageManifest, body)
		r.PutManifest("a", tag, ocispec.MediaTypeImageManifest, body)
	}
	tags := ask(t, r, "GET", "/v2/a/tags/list")
	if diff := cmp.Diff(`{"name":"a","tags":["v1","v2"]}`, tags.Body); diff != "" || !strings.Contains(tags.Header.Get("Link"), "last=v2") {
		t.Errorf("first page: %s, %v", diff, tags.Header)
	}
	tags = ask(t, r, "GET", "/v2/a/tags/list?last=v2")
	if diff := cmp.Diff(`{"name":"a","tags":["v3"]}`, tags.Body); diff != "" || tags.Header.Get("Link") != "" {
		t.Errorf("last page: %s, %v", diff, tags.Header)
	}
	for query, want := range map[string]int{"": 2, "?artifactType=x/v3": 1, "?artifactType=x/none": 0} {
		var index ocispec.Index
		got := ask(t, r, "GET", "/v2/a/referrers/"+subject.Digest.String()+query)
		if err := json.Unmarshal([]byte(got.Body), &index); err != nil || len(index.Manifests) != want || got.Header.Get("Content-Type") != ocispec.MediaTypeImageIndex {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	basic := registrytest.Start(t, registrytest.Options{Auth: "basic", User: "u", Password: "p"})
	if got := ask(t, basic, "GET", "/v2/"); got.Status != 401 || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("%+v", got)
	}
	if got := ask(t, basic, "GET", "/v2/", "Authorization", "Basic dTpw"); got.Status != 200 {
		t.Errorf("%+v", got)
	}
	bearer := registrytest.Start(t, registrytest.Options{Auth: "bearer", User: "u", Password: "p"})
	bearer.PutManifest("a", "v1", ocispec.MediaTypeImageManifest, []byte("{}"))
	bearer.PutManifest("b", "v1", ocispec.MediaTypeImageManifest, []byte("{}"))
	challenge := ask(t, bearer, "GET", "/v2/a/manifests/v1").Header.Get("WWW-Authenticate")
	if want := `Bearer realm="` + bearer.URL() + `/token",service="registrytest",scope="repository:a:pull"`; challenge != want {
		t.Errorf("challenge %s", challenge)
	}
	if got := ask(t, bearer, "GET", "/token?scope=repository:a:pull"); got.Status != 401 {
		t.Errorf("a token for nobody: %+v", got)
	}
	var token struct{ Token string }
	got := ask(t, bearer, "GET", "/token?scope=repository:a:pull", "Authorization", "Basic dTpw")
	if err := json.Unmarshal([]byte(got.Body), &token); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/v2/a/manifests/v1": 200, "/v2/b/manifests/v1": 401, "/v2/": 200} {
		if got := ask(t, bearer, "GET", path, "Authorization", "Bearer "+token.Token); got.Status != want {
			t.Errorf("%s: %d, want %d", path, got.Status, want)
		}
	}
	bearer.ExpireTokens()
	if got := ask(t, bearer, "GET", "/v2/a/manifests/v1", "Authorization", "Bearer "+token.Token); got.Status != 401 {
		t.Errorf("an expired token: %+v", got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("x"), 3000)
	other := registrytest.Start(t, registrytest.Options{})
	tests := map[string]struct {
		fault registrytest.Fault
		want  func(answer) bool
	}{
		"status": {registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: "no"}, func(a answer) bool {
			return a.Status == 429 && a.Body == "no" && a.Header.Get("Retry-After") == "7"
		}},
		"wrong":     {registrytest.Fault{Wrong: true}, func(a answer) bool { return len(a.Body) == 3000 && a.Body != string(content) && a.Err == nil }},
		"short":     {registrytest.Fault{Short: 1}, func(a answer) bool { return len(a.Body) == 2999 && a.Err == nil }},
		"extra":     {registrytest.Fault{Extra: 1}, func(a answer) bool { return len(a.Body) == 3001 && a.Err == nil }},
		"chunked":   {registrytest.Fault{Chunked: true}, func(a answer) bool { return a.Body == string(content) && a.Header.Get("Content-Length") == "" }},
		"cut":       {registrytest.Fault{CutAfter: 1500}, func(a answer) bool { return len(a.Body) == 1500 && a.Err != nil }},
		"cut-first": {registrytest.Fault{CutAfter: -1}, func(a answer) bool { return a.Body == "" && a.Err != nil }},
		"endless":   {registrytest.Fault{Endless: true}, func(a answer) bool { return len(a.Body) == 1<<20 && a.Err == nil }},
		"redirect": {registrytest.Fault{Redirect: other.URL()}, func(a answer) bool {
			return a.Status == 307 && strings.HasPrefix(a.Header.Get("Location"), other.URL())
		}},
		"no-digest": {registrytest.Fault{Header: http.Header{"docker-content-digest": nil}}, func(a answer) bool { return a.Status == 200 && a.Header.Get("Docker-Content-Digest") == "" }},
		"slow":      {registrytest.Fault{HeaderDelay: time.Millisecond, BodyDelay: time.Millisecond}, func(a answer) bool { return a.Body == string(content) }},
		"method":    {registrytest.Fault{Method: "HEAD", Status: 405}, func(a answer) bool { return a.Status == 200 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			path := "/v2/a/blobs/" + r.PutBlob("a", content).Digest.String()
			tt.fault.Times = 1
			r.Misbehave("/v2/a/*", tt.fault)
			if got := ask(t, r, "GET", path); !tt.want(got) {
				t.Errorf("%d %v, %d bytes, %v", got.Status, got.Header, len(got.Body), got.Err)
			}
			if n := r.Spoiled(); n != 1 && tt.fault.Method == "" {
				t.Errorf("%d requests met a fault", n)
			}
			r.Misbehave(path, registrytest.Fault{Status: 500})
			r.Behave()
			if got := ask(t, r, "GET", path); got.Body != string(content) {
				t.Errorf("afterwards: %d, %d bytes, %v", got.Status, len(got.Body), got.Err)
			}
		})
	}
}

func TestCloseEndsWhatHangs(t *testing.T) {
	t.Parallel()
	r := registrytest.New(registrytest.Options{})
	r.PutBlob("a", []byte("x"))
	r.Misbehave("/v2/", registrytest.Fault{HeaderDelay: time.Hour})
	r.Misbehave("/v2/a/*", registrytest.Fault{StallAfter: -1})
	done := make(chan answer)
	go func() { done <- ask(t, r, "GET", "/v2/") }()
	go func() { done <- ask(t, r, "GET", "/v2/a/blobs/"+digest.FromString("x").String()) }()
	for r.Count("", "") < 2 {
		time.Sleep(time.Millisecond)
	}
	r.Close()
	r.Close()
	<-done
	<-done
}

func TestRaw(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	r.PutBlob("a/b", []byte("x"))
	for raw, want := range map[string]string{"HTTP/1.": "malformed HTTP", "HTTP/1.1 200 OK\r\nContent-Type: a": "unexpected EOF"} {
		r.Misbehave("/v2/", registrytest.Fault{Raw: raw})
		if got := ask(t, r, "GET", "/v2/"); got.Err == nil || !strings.Contains(got.Err.Error(), want) {
			t.Errorf("%q: %v, want %s", raw, got.Err, want)
		}
		r.Pardon("/v2/")
		if got := ask(t, r, "GET", "/v2/"); got.Status != http.StatusOK {
			t.Errorf("pardoned: %d %v", got.Status, got.Err)
		}
	}
	r.Misbehave("/v2/", registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("y", 1<<20), Flood: true})
	if got := ask(t, r, "GET", "/v2/"); got.Err != nil || len(got.Body) != 1<<20 {
		t.Errorf("flood: %d bytes, %v", len(got.Body), got.Err)
	}
}
