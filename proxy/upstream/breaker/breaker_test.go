package breaker_test

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
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/safepull/safepull/proxy/upstream/breaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a registry that counts the logins it is shown.
type host struct {
	*httptest.Server
	attempts atomic.Int32
	password atomic.Value // string
	status   atomic.Int32 // of the answer to a right one
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{}
	h.password.Store("right")
	h.status.Store(http.StatusOK)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, ok := r.BasicAuth()
		if r.Method == http.MethodPost {
			password, ok = r.PostFormValue("password")+r.PostFormValue("refresh_token"), true
		}
		if ok {
			h.attempts.Add(1)
		}
		if !ok || password != h.password.Load() {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(int(h.status.Load()))
	}))
	t.Cleanup(h.Close)
	return h
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newTransport(t *testing.T) (*breaker.Transport, *clock) {
	t.Helper()
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	c := &clock{now: time.Unix(1e9, 0)}
	b, err := breaker.New(base, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return b, c
}

// show shows a password and returns the answer's status and body.
func show(t *testing.T, b *breaker.Transport, url, password string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		req.SetBasicAuth("robot", password)
	}
	return send(t, b, req)
}

func send(t *testing.T, b *breaker.Transport, req *http.Request) (int, http.Header, string) {
	t.Helper()
	resp, err := b.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestWrongPasswordIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b, c := newTransport(t)
	tried := func(want int32) {
		t.Helper()
		for range 20 {
			status, header, body := show(t, b, h.URL, "hush")
			if status != http.StatusUnauthorized || !b.Refused() || header.Get("WWW-Authenticate") != `Basic realm="here"` || strings.Contains(body, "hush") {
				t.Fatalf("%d %v %s", status, header, body)
			}
		}
		if n := h.attempts.Swap(0); n != want {
			t.Errorf("tried %d times, want %d", n, want)
		}
	}
	if b.Refused() {
		t.Error("refused before it was shown")
	}
	tried(1)
	c.pass(59 * time.Second)
	tried(0)
	for _, wait := range []time.Duration{2 * time.Second, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
		c.pass(wait)
		tried(1)
		c.pass(time.Minute - time.Second)
		tried(0)
		c.pass(2 * time.Second) // the next wait begins a minute in
		if wait > 2*time.Second {
			tried(0)
		} else {
			c.pass(-2 * time.Second)
		}
	}
	_, _, body := show(t, b, h.URL, "hush")
	var listed struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &listed); err != nil || len(listed.Errors) != 1 || !strings.Contains(listed.Errors[0].Message, "127.0.0.1 refused this login, so that it is not tried again for 1") {
		t.Errorf("%s, %v", body, err)
	}
	// Neither another password, nor another host, nor no login is kept back.
	if status, _, _ := show(t, b, h.URL, "right"); status != http.StatusOK || b.Refused() {
		t.Errorf("the rotated password: %d, refused %t", status, b.Refused())
	}
	if status, _, _ := show(t, b, newHost(t).URL, "right"); status != http.StatusOK {
		t.Errorf("another host: %d", status)
	}
	h.attempts.Store(0)
	for range 3 {
		show(t, b, h.URL, "")
	}
	if h.attempts.Load() != 0 {
		t.Error("no login was counted as one")
	}
}

// TestManyAtOnceAreWrongOnce: logins that come together are shown one by one until one was taken.
func TestManyAtOnceAreWrongOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b, c := newTransport(t)
	together := func(password string) {
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() { show(t, b, h.URL, password) })
		}
		all.Wait()
	}
	together("hush")
	if n := h.attempts.Swap(0); n != 1 {
		t.Errorf("a wrong password was shown %d times", n)
	}
	together("right")
	if n := h.attempts.Swap(0); n != 30 {
		t.Errorf("a right password was shown %d times", n)
	}
	h.password.Store("rotated")
	show(t, b, h.URL, "right")
	together("right")
	if n := h.attempts.Swap(0); n != 1 {
		t.Errorf("a password that was right once was shown %d times", n)
	}
	h.password.Store("right") // back again: it is known after the wait
	c.pass(time.Minute + time.Second)
	if status, _, _ := show(t, b, h.URL, "right"); status != http.StatusOK {
		t.Errorf("%d", status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("robot", "another")
	if resp, err := b.RoundTrip(req); !errors.Is(err, context.Canceled) {
		if err == nil {
			resp.Body.Close()
		}
		t.Errorf("%v", err)
	}
}

// TestGuessesAreBounded: however many secrets are tried for one account, the host sees ten wrong ones in a quarter of an
// hour; the secret that it took before goes on to count, and so do other accounts.
func TestGuessesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b, c := newTransport(t)
	if status, _, _ := show(t, b, h.URL, "right"); status != http.StatusOK {
		t.Fatal(status)
	}
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			if status, _, _ := show(t, b, h.URL, fmt.Sprint("guess", n)); status != http.StatusUnauthorized {
				t.Errorf("guess %d: %d", n, status)
			}
		})
	}
	all.Wait()
	if n := h.attempts.Load(); n != 11 {
		t.Errorf("the host saw %d secrets", n)
	}
	if _, _, body := show(t, b, h.URL, "guess40"); !strings.Contains(body, "too many logins of this name") {
		t.Error(body)
	}
	if status, _, _ := show(t, b, h.URL, "right"); status != http.StatusOK {
		t.Errorf("the right one, known: %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("another", "right")
	if status, _, _ := send(t, b, req); status != http.StatusOK {
		t.Errorf("another account: %d", status)
	}
	h.password.Store("rotated")
	c.pass(16 * time.Minute)
	if status, _, _ := show(t, b, h.URL, "rotated"); status != http.StatusOK {
		t.Errorf("later: %d", status)
	}
}

func TestAnswersThatSayNothingOfTheSecret(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	b, _ := newTransport(t)
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests, http.StatusInternalServerError} {
		h.status.Store(int32(status))
		h.attempts.Store(0)
		for range 3 {
			if got, _, _ := show(t, b, h.URL, "right"); got != status {
				t.Errorf("got %d, want %d", got, status)
			}
		}
		if n := h.attempts.Load(); n != 3 {
			t.Errorf("%d: asked %d times", status, n)
		}
	}
}

// TestNoRightIsNoWrongLogin: a registry that answers 401 to a right login, for what is not for it, keeps nobody from the rest;
// where its base tells nothing, a refusal counts.
func TestNoRightIsNoWrongLogin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		open     bool // the base wants no login
		password string
		shown    int32 // how often, in three requests for another's repository
		then     int   // for one's own
	}{
		"right":           {false, "right", 3 + 1 + 3, http.StatusOK},
		"wrong":           {false, "wrong", 1, http.StatusUnauthorized},
		"right-open-base": {true, "right", 3, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var shown atomic.Int32
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, password, ok := r.BasicAuth()
				if ok {
					shown.Add(1)
				}
				if r.URL.Path == "/at/v2/" && (c.open || password == "right") || r.URL.Path == "/at/v2/mine/manifests/1" && password == "right" {
					return
				}
				w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
				w.WriteHeader(http.StatusUnauthorized)
			}))
			t.Cleanup(h.Close)
			b, _ := newTransport(t)
			for range 3 {
				if got, _, _ := show(t, b, h.URL+"/at/v2/theirs/manifests/1", c.password); got != http.StatusUnauthorized {
					t.Errorf("another's: %d", got)
				}
			}
			if n := shown.Load(); n != c.shown {
				t.Errorf("shown %d times, want %d", n, c.shown)
			}
			if got, _, _ := show(t, b, h.URL+"/at/v2/mine/manifests/1", c.password); got != c.then {
				t.Errorf("one's own: %d, want %d", got, c.then)
			}
		})
	}
}

func TestSecretsInForms(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"grant_type=password&username=robot&password=hush&scope=", "grant_type=refresh_token&refresh_token=hush&scope="} {
		h := newHost(t)
		b, _ := newTransport(t)
		for _, scope := range []string{"a", "b", "c"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL, strings.NewReader(form+scope))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if status, _, body := send(t, b, req); status != http.StatusUnauthorized || strings.Contains(body, "hush") {
				t.Errorf("%d %s", status, body)
			}
		}
		if n := h.attempts.Load(); n != 1 {
			t.Errorf("%s: shown %d times", form, n)
		}
	}
}
