package ask_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/safepull/safepull/test/registrytest"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/ask"
	"github.com/safepull/safepull/trust/publisher/dockerhub"
	"github.com/safepull/safepull/trust/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

// hub is a stand-in for Docker Hub with one verified publisher, and an asker with a clock of its own.
type hub struct {
	*registrytest.Registry
	*ask.Asker
	memory    *memory.Store
	transport *http.Transport
	mu        sync.Mutex
	now       time.Time
	silent    string
	options   ask.Options
}

func (h *hub) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hub) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// restart makes another asker over the same memory, as another process would.
func (h *hub) restart(t *testing.T) {
	t.Helper()
	u, err := url.Parse(h.URL())
	if err != nil {
		t.Fatal(err)
	}
	h.options.Now = h.clock
	if h.Asker, err = ask.New([]ask.Source{{Registry: dockerhub.Registry{}, URL: u, Transport: h.transport, Silent: h.silent}}, h.memory, h.options); err != nil {
		t.Fatal(err)
	}
}

func newHub(t *testing.T, o ask.Options) *hub {
	t.Helper()
	h := &hub{Registry: registrytest.Start(t, registrytest.Options{}), memory: memory.New(), now: day("2026-06-01"), options: o, transport: &http.Transport{}}
	t.Cleanup(h.transport.CloseIdleConnections)
	h.PutPublisher(acme())
	h.restart(t)
	return h
}

func acme() registrytest.Publisher {
	return registrytest.Publisher{
		Name: "acme", ID: "1", Joined: day("2015-01-01"), Badge: new("verified_publisher"),
		Repositories: []registrytest.Published{{Name: "app", Registered: day("2016-01-01"), Updated: day("2026-01-01"), Pulls: 1000, Stars: 10}},
	}
}

func ref(repository string) trust.Reference {
	return trust.Reference{Registry: "docker.io", Repository: repository, Tag: "1"}
}

func (h *hub) ask(t *testing.T, repository string) (publisher.Answer, error) {
	t.Helper()
	return h.Ask(t.Context(), ref(repository))
}

func (h *hub) good(t *testing.T, repository string) publisher.Answer {
	t.Helper()
	a, err := h.ask(t, repository)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAsk(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{UserAgent: "safepull-test"})
	a := h.good(t, "acme/app")
	if len(a.Findings) > 0 || len(a.Vouched) != 1 || *a.Known.Repository.Now.Pulls != 1000 || !a.Until.Equal(day("2026-06-02")) {
		t.Errorf("%+v", a)
	}
	if n := h.Count("", ""); n != 3 {
		t.Errorf("%d requests", n)
	}
	for _, r := range h.Requests() {
		if r.Header.Get("User-Agent") != "safepull-test" || r.Header.Get("If-None-Match")+r.Header.Get("Authorization")+r.Header.Get("Cookie")+r.Header.Get("Referer") != "" {
			t.Errorf("%s: %v", r.Path, r.Header)
		}
	}
	h.good(t, "acme/app") // from process memory
	h.restart(t)
	h.good(t, "acme/app") // from the store
	if n := h.Count("", ""); n != 3 {
		t.Errorf("%d requests after that", n)
	}
	// A day later the questions are conditional ones, and nothing has changed.
	h.pass(25 * time.Hour)
	h.ForgetRequests()
	if a = h.good(t, "acme/app"); !a.Until.Equal(h.clock().Add(24 * time.Hour)) {
		t.Errorf("holds until %s", a.Until)
	}
	for _, r := range h.Requests() {
		if r.Header.Get("If-None-Match") == "" {
			t.Errorf("%s was asked without a condition", r.Path)
		}
	}
	h.restart(t)
	h.good(t, "acme/app")
	if n := h.Count("", ""); n != 3 {
		t.Errorf("%d requests a day later", n)
	}
}

// TestAskUser: the API leads on from one kind of account to the other, at the same host.
func TestAskUser(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	p := acme()
	p.User, p.Badge = true, nil
	h.PutPublisher(p)
	if a := h.good(t, "acme/app"); a.Known.Account.Now.Type != "user" || len(a.Vouched) > 0 || h.Count("GET", "/v2/users/acme") != 1 {
		t.Errorf("%+v", a)
	}
}

// TestAskNothing: registries without facts, and names that belong to a registry itself, cost nothing.
func TestAskNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	for _, r := range []trust.Reference{{Registry: "registry.example.com", Repository: "a/b"}, {Repository: "a/b"}, {Registry: "docker.io", Repository: "a"}, {Registry: "docker.io:8443", Repository: "acme/app"}} {
		a, err := h.Ask(t.Context(), r)
		if err != nil || len(a.Findings) > 0 || len(a.Vouched) > 0 || !a.Until.IsZero() || a.NotAsked != "" {
			t.Errorf("%s: %+v, %v", r, a, err)
		}
	}
	if n := h.Count("", ""); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestAskUnknown: an account or a repository that the registry does not show is an answer.
func TestAskUnknown(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	if a := h.good(t, "acme/private"); len(a.Vouched) != 1 || !a.Known.Repository.Now.Missing || len(a.Findings) > 0 {
		t.Errorf("%+v", a)
	}
	if a := h.good(t, "nobody/app"); len(a.Vouched) > 0 || !a.Known.Account.Now.Missing || len(a.Findings) > 0 {
		t.Errorf("%+v", a)
	}
}

// TestAskChange: what changes is a sign, and stays one after a restart.
func TestAskChange(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{Brand: func(string) bool { return false }})
	h.good(t, "acme/app")
	h.pass(25 * time.Hour)
	h.DropPublisher("acme")
	if a := h.good(t, "acme/app"); len(a.Findings) > 0 || len(a.Vouched) > 0 {
		t.Errorf("gone: %+v", a)
	}
	h.pass(25 * time.Hour)
	p := acme()
	p.ID, p.Joined, p.Badge = "2", h.clock().Add(-time.Hour), new("")
	h.PutPublisher(p)
	for range 2 {
		a := h.good(t, "acme/app")
		if len(a.Findings) != 3 || len(a.Vouched) > 0 { // another account, badge lost, younger than its repository
			t.Errorf("%+v", a.Findings)
		}
		h.restart(t)
		h.pass(25 * time.Hour)
	}
}

// TestHostile: whatever an API does, the question is open after the budget at most, and the reason says so.
func TestHostile(t *testing.T) {
	t.Parallel()
	elsewhere := registrytest.Start(t, registrytest.Options{})
	elsewhere.PutPublisher(acme())
	const account = "/v2/orgs/acme/"
	for name, tt := range map[string]struct {
		path  string
		fault registrytest.Fault
		class error
		says  string
		// wait is how long it is left alone then; 0 is not at all.
		wait time.Duration
	}{
		"silent":             {account, registrytest.Fault{HeaderDelay: time.Minute}, trust.ErrUnavailable, "did not answer within 300ms", 5 * time.Minute},
		"slow-body":          {account, registrytest.Fault{StallAfter: 5}, trust.ErrUnavailable, "did not answer within 300ms", 5 * time.Minute},
		"dripping":           {"/v2/repositories/acme/", registrytest.Fault{Chunked: true, BodyDelay: 10 * time.Second}, trust.ErrUnavailable, "did not answer within 300ms", 5 * time.Minute},
		"endless":            {account, registrytest.Fault{Endless: true}, trust.ErrLimit, "more than 1048576 bytes", 0},
		"flood":              {account, registrytest.Fault{Raw: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 4000) + "\r\n", Flood: true}, trust.ErrUnavailable, "", 5 * time.Minute},
		"no-http":            {account, registrytest.Fault{Raw: "220 mail.example.com ESMTP\r\n"}, trust.ErrUnavailable, "cannot be reached", 5 * time.Minute},
		"cut":                {account, registrytest.Fault{CutAfter: 10}, trust.ErrUnavailable, "cannot be reached", 5 * time.Minute},
		"not-json":           {account, registrytest.Fault{Status: 200, Body: "<html>log in"}, trust.ErrMalformed, "cannot be read", 0},
		"wrong-types":        {"/v2/repositories/acme/app/", registrytest.Fault{Status: 200, Body: `{"name":["app"],"pull_count":"many"}`}, trust.ErrMalformed, "cannot be read", 0},
		"deep":               {account, registrytest.Fault{Status: 200, Body: strings.Repeat(`[`, 200_000)}, trust.ErrMalformed, "cannot be read", 0},
		"error":              {account, registrytest.Fault{Status: 500}, trust.ErrUnavailable, "status 500", time.Minute},
		"unavailable":        {account, registrytest.Fault{Status: 503, Header: http.Header{"Retry-After": {"600"}}}, trust.ErrUnavailable, "status 503", 10 * time.Minute},
		"forbidden":          {account, registrytest.Fault{Status: 403}, trust.ErrUnavailable, "status 403", time.Minute},
		"forbidden-wait":     {account, registrytest.Fault{Status: 403, Header: http.Header{"Retry-After": {"180"}}}, trust.ErrRateLimited, "too often", 3 * time.Minute},
		"login-needed":       {account, registrytest.Fault{Status: 401}, trust.ErrUnavailable, "status 401", time.Minute},
		"too-often-by-time":  {account, registrytest.Fault{Status: 429, Header: http.Header{"X-Retry-After": {fmt.Sprint(day("2026-06-01").Add(4 * time.Minute).Unix())}}}, trust.ErrRateLimited, "too often", 4 * time.Minute},
		"too-often-by-date":  {account, registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {day("2026-06-01").Add(4 * time.Minute).Format(http.TimeFormat)}}}, trust.ErrRateLimited, "too often", 4 * time.Minute},
		"too-often":          {account, registrytest.Fault{Status: 429}, trust.ErrRateLimited, "too often", time.Minute},
		"too-often-wait":     {account, registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"120"}}}, trust.ErrRateLimited, "too often", 2 * time.Minute},
		"too-often-for-ever": {account, registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"2000000000"}}}, trust.ErrRateLimited, "too often", time.Hour},
		"too-often-nonsense": {account, registrytest.Fault{Status: 429, Header: http.Header{"Retry-After": {"-5"}}}, trust.ErrRateLimited, "too often", time.Minute},
		"limited":            {account, registrytest.Fault{Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {fmt.Sprint(day("2026-06-01").Add(7 * time.Minute).Unix())}}}, trust.ErrRateLimited, "too often", 7 * time.Minute},
		"leads-elsewhere":    {account, registrytest.Fault{Redirect: elsewhere.URL()}, trust.ErrUnavailable, "another place", 5 * time.Minute},
		"leads-to-metadata":  {account, registrytest.Fault{Redirect: "http://169.254.169.254"}, trust.ErrUnavailable, "another place", 5 * time.Minute},
		"somebody-else":      {account, registrytest.Fault{Status: 200, Body: `{"id":"2","orgname":"evil","date_joined":"2014-01-01T00:00:00Z","badge":"verified_publisher"}`}, trust.ErrMalformed, "without the name", 0},
		"unasked-304":        {account, registrytest.Fault{Status: 304}, trust.ErrUnavailable, "status 304", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t, ask.Options{Budget: 300 * time.Millisecond})
			h.Misbehave(tt.path, tt.fault)
			start := time.Now()
			a, err := h.ask(t, "acme/app")
			if took := time.Since(start); took > 5*time.Second { // the machine may be busy
				t.Errorf("took %s", took)
			}
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.says) || len(a.Findings) > 0 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("%+v, %v", a, err)
			}
			if a.Until.IsZero() || a.Until.After(h.clock().Add(5*time.Minute)) {
				t.Errorf("an open question holds until %s", a.Until)
			}
			// It is left alone, also by the next process, and answers when it is asked again.
			h.Behave()
			h.restart(t)
			if tt.wait > 0 {
				h.ForgetRequests()
				h.pass(tt.wait - time.Second)
				if _, err := h.ask(t, "acme/app"); !errors.Is(err, tt.class) || !strings.Contains(err.Error(), "asked again after") || h.Count("", "") > 0 {
					t.Errorf("left alone: %v, %d requests", err, h.Count("", ""))
				}
				h.pass(2 * time.Second)
			}
			if a := h.good(t, "acme/app"); len(a.Vouched) != 1 {
				t.Errorf("%+v", a)
			}
			if n := elsewhere.Count("", ""); n > 0 {
				t.Errorf("another host was asked %d times", n)
			}
		})
	}
}

// TestStale: what was told lately counts when the registry is away, for a while; the open question is then no sign.
func TestStale(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{Budget: 300 * time.Millisecond, Stale: 72 * time.Hour})
	h.good(t, "acme/app")
	h.Misbehave("", registrytest.Fault{Status: 500})
	h.pass(48 * time.Hour)
	if a := h.good(t, "acme/app"); len(a.Vouched) != 1 || !a.Until.Equal(h.clock().Add(5*time.Minute)) {
		t.Errorf("%+v", a)
	}
	h.pass(48 * time.Hour)
	if a, err := h.ask(t, "acme/app"); !errors.Is(err, trust.ErrUnavailable) || len(a.Vouched) > 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestSilent: without asking, what is remembered counts, however old; what is not is no question.
func TestSilent(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	h.good(t, "acme/app")
	h.silent = "nobody is asked here"
	h.restart(t)
	h.ForgetRequests()
	h.pass(1000 * time.Hour)
	if a := h.good(t, "acme/app"); len(a.Vouched) != 1 || a.NotAsked != "" || !a.Until.Equal(h.clock().Add(24*time.Hour)) {
		t.Errorf("%+v", a)
	}
	if a := h.good(t, "other/app"); a.NotAsked != "nothing is remembered of docker.io/other, and nobody is asked here" || len(a.Vouched) > 0 {
		t.Errorf("%+v", a)
	}
	if n := h.Count("", ""); n > 0 || h.Hosts()["docker.io"] != h.silent {
		t.Errorf("%d requests", n)
	}
}

// TestTooOldToVouch: without asking, a registry's word is not for ever; what speaks against stays.
func TestTooOldToVouch(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	h.good(t, "acme/app")
	h.silent = "nobody is asked here"
	h.restart(t)
	h.pass(91 * 24 * time.Hour)
	if a := h.good(t, "acme/app"); len(a.Vouched) > 0 || !strings.Contains(a.NotAsked, "what is remembered of docker.io/acme is of 2026-06-01, too old to speak for anybody (import a newer snapshot), and nobody is asked here") || a.Known.Account.Key == "" {
		t.Errorf("%+v", a)
	}
}

// TestAbsentBriefly: that there is no such thing holds for minutes.
func TestAbsentBriefly(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	h.DropPublisher("acme")
	if a := h.good(t, "acme/app"); !a.Known.Account.Now.Missing || !a.Until.Equal(h.clock().Add(10*time.Minute)) {
		t.Errorf("%+v", a)
	}
	h.PutPublisher(acme())
	h.pass(9 * time.Minute)
	h.restart(t)
	if a := h.good(t, "acme/app"); !a.Known.Account.Now.Missing {
		t.Errorf("%+v", a)
	}
	h.pass(2 * time.Minute)
	if a := h.good(t, "acme/app"); a.Known.Account.Now.Missing || len(a.Vouched) != 1 {
		t.Errorf("%+v", a)
	}
}

// TestSpent: a registry that says in a good answer that it was the last one is left alone, by later processes too.
func TestSpent(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	h.Misbehave("/v2/orgs/*", registrytest.Fault{Header: http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {fmt.Sprint(h.clock().Add(7 * time.Minute).Unix())}}})
	if a, _ := h.ask(t, "acme/app"); len(a.Vouched) != 1 { // what is asked beside it may come too late
		t.Errorf("%+v", a)
	}
	h.restart(t)
	h.ForgetRequests()
	if _, err := h.ask(t, "other/app"); !errors.Is(err, trust.ErrRateLimited) || !strings.Contains(err.Error(), "answers no more questions for now; it is asked again after 00:07:00 UTC") || h.Count("", "") > 0 {
		t.Errorf("%v, %d requests", err, h.Count("", ""))
	}
	h.Behave()
	h.pass(8 * time.Minute)
	h.good(t, "other/app")
}

// TestShared: what another process learns of a publisher is neither hidden nor undone by what this one remembers.
func TestShared(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	h.good(t, "acme/app")
	ours := h.Asker
	h.restart(t)
	if _, err := h.Import(t.Context(), strings.NewReader(snapshot)); err != nil {
		t.Fatal(err)
	}
	h.pass(2 * time.Minute)
	for range 2 {
		a, err := ours.Ask(t.Context(), ref("acme/app"))
		if err != nil || len(a.Findings) != 1 || !strings.Contains(a.Findings[0].Why, "first seen on 2024-01-02") {
			t.Errorf("%+v, %v", a, err)
		}
		h.pass(25 * time.Hour)
	}
	// The other one was told more in the meantime: that nothing changed since this one asked is no news then.
	p := acme()
	p.Badge = new("")
	h.PutPublisher(p)
	if a := h.good(t, "acme/app"); len(a.Findings) != 2 {
		t.Errorf("%+v", a)
	}
	h.PutPublisher(acme())
	h.pass(25 * time.Hour)
	if a, err := ours.Ask(t.Context(), ref("acme/app")); err != nil || len(a.Vouched) > 0 || len(a.Known.Account.Changes) == 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestSharedAtOnce: what another process learns while a registry says that nothing changed is not undone.
func TestSharedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{Budget: 20 * time.Second})
	h.good(t, "acme/app")
	ours := h.Asker
	h.restart(t)
	h.pass(25 * time.Hour)
	h.ForgetRequests()
	h.Misbehave("/v2/orgs/*", registrytest.Fault{HeaderDelay: 300 * time.Millisecond})
	var asking sync.WaitGroup
	asking.Go(func() {
		if _, err := ours.Ask(t.Context(), ref("acme/app")); err != nil {
			t.Error(err)
		}
	})
	for h.Count("GET", "/v2/orgs/acme/") == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := h.Import(t.Context(), strings.NewReader(snapshot)); err != nil {
		t.Fatal(err)
	}
	asking.Wait()
	h.restart(t)
	if a := h.good(t, "acme/app"); !a.Known.Account.Seen.Equal(day("2024-01-02")) || len(a.Findings) != 1 {
		t.Errorf("%+v", a)
	}
}

// TestWrongClock: neither a clock that is years behind nor one that is years ahead breaks what is remembered, makes a sign,
// or keeps it from being asked for.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]int{"behind": -20, "ahead": 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t, ask.Options{})
			p := acme()
			p.Badge = new("")
			p.Repositories[0].Pulls = 4_000_000_000
			h.PutPublisher(p)
			right := h.clock()
			for i, now := range []time.Time{right, right.AddDate(off, 0, 0), right.Add(2 * time.Hour), right.AddDate(off, 0, 1), right.Add(48 * time.Hour)} {
				h.pass(now.Sub(h.clock()))
				h.restart(t)
				h.ForgetRequests()
				if a := h.good(t, "acme/app"); len(a.Findings) > 0 || a.Until.Before(now) || a.Until.After(now.Add(25*time.Hour)) {
					t.Errorf("step %d: %+v", i, a)
				}
				if n := h.Count("", ""); n != 3 {
					t.Errorf("step %d: %d requests", i, n)
				}
			}
		})
	}
}

// TestPort: the port of https is no other registry.
func TestPort(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	r := ref("acme/app")
	r.Registry += ":443"
	if a, err := h.Ask(t.Context(), r); err != nil || len(a.Vouched) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestOfficial: an official image is one by the registry's word too.
func TestOfficial(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	h.PutPublisher(registrytest.Publisher{Name: "library", Repositories: []registrytest.Published{{Name: "alpine", Registered: day("2014-06-05"), Pulls: 1 << 33}}})
	if a := h.good(t, "library/alpine"); len(a.Vouched) != 1 || a.Vouched[0] != `Docker Hub says that "library/alpine" is an official image` || len(a.Findings) > 0 {
		t.Errorf("%+v", a)
	}
	if a := h.good(t, "library/alpime"); len(a.Vouched) > 0 {
		t.Errorf("%+v", a)
	}
}

// TestTogether: many images of one account at once ask about it once.
func TestTogether(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{Budget: 20 * time.Second})
	h.Misbehave("/v2/orgs/*", registrytest.Fault{HeaderDelay: 100 * time.Millisecond})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a, err := h.Ask(t.Context(), ref("acme/app")); err != nil || len(a.Vouched) != 1 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	all.Wait()
	if n := h.Count("", ""); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// TestOwnLimit: no registry is asked more often than is decent, whatever images are pulled.
func TestOwnLimit(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{PerSecond: 0.001, Burst: 5})
	h.good(t, "acme/app")
	if a, err := h.ask(t, "other/app"); !errors.Is(err, trust.ErrRateLimited) || !strings.Contains(err.Error(), "own measure") || !a.Until.Equal(h.clock().Add(10*time.Second)) {
		t.Errorf("%s, %v", a.Until, err)
	}
	if n := h.Count("", ""); n > 5 {
		t.Errorf("%d requests", n)
	}
	// A turn that comes soon is waited for.
	h.options.PerSecond, h.options.Burst = 20, 1
	h.restart(t)
	h.good(t, "third/app")
}

// TestGoneAway: when whoever asked goes away, it is no failure of the registry, and the next one asks again.
func TestGoneAway(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{Budget: 20 * time.Second})
	h.Misbehave("", registrytest.Fault{HeaderDelay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Ask(ctx, ref("acme/app")); err == nil {
		t.Error("an answer from nowhere")
	}
	h.Behave()
	if a := h.good(t, "acme/app"); len(a.Vouched) != 1 {
		t.Errorf("%+v", a)
	}
}

// broken is a memory that fails.
type broken struct{ *memory.Store }

var errBroken = errors.New("the disk is full")

func (broken) ChangeNote(context.Context, string, func([]byte) ([]byte, error)) error {
	return errBroken
}

// TestBrokenMemory: an answer that cannot be remembered is an error of this machine, not an open question.
func TestBrokenMemory(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	u, err := url.Parse(h.URL())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ask.New([]ask.Source{{Registry: dockerhub.Registry{}, URL: u, Transport: h.transport}}, broken{h.memory}, ask.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Ask(t.Context(), ref("acme/app")); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if _, err := a.Compare(t.Context(), ref("acme/app").WithDigest("sha256:x"), "linux/amd64", publisher.Shape{}); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if _, err := a.Import(t.Context(), strings.NewReader(snapshot)); !errors.Is(err, errBroken) {
		t.Error(err)
	}
	if err := h.memory.KeepNote(t.Context(), "account docker.io/acme", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	h.restart(t)
	if a, err := h.ask(t, "acme/app"); !errors.Is(err, trust.ErrMalformed) || !strings.Contains(err.Error(), "begins anew") || len(a.Vouched) > 0 {
		t.Errorf("a damaged record: %+v, %v", a, err)
	}
	if a := h.good(t, "acme/app"); len(a.Vouched) != 1 {
		t.Errorf("after it was said: %+v", a)
	}
}

const snapshot = `{"version": 1, "made": "2024-01-02T00:00:00Z", "records": [{"key": "account docker.io/acme", "seen": "2024-01-02T00:00:00Z", "asked": "2024-01-02T00:00:00Z",
	"first": {"id": "0", "created": "2013-01-01T00:00:00Z", "badge": ""}, "now": {"id": "0", "created": "2013-01-01T00:00:00Z", "badge": ""}}]}`

// TestSnapshots: what one machine was told, another one knows; a snapshot of long ago makes a change a sign.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	h.good(t, "acme/app")
	for i := range 700 { // more than are read at once
		if _, err := h.Import(t.Context(), strings.NewReader(strings.ReplaceAll(snapshot, "docker.io/acme", fmt.Sprint("docker.io/other", i)))); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if s, err := h.Export(t.Context(), &b); err != nil || s.Records != 703 || !s.Made.Equal(h.clock()) {
		t.Fatalf("%+v, %v", s, err)
	}
	other := newHub(t, ask.Options{})
	other.silent = "offline"
	other.restart(t)
	for range 2 {
		if s, err := other.Import(t.Context(), bytes.NewReader(b.Bytes())); err != nil || s.Records != 703 || !s.Made.Equal(h.clock()) {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	var again bytes.Buffer
	if _, err := other.Export(t.Context(), &again); err != nil || again.String() != b.String() {
		t.Errorf("imported twice, it is not the same: %v", err)
	}
	if a := other.good(t, "acme/app"); len(a.Vouched) != 1 || other.Count("", "") > 0 {
		t.Errorf("%+v", a)
	}
	// Both ways: the older snapshot later, and the newer answer later.
	if _, err := other.Import(t.Context(), strings.NewReader(snapshot)); err != nil {
		t.Fatal(err)
	}
	if a := other.good(t, "acme/app"); len(a.Findings) != 1 || !strings.Contains(a.Findings[0].Why, "another account") {
		t.Errorf("%+v", a)
	}
	third := newHub(t, ask.Options{})
	if _, err := third.Import(t.Context(), strings.NewReader(snapshot)); err != nil {
		t.Fatal(err)
	}
	if a := third.good(t, "acme/app"); len(a.Findings) != 1 || !strings.Contains(a.Findings[0].Why, "first seen on 2024-01-02") {
		t.Errorf("%+v", a)
	}
	// A snapshot that is cut adds nothing, and neither does one that another machine's clock dated in the future.
	fourth := newHub(t, ask.Options{})
	for _, bad := range []string{"{", b.String()[:b.Len()-4], strings.ReplaceAll(b.String(), "2026-06-01", "2026-06-09")} {
		if _, err := fourth.Import(t.Context(), strings.NewReader(bad)); !errors.Is(err, trust.ErrMalformed) {
			t.Error(err)
		}
	}
	if s, err := fourth.Export(t.Context(), io.Discard); err != nil || s.Records != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCompare: a tag is remembered by name and platform; without a tag, or in a file, there is nothing to compare.
func TestCompare(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	shape := func(program string) publisher.Shape {
		return publisher.NewShape([]string{program}, nil, []string{program + "_A=1", program + "_B=1"}, nil, []string{program, "RUN " + program}, nil)
	}
	one, two := shape("one"), shape("two")
	one.Layers, two.Layers = []string{"a"}, []string{"b"}
	first, second := ref("acme/app").WithDigest("sha256:first"), ref("acme/app").WithDigest("sha256:second")
	bare := second
	bare.Tag = ""
	for i, step := range []struct {
		ref      trust.Reference
		platform string
		shape    publisher.Shape
		want     int
	}{
		{first, "linux/amd64", one, 0}, {bare, "linux/amd64", two, 0}, {second, "linux/arm64", two, 0}, {trust.Reference{Repository: "oci-dir:x", Tag: "1"}, "linux/amd64", two, 0},
		{second, "linux/amd64", two, 1}, {second, "linux/amd64", two, 1}, {first, "linux/amd64", one, 0},
	} {
		found, err := h.Compare(t.Context(), step.ref, step.platform, step.shape)
		if err != nil || len(found) != step.want {
			t.Errorf("step %d: %+v, %v", i, found, err)
		}
		h.restart(t)
	}
	if err := h.memory.KeepNote(t.Context(), publisher.TagKey(first, "linux/amd64"), []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Compare(t.Context(), first, "linux/amd64", one); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("a damaged tag is none: %v", err)
	}
	if found, err := h.Compare(t.Context(), second, "linux/amd64", two); err != nil || len(found) != 1 {
		t.Errorf("after it was said: %+v, %v", found, err)
	}
}

// TestKey: whom is asked, and for how long an answer holds, are part of the question.
func TestKey(t *testing.T) {
	t.Parallel()
	h := newHub(t, ask.Options{})
	keys := map[string]bool{h.Key().String(): true}
	h.silent = "x"
	h.restart(t)
	keys[h.Key().String()] = true
	h.options.Stale = time.Hour
	h.restart(t)
	keys[h.Key().String()] = true
	if len(keys) != 3 {
		t.Errorf("%d keys", len(keys))
	}
}
