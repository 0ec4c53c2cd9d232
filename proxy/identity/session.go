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
// Engines that know only a Basic challenge's two ways, to show a login or to give up, go on without a login so.
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
	Until            time.Time
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

func (s *sessions) issue(c caller.Caller) (string, error) {
	what := sealed{Identity: c.Identity, Method: c.Method, Logins: map[string]login{}, Until: s.now().Add(sessionFor)}
	for registry, l := range c.Logins {
		what.Logins[registry] = login{l.Username, l.Password.Reveal(), l.Token.Reveal()}
	}
	plain, err := json.Marshal(what)
	if err != nil {
		return "", fmt.Errorf("sessions: %w", err)
	}
	return sessionPrefix + base64.RawURLEncoding.EncodeToString(s.seal.Seal(nil, nil, plain, nil)), nil
}

// open returns who got the token; ok is false when it is none of ours, or too old.
func (s *sessions) open(token string) (c caller.Caller, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, sessionPrefix))
	if err != nil {
		return caller.Caller{}, false
	}
	plain, err := s.seal.Open(nil, nil, raw, nil)
	var what sealed
	if err != nil || json.Unmarshal(plain, &what) != nil || !s.now().Before(what.Until) {
		return caller.Caller{}, false
	}
	c = caller.Caller{Identity: what.Identity, Method: what.Method, Logins: map[string]caller.Login{}}
	for registry, l := range what.Logins {
		c.Logins[registry] = caller.Login{Username: l.Username, Password: caller.Secret(l.Password), Token: caller.Secret(l.Token)}
	}
	return c, true
}

func isSession(s string) bool { return strings.HasPrefix(s, sessionPrefix) }

// challengeFor asks for a login. A Bearer challenge names our own address, so that it is made only where that is known:
// configured, or by a name to which the client speaks TLS with us. A wrong guess would send passwords elsewhere.
func (d *Door) challengeFor(r *http.Request) string {
	at := strings.TrimSuffix(d.options.URL, "/")
	if at == "" && r.TLS != nil && !strings.ContainsAny(r.Host, "\"\\ /?#@,;") {
		at = "https://" + r.Host
	}
	if at == "" {
		return challenge
	}
	return fmt.Sprintf("Bearer realm=%q,service=%q", at+TokenPath, "safepull")
}

// ServeHTTP gives out tokens. It is served at TokenPath, before the door.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodGet { // clients that would rather POST ask again
		w.Header().Set("Allow", "GET")
		answer(w, http.StatusMethodNotAllowed, map[string]any{"errors": []map[string]string{{"code": "UNSUPPORTED", "message": "tokens are got with GET"}}})
		return
	}
	c, err := d.Enter(r)
	token := ""
	if err == nil {
		token, err = d.sessions.issue(c)
	}
	if err != nil {
		answer(w, http.StatusUnauthorized, map[string]any{"errors": []map[string]string{{"code": "UNAUTHORIZED", "message": err.Error()}}})
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"token": token, "access_token": token, "expires_in": int(sessionFor.Seconds()), "issued_at": time.Now().UTC().Format(time.RFC3339),
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone needs no answer
}
