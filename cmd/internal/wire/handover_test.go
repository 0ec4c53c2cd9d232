//go:build linux

package wire

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/cli/cli/context/docker"
	"github.com/moby/moby/client"

	"github.com/safepull/safepull/plugin"
	"github.com/safepull/safepull/proxy/identity"
	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

// listener writes down what it is handed over.
type listener struct {
	*httptest.Server
	mu      sync.Mutex
	headers []http.Header
	// redirect is where it sends everybody.
	redirect string
}

func listen(t *testing.T, redirect string) *listener {
	t.Helper()
	l := &listener{redirect: redirect}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.headers = append(l.headers, r.Header.Clone())
		l.mu.Unlock()
		if l.redirect != "" {
			http.Redirect(w, r, l.redirect, http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Api-Version", "1.48")
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(l.Close)
	return l
}

// got are the values of a header that the listener was sent, without those of requests that had none.
func (l *listener) got(name string) (values []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.headers {
		values = append(values, h.Values(name)...)
	}
	return values
}

// loggedIn are a plugin's parts for a user with these logins.
func loggedIn(t *testing.T, auths map[string]string) (*pluginParts, *bytes.Buffer) {
	t.Helper()
	file := map[string]any{}
	for host, login := range auths {
		file[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(login))}
		if token, ok := strings.CutPrefix(login, "registry-token:"); ok {
			file[host] = map[string]string{"registrytoken": token}
		}
	}
	body, err := json.Marshal(map[string]any{"auths": file})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	said := &bytes.Buffer{}
	p := &pluginParts{cli: fakeCLI{err: said, file: path}, version: plugin.Version{Version: "v1"}}
	t.Cleanup(func() { _ = p.close() })
	return p, said
}

func location(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestHandover: what is handed over to whom.
func TestHandover(t *testing.T) {
	t.Parallel()
	const remote, near, far = "http://proxy.example.com", "http://127.0.0.1:5000", "https://proxy.example.com"
	basic := base64.StdEncoding.EncodeToString([]byte("ada:s3cret"))
	for name, c := range map[string]struct {
		auth, login, proxy string
		want, say          string
	}{
		"token":              {"bearer", "ada:s3cret", remote, "Bearer ", ""},
		"token near":         {"bearer", "ada:s3cret", near, "Bearer ", ""},
		"wrong password":     {"bearer", "ada:gu3ss", near, "", "without your login"},
		"basic in the clear": {"basic", "ada:s3cret", remote, "", "name the proxy with https"},
		"basic near":         {"basic", "ada:s3cret", near, "Basic " + basic, ""},
		"basic by https":     {"basic", "ada:s3cret", far, "Basic " + basic, ""},
		"standing, clear":    {"bearer", "registry-token:s3cret-token", remote, "", "name the proxy with https"},
		"standing by https":  {"bearer", "registry-token:s3cret-token", far, "Bearer s3cret-token", ""},
		"no login":           {"bearer", "", near, "", ""},
		"open":               {"", "ada:s3cret", near, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{Auth: c.auth, User: "ada", Password: "s3cret"})
			auths := map[string]string{"ghcr.io": "other:never-sent"}
			if c.login != "" {
				auths[r.Host()] = c.login
			}
			p, said := loggedIn(t, auths)
			h := p.handover(location(t, c.proxy), trust.Reference{Registry: r.Host(), Repository: "acme/app", Tag: "1"})
			got := h.header(t.Context(), false)
			if c.want == "" && got != "" || c.want != "" && !strings.HasPrefix(got, r.Host()+" "+c.want) {
				t.Errorf("handed over %q", got)
			}
			if got != "" && c.auth == "bearer" && strings.Contains(got, basic) {
				t.Error("the password was handed over")
			}
			short := c.auth == "bearer" && !strings.HasPrefix(c.login, "registry-token:")
			if only := h.header(t.Context(), true); only != "" && !short {
				t.Errorf("an engine would show %q to whom it asks", only)
			}
			if c.say == "" && said.Len() > 0 || !strings.Contains(said.String(), c.say) {
				t.Errorf("said %q", said)
			}
			for _, secret := range []string{"s3cret", "gu3ss", basic, "never-sent"} {
				if strings.Contains(said.String(), secret) {
					t.Errorf("said %q", said)
				}
			}
			if c.login == "" && len(r.Requests()) > 0 {
				t.Error("a registry was asked for nothing")
			}
			for _, q := range r.Requests() {
				if scope := q.Query.Get("scope"); q.Path == "/token" && scope != "repository:acme/app:pull" {
					t.Errorf("a token for %q", scope)
				}
			}
		})
	}
}

// TestHandoverGoesToTheProxyAlone: neither a redirect nor another host gets it, also where they are the proxy's neighbours.
func TestHandoverGoesToTheProxyAlone(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "bearer", User: "ada", Password: "s3cret"})
	other := listen(t, "")
	proxy := listen(t, other.URL)
	p, _ := loggedIn(t, map[string]string{
		r.Host(): "ada:s3cret", strings.TrimPrefix(proxy.URL, "http://"): "door:of-the-proxy",
	})
	ref := trust.Reference{Registry: r.Host(), Repository: "acme/app", Tag: "1"}
	got, err := p.proxied(t.Context(), location(t, proxy.URL), ref)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Source.Resolve(t.Context(), ref); err == nil {
		t.Error("nothing was resolved into something")
	}
	for _, host := range []string{proxy.URL, other.URL} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(identity.Header, "a foreign value")
		resp, err := (&http.Client{Transport: got.Transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	values := proxy.got(identity.Header)
	if len(values) < 2 {
		t.Errorf("the proxy got %q", values)
	}
	for _, v := range values {
		if !strings.HasPrefix(v, r.Host()+" Bearer ") {
			t.Errorf("the proxy got %q", v)
		}
	}
	if leaked := append(other.got(identity.Header), other.got("Authorization")...); len(other.headers) == 0 || len(leaked) > 0 {
		t.Errorf("%d requests, the other host got %q", len(other.headers), leaked)
	}
	for _, q := range r.Requests() {
		if len(q.Header.Values(identity.Header)) > 0 {
			t.Error("the registry was shown the header")
		}
	}
}

// TestHandoverRenews: a token is used for less than the shortest life that registries give one.
func TestHandoverRenews(t *testing.T) {
	t.Parallel()
	now, asked := time.Unix(1e9, 0), 0
	var said []string
	answer := func() (upstream.Grant, error) { return upstream.Grant{Scheme: "Bearer", Value: "one"}, nil }
	h := &handover{
		ref: trust.Reference{Registry: "r.example.com"}, now: func() time.Time { return now },
		note: func(s string) { said = append(said, s) },
		ask:  func(context.Context) (upstream.Grant, error) { asked++; return answer() },
	}
	for range 3 {
		if got := h.header(t.Context(), true); got != "r.example.com Bearer one" || asked != 1 {
			t.Errorf("%q after %d", got, asked)
		}
	}
	for _, bad := range []upstream.Grant{
		{Scheme: "Bearer", Value: "two words"}, {Scheme: "Bearer", Value: "a\nb"}, {Scheme: "Bearer", Value: strings.Repeat("x", maxGrant+1)},
	} {
		now = now.Add(grantFor)
		answer = func() (upstream.Grant, error) { return bad, nil }
		if got := h.header(t.Context(), false); got != "" {
			t.Errorf("handed over %d bytes", len(got))
		}
	}
	now = now.Add(grantFor)
	answer = func() (upstream.Grant, error) { return upstream.Grant{}, errors.New("down") }
	if got := h.header(t.Context(), false); got != "" || asked != 5 || len(said) != 1 {
		t.Errorf("%q, asked %d times, said %q", got, asked, said)
	}
}

// engineCLI is a docker CLI with an engine.
type engineCLI struct {
	fakeCLI
	host string
}

func (c engineCLI) DockerEndpoint() docker.Endpoint {
	return docker.Endpoint{EndpointMeta: docker.EndpointMeta{Host: c.host}}
}

func (c engineCLI) Client() client.APIClient {
	api, err := client.New(client.WithHost(c.host), client.WithAPIVersion("1.48"))
	if err != nil {
		panic(err)
	}
	return api
}

// TestRecorder: an engine brings the right along for the image that the proxy was asked for, and only then.
func TestRecorder(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "bearer", User: "ada", Password: "s3cret"})
	engine := listen(t, "")
	p, _ := loggedIn(t, map[string]string{r.Host(): "ada:s3cret"})
	cli, ok := p.cli.(fakeCLI)
	if !ok {
		t.Fatal("another CLI")
	}
	p.cli = engineCLI{cli, "tcp://" + strings.TrimPrefix(engine.URL, "http://")}
	ref := trust.Reference{Registry: r.Host(), Repository: "acme/app", Tag: "1"}
	if api, err := p.recorder(t.Context(), ref); err != nil || api != nil {
		t.Errorf("without a proxy: %v, %v", api, err)
	}
	if _, err := p.proxied(t.Context(), location(t, "http://127.0.0.1:1"), ref); err != nil {
		t.Fatal(err)
	}
	if api, err := p.recorder(t.Context(), trust.Reference{Registry: r.Host(), Repository: "acme/other"}); err != nil || api != nil {
		t.Errorf("for another image: %v, %v", api, err)
	}
	api, err := p.recorder(t.Context(), ref)
	if err != nil || api == nil {
		t.Fatal(api, err)
	}
	defer func() { _ = api.Close() }()
	stream, err := api.ImagePull(t.Context(), r.Host()+"/acme/app:1", client.ImagePullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Close()
	if got := engine.got(identity.Header); len(got) != 1 || !strings.HasPrefix(got[0], r.Host()+" Bearer ") {
		t.Errorf("the engine got %q", got)
	}
}

// TestRecorderOfLogins: what is no token of short life stays here, and the user is told.
func TestRecorderOfLogins(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "basic", User: "ada", Password: "s3cret"})
	for login, want := range map[string]string{"ada:s3cret": "gives out none", "": ""} {
		logins := map[string]string{}
		if login != "" {
			logins[r.Host()] = login
		}
		p, said := loggedIn(t, logins)
		ref := trust.Reference{Registry: r.Host(), Repository: "acme/app", Tag: "1"}
		if _, err := p.proxied(t.Context(), location(t, "http://127.0.0.1:1"), ref); err != nil {
			t.Fatal(err)
		}
		if api, err := p.recorder(t.Context(), ref); err != nil || api != nil {
			t.Errorf("%q: %v, %v", login, api, err)
		}
		if got := said.String(); (got != "") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q", login, got)
		}
	}
}
