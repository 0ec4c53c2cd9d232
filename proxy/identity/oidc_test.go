package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/identity"
)

// issuer is an OpenID Connect issuer without the internet.
type issuer struct {
	*httptest.Server
	key        *ecdsa.PrivateKey
	keyAsked   atomic.Int32
	configured atomic.Int32
	mischief   atomic.Value // string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.mischief.Store("")
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch i.mischief.Load() {
		case "down":
			w.WriteHeader(http.StatusBadGateway)
			return
		case "endless":
			for range 4 << 10 {
				_, _ = w.Write([]byte(strings.Repeat(" ", 1<<10)))
			}
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			i.configured.Add(1)
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
			})
		case "/keys":
			i.keyAsked.Add(1)
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.Certificate())
	return pool
}

func sign(t *testing.T, key *ecdsa.PrivateKey, id string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// claims are good ones, but for what changes names.
func (i *issuer) claims(changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": i.URL, "aud": "safepull", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"email": "ada@example.com", "email_verified": true, "groups": []string{"people", "pullers"},
	}
	for k, v := range changes {
		all[k] = v
	}
	return all
}

func TestSignedClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	doors := map[string]*identity.Door{
		"sub":   newDoor(t, identity.Options{OIDC: &identity.OIDC{Issuer: i.URL, Audience: "safepull", Roots: i.roots(), Require: []string{"groups=pullers"}}}),
		"email": newDoor(t, identity.Options{OIDC: &identity.OIDC{Issuer: i.URL, Audience: "safepull", Roots: i.roots(), Claim: "email"}}),
	}
	none := strings.Split(sign(t, i.key, "one", i.claims(nil)), ".")
	none[0] = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for name, c := range map[string]struct {
		door, token, want string
	}{
		"good":                {"sub", sign(t, i.key, "one", i.claims(nil)), "ada"},
		"email":               {"email", sign(t, i.key, "one", i.claims(nil)), "ada@example.com"},
		"unverified email":    {"email", sign(t, i.key, "one", i.claims(map[string]any{"email_verified": false})), ""},
		"another key":         {"sub", sign(t, other, "one", i.claims(nil)), ""},
		"another audience":    {"sub", sign(t, i.key, "one", i.claims(map[string]any{"aud": "grafana"})), ""},
		"several audiences":   {"sub", sign(t, i.key, "one", i.claims(map[string]any{"aud": []string{"grafana", "safepull"}})), "ada"},
		"another issuer":      {"sub", sign(t, i.key, "one", i.claims(map[string]any{"iss": "https://login.example"})), ""},
		"expired":             {"sub", sign(t, i.key, "one", i.claims(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})), ""},
		"not yet":             {"sub", sign(t, i.key, "one", i.claims(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})), ""},
		"without a claim":     {"sub", sign(t, i.key, "one", i.claims(map[string]any{"groups": []string{"people"}})), ""},
		"without a name":      {"sub", sign(t, i.key, "one", i.claims(map[string]any{"sub": ""})), ""},
		"a name of two lines": {"sub", sign(t, i.key, "one", i.claims(map[string]any{"sub": "a\nb"})), "a b"},
		"unsigned":            {"sub", strings.Join(none, "."), ""},
		"no signature":        {"sub", none[0] + "." + none[1] + ".", ""},
		"no token":            {"sub", "a.b.c", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, header := range []string{"Bearer " + c.token, basic("oidc", c.token)} {
				got, err := doors[c.door].Enter(ask(image, "Authorization: "+header))
				if err != nil && strings.Contains(err.Error(), c.token) {
					t.Errorf("the token is in %q", err)
				}
				switch {
				case c.want == "" && err == nil:
					t.Errorf("let in as %q", got.Identity)
				case c.want != "" && (err != nil || strings.ReplaceAll(got.Identity, "\\n", " ") != c.want || got.Method != "oidc"):
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
}

// TestIssuerIsAskedSeldom: anybody can write a token that names an unknown key.
func TestIssuerIsAskedSeldom(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := newDoor(t, identity.Options{OIDC: &identity.OIDC{Issuer: i.URL, Audience: "safepull", Roots: i.roots()}})
	good := ask(image, "Authorization: Bearer "+sign(t, i.key, "one", i.claims(nil)))
	if _, err := d.Enter(good); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if _, err := d.Enter(ask(image, "Authorization: Bearer "+sign(t, i.key, fmt.Sprint("unknown", n), i.claims(nil)))); err == nil {
			t.Error("let in by an unknown key")
		}
	}
	if _, err := d.Enter(good); err != nil {
		t.Error(err)
	}
	if n, m := i.configured.Load(), i.keyAsked.Load(); n != 1 || m > 2 {
		t.Errorf("asked %d times for its configuration and %d times for its keys", n, m)
	}
}

func TestIssuerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for _, mischief := range []string{"down", "endless"} {
		i := newIssuer(t)
		i.mischief.Store(mischief)
		d := newDoor(t, identity.Options{OIDC: &identity.OIDC{Issuer: i.URL, Audience: "safepull", Roots: i.roots()}})
		var refused *caller.Refused
		if _, err := d.Enter(ask(image, "Authorization: Bearer "+sign(t, i.key, "one", i.claims(nil)))); !errors.As(err, &refused) || !refused.Busy {
			t.Errorf("%s: %v", mischief, err)
		}
	}
	for _, o := range []identity.OIDC{{Audience: "x"}, {Issuer: "https://x"}, {Issuer: "https://x", Audience: "x", Require: []string{"x"}}} {
		if _, err := identity.New(identity.Options{OIDC: &o}); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: "ada"}, SerialNumber: big.NewInt(1), DNSNames: []string{"host.example"},
		EmailAddresses: []string{"ada@example.com"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "example", Path: "/ada"}},
	}
	verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}, PeerCertificates: []*x509.Certificate{leaf}}
	for kind, want := range map[string]string{
		identity.CommonName: "ada", identity.DNSName: "host.example", identity.Email: "ada@example.com", identity.URI: "spiffe://example/ada",
	} {
		d := newDoor(t, identity.Options{Certificate: kind})
		r := ask(image)
		r.TLS = verified
		if got, err := d.Enter(r); err != nil || got.Identity != want || got.Method != "mtls" {
			t.Errorf("%s: %+v, %v", kind, got, err)
		}
		for what, state := range map[string]*tls.ConnectionState{
			"no TLS": nil, "no certificate": {}, "not verified": {PeerCertificates: []*x509.Certificate{leaf}},
			"no name": {VerifiedChains: [][]*x509.Certificate{{{}}}},
		} {
			r.TLS = state
			var refused *caller.Refused
			if got, err := d.Enter(r); !errors.As(err, &refused) || refused.Challenge != "" {
				t.Errorf("%s, %s: %+v, %v", kind, what, got, err)
			}
		}
	}
	// With a certificate, the login may be an upstream's.
	d := newDoor(t, identity.Options{Certificate: identity.CommonName, PassThrough: []string{"docker.io"}, BasicIsFor: "docker.io"})
	r := ask(image, "Authorization: "+basic("bob", "hub-password"))
	if _, err := d.Enter(r); err == nil {
		t.Error("an upstream's login opened the door")
	}
	r.TLS = verified
	if got, err := d.Enter(r); err != nil || got.Identity != "ada" || got.Logins["docker.io"].Username != "bob" {
		t.Errorf("%+v, %v", got, err)
	}
}
