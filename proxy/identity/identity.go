// Package identity is the proxy's front door: it finds out who asks, by a certificate, a password, a token or a signed
// claim, and which logins they bring for registries. What nobody asked for is dropped on the spot. It keeps no secret
// longer than a request, but for keyed hashes of passwords that were right.
package identity

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust/reference"
)

// The methods by which an identity is proved, as caller.Caller.Method names them.
const (
	byHTPasswd    = "htpasswd"
	byToken       = "token"
	byOIDC        = "oidc"
	byCertificate = "mtls"
)

// basicChallenge asks for a login in the name of a registry that the proxy is taken for without TLS, and nowhere else: an
// engine that uses the proxy as a mirror goes around it, or shows the login of another registry.
const basicChallenge = `Basic realm="safepull"`

// Options say who is let in. With no method at all, everyone is.
type Options struct {
	// HTPasswd is a file of name:bcrypt-hash, Tokens one of name:sha256-hex; empty means that the method is off.
	HTPasswd, Tokens string
	// OIDC takes signed claims; nil means off.
	OIDC *OIDC
	// Certificate is what of a verified client certificate names who asks: commonName, dns, email or uri. Empty means
	// that certificates prove nothing. The TLS listener verifies them.
	Certificate string
	// Anonymous lets in who shows nothing, beside those who prove an identity.
	Anonymous bool
	// PassThrough are the registries that callers read with their own logins.
	PassThrough []string
	// BasicIsFor is the registry that a login at the proxy is for, where it is not the door's own: one of PassThrough.
	// Empty means that such logins are dropped.
	BasicIsFor string
	// Hosts are names under which clients take the proxy for a registry (host, or host:port), with the registry. A login
	// that is shown to one of them is for that registry, and for no other.
	Hosts map[string]string
	// URL is where clients reach the proxy, if that is known; see challengeFor.
	URL string
	// Log is told when a file changed and cannot be read. Nil is silent.
	Log logrus.FieldLogger
}

// Door finds out who asks. It is safe for concurrent use.
type Door struct {
	options     Options
	passwords   *passwords
	tokens      *tokens
	claims      *claims
	passThrough map[string]bool
	hosts       map[string]string
	sessions    *sessions
}

// New reads the files, and fails where one cannot be used. It asks no network.
func New(o Options) (*Door, error) {
	d := &Door{options: o, passThrough: map[string]bool{}, hosts: map[string]string{}}
	for name, registry := range o.Hosts {
		d.hosts[spelling(name)] = registry
	}
	for _, registry := range o.PassThrough {
		d.passThrough[registry] = true
	}
	if o.BasicIsFor != "" && !d.passThrough[o.BasicIsFor] {
		return nil, errors.New("the registry that logins are for must be one that is read with callers' logins")
	}
	if o.Log == nil {
		silent := logrus.New()
		silent.SetLevel(logrus.PanicLevel)
		d.options.Log = silent
	}
	var err error
	if d.sessions, err = newSessions(); err != nil {
		return nil, err
	}
	if o.HTPasswd != "" {
		if d.passwords, err = newPasswords(o.HTPasswd, d.options.Log); err != nil {
			return nil, err
		}
	}
	if o.Tokens != "" {
		if d.tokens, err = newTokens(o.Tokens, d.options.Log); err != nil {
			return nil, err
		}
	}
	if o.OIDC != nil {
		if d.claims, err = newClaims(*o.OIDC); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Close ends requests to the issuer.
func (d *Door) Close() {
	if d.claims != nil {
		d.claims.close()
	}
}

// open reports whether everyone is let in.
func (d *Door) open() bool {
	return d.options.Anonymous || !d.ownLogins() && d.options.Certificate == ""
}

// ownLogins reports whether a name and a password, or a token, can prove an identity here.
func (d *Door) ownLogins() bool { return d.passwords != nil || d.tokens != nil || d.claims != nil }

// Enter finds out who asks. An error is a *caller.Refused, or the end of the request's context.
func (d *Door) Enter(r *http.Request) (caller.Caller, error) {
	// A request that names its registry in ns is a mirror's: at a challenge, some engines go around the proxy without a
	// word, and others show the login of another registry.
	offer := ""
	if !r.URL.Query().Has("ns") && (d.ownLogins() || d.options.BasicIsFor != "") {
		offer = d.challengeFor(r)
	}
	shown, err := shownBy(r)
	if err != nil {
		return caller.Caller{}, &caller.Refused{Reason: err.Error()}
	}
	c := caller.Caller{Logins: d.handedOver(shown), Again: offer}
	if id := d.certified(r); id != "" {
		c.Identity, c.Method = id, byCertificate
	}
	if registry, ok := d.hosts[spelling(r.Host)]; ok {
		shown, offer = d.transparent(r, &c, registry, shown)
	}
	if isSession(shown.bearer) {
		return d.resume(c, shown, offer)
	}
	switch claimed, err := d.prove(r.Context(), &c, shown); {
	case err != nil:
		var refused *caller.Refused
		if errors.As(err, &refused) {
			refused.Challenge = offer
		}
		return caller.Caller{}, err
	case c.Identity == "" && !d.open():
		return caller.Caller{}, &caller.Refused{Reason: d.closed(), Challenge: offer}
	case !claimed && c.Identity == "":
		c.Challenge = offer
	}
	return c, nil
}

// resume takes a token that the door gave out. Who got it without a login, or with a wrong one, is not asked for one
// again: to an engine that uses the proxy as a mirror that is no refusal.
func (d *Door) resume(c caller.Caller, s shown, offer string) (caller.Caller, error) {
	got, refusal, ok := d.sessions.open(s.bearer)
	if !ok {
		return caller.Caller{}, &caller.Refused{Reason: "the token has expired: get another one", Challenge: offer}
	}
	if got.Identity != "" {
		c.Identity, c.Method = got.Identity, got.Method
	}
	for registry, l := range got.Logins {
		if _, handed := c.Logins[registry]; !handed {
			c.Logins[registry] = l
		}
	}
	if c.Identity == "" && !d.open() {
		return caller.Caller{}, &caller.Refused{Reason: cmp.Or(refusal, d.closed())}
	}
	return c, nil
}

// transparent takes what is shown to a proxy that is taken for a registry: a login that is the registry's own. What is
// left of it for the door is what was handed over for the door, and a token that the door gave out. A request that names its
// registry in ns is a mirror's all the same, and is not asked for a login.
func (d *Door) transparent(r *http.Request, c *caller.Caller, registry string, s shown) (left shown, offer string) {
	c.Again = ""
	if s.forDoor {
		return s, ""
	}
	if !d.passThrough[registry] {
		return shown{}, ""
	}
	session := isSession(s.bearer)
	if _, ok := c.Logins[registry]; !ok && !s.none() && !session {
		c.Logins[registry] = s.login()
	}
	if !r.URL.Query().Has("ns") {
		c.Again, offer = inItsName(r)
	}
	switch {
	case session:
		return s, offer
	case !s.none():
		return shown{}, ""
	}
	return shown{}, offer
}

// inItsName are the challenges of a proxy that is taken for a registry: again for who brought a wrong login, first for who
// brought none. Over TLS the name that the client used leads to us, and clients get a token there with a login or without
// one, as the registry's own would have it. Else we ask for the login itself, and only where it is needed: an engine without
// one gives up at that.
func inItsName(r *http.Request) (again, first string) {
	if at := tokensAt(ownAddress(r)); at != "" {
		return at, at
	}
	if r.URL.Path != "/v2/" && r.URL.Path != "/v2" {
		first = basicChallenge
	}
	return basicChallenge, first
}

// spelling is the one spelling of a Host header.
func spelling(host string) string {
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ".")
	if canonical, err := reference.Host(host); err == nil {
		return canonical
	}
	return strings.ToLower(host)
}

func (d *Door) closed() string {
	if d.ownLogins() {
		return "safepull lets in only those who log in at the proxy"
	}
	return "safepull lets in only those who show a client certificate that it knows"
}

// prove fills in what the request's Authorization proves, or brings for a registry. claimed is false where there is
// none that means anything here.
func (d *Door) prove(ctx context.Context, c *caller.Caller, s shown) (claimed bool, err error) {
	if s.none() {
		return false, nil
	}
	id, method, err := d.own(ctx, s)
	switch {
	case err != nil:
		return true, err
	case id != "":
		c.Identity, c.Method = id, method
		return true, nil
	case d.options.BasicIsFor != "" && (d.open() || c.Identity != ""):
		c.Logins[d.options.BasicIsFor] = s.login()
		return true, nil
	case d.ownLogins():
		return true, wrong()
	}
	return false, nil // volunteered, as some engines do to every mirror: nobody asked, so nobody sees it
}

// own asks the door's own methods. No identity and no error mean that what was shown is none of theirs.
func (d *Door) own(ctx context.Context, s shown) (id, method string, err error) {
	secret := s.bearer
	if secret == "" {
		secret = s.password
	}
	switch {
	case d.tokens != nil && isToken(secret):
		id, err = d.tokens.check(secret)
		return id, byToken, err
	case d.claims != nil && d.claims.ours(secret):
		id, err = d.claims.check(ctx, secret)
		return id, byOIDC, err
	case d.passwords != nil && s.bearer == "":
		id, err = d.passwords.check(ctx, s.user, s.password)
		return id, byHTPasswd, err
	}
	return "", "", nil
}

// wrong is the one answer to every login that does not hold: which part of it was wrong is nobody's business.
func wrong() error {
	return &caller.Refused{Reason: "safepull does not know this login: log in at the proxy again"}
}

func busy(reason string) error { return &caller.Refused{Reason: reason, Busy: true} }
