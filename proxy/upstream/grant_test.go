package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

// TestGrant: a token is for pulls from the one repository, and the password goes to the token endpoint alone.
func TestGrant(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		auth, password, scheme string
		want                   error
	}{
		"bearer":         {"bearer", "s3cret", "Bearer", nil},
		"basic":          {"basic", "s3cret", "Basic", nil},
		"open":           {"", "s3cret", "", nil},
		"wrong":          {"bearer", "gu3ss", "", trust.ErrUnauthorized},
		"nobody's login": {"basic", "", "", trust.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{Auth: c.auth, User: "ada", Password: "s3cret"})
			registry, err := upstream.ForHost(t.Context(), r.Host(), upstream.Options{Retries: -1, Credential: func(context.Context, string) (auth.Credential, error) {
				if c.password == "" {
					return auth.EmptyCredential, nil
				}
				return auth.Credential{Username: "ada", Password: c.password}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(registry.Close)
			grant, err := registry.Grant(t.Context(), "acme/app")
			if !errors.Is(err, c.want) || grant.Scheme != c.scheme || (grant.Value == "") != (c.scheme == "") {
				t.Fatalf("%q, %v", grant.Scheme, err)
			}
			if err != nil && strings.Contains(err.Error(), "gu3ss") {
				t.Errorf("the error tells the password: %v", err)
			}
			for _, q := range r.Requests() {
				if q.Path == "/token" && q.Query.Get("scope") != "repository:acme/app:pull" {
					t.Errorf("asked for %q", q.Query)
				}
				if _, _, basic := (&http.Request{Header: q.Header}).BasicAuth(); basic && c.auth == "bearer" && q.Path != "/token" {
					t.Errorf("the password went to %s", q.Path)
				}
			}
		})
	}
}

// TestUnder: a registry that is read through another one is asked for by its name there.
func TestUnder(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "bearer"})
	d := r.PutBlob("registry.example.com/acme/app", []byte("layer"))
	registry, err := upstream.New(upstream.Options{Host: "registry.example.com", URL: r.URL(), Under: "registry.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	content, err := registry.Fetch(t.Context(), trust.Reference{Registry: "registry.example.com", Repository: "acme/app"}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := content.Close(); err != nil {
		t.Error(err)
	}
}
