// Package breaker stops logins that a registry refused from being tried again and again: registries lock accounts that
// fail too often, and whoever uses the same account elsewhere is locked out with them.
package breaker

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// first and longest bound how long a refused login is not tried again: twice as long each time.
	first   = time.Minute
	longest = 15 * time.Minute
	// maxLogins bounds the logins that are remembered.
	maxLogins = 4096
	// maxForm bounds the request of a token that is read to find its secret.
	maxForm = 64 << 10
)

// Transport sends requests, but those that show a secret which the same host refused a while ago: they are answered
// with the refusal. A secret is known by a keyed hash, so that a rotated one is tried at once. Until a host has taken a
// secret once, one request at a time shows it: many that come together are no reason to be wrong many times. Nor are many
// secrets for one account, which are tried a bounded number of times. It may be shared by all logins at a registry.
type Transport struct {
	base http.RoundTripper
	now  func() time.Time
	key  []byte

	mu sync.Mutex
	// refused says that the secret which a host answered about last was a wrong one.
	refused  bool
	logins   *lru.Cache[hash, *login]
	accounts *lru.Cache[hash, *account]
}

type hash [sha256.Size]byte

// login is one secret at one host.
type login struct {
	// account is whose secret it is; nil where it names nobody.
	account *account
	// turn is held while the secret is shown, until it was taken once.
	turn chan struct{}

	mu        sync.Mutex
	taken     bool
	refused   int // times in a row
	until     time.Time
	challenge string
}

// New makes a transport before base. now is time.Now but in tests.
func New(base http.RoundTripper, now func() time.Time) (*Transport, error) {
	logins, err1 := lru.New[hash, *login](maxLogins)
	accounts, err2 := lru.New[hash, *account](maxLogins)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("memory of refused logins: %w", err)
	}
	t := &Transport{base: base, now: now, key: make([]byte, sha256.Size), logins: logins, accounts: accounts}
	_, _ = rand.Read(t.key) // never fails
	return t, nil
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	secret, name := shown(r)
	if secret == "" {
		return t.base.RoundTrip(r)
	}
	l := t.login(r.URL.Host, secret, name)
	if !l.proven() {
		select {
		case l.turn <- struct{}{}:
			defer func() { <-l.turn }()
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if resp := l.refuses(r, t.now()); resp != nil {
		return resp, nil
	}
	if a := l.account; a != nil && !l.proven() {
		left, ok := a.begin(t.now())
		if !ok {
			return refusal(r, left, "", "refused too many logins of this name"), nil
		}
		defer func() {
			refused, _ := l.closed(t.now())
			a.end(refused > 0, t.now())
		}()
	}
	base := baseOf(r)
	if base != nil && !l.proven() {
		if err := t.prove(l, base); err != nil {
			return nil, err
		}
		if resp := l.refuses(r, t.now()); resp != nil {
			return resp, nil
		}
	}
	resp, err := t.base.RoundTrip(r)
	if err == nil && (resp.StatusCode != http.StatusUnauthorized || base == nil || !t.rightElsewhere(l, base)) {
		t.learn(l, resp.StatusCode, resp.Header)
	}
	return resp, err
}

// Refused reports whether the secret that was answered about last was a wrong one. It tells something of a login where
// all who use the transport use that one.
func (t *Transport) Refused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused
}

// learn takes an answer about a secret.
func (t *Transport) learn(l *login, status int, header http.Header) {
	l.learn(status, header, t.now())
	left, _ := l.closed(t.now())
	if left <= 0 && !l.proven() {
		return // it told nothing
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = left > 0
}

// refuses answers in the registry's place while the secret must not be shown; else it is nil.
func (l *login) refuses(r *http.Request, now time.Time) *http.Response {
	left, challenge := l.closed(now)
	if left <= 0 {
		return nil
	}
	return refusal(r, left, challenge, "refused this login")
}

func (t *Transport) hash(host, what string) (sum hash) {
	mac := hmac.New(sha256.New, t.key)
	_, _ = fmt.Fprintf(mac, "%d:%s%s", len(host), host, what) // a hash never fails
	copy(sum[:], mac.Sum(nil))
	return sum
}

// login finds what is known of a secret, and of the account that it names, if any.
func (t *Transport) login(host, secret, name string) *login {
	key := t.hash(host, secret)
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.logins.Get(key)
	if ok {
		return l
	}
	l = &login{turn: make(chan struct{}, 1)}
	if name != "" {
		of := t.hash(host, "account "+name)
		if l.account, ok = t.accounts.Get(of); !ok {
			l.account = &account{}
			t.accounts.Add(of, l.account)
		}
	}
	t.logins.Add(key, l)
	return l
}

// shown is the secret that a request shows, a name and a password or what buys a token, and the name. Bearer tokens are
// none: they were given out by the registry, and nobody's account is locked for an old one.
func shown(r *http.Request) (secret, name string) {
	if v := r.Header.Get("Authorization"); len(v) > 6 && strings.EqualFold(v[:6], "basic ") {
		name, _, _ = r.BasicAuth()
		return v, name
	}
	if r.Method != http.MethodPost || r.GetBody == nil || r.ContentLength > maxForm {
		return "", ""
	}
	body, err := r.GetBody()
	if err != nil {
		return "", ""
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, maxForm))
	if err != nil {
		return "", ""
	}
	form, err := url.ParseQuery(string(content))
	if err != nil {
		return "", ""
	}
	if secret := form.Get("refresh_token"); secret != "" {
		return "refresh " + secret, ""
	}
	name = form.Get("username")
	if secret := form.Get("password"); secret != "" {
		return "password " + name + ":" + secret, name
	}
	return "", ""
}

func (l *login) proven() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// closed is how long the secret must not be shown, and the challenge that came with its refusal.
func (l *login) closed(now time.Time) (time.Duration, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until.Sub(now), l.challenge
}

// learn takes an answer. 401 is a secret that is wrong. 403 is one that is right and not enough: a caller who asked for
// another's repository first would be kept from their own. It says nothing else of the secret, and nor do errors.
func (l *login) learn(status int, header http.Header, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case status == http.StatusUnauthorized:
		if now.Before(l.until) {
			return // shown before another's refusal came
		}
		l.taken, l.challenge = false, header.Get("WWW-Authenticate")
		l.until = now.Add(min(longest, first<<min(l.refused, 10)))
		l.refused++
	case status < 400 || status == http.StatusNotFound:
		l.taken, l.refused, l.until = true, 0, time.Time{}
	}
}

// refusal answers in the registry's place; what is what it did.
func refusal(r *http.Request, left time.Duration, challenge, what string) *http.Response {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	body, err := json.Marshal(map[string]any{"errors": []map[string]string{{
		"code":    "UNAUTHORIZED",
		"message": fmt.Sprintf("%s %s, so that it is not tried again for %s, or until it changes", r.URL.Hostname(), what, left.Round(time.Second)),
	}}})
	if err != nil {
		body = []byte(`{}`)
	}
	header := http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(body))}}
	if challenge != "" {
		header.Set("WWW-Authenticate", challenge)
	}
	return &http.Response{
		Status: "401 Unauthorized", StatusCode: http.StatusUnauthorized, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}
