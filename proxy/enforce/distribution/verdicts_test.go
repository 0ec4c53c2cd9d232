package distribution_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/proxy/enforce/distribution"
	"github.com/safepull/safepull/trust"
)

type fakeVerdicts struct {
	all []trust.Verdict
	err error
}

func (f fakeVerdicts) VerdictByID(_ context.Context, id string) (trust.Verdict, bool, error) {
	for _, v := range f.all {
		if v.ID == id {
			return v, true, f.err
		}
	}
	return trust.Verdict{}, false, f.err
}

func (f fakeVerdicts) Verdicts(_ context.Context, name string, limit int) ([]trust.Verdict, error) {
	if name != "docker.io/library/alpine" || limit <= 0 {
		return nil, f.err
	}
	return f.all, f.err
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	one, two := digest.FromString("one"), digest.FromString("two")
	store := fakeVerdicts{all: []trust.Verdict{{ID: "SP-BBBBBBBBBB", Manifest: two, Action: trust.Block}, {ID: "SP-AAAAAAAAAA", Manifest: one, Action: trust.Allow}}}
	cases := map[string]struct {
		store        fakeVerdicts
		method, path string
		status       int
		ids          []string
	}{
		"by_id":         {store, "GET", "/SP-AAAAAAAAAA", 200, []string{"SP-AAAAAAAAAA"}},
		"unknown":       {store, "GET", "/SP-CCCCCCCCCC", 404, nil},
		"no_id":         {store, "GET", "/../../etc/passwd", 404, nil},
		"escaped":       {store, "GET", "/SP-%41AAAAAAAAA", 404, nil},
		"slash":         {store, "GET", "/", 404, nil},
		"by_name":       {store, "GET", "?reference=alpine", 200, []string{"SP-BBBBBBBBBB", "SP-AAAAAAAAAA"}},
		"by_digest":     {store, "GET", "?reference=alpine@" + one.String(), 200, []string{"SP-AAAAAAAAAA"}},
		"other_name":    {store, "GET", "?reference=evil/app", 200, []string{}},
		"bad_reference": {store, "GET", "?reference=UPPER//case", 400, nil},
		"no_reference":  {store, "GET", "", 400, nil},
		"write":         {store, "DELETE", "/SP-AAAAAAAAAA", 405, nil},
		"store_broken":  {fakeVerdicts{err: errors.New("disk is full of secrets")}, "GET", "/SP-AAAAAAAAAA", 500, nil},
		"list_broken":   {fakeVerdicts{err: errors.New("disk is full of secrets")}, "GET", "?reference=alpine", 500, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			distribution.Explain(c.store, nil, nil).ServeHTTP(w, httptest.NewRequest(c.method, distribution.VerdictsPath+c.path, nil))
			if w.Code != c.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if c.status != 200 {
				var e struct{ Errors []struct{ Message string } }
				if json.Unmarshal(w.Body.Bytes(), &e) != nil || len(e.Errors) != 1 || cmp.Equal(e.Errors[0].Message, "disk is full of secrets") {
					t.Errorf("%s", w.Body)
				}
				return
			}
			var answer struct {
				ID       string
				Schema   int
				Verdicts []trust.Verdict
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, v := range answer.Verdicts {
				ids = append(ids, v.ID)
			}
			if answer.ID != "" {
				ids = []string{answer.ID}
			}
			if diff := cmp.Diff(c.ids, ids); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	store := fakeVerdicts{all: []trust.Verdict{{ID: "SP-AAAAAAAAAA"}}}
	w := httptest.NewRecorder()
	render := func(v trust.Verdict) ([]byte, error) { return []byte(`{"mine":"` + v.ID + `"}`), nil }
	distribution.Explain(store, render, nil).ServeHTTP(w, httptest.NewRequest("GET", distribution.VerdictsPath+"/SP-AAAAAAAAAA", nil))
	if w.Body.String() != `{"mine":"SP-AAAAAAAAAA"}` {
		t.Errorf("%s", w.Body)
	}
	w = httptest.NewRecorder()
	broken := func(trust.Verdict) ([]byte, error) { return nil, errors.New("no") }
	distribution.Explain(store, broken, nil).ServeHTTP(w, httptest.NewRequest("GET", distribution.VerdictsPath+"?reference=alpine", nil))
	if w.Code != 500 {
		t.Errorf("a verdict that cannot be written: %d %s", w.Code, w.Body)
	}
}
