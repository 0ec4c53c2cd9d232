package quay_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/publishertest"
	"github.com/safepull/safepull/trust/publisher/quay"
)

// Answers as the API gives them, with the names and the shapes of its fields.
const (
	repository = `{"namespace":"acme","name":"app","kind":"image","description":"","is_public":true,"is_organization":true,"is_starred":false,"status_token":"",
		"trust_enabled":false,"tag_expiration_s":1209600,"is_free_account":false,"state":"NORMAL","tags":{
		"latest":{"name":"latest","size":270353940,"last_modified":"Wed, 15 Mar 2023 15:05:28 -0000","manifest_digest":"sha256:3f"},
		"old":{"name":"old","size":null,"last_modified":"Tue, 14 Jun 2022 12:07:42 -0000","manifest_digest":"sha256:25"}},"can_write":false,"can_admin":false}`
	listing = `{"repositories":[{"namespace":"acme","name":"app","description":null,"is_public":true,"kind":"image","state":"NORMAL","is_starred":false,"quota_report":null},
		{"namespace":"acme","name":"tool","is_public":true}]}`
)

func readApp(body []byte) (publisher.Facts, error) { return quay.ReadRepository("acme", "app", body) }

func readAcme(body []byte) (publisher.Facts, error) { return quay.ReadListing("acme", body) }

func TestRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		read func([]byte) (publisher.Facts, error)
		body string
		want publisher.Facts
		bad  bool
	}{
		"repository":    {readApp, repository, publisher.Facts{Type: "organization", Updated: time.Date(2023, 3, 15, 15, 5, 28, 0, time.UTC)}, false},
		"user":          {readApp, `{"namespace":"acme","name":"app","is_organization":false,"tags":{}}`, publisher.Facts{Type: "user"}, false},
		"odd-time":      {readApp, strings.Replace(repository, "Wed, 15 Mar 2023", "soon", 1), publisher.Facts{Type: "organization", Updated: time.Date(2022, 6, 14, 12, 7, 42, 0, time.UTC)}, false},
		"listing":       {readAcme, listing, publisher.Facts{Repositories: new(int64(2)), Names: []string{"app", "tool"}}, false},
		"first-page":    {readAcme, `{"repositories":[{"namespace":"acme","name":"a"},{"namespace":"other","name":"b"}],"next_page":"x"}`, publisher.Facts{Names: []string{"a"}}, false},
		"empty-listing": {readAcme, `{"repositories":[]}`, publisher.Facts{Repositories: new(int64(0))}, false},
		"another-name":  {readApp, strings.Replace(repository, `"name":"app"`, `"name":"x"`, 1), publisher.Facts{}, true},
		"another-space": {readApp, strings.Replace(repository, `"namespace":"acme"`, `"namespace":"x"`, 1), publisher.Facts{}, true},
		"no-name":       {readApp, `{"tags":{}}`, publisher.Facts{}, true},
		"tags-as-list":  {readApp, `{"namespace":"acme","name":"app","tags":[]}`, publisher.Facts{}, true},
		"no-list":       {readAcme, `{}`, publisher.Facts{}, true},
		"html":          {readAcme, `<html>`, publisher.Facts{}, true},
	} {
		got, err := tt.read([]byte(tt.body))
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
		"acme/app":      "repository quay.io/acme/app /api/v1/repository/acme/app?includeTags=true, repositories quay.io/acme /api/v1/repository?public=true&namespace=acme",
		"acme/deep/app": "repository quay.io/acme/deep/app /api/v1/repository/acme/deep/app?includeTags=true, repositories quay.io/acme /api/v1/repository?public=true&namespace=acme",
		"a&b/c?d":       "repository quay.io/a&b/c?d /api/v1/repository/a&b/c%3Fd?includeTags=true, repositories quay.io/a&b /api/v1/repository?public=true&namespace=a%26b",
		"app":           "", "": "", "a/": "", "/a": "",
	} {
		var got []string
		for _, q := range (quay.Registry{}).Questions(trust.Reference{Registry: "quay.io", Repository: repository}) {
			got = append(got, q.Key()+" "+q.Path)
		}
		if diff := cmp.Diff(want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%q: %s", repository, diff)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, quay.Registry{})
}

// FuzzRead: no answer makes a reader panic, and what it makes of one can be remembered.
func FuzzRead(f *testing.F) { publishertest.Fuzz(f, quay.Registry{}, repository, listing) }
