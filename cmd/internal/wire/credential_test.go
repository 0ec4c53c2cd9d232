package wire

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/safepull/safepull/test/registrytest"
)

// attempts counts the requests that showed a password.
func attempts(r *registrytest.Registry) int {
	n := 0
	for _, q := range r.Requests() {
		if strings.HasPrefix(q.Header.Get("Authorization"), "Basic ") {
			n++
		}
	}
	return n
}

// TestWrongPasswordsAreShownOnce: whoever's they are, however many ask; and a rotated one is taken up at once.
func TestWrongPasswordsAreShownOnce(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"basic", "bearer"} {
		for _, whose := range []string{"the proxy's", "a caller's"} {
			t.Run(auth+" "+strings.TrimSuffix(whose, "'s"), func(t *testing.T) {
				t.Parallel()
				r := registrytest.Start(t, registrytest.Options{Auth: auth, Accounts: map[string]registrytest.Account{
					"robot": {Password: "rotated-secret", Repositories: []string{"acme/good"}},
				}})
				put(r, "acme/good", "latest", clean())
				file := filepath.Join(t.TempDir(), "login")
				if err := os.WriteFile(file, []byte("robot:old-secret\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				says := "safepull's own login at docker.io was refused"
				yaml, before, after := "    credentials: {kind: file, path: "+file+", shareWithEveryone: ['**']}\n", nobody, nobody
				if whose == "a caller's" {
					says = "docker.io gives your login no access"
					yaml, before, after = "    credentials: {kind: passThrough}\ndoor: {url: 'http://proxy.example', basicIsFor: docker.io}\n", basicHeader("robot", "old-secret"), basicHeader("robot", "rotated-secret")
				}
				p := start(t, r, yaml)
				var all sync.WaitGroup
				for range 20 {
					all.Go(func() {
						resp := p.as(t, "GET", "/v2/acme/good/manifests/latest", before)
						if resp.StatusCode != http.StatusForbidden || !strings.Contains(resp.Status, says) {
							t.Errorf("with the old password: %s", resp.Status)
						}
					})
				}
				all.Wait()
				p.as(t, "GET", "/v2/acme/good/tags/list", before) // which may not share another's answer
				if n := attempts(r); n != 1 {
					t.Errorf("the wrong password was shown %d times", n)
				}
				if err := os.WriteFile(file, []byte("robot:rotated-secret\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if resp := p.as(t, "GET", "/v2/acme/good/manifests/latest", after); resp.StatusCode != http.StatusOK {
					t.Errorf("with the rotated password: %s", resp.Status)
				}
				operatorKnows(t, p, whose == "the proxy's", file)
				secretsStay(t, p, "old-secret", "rotated-secret")
				if !strings.Contains(p.log.String(), "is not tried again for") {
					t.Errorf("the log does not say why: %s", p.log)
				}
			})
		}
	}
}

// operatorKnows of a refused login, once, when it is the configured one.
func operatorKnows(t *testing.T, p *running, configured bool, file string) {
	t.Helper()
	const line = "level=error msg=\"the upstream refuses the configured login"
	want := 0
	if configured {
		want = 1
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	log := p.log.String()
	if n := strings.Count(log, line); n != want || configured && (!strings.Contains(log, "upstream=docker.io") || !strings.Contains(log, "credentials=file") || !strings.Contains(log, "file="+file)) {
		t.Errorf("%d lines in %s", n, log)
	}
}

// TestWhoseLoginIsMissing where each brings their own, also to clients that cannot be asked for one.
func TestWhoseLoginIsMissing(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "bearer", Accounts: map[string]registrytest.Account{"ada": {Password: "ada-secret", Repositories: []string{"acme/private"}}}})
	put(r, "acme/private", "latest", clean())
	p := start(t, r, "    credentials: {kind: passThrough}\ndoor: {url: 'http://proxy.example', basicIsFor: docker.io}\n")
	for _, path := range []string{"/v2/acme/private/manifests/latest?ns=docker.io", "/v2/acme/private/tags/list?ns=docker.io"} {
		resp := p.as(t, "GET", path, nobody)
		if want := "docker.io gives no access to acme/private without a login: log in at the proxy"; resp.StatusCode != http.StatusForbidden || !strings.Contains(resp.Status, want) {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	secretsStay(t, p, "ada-secret")
}

// thief is a host that wants what is not for it.
func thief(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var stolen atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			stolen.Add(1)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="give it to me"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(s.Close)
	return s, &stolen
}

// TestLoginsStayWithTheirHost: blobs and tokens on other hosts and other ports, and a second upstream beside the first.
func TestLoginsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"basic", "bearer"} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			elsewhere, stolen := thief(t)
			r := registrytest.Start(t, registrytest.Options{Auth: auth, Accounts: map[string]registrytest.Account{
				"ada": {Password: "ada-secret", Repositories: []string{"acme/private"}},
			}})
			image := clean()
			put(r, "acme/private", "latest", image)
			// The other upstream has the same host name, and another port.
			p := start(t, r, "    alias: hub\n    redirectHosts: ['"+strings.TrimPrefix(elsewhere.URL, "http://")+"']\n    credentials: {kind: passThrough}\n"+
				"  - host: "+strings.TrimPrefix(elsewhere.URL, "http://")+"\n    alias: other\n    plainHTTP: true\n    credentials: {kind: passThrough}\n"+
				"door: {url: 'http://proxy.example', basicIsFor: docker.io}\n")
			r.Misbehave("/v2/acme/private/blobs/*", registrytest.Fault{Redirect: elsewhere.URL})
			for _, path := range []string{
				"/v2/acme/private/manifests/latest", "/v2/hub/acme/private/blobs/" + image.Blobs[1].Descriptor.Digest.String(),
				"/v2/other/acme/private/manifests/latest", "/v2/other/acme/private/tags/list",
			} {
				if resp := p.as(t, "GET", path, ada); resp.StatusCode == http.StatusOK {
					t.Errorf("%s: %s", path, resp.Status)
				}
			}
			if n := stolen.Load(); n != 0 {
				t.Errorf("%d requests took a login along", n)
			}
			r.Behave()
			if resp := p.as(t, "GET", "/v2/acme/private/manifests/latest", ada); resp.StatusCode != http.StatusOK {
				t.Errorf("%s", resp.Status)
			}
			// What is handed over by name goes to that registry, and there alone.
			other := "X-Meta-Safepull-Authorization: " + strings.TrimPrefix(elsewhere.URL, "http://") + " Bearer for-the-other"
			p.as(t, "GET", "/v2/other/acme/private/manifests/latest", other)
			for _, q := range r.Requests() {
				if strings.Contains(q.Header.Get("Authorization"), "for-the-other") {
					t.Error("a token for one registry was sent to another")
				}
			}
			secretsStay(t, p, "ada-secret", "for-the-other")
		})
	}
	t.Run("a realm on another port", func(t *testing.T) {
		t.Parallel()
		elsewhere, stolen := thief(t)
		r := registrytest.Start(t, registrytest.Options{Auth: "bearer", Realm: elsewhere.URL + "/token", Accounts: map[string]registrytest.Account{"ada": {Password: "ada-secret"}}})
		put(r, "acme/private", "latest", clean())
		p := start(t, r, "    credentials: {kind: passThrough}\ndoor: {url: 'http://proxy.example', basicIsFor: docker.io}\n")
		if resp := p.as(t, "GET", "/v2/acme/private/manifests/latest", ada); resp.StatusCode == http.StatusOK || stolen.Load() != 0 {
			t.Errorf("%s, %d requests took the login along", resp.Status, stolen.Load())
		}
	})
}
