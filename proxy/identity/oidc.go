package identity

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/safepull/safepull/trust"
)

const (
	// issuerTime bounds one request to the issuer, issuerBytes its answer.
	issuerTime  = 10 * time.Second
	issuerBytes = 1 << 20
	// askEvery is how often the issuer is asked for one thing at most: a token that names an unknown key makes us ask
	// for the keys, and anybody can write one.
	askEvery = 10 * time.Second
	// maxClaims bounds a token.
	maxClaims = 16 << 10
)

// OIDC says whose claims are believed.
type OIDC struct {
	// Issuer is the URL that tokens name as theirs, Audience what they must be made for.
	Issuer, Audience string
	// Claim names who asks; empty means "sub". An address that the issuer did not verify ("email") names nobody.
	Claim string
	// Require are claims that must hold, as "claim=value"; a list holds a value that is in it.
	Require []string
	// Roots verify the issuer's certificate; nil means the system's.
	Roots *x509.CertPool
}

// claims verifies tokens that an issuer signed. Its keys are asked for when the first token comes, so that the proxy
// starts without the issuer.
type claims struct {
	options OIDC
	client  *http.Client
	base    context.Context
	stop    context.CancelFunc

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   error
	at       time.Time
}

func newClaims(o OIDC) (*claims, error) {
	if o.Issuer == "" || o.Audience == "" {
		return nil, errors.New("oidc: issuer and audience are required")
	}
	if o.Claim == "" {
		o.Claim = "sub"
	}
	for _, r := range o.Require {
		if name, _, ok := strings.Cut(r, "="); !ok || name == "" {
			return nil, fmt.Errorf("oidc: %q is no claim=value", r)
		}
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("oidc: the default transport was replaced")
	}
	transport = transport.Clone()
	transport.TLSClientConfig.RootCAs = o.Roots
	transport.DisableKeepAlives = true // the issuer is asked seldom
	c := &claims{options: o, client: &http.Client{
		Transport: &seldom{base: transport, asked: map[string]time.Time{}}, Timeout: issuerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the issuer redirects") },
	}}
	base, stop := context.WithCancel(context.Background())
	c.base, c.stop = oidc.ClientContext(base, c.client), stop
	return c, nil
}

func (c *claims) close() { c.stop() }

// ours reports whether s is a token that claims to be of the issuer. It believes nothing.
func (c *claims) ours(s string) bool {
	parts := strings.Split(s, ".")
	if len(s) > maxClaims || len(parts) != 3 {
		return false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	var says struct {
		Issuer string `json:"iss"`
	}
	return err == nil && json.Unmarshal(body, &says) == nil && says.Issuer == c.options.Issuer
}

// check verifies a token and returns whom it names.
func (c *claims) check(ctx context.Context, token string) (string, error) {
	verifier, err := c.keys(ctx)
	if err != nil {
		return "", err
	}
	verified, err := verifier.Verify(ctx, token)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, errSeldom), isNetwork(err):
		return "", busy("safepull cannot ask the issuer of this login for its keys: try again")
	case err != nil:
		return "", wrong()
	}
	var all map[string]any
	if err := verified.Claims(&all); err != nil {
		return "", wrong()
	}
	for _, r := range c.options.Require {
		name, value, _ := strings.Cut(r, "=")
		if !holds(all[name], value) {
			return "", wrong()
		}
	}
	if c.options.Claim == "email" && all["email_verified"] != true {
		return "", wrong()
	}
	id, _ := all[c.options.Claim].(string)
	if id = trust.Sanitise(id, maxName); id == "" {
		return "", wrong()
	}
	return id, nil
}

func holds(claim any, value string) bool {
	switch is := claim.(type) {
	case string:
		return is == value
	case bool:
		return fmt.Sprint(is) == value
	case []any:
		return slices.ContainsFunc(is, func(one any) bool { return one == value })
	}
	return false
}

// keys finds the issuer's configuration once. A failure counts for askEvery.
func (c *claims) keys(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verifier == nil && (c.failed == nil || time.Since(c.at) > askEvery) {
		provider, err := oidc.NewProvider(c.base, c.options.Issuer) //nolint:contextcheck // its keys outlive the request
		if c.failed, c.at = err, time.Now(); err == nil {
			c.verifier = provider.VerifierContext(c.base, &oidc.Config{ClientID: c.options.Audience}) //nolint:contextcheck // as above
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.verifier == nil:
		return nil, busy("safepull cannot reach the issuer of this login: try again")
	}
	return c.verifier, nil
}

var errSeldom = errors.New("the issuer was asked a moment ago")

// isNetwork tells an issuer that does not answer from a token that is wrong. The library gives no error to tell by.
func isNetwork(err error) bool {
	return err != nil && strings.Contains(err.Error(), "fetching keys")
}

// seldom bounds how often the issuer is asked for one URL, and how much it may answer.
type seldom struct {
	base http.RoundTripper

	mu    sync.Mutex
	asked map[string]time.Time
}

// RoundTrip implements http.RoundTripper.
func (s *seldom) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	last, ok := s.asked[r.URL.String()]
	if ok && time.Since(last) < askEvery || len(s.asked) > 16 {
		s.mu.Unlock()
		return nil, errSeldom
	}
	s.asked[r.URL.String()] = time.Now()
	s.mu.Unlock()
	resp, err := s.base.RoundTrip(r)
	if err == nil {
		resp.Body = limited{io.LimitReader(resp.Body, issuerBytes), resp.Body}
	}
	return resp, err
}

type limited struct {
	io.Reader
	io.Closer
}
