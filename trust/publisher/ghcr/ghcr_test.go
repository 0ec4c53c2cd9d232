package ghcr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/ghcr"
	"github.com/safepull/safepull/trust/publisher/publishertest"
)

// account is an answer as the API gives it, with the names and the shapes of its fields.
const account = `{"login":"acme","id":4711,"node_id":"MDQ6","avatar_url":"","type":"Organization","user_view_type":"public","site_admin":false,"name":"Acme","company":null,
	"blog":"","location":null,"email":null,"bio":null,"public_repos":42,"public_gists":0,"followers":7,"following":0,"created_at":"2014-02-03T04:05:06Z","updated_at":"2026-01-01T00:00:00Z"}`

func TestReadAccount(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		want publisher.Facts
		bad  bool
	}{
		"organization": {account, publisher.Facts{ID: "4711", Type: "organization", Created: time.Date(2014, 2, 3, 4, 5, 6, 0, time.UTC), Repositories: new(int64(42))}, false},
		"little":       {`{"login":"Acme","id":1}`, publisher.Facts{ID: "1"}, false},
		"no-number":    {`{"login":"acme"}`, publisher.Facts{}, true},
		"no-login":     {`{"id":1}`, publisher.Facts{}, true},
		"id-as-text":   {strings.Replace(account, "4711", `"4711"`, 1), publisher.Facts{}, true},
		"another":      {strings.Replace(account, `"acme"`, `"evil"`, 1), publisher.Facts{}, true},
		"odd-time":     {strings.Replace(account, "2014-02-03T", "", 1), publisher.Facts{}, true},
		"message":      {`{"message":"API rate limit exceeded"}`, publisher.Facts{}, true},
	} {
		got, err := ghcr.ReadAccount("acme", []byte(tt.body))
		if (err != nil) != tt.bad || err != nil && !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	for repository, want := range map[string]string{
		"acme/app": "account ghcr.io/acme /users/acme", "acme/a/b": "account ghcr.io/acme /users/acme", "a?b/c": "account ghcr.io/a?b /users/a%3Fb", "app": "", "/x": "",
	} {
		got := ""
		for _, q := range (ghcr.Registry{}).Questions(trust.Reference{Registry: "ghcr.io", Repository: repository}) {
			got += q.Key() + " " + q.Path
		}
		if got != want {
			t.Errorf("%q: %q, want %q", repository, got, want)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, ghcr.Registry{})
}

// FuzzRead: no answer makes a reader panic, and what it makes of one can be remembered.
func FuzzRead(f *testing.F) { publishertest.Fuzz(f, ghcr.Registry{}, account) }
