// Package publishertest is the acceptance suite of registries that have facts to give: what trust/publisher/ask relies on,
// whichever registry it is.
package publishertest

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// now is when the answers of the suite are told.
var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// app is an image in every registry.
var app = trust.Reference{Registry: "registry.example", Repository: "acme/app"}

// Run proves a registry.
func Run(t *testing.T, r publisher.Registry) {
	t.Helper()
	u, err := url.Parse(r.Endpoint())
	if err != nil || u.Scheme != "https" || u.Host == "" || r.Host() == "" || r.Title() == "" {
		t.Errorf("%q at %q: %v", r.Title(), r.Endpoint(), err)
	}
	for _, repository := range []string{"", "/", "app", "acme/", "/app"} {
		if q := r.Questions(trust.Reference{Registry: r.Host(), Repository: repository}); len(q) > 0 {
			t.Errorf("%q: %+v", repository, q)
		}
	}
	questions, keys := r.Questions(app), map[string]bool{}
	if len(questions) == 0 {
		t.Error("no question about an image")
	}
	for _, q := range questions {
		if u, err := url.Parse(q.Path); err != nil || !strings.HasPrefix(q.Path, "/") || u.Host != "" || keys[q.Key()] || !strings.HasPrefix(q.Name, r.Host()+"/acme") {
			t.Errorf("%q at %q: %v", q.Key(), q.Path, err)
		}
		keys[q.Key()] = true
		for _, body := range []string{"", "null", "[]", "{}", `""`, "<html>", `{"a":` + strings.Repeat("[", 20_000)} {
			if f, err := q.Read([]byte(body)); !errors.Is(err, trust.ErrMalformed) {
				t.Errorf("%s reads %.20q: %+v, %v", q.Key(), body, f, err)
			}
			if q.Absent != nil && (q.Absent(500, []byte(body)) || q.Absent(429, []byte(body)) || q.Absent(400, []byte(body))) {
				t.Errorf("%s takes an error for an answer", q.Key())
			}
		}
	}
}

// Fuzz gives any bytes to what reads a registry's answers: nothing makes it panic, and what it makes of them can be
// remembered and weighs little.
func Fuzz(f *testing.F, r publisher.Registry, seeds ...string) {
	f.Helper()
	for _, body := range append(seeds, `{}`, `[]`, `null`, `{"id":1e3}`, `{"badge":1}`, `{"count":-1,"results":[{}]}`, `{"date_joined":"0000-00-00T00:00:00Z"}`, `{"tags":{"a":{}}}`) {
		f.Add([]byte(body), 200)
	}
	f.Add([]byte(`{"__type":"x#RepositoryNotFoundException"}`), 400)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		for _, q := range r.Questions(app) {
			if q.Absent != nil {
				q.Absent(status, body)
			}
			facts, err := q.Read(body)
			if err != nil {
				if !errors.Is(err, trust.ErrMalformed) {
					t.Fatalf("%v", err)
				}
				continue
			}
			remembered(t, publisher.Record{}.Observe(q.Key(), facts, now))
		}
	})
}

func remembered(t *testing.T, r publisher.Record) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = publisher.ParseRecord(text); err != nil {
		t.Fatal(err)
	}
	k := publisher.Known{Title: "x"}
	k.Add(r)
	for _, at := range []time.Time{now, now.AddDate(-50, 0, 0), now.AddDate(50, 0, 0)} {
		for _, f := range k.Signs(at, func(string) bool { return true }) {
			if f.Strength > trust.Weak || len(f.Why) > 400 {
				t.Errorf("%+v", f)
			}
		}
	}
}
