package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/trust"
)

// fakeList remembers what it was told.
type fakeList struct {
	told []string
	fail error
	sign error
	// changed is set where the edit is made all the same.
	changed bool
}

// edited is what is told of an edit of n entries.
func (l *fakeList) edited(n int) (int, error) {
	if l.fail != nil && !l.changed {
		return 0, l.fail
	}
	return n, l.fail
}

func (l *fakeList) Signed() ([]byte, error) { return []byte("{signed}"), l.sign }
func (l *fakeList) Entries() []trust.Entry {
	return []trust.Entry{{Pattern: "ghcr.io/a/**", Action: "allow"}}
}

func (l *fakeList) Import(by string, entries []trust.Entry) (int, error) {
	l.told = append(l.told, fmt.Sprintf("%s imports %s %s", by, entries[0].Action, entries[0].Pattern))
	return l.edited(len(entries))
}

func (l *fakeList) Remove(by, pattern string) (int, error) {
	l.told = append(l.told, by+" removes "+pattern)
	if pattern == "none" {
		return 0, nil
	}
	return l.edited(1)
}
func (l *fakeList) History() (any, error) { return []string{"an edit"}, l.fail }
func (l *fakeList) Text() []byte          { return []byte("version: 1 # ours\n") }
func (l *fakeList) Lint() any             { return []string{"over-broad"} }
func (l *fakeList) Test(image string) (any, error) {
	if image == "" {
		return nil, errors.New("it is empty")
	}
	return image + " is denied", nil
}

func (l *fakeList) Preview(entries []trust.Entry) (any, error) {
	return fmt.Sprintf("%d would change", len(entries)), l.fail
}

func TestHandler(t *testing.T) {
	t.Parallel()
	anna := caller.Caller{Identity: "anna", Method: "htpasswd"}
	const entry = `{"entries":[{"pattern":"quay.io/x","action":"deny","reason":"r"}]}`
	for name, tt := range map[string]struct {
		who          caller.Caller
		method, path string
		kind, body   string
		fail, sign   error
		changed      bool
		status       int
		says, told   string
	}{
		"signed":         {method: "GET", path: ListPath, status: 200, says: "{signed}"},
		"signed-post":    {method: "POST", path: ListPath, status: 405},
		"signs-none":     {method: "GET", path: ListPath, sign: trust.ErrNotFound, status: 404, says: "signs no list"},
		"sign-fails":     {method: "GET", path: ListPath, sign: errors.New("s3cret"), status: 500, says: "the log tells more"},
		"nobody":         {method: "GET", path: EntriesPath, status: 403},
		"nobody-posts":   {method: "POST", path: EntriesPath, kind: "application/json", body: entry, status: 403},
		"a-puller":       {who: caller.Caller{Identity: "bo"}, method: "DELETE", path: EntriesPath + "?pattern=x", status: 403},
		"entries":        {who: anna, method: "GET", path: EntriesPath, status: 200, says: "ghcr.io/a/**"},
		"history":        {who: anna, method: "GET", path: HistoryPath, status: 200, says: "an edit"},
		"history-fails":  {who: anna, method: "GET", path: HistoryPath, fail: errors.New("s3cret"), status: 200, says: "not all of the history"},
		"export":         {who: anna, method: "GET", path: ExportPath, status: 200, says: "# ours"},
		"export-nobody":  {method: "GET", path: ExportPath, status: 403},
		"lint":           {who: anna, method: "GET", path: LintPath, status: 200, says: "over-broad"},
		"test":           {who: anna, method: "GET", path: TestPath + "?image=quay.io/x", status: 200, says: "quay.io/x is denied"},
		"test-nothing":   {who: anna, method: "GET", path: TestPath, status: 400, says: "it is empty"},
		"test-posted":    {who: anna, method: "POST", path: TestPath, kind: "application/json", body: entry, status: 405},
		"try":            {who: anna, method: "POST", path: EntriesPath + "?dryRun", kind: "application/json", body: entry, status: 200, says: "1 would change"},
		"try-wrong":      {who: anna, method: "POST", path: EntriesPath + "?dryRun=1", kind: "application/json", body: entry, fail: fmt.Errorf("bad: %w", trust.ErrMalformed), status: 400, says: "bad"},
		"try-breaks":     {who: anna, method: "POST", path: EntriesPath + "?dryRun=1", kind: "application/json", body: entry, fail: errors.New("s3cret"), status: 500},
		"options":        {who: anna, method: "OPTIONS", path: EntriesPath, status: 405},
		"add":            {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: entry, status: 200, says: `"changed":1`, told: "anna (htpasswd) imports deny quay.io/x"},
		"as-listed":      {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: `{"schema":1,` + entry[1:], status: 200, told: "anna (htpasswd) imports deny quay.io/x"},
		"a-form":         {who: anna, method: "POST", path: EntriesPath, kind: "text/plain", body: entry, status: 415},
		"garbage":        {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: "{", status: 400},
		"unknown-member": {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: `{"entries":[{"patern":"x"}]}`, status: 400},
		"two-documents":  {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: entry + entry, status: 400},
		"no-entries":     {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: `{"entries":[]}`, status: 400},
		"many-entries":   {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: `{"entries":[` + strings.Repeat(`{},`, maxImport) + `{}]}`, status: 400},
		"large":          {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: `{"entries":[` + strings.Repeat(" ", maxBody) + `]}`, status: 400},
		"wrong-entry":    {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: entry, fail: fmt.Errorf("bad pattern: %w", trust.ErrMalformed), status: 400, says: "bad pattern", told: "anna (htpasswd) imports deny quay.io/x"},
		"disk-full":      {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: entry, fail: errors.New("s3cret"), status: 500, told: "anna (htpasswd) imports deny quay.io/x"},
		"no-history":     {who: anna, method: "POST", path: EntriesPath, kind: "application/json", body: entry, fail: errors.New("s3cret"), changed: true, status: 500, says: "the list is changed", told: "anna (htpasswd) imports deny quay.io/x"},
		"remove":         {who: anna, method: "DELETE", path: EntriesPath + "?pattern=quay.io/x", status: 200, told: "anna (htpasswd) removes quay.io/x"},
		"remove-nothing": {who: anna, method: "DELETE", path: EntriesPath + "?pattern=none", status: 404, told: "anna (htpasswd) removes none"},
		"remove-without": {who: anna, method: "DELETE", path: EntriesPath, status: 400},
		"put":            {who: anna, method: "PUT", path: EntriesPath, status: 405},
		"below":          {who: anna, method: "GET", path: EntriesPath + "/x", status: 404},
		"an-empty-name":  {who: caller.Caller{Method: "token"}, method: "GET", path: EntriesPath, status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := logrus.New()
			log.SetOutput(io.Discard)
			list := &fakeList{fail: tt.fail, sign: tt.sign, changed: tt.changed}
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.kind)
			r = r.WithContext(caller.With(r.Context(), tt.who))
			w := httptest.NewRecorder()
			Handler(list, list, Options{Admins: []string{"anna"}, Log: log}).ServeHTTP(w, r)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.says) || strings.Join(list.told, "; ") != tt.told || strings.Contains(w.Body.String(), "s3cret") {
				t.Errorf("%d %s, told %q; want %d, %q, %q", w.Code, w.Body, list.told, tt.status, tt.says, tt.told)
			}
			if tt.status != http.StatusOK && w.Code == tt.status && !strings.Contains(w.Body.String(), `"error"`) {
				t.Errorf("an error without a sentence: %s", w.Body)
			}
		})
	}
}

// TestAdministratorsByMethod: nobody becomes one by choosing a name in another way to prove who they are.
func TestAdministratorsByMethod(t *testing.T) {
	t.Parallel()
	log := logrus.New()
	log.SetOutput(io.Discard)
	for _, c := range []struct {
		admin, method, identity string
		status                  int
	}{
		{"oidc:anna", "oidc", "anna", http.StatusOK},
		{"oidc:anna", "htpasswd", "anna", http.StatusForbidden},
		{"htpasswd:anna", "oidc", "htpasswd:anna", http.StatusForbidden},
		{"htpasswd:anna", "oidc", "anna", http.StatusForbidden},
		{"htpasswd:anna", "htpasswd", "anna", http.StatusOK},
		{"https://issuer.example/anna", "oidc", "https://issuer.example/anna", http.StatusOK},
		{"anna", "token", "anna", http.StatusOK},
		{"oidc:", "oidc", "", http.StatusForbidden},
	} {
		list := &fakeList{}
		r := httptest.NewRequest(http.MethodGet, EntriesPath, nil)
		w := httptest.NewRecorder()
		who := caller.Caller{Identity: c.identity, Method: c.method}
		Handler(list, list, Options{Admins: []string{c.admin}, Log: log}).ServeHTTP(w, r.WithContext(caller.With(r.Context(), who)))
		if w.Code != c.status {
			t.Errorf("%s, who comes as %q by %s: %d, want %d", c.admin, c.identity, c.method, w.Code, c.status)
		}
	}
}

// TestAudit: the log of an edit names who made it and what it was about, on one line however it is spelled.
func TestAudit(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := logrus.New()
	log.SetOutput(&out)
	list := &fakeList{}
	h := Handler(list, list, Options{Admins: []string{"anna"}, Log: log})
	for _, r := range []*http.Request{
		httptest.NewRequest("POST", EntriesPath, strings.NewReader(`{"entries":[{"pattern":"quay.io/x","action":"deny"},{"pattern":"quay.io/y\u001b[2J","action":"allow"}]}`)),
		httptest.NewRequest("DELETE", EntriesPath+"?pattern=quay.io/z", nil),
	} {
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(caller.With(r.Context(), caller.Caller{Identity: "anna", Method: "htpasswd"})))
	}
	for _, want := range []string{`identity=anna`, `patterns="deny quay.io/x, allow quay.io/y`, `patterns=quay.io/z`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, &out)
		}
	}
	if strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q", &out)
	}
}

func FuzzEntries(f *testing.F) {
	f.Add(`{"entries":[{"pattern":"quay.io/x","action":"deny"}]}`)
	f.Add(`{"entries":[{"digests":["sha256:1"],"requireSignature":{"key":"x"},"expires":"2027-01-01T00:00:00Z"}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		if entries, err := parseEntries(strings.NewReader(body)); err == nil && (len(entries) == 0 || len(entries) > maxImport) {
			t.Errorf("%d entries", len(entries))
		}
	})
}
