package wire

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/test/imagetest"
	"github.com/safepull/safepull/test/registrytest"
)

// ways are the ways to name docker.io's repository acme/private at the proxy.
var ways = map[string]struct{ prefix, query string }{
	"default": {"/v2/", ""},
	"alias":   {"/v2/hub/", ""},
	"host":    {"/v2/docker.io/", ""},
	"ns":      {"/v2/", "ns=docker.io"},
	"both":    {"/v2/docker.io/", "ns=docker.io"},
}

// request is one thing to be read below a repository.
type request struct {
	name, method, path string
	headers            []string
}

// routes are all that the proxy serves of an image.
func routes(b imagetest.Built) []request {
	layer := b.Blobs[1].Descriptor.Digest.String()
	all := []request{
		{"manifest by tag", "GET", "manifests/latest", nil},
		{"manifest by digest", "GET", "manifests/" + b.Root.Digest.String(), nil},
		{"manifest by digest, known to the client", "GET", "manifests/" + b.Root.Digest.String(), []string{`If-None-Match: "` + b.Root.Digest.String() + `"`}},
		{"config", "GET", "blobs/" + b.Blobs[0].Descriptor.Digest.String(), nil},
		{"layer", "GET", "blobs/" + layer, nil},
		{"part of a layer", "GET", "blobs/" + layer, []string{"Range: bytes=1-4"}},
		{"tail of a layer", "GET", "blobs/" + layer, []string{"Range: bytes=-4"}},
		{"layer, known to the client", "GET", "blobs/" + layer, []string{`If-None-Match: "` + layer + `"`}},
		{"tags", "GET", "tags/list", nil},
		{"a page of tags", "GET", "tags/list?n=1", nil},
		{"referrers", "GET", "referrers/" + b.Root.Digest.String(), nil},
	}
	for _, r := range all {
		r.name, r.method = "HEAD of "+r.name, "HEAD"
		all = append(all, r)
	}
	return all
}

func (p *running) ask(t *testing.T, way, repository string, q request, login string) *http.Response {
	t.Helper()
	path, query, _ := strings.Cut(q.path, "?")
	query = strings.Trim(query+"&"+ways[way].query, "&")
	if query != "" {
		query = "?" + query
	}
	return p.as(t, q.method, ways[way].prefix+repository+"/"+path+query, append(q.headers, login)...)
}

// passing is a proxy whose callers read docker.io with their own logins.
func passing(t *testing.T, auth string) (*registrytest.Registry, *running, imagetest.Built) {
	t.Helper()
	r := registrytest.Start(t, registrytest.Options{
		Auth: auth, Public: []string{"acme/public"},
		Accounts: map[string]registrytest.Account{
			"ada": {Password: "ada-secret", Repositories: []string{"acme/private"}},
			"bob": {Password: "bob-secret", Repositories: []string{"bob/own"}},
		},
	})
	image := clean()
	put(r, "acme/private", "latest", image)
	put(r, "acme/public", "latest", imagetest.Image{Layers: []imagetest.Blob{imagetest.Layer(imagetest.Text("public", "public"))}}.Build())
	p := start(t, r, "    alias: hub\n    credentials: {kind: passThrough}\ndoor: {url: 'http://proxy.example', basicIsFor: docker.io}\n")
	return r, p, image
}

var (
	ada    = basicHeader("ada", "ada-secret")
	bob    = basicHeader("bob", "bob-secret")
	nobody = "X-Nothing: x"
)

// TestNobodyReadsWhatTheyCouldNotReadUpstream: every route, named in every way, with two users and without a login; when
// nothing is in the cache, and when everything is.
func TestNobodyReadsWhatTheyCouldNotReadUpstream(t *testing.T) {
	t.Parallel()
	for _, auth := range []string{"basic", "bearer"} {
		t.Run(auth, func(t *testing.T) {
			t.Parallel()
			r, p, image := passing(t, auth)
			said := map[string]string{}
			denied := func(when string) {
				t.Helper()
				for way := range ways {
					for _, q := range routes(image) {
						for who, login := range map[string]string{"bob": bob, "nobody": nobody, "a stranger": basicHeader("eve", "x")} {
							resp := p.ask(t, way, "acme/private", q, login)
							if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusUnauthorized {
								t.Errorf("%s, %s, %s by %s: %s", when, way, q.name, who, resp.Status)
							}
							// Whether somebody who may has pulled the image makes no difference.
							told := shown(resp)
							if first := said[way+q.name+who]; when == "warm" && first != told {
								t.Errorf("%s, %s by %s: %s, and when it was unknown %s", way, q.name, who, told, first)
							}
							said[way+q.name+who] = told
							if resp.StatusCode == http.StatusUnauthorized && (login != nobody || ways[way].query != "") {
								t.Errorf("%s, %s, %s by %s: a challenge to who showed a login, or to a mirror", when, way, q.name, who)
							}
							for _, h := range []string{"Docker-Content-Digest", "Etag", "Link"} {
								if v := resp.Header.Get(h); v != "" {
									t.Errorf("%s, %s, %s by %s: %s: %s", when, way, q.name, who, h, v)
								}
							}
						}
					}
				}
			}
			denied("cold")
			for way := range ways {
				for _, q := range routes(image) {
					resp := p.ask(t, way, "acme/private", q, ada)
					if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent && resp.StatusCode != http.StatusNotModified {
						t.Errorf("%s, %s by ada: %s", way, q.name, resp.Status)
					}
				}
			}
			denied("warm")
			if n := r.Count(http.MethodGet, "/v2/acme/private/blobs/"+image.Blobs[1].Descriptor.Digest.String()); n != 1 {
				t.Errorf("the layer was fetched %d times", n)
			}
			if n := r.Count(http.MethodGet, "/v2/acme/private/blobs/*") + r.Count(http.MethodGet, "/v2/acme/private/manifests/*"); n > 5 {
				t.Errorf("ada's pull was %d reads of content", n)
			}
			for who, login := range map[string]string{"bob": bob, "nobody": nobody} {
				if body := p.body(t, "/safepull/v1/verdicts?reference=acme/private", login); strings.Contains(body, "SP-") {
					t.Errorf("verdicts on acme/private are told to %s: %s", who, body)
				}
			}
			if body := p.body(t, "/safepull/v1/verdicts?reference=acme/private", ada); !strings.Contains(body, "SP-") {
				t.Errorf("ada is told of no verdict: %s", body)
			}
			for login, want := range map[string]int{ada: 200, bob: 200, basicHeader("ada", "wrong"): 401, nobody: 401} {
				if resp := p.as(t, "GET", "/v2/", login); resp.StatusCode != want {
					t.Errorf("ping with %q: %s", login, resp.Status)
				}
			}
			// What everyone may read, everyone reads.
			for who, login := range map[string]string{"ada": ada, "bob": bob, "nobody": nobody} {
				if resp := p.as(t, "GET", "/v2/acme/public/manifests/latest", login); resp.StatusCode != http.StatusOK {
					t.Errorf("public by %s: %s", who, resp.Status)
				}
			}
			secretsStay(t, p, "ada-secret", "bob-secret", strings.Fields(ada)[2], strings.Fields(bob)[2])
		})
	}
}

// shown is what an answer tells, but for the time and the request's own number.
func shown(resp *http.Response) string {
	header := resp.Header.Clone()
	for _, name := range []string{"Date", "X-Request-Id"} {
		header.Del(name)
	}
	return fmt.Sprint(resp.Status, header)
}

// secretsStay stops the proxy and looks for secrets in all that it wrote.
func secretsStay(t *testing.T, p *running, secrets ...string) {
	t.Helper()
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	look := func(where, content string) {
		for _, s := range secrets {
			if strings.Contains(content, s) {
				t.Errorf("%s has %q", where, s)
			}
		}
	}
	look("the log", p.log.String())
	err := filepath.WalkDir(p.stateDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		look(path, path+string(body))
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDigestsAreNoKeys: who knows the digest of a private layer and names it in a manifest of their own does not get
// it from the cache.
func TestDigestsAreNoKeys(t *testing.T) {
	t.Parallel()
	r, p, image := passing(t, "basic")
	if resp := p.as(t, "GET", "/v2/acme/private/manifests/latest", ada); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	r.PutManifest("bob/own", "latest", image.Root.MediaType, image.Manifest)
	p.as(t, "GET", "/v2/bob/own/manifests/latest", bob)
	for _, b := range image.Blobs {
		for _, method := range []string{"GET", "HEAD"} {
			if resp := p.as(t, method, "/v2/bob/own/blobs/"+b.Descriptor.Digest.String(), bob); resp.StatusCode == http.StatusOK {
				t.Errorf("%s %s: %s", method, b.Descriptor.MediaType, resp.Status)
			}
		}
	}
	// With the blobs there, they are bob's.
	put(r, "bob/own", "latest", image)
	for _, path := range []string{"manifests/latest", "blobs/" + image.Blobs[0].Descriptor.Digest.String()} {
		for end := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) { // a no is remembered for moments
			resp := p.as(t, "GET", "/v2/bob/own/"+path, bob)
			if resp.StatusCode == http.StatusOK {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %s", path, resp.Status)
			}
		}
	}
}

// TestDigestsTellNothing: nor does it tell what the layer shows, which a refusal and its evidence would.
func TestDigestsTellNothing(t *testing.T) {
	t.Parallel()
	r, p, _ := passing(t, "basic")
	image := mining(t)
	put(r, "acme/private", "bad", image)
	if resp := p.as(t, "GET", "/v2/acme/private/manifests/bad", ada); resp.StatusCode != http.StatusForbidden || resp.Header.Get("X-Safepull-Verdict") == "" {
		t.Fatal(resp.Status)
	}
	r.PutManifest("bob/own", "latest", image.Root.MediaType, image.Manifest)
	r.PutBlob("bob/own", image.Blobs[0].Content) // its configuration he may know too
	for range 2 {
		resp := p.as(t, "GET", "/v2/bob/own/manifests/latest", bob)
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("X-Safepull-Verdict") != "" {
			t.Errorf("bob learns of a layer that he does not have: %s %v", resp.Status, resp.Header)
		}
	}
	if body := p.body(t, "/safepull/v1/verdicts?reference=bob/own", bob); strings.Contains(body, "SP-") {
		t.Errorf("bob is told of a verdict: %s", body)
	}
}

// TestOwnLoginIsForThoseWhoLogIn: what the proxy's login reads is for callers that the door knows.
func TestOwnLoginIsForThoseWhoLogIn(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "bearer", Public: []string{"acme/public"}, Accounts: map[string]registrytest.Account{
		"robot": {Password: "robot-secret", Repositories: []string{"acme/private"}},
	}})
	image := clean()
	put(r, "acme/private", "latest", image)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("robot:robot-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, r, "    alias: hub\n    credentials: {kind: file, path: "+file+", shareWithAuthenticated: true}\n"+
		"door: {url: 'http://proxy.example', anonymous: true, htpasswd: "+loginsFile(t, "ada", "door-secret")+"}\n")
	known := basicHeader("ada", "door-secret")
	for _, when := range []string{"cold", "warm"} {
		for way := range ways {
			for _, q := range routes(image) {
				if resp := p.ask(t, way, "acme/private", q, nobody); resp.StatusCode < 400 {
					t.Errorf("%s, %s, %s by nobody: %s", when, way, q.name, resp.Status)
				}
			}
		}
		for _, q := range routes(image) {
			if resp := p.ask(t, "default", "acme/private", q, known); resp.StatusCode >= 400 {
				t.Errorf("%s, %s by ada: %s", when, q.name, resp.Status)
			}
		}
	}
	secretsStay(t, p, "robot-secret", "door-secret")
}

func (p *running) body(t *testing.T, path, header string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(header, ": ")
	req.Header.Set(name, value)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
