package breaker

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// Some registries answer 401 to a right login too, for a repository that is not for it. Were that taken for a wrong login,
// whoever may ask for any repository could keep everyone else out. The registry's base, /v2/, which is for every login,
// tells the two apart, unless it asks for none.

// maxPing bounds what is read of an answer whose status says all.
const maxPing = 4 << 10

// baseOf is the question for a registry's base that shows what r does; nil unless r asks for something of a
// repository: endpoints for tokens may lie below the base too.
func baseOf(r *http.Request) *http.Request {
	prefix, rest, ok := strings.Cut(r.URL.Path, "/v2/")
	ofRepository := slices.ContainsFunc([]string{"/manifests/", "/blobs/", "/tags/", "/referrers/"}, func(s string) bool { return strings.Contains(rest, s) })
	if !ok || !ofRepository || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	base := r.Clone(r.Context())
	base.Method = http.MethodGet
	base.URL.Path, base.URL.RawPath, base.URL.RawQuery = prefix+"/v2/", "", ""
	base.Header = http.Header{"Authorization": r.Header["Authorization"], "User-Agent": r.Header["User-Agent"]}
	return base
}

// ping returns the answer's status and header.
func (t *Transport) ping(base *http.Request) (int, http.Header, error) {
	resp, err := t.base.RoundTrip(base)
	if err != nil {
		return 0, nil, err
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxPing) // so that the connection can be used again
	return resp.StatusCode, resp.Header, resp.Body.Close()
}

// prove shows a secret that the host has not taken yet at the base first: a wrong one is wrong once.
func (t *Transport) prove(l *login, base *http.Request) error {
	status, header, err := t.ping(base)
	if err == nil && status == http.StatusUnauthorized {
		t.learn(l, status, header)
	}
	return err
}

// rightElsewhere reports whether the base takes the secret now, and nobody without one.
func (t *Transport) rightElsewhere(l *login, base *http.Request) bool {
	taken, header, err := t.ping(base)
	if err != nil || taken >= http.StatusBadRequest {
		return false
	}
	without := base.Clone(base.Context())
	without.Header.Del("Authorization")
	open, _, err := t.ping(without)
	if err != nil || open != http.StatusUnauthorized {
		return false
	}
	t.learn(l, taken, header)
	return true
}
