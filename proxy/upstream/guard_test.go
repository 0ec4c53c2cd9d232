package upstream

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestGuarded(t *testing.T) {
	t.Parallel()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	named := *at
	named.Host = "localhost.example:" + at.Port()
	transport := NewTransport(Timeouts{})
	defer transport.CloseIdleConnections()
	for name, tt := range map[string]struct {
		base  *url.URL
		reach Reach
		to    string
		ok    bool
	}{
		"itself":        {at, Reach{}, server.URL + "/v2/x", true},
		"another-host":  {at, Reach{}, "http://127.0.0.2:" + at.Port() + "/", false},
		"another-port":  {at, Reach{}, "http://127.0.0.1:1/", false},
		"other-scheme":  {at, Reach{}, "https://" + at.Host + "/", false},
		"anywhere-else": {at, Reach{Anywhere: true, AllowPrivate: true}, "http://example.com/", false},
	} {
		t.Run(name, func(t *testing.T) {
			before := asked
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.to, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := Guarded(transport, tt.base, tt.reach).RoundTrip(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != tt.ok || (asked > before) != tt.ok || err != nil && !errors.Is(err, errNotReached) {
				t.Errorf("%v, asked %d times", err, asked-before)
			}
		})
	}
	// A name that leads to a private address is not followed there unless that is allowed.
	dial := Guarded(http.RoundTripper(roundTripper(func(req *http.Request) (*http.Response, error) {
		r, _ := req.Context().Value(reachKey{}).(*reach)
		if r == nil || r.private {
			t.Error("the dialer does not know where it may go")
		}
		return nil, errors.New("dialled " + req.URL.Host)
	})), &named, Reach{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, named.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := dial.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "dialled") {
		t.Error(err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
