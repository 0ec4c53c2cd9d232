package signatures

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/trust"
)

const sum = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// fakeChecker answers as it is told, and remembers what it was asked.
type fakeChecker struct {
	wrong string
	err   error
	ref   trust.Reference
	by    trust.Signer
}

func (c *fakeChecker) Signed(_ context.Context, ref trust.Reference, by trust.Signer) (string, error) {
	c.ref, c.by = ref, by
	return c.wrong, c.err
}

func keyOnly(s trust.Signer) error {
	if s.Key != "k" {
		return errors.New("it has no key")
	}
	return nil
}

func ask(h http.Handler, method, path, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf(`{"reference":"ghcr.io/acme/app@%s","index":%q,"signer":{"key":"k"}}`, sum, sum)
	for name, tt := range map[string]struct {
		method, kind, body, path string
		wrong                    string
		err                      error
		status                   int
		says                     string
	}{
		"signed":           {body: good, status: 200, says: `"signed":true`},
		"not-signed":       {body: good, wrong: "nobody signed it", status: 200, says: `"signed":false,"wrong":"nobody signed it"`},
		"cannot-be-told":   {body: good, err: fmt.Errorf("no root: %w", trust.ErrUnsupported), status: 200, says: `"signed":false,"unanswered":"no root`},
		"broken-signature": {body: good, err: fmt.Errorf("bad: %w", trust.ErrMalformed), wrong: "x", status: 200, says: `"signed":false,"unanswered":"bad`},
		"too-many":         {body: good, err: trust.ErrLimit, status: 200, says: `"unanswered"`},
		"may-not-read":     {body: good, err: fmt.Errorf("s3cret: %w", trust.ErrUnauthorized), status: 403, says: "does not let you"},
		"no-image":         {body: good, err: trust.ErrNotFound, status: 404, says: "no such image"},
		"registry-down":    {body: good, err: errors.New("s3cret"), status: 502, says: "the log tells more"},
		"get":              {method: "GET", status: 405},
		"below":            {body: good, path: Path + "/x", status: 405},
		"a-form":           {kind: "text/plain", body: good, status: 415},
		"no-json":          {body: "{", status: 400},
		"unknown-member":   {body: `{"refrence":"x"}`, status: 400},
		"no-digest":        {body: `{"reference":"ghcr.io/acme/app:1","signer":{"key":"k"}}`, status: 400, says: "no digest"},
		"no-name":          {body: `{"reference":"::@` + sum + `","signer":{"key":"k"}}`, status: 400},
		"no-index":         {body: `{"reference":"a@` + sum + `","index":"sha256:x","signer":{"key":"k"}}`, status: 400},
		"no-signer":        {body: `{"reference":"a@` + sum + `","signer":{}}`, status: 400, says: "no key"},
		"large":            {body: `{"reference":"` + strings.Repeat("a", maxBody) + `"}`, status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := logrus.New()
			log.SetOutput(io.Discard)
			c := &fakeChecker{wrong: tt.wrong, err: tt.err}
			for _, or := range []struct {
				at  *string
				def string
			}{{&tt.method, "POST"}, {&tt.kind, "application/json"}, {&tt.path, Path}} {
				if *or.at == "" {
					*or.at = or.def
				}
			}
			w := ask(Handler(c, keyOnly, log), tt.method, tt.path, tt.kind, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) || strings.Contains(w.Body.String(), "s3cret") || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%d %s; want %d, %q", w.Code, w.Body, tt.status, tt.says)
			}
			if tt.body == good && w.Code == 200 && (c.ref.String() != "ghcr.io/acme/app@"+sum || c.ref.Index != sum || c.by.Key != "k") {
				t.Errorf("asked about %+v by %+v", c.ref, c.by)
			}
			if w.Code == 200 && (tt.wrong != "" || tt.err != nil) && strings.Contains(w.Body.String(), "true") {
				t.Errorf("it is said to be signed: %s", w.Body)
			}
		})
	}
}

// slowChecker answers when it is let.
type slowChecker struct {
	mu      sync.Mutex
	n, most int
	turn    chan struct{}
}

func (c *slowChecker) Signed(ctx context.Context, _ trust.Reference, _ trust.Signer) (string, error) {
	c.mu.Lock()
	c.n++
	c.most = max(c.most, c.n)
	c.mu.Unlock()
	<-c.turn
	c.mu.Lock()
	c.n--
	c.mu.Unlock()
	return "", ctx.Err()
}

// TestTurns: no more are checked at one time than atOnce, and who goes away gives up their turn.
func TestTurns(t *testing.T) {
	t.Parallel()
	c := &slowChecker{turn: make(chan struct{})}
	h := Handler(c, keyOnly, logrus.New())
	body := `{"reference":"a@` + sum + `","signer":{"key":"k"}}`
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() { ask(h, "POST", Path, "application/json", body) })
	}
	for full := false; !full; {
		c.mu.Lock()
		full = c.n == atOnce
		c.mu.Unlock()
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(gone, "POST", Path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
	close(c.turn)
	wg.Wait()
	if c.most != atOnce {
		t.Errorf("%d at one time", c.most)
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(fmt.Sprintf(`{"reference":"ghcr.io/acme/app@%s","index":%q,"signer":{"key":"k"}}`, sum, sum))
	f.Add(`{"reference":"a","signer":{"identity":"x","issuer":"https://y"}}`)
	h := &handler{check: func(trust.Signer) error { return nil }}
	f.Fuzz(func(t *testing.T, body string) {
		if ref, _, err := h.question(strings.NewReader(body)); err == nil && (ref.Digest == "" || ref.Repository == "") {
			t.Errorf("%+v", ref)
		}
	})
}
