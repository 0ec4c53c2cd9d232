package wire

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/safepull/safepull/test/registrytest"
)

// as asks with headers "Name: value".
func (p *running) as(t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

// loginsFile is an htpasswd file of one name.
func loginsFile(t *testing.T, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(path, []byte(name+":"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func basicHeader(user, password string) string {
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(user, password)
	return "Authorization: " + req.Header.Get("Authorization")
}

func TestNobodyEntersWithoutLogin(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	put(r, "acme/good", "latest", clean())
	p := start(t, r, "door: {url: 'http://proxy.example', htpasswd: "+loginsFile(t, "ada", "battery-staple")+"}\n")
	right, wrong := basicHeader("ada", "battery-staple"), basicHeader("ada", "wrong-horse")
	for _, path := range []string{
		"/v2/", "/v2/acme/good/manifests/latest", "/v2/docker.io/acme/good/manifests/latest", "/v2/acme/good/tags/list",
		"/v2/acme/good/blobs/sha256:" + strings.Repeat("0", 64), "/v2/acme/good/referrers/sha256:" + strings.Repeat("0", 64),
		"/safepull/v1/verdicts?reference=acme/good", "/safepull/v1/verdicts/SP-0123456789",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, login := range []string{"X-Nothing: x", wrong} {
				resp := p.as(t, method, path, login)
				if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != `Bearer realm="http://proxy.example/safepull/v1/token",service="safepull"` {
					t.Errorf("%s %s: %s, %q", method, path, resp.Status, resp.Header.Get("WWW-Authenticate"))
				}
				mirrored := path + "?ns=docker.io"
				if strings.Contains(path, "?") {
					mirrored = path + "&ns=docker.io"
				}
				resp = p.as(t, method, mirrored, login)
				want := http.StatusForbidden
				if path == "/v2/" {
					want = http.StatusOK // it gives nothing away
				}
				if resp.StatusCode != want || resp.Header.Get("WWW-Authenticate") != "" {
					t.Errorf("%s %s: %s, %q", method, mirrored, resp.Status, resp.Header.Get("WWW-Authenticate"))
				}
			}
		}
	}
	if n := len(r.Requests()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
	for _, path := range []string{"/v2/", "/v2/acme/good/manifests/latest", "/v2/acme/good/manifests/latest?ns=docker.io"} {
		if resp := p.as(t, http.MethodGet, path, right); resp.StatusCode != http.StatusOK {
			t.Errorf("%s with the right login: %s", path, resp.Status)
		}
	}
	if resp := p.as(t, http.MethodGet, "/livez"); resp.StatusCode != http.StatusOK {
		t.Errorf("/livez: %s", resp.Status)
	}
	for _, q := range r.Requests() {
		if q.Header.Get("Authorization") != "" {
			t.Errorf("the upstream was shown %q", q.Header.Get("Authorization"))
		}
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	log := p.log.String()
	if !strings.Contains(log, "by=htpasswd") || !strings.Contains(log, "identity=ada") {
		t.Errorf("the log does not say who asked: %s", log)
	}
	for _, secret := range []string{"battery-staple", "wrong-horse", strings.Fields(right)[2], strings.Fields(wrong)[2]} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

func TestVolunteeredLoginsAreDropped(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "basic", User: "bob", Password: "hub-password"})
	put(r, "acme/good", "latest", clean())
	p := start(t, r, "")
	if resp := p.as(t, http.MethodGet, "/v2/", basicHeader("bob", "hub-password")); resp.StatusCode != http.StatusOK {
		t.Errorf("/v2/: %s", resp.Status)
	}
	if resp := p.as(t, http.MethodGet, "/v2/acme/good/manifests/latest", basicHeader("bob", "hub-password")); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s", resp.Status)
	}
	for _, q := range r.Requests() {
		if q.Header.Get("Authorization") != "" {
			t.Errorf("a login that nobody asked for was sent on: %q", q.Header.Get("Authorization"))
		}
	}
	if err := p.stop(); err != nil || strings.Contains(p.log.String(), "hub-password") {
		t.Errorf("%v, %s", err, p.log)
	}
}
