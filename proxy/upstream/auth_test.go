package upstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/safepull/safepull/proxy/upstream"
	"github.com/safepull/safepull/proxy/upstream/credential"
	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
)

var staticLogin = credential.Static("u", "hush")

func TestLogin(t *testing.T) {
	t.Parallel()
	token := func(context.Context, string) (auth.Credential, error) {
		return auth.Credential{RefreshToken: "id"}, nil
	}
	failing := func(context.Context, string) (auth.Credential, error) {
		return auth.Credential{}, errors.New("the vault is closed")
	}
	tests := map[string]struct {
		options  registrytest.Options
		login    auth.CredentialFunc
		wantErr  error
		wantText string
	}{
		"basic":               {options: registrytest.Options{Auth: "basic", User: "u", Password: "hush"}, login: staticLogin},
		"basic-tls":           {options: registrytest.Options{Auth: "basic", User: "u", Password: "hush", TLS: true}, login: staticLogin},
		"basic-anonymous":     {options: registrytest.Options{Auth: "basic", User: "u", Password: "hush"}, wantErr: trust.ErrUnauthorized},
		"basic-wrong":         {options: registrytest.Options{Auth: "basic", User: "u", Password: "else"}, login: staticLogin, wantErr: trust.ErrUnauthorized},
		"bearer":              {options: registrytest.Options{Auth: "bearer", User: "u", Password: "hush"}, login: staticLogin},
		"bearer-for-everyone": {options: registrytest.Options{Auth: "bearer"}},
		"bearer-anonymous":    {options: registrytest.Options{Auth: "bearer", User: "u", Password: "hush"}, wantErr: trust.ErrUnauthorized},
		"bearer-wrong":        {options: registrytest.Options{Auth: "bearer", User: "u", Password: "else"}, login: staticLogin, wantErr: trust.ErrUnauthorized},
		"bearer-identity":     {options: registrytest.Options{Auth: "bearer", IdentityToken: "id"}, login: token},
		"basic-identity":      {options: registrytest.Options{Auth: "basic", User: "u", Password: "hush"}, login: token, wantErr: trust.ErrUnauthorized, wantText: "it wants a user name and a password"},
		"login-not-found-out": {options: registrytest.Options{Auth: "bearer"}, login: failing, wantErr: trust.ErrUnauthorized, wantText: "the vault is closed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, tt.options)
			r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
			u := dial(t, r, func(o *upstream.Options) { o.Credential = tt.login })
			_, err := u.Resolve(t.Context(), tagged(r, "latest"))
			if !errors.Is(err, tt.wantErr) || (err != nil && !strings.Contains(err.Error(), tt.wantText)) {
				t.Fatalf("error %v, want %v with %q", err, tt.wantErr, tt.wantText)
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the password is in %q", err)
			}
			for _, q := range r.Requests() {
				if q.Header.Get("User-Agent") != "safepull" {
					t.Errorf("user agent %q", q.Header.Get("User-Agent"))
				}
			}
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "bearer"})
	r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
	u := dial(t, r, nil)
	resolve := func() {
		t.Helper()
		if _, err := u.Resolve(t.Context(), tagged(r, "latest")); err != nil {
			t.Error(err)
		}
	}
	resolve()
	resolve()
	if n := r.Count("", "/token"); n != 1 {
		t.Errorf("%d tokens for two requests, want 1", n)
	}
	r.ExpireTokens()
	resolve()
	if n := r.Count("", "/token"); n != 2 {
		t.Errorf("%d tokens after they expired, want 2", n)
	}
}

// One caller that leaves while it gets the token for all must not make the others fail.
func TestTokenOfOneWhoLeaves(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "bearer"})
	r.PutManifest(repo, "latest", ocispec.MediaTypeImageManifest, manifestOf(""))
	r.Misbehave("/token", registrytest.Fault{HeaderDelay: time.Minute, Times: 1})
	u := dial(t, r, nil)
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := u.Resolve(ctx, tagged(r, "latest")); !errors.Is(err, context.Canceled) {
			t.Errorf("who left got %v", err)
		}
	})
	for r.Count("", "/token") == 0 {
		time.Sleep(time.Millisecond)
	}
	all.Go(func() {
		if _, err := u.Resolve(t.Context(), tagged(r, "latest")); err != nil {
			t.Errorf("who stayed got %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	leave()
	all.Wait()
}

func TestRealm(t *testing.T) {
	t.Parallel()
	elsewhere := registrytest.Start(t, registrytest.Options{Auth: "bearer"})
	t.Cleanup(func() {
		if n := elsewhere.Count("GET", "/token"); n != 1 {
			t.Errorf("%d requests to the other realm, want that of the registry for which it is configured", n)
		}
	})
	tests := map[string]struct {
		realm string
		tls   bool
		hosts []string
	}{
		"configured":           {realm: elsewhere.URL() + "/token", hosts: []string{elsewhere.Host()}},
		"metadata-address":     {realm: "http://169.254.169.254/token"},
		"metadata-in-ipv6":     {realm: "http://[::ffff:169.254.169.254]/token"},
		"https-to-http":        {realm: elsewhere.URL() + "/token", tls: true},
		"no-http":              {realm: "file:///etc/passwd"},
		"token-of-another":     {realm: elsewhere.URL() + "/token"},
		"unspecified-loopback": {realm: "http://0.0.0.0:1/token"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{Auth: "bearer", Realm: tt.realm, TLS: tt.tls})
			_, err := dial(t, r, func(o *upstream.Options) { o.Reach.TokenHosts = tt.hosts }).Resolve(t.Context(), tagged(r, "latest"))
			if !errors.Is(err, trust.ErrUnavailable) && !errors.Is(err, trust.ErrUnauthorized) {
				t.Errorf("error %v", err)
			}
		})
	}
}
