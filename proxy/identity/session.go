package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/safepull/safepull/proxy/caller"
)

// TokenPath is where clients that were answered with a Bearer challenge get a token, with their login or without one.
// Engines that know only a Basic challenge's two ways, to show a login or to give up, go on without a login so. A token to
// pull with is given even to who is not let in: the door then refuses what they ask for, in a way that binds engines that
// could ask elsewhere, where an engine without a token would ask elsewhere at once.
const TokenPath = "/safepull/v1/token" //nolint:gosec // a path

const (
	sessionPrefix = "safepull-session_"
	// sessionFor is how long a token counts; a password that was changed counts as long.
	sessionFor = 5 * time.Minute
)

// sessions seal who asked, and the login that they brought, into a token that only this process can open. The key ends
// with the process: clients ask anew then.
type sessions struct {
	seal cipher.AEAD
	now  func() time.Time
}

// sealed is what a token holds.
type sealed struct {
	Identity, Method string
	Logins           map[string]login
	// Refusal is why the door did not let the holder in, if it did not.
	Refusal string
	Until   time.Time
}

// login is a caller.Login that can be written: a caller's hides its secrets from encoders.
type login struct{ Username, Password, Token string }

func newSessions() (*sessions, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	return &sessions{aead, time.Now}, nil
}

func (s *sessions) issue(c caller.Caller, refusal string) (string, error) {
	what := sealed{Identity: c.Identity, Method: c.Method, Logins: map[string]login{}, Refusal: refusal, Until: s.now().Add(sessionFor)}
	for registry, l := range c.Logins {
		what.Logins[registry] = login{l.Username, l.Password.Reveal(), l.Token.Reveal()}
	}
	plain, err := json.Marshal(what)
	if err != nil {
		return "", fmt.Errorf("sessions: %w", err)
	}
	return sessionPrefix + base64.RawURLEncoding.EncodeToString(s.seal.Seal(nil, nil, plain, nil)), nil
}

// open returns who got the token, and why they were not let in if so; ok is false when it is none of ours, or too old.
func (s *sessions) open(token string) (c caller.Caller, refusal string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, sessionPrefix))
	if err != nil {
		return caller.Caller{}, "", false
	}
	plain, err := s.seal.Open(nil, nil, raw, nil)
	var what sealed
	if err != nil || json.Unmarshal(plain, &what) != nil || !s.now().Before(what.Until) {
		return caller.Caller{}, "", false
	}
	c = caller.Caller{Identity: what.Identity, Method: what.Method, Logins: map[string]caller.Login{}}
	for registry, l := range what.Logins {
		c.Logins[registry] = caller.Login{Username: l.Username, Password: caller.Secret(l.Password), Token: caller.Secret(l.Token)}
	}
	return c, what.Refusal, true
}

func isSession(s string) bool { return strings.HasPrefix(s, sessionPrefix) }

// challengeFor asks for a login, by a token that we give out. The challenge names our own address, so that it is made only
// where that is known: configured, or by a name to which the client speaks TLS with us. A wrong guess would send passwords
// elsewhere, and to be asked for a password itself (Basic) makes engines that use the proxy as a mirror go around it: where
// no address is known, nobody is asked.
func (d *Door) challengeFor(r *http.Request) string {
	if at := strings.TrimSuffix(d.options.URL, "/"); at != "" {
		return tokensAt(at)
	}
	return tokensAt(ownAddress(r))
}

// ownAddress is the address by which the client speaks TLS with us; empty where it does not.
func ownAddress(r *http.Request) string {
	if r.TLS == nil || r.Host == "" || strings.ContainsAny(r.Host, "\"\\ /?#@,;") {
		return ""
	}
	return "https://" + r.Host
}

// tokensAt is the challenge that names an address of ours; empty without one.
func tokensAt(at string) string {
	if at == "" {
		return ""
	}
	return fmt.Sprintf("Bearer realm=%q,service=%q", at+TokenPath, "safepull")
}
