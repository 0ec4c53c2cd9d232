package dockerhub_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/dockerhub"
	"github.com/safepull/safepull/trust/publisher/publishertest"
)

// Answers as the API gives them, with the names and the shapes of its fields.
const (
	organization = `{"id":"33ef574274c011e4bea40242ac11001b","uuid":"33ef5742-74c0-11e4-bea4-0242ac11001b","orgname":"acme","full_name":"Acme","location":"",
		"company":"","profile_url":"","date_joined":"2014-11-25T20:18:58.218Z","gravatar_url":"","gravatar_email":"","type":"Organization","badge":"verified_publisher","is_active":true}`
	user       = `{"id":"1","uuid":"1","username":"jane","full_name":"","location":"","company":"","profile_url":"","date_joined":"2020-01-02T03:04:05Z","type":"User"}`
	repository = `{"user":"acme","name":"app","namespace":"acme","repository_type":"image","status":1,"status_description":"active","description":"","is_private":false,
		"is_automated":false,"star_count":12,"pull_count":34567,"last_updated":"2026-01-02T03:04:05.678901Z","last_modified":null,"date_registered":"2015-01-02T03:04:05Z",
		"collaborator_count":0,"affiliation":null,"hub_user":"acme","full_description":"","media_types":[],"content_types":["image"],"categories":[{"name":"x","slug":"x"}],
		"immutable_tags_settings":{"enabled":false,"rules":[".*"]},"storage_size":1}`
	listing = `{"count":2,"next":null,"previous":null,"results":[` + repository + `,
		{"name":"old","namespace":"acme","repository_type":"image","status":1,"star_count":0,"pull_count":1,"last_updated":null,"date_registered":"2014-12-01T00:00:00Z"}]}`
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func readAcme(body []byte) (publisher.Facts, error) { return dockerhub.ReadAccount("acme", body) }

func readUser(body []byte) (publisher.Facts, error) { return dockerhub.ReadAccount("jane", body) }

func readApp(body []byte) (publisher.Facts, error) {
	return dockerhub.ReadRepository("acme", "app", body)
}

func TestRead(t *testing.T) {
	t.Parallel()
	account := publisher.Facts{ID: "33ef574274c011e4bea40242ac11001b", Type: "organization", Created: at("2014-11-25T20:18:58.218Z"), Badge: new(publisher.BadgeVerified)}
	with := func(badge *string) publisher.Facts { f := account; f.Badge = badge; return f }
	say := func(badge string) string {
		return strings.Replace(organization, `"badge":"verified_publisher"`, badge, 1)
	}
	for name, tt := range map[string]struct {
		read func([]byte) (publisher.Facts, error)
		body string
		want publisher.Facts
		bad  bool
	}{
		"organization":     {readAcme, organization, account, false},
		"open-source":      {readAcme, say(`"badge":"open_source"`), with(new(publisher.BadgeOpenSource)), false},
		"official":         {readAcme, say(`"badge":"official"`), with(new(publisher.BadgeOfficial)), false},
		"no-badge":         {readAcme, say(`"badge":""`), with(new("")), false},
		"badge-none":       {readAcme, say(`"badge":"none"`), with(new("")), false},
		"badge-null":       {readAcme, say(`"badge":null`), with(new("")), false},
		"badge-not-told":   {readAcme, say(`"x":1`), with(nil), false},
		"badge-unheard-of": {readAcme, say(`"badge":"gold"`), with(nil), false},
		"user":             {readUser, user, publisher.Facts{ID: "1", Type: "user", Created: at("2020-01-02T03:04:05Z")}, false},
		"repository":       {readApp, repository, publisher.Facts{Created: at("2015-01-02T03:04:05Z"), Updated: at("2026-01-02T03:04:05.678901Z"), Pulls: new(int64(34567)), Stars: new(int64(12))}, false},
		"listing":          {dockerhub.ReadListing, listing, publisher.Facts{Repositories: new(int64(2)), Names: []string{"app", "old"}, Oldest: at("2014-12-01T00:00:00Z")}, false},
		"empty-listing":    {dockerhub.ReadListing, `{"count":0,"next":null,"previous":null,"results":[]}`, publisher.Facts{Repositories: new(int64(0))}, false},

		"official-image": {func(b []byte) (publisher.Facts, error) { return dockerhub.ReadRepository("library", "app", b) }, strings.ReplaceAll(repository, `"namespace":"acme"`, `"namespace":"library"`), publisher.Facts{Created: at("2015-01-02T03:04:05Z"), Updated: at("2026-01-02T03:04:05.678901Z"), Pulls: new(int64(34567)), Stars: new(int64(12)), Badge: new(publisher.BadgeOfficial)}, false},
		"never-pushed":   {readApp, strings.Replace(repository, `"2026-01-02T03:04:05.678901Z"`, `null`, 1), publisher.Facts{Created: at("2015-01-02T03:04:05Z"), Pulls: new(int64(34567)), Stars: new(int64(12))}, false},
		"count-null":     {readApp, strings.Replace(repository, `34567`, `null`, 1), publisher.Facts{Created: at("2015-01-02T03:04:05Z"), Updated: at("2026-01-02T03:04:05.678901Z"), Stars: new(int64(12))}, false},

		"another-account": {readUser, organization, publisher.Facts{}, true},
		"another-space":   {readApp, strings.Replace(repository, `"namespace":"acme"`, `"namespace":"evil"`, 1), publisher.Facts{}, true},
		"another-name":    {readApp, strings.Replace(repository, `"name":"app"`, `"name":"other"`, 1), publisher.Facts{}, true},
		"nobody":          {readAcme, `{"type":"User"}`, publisher.Facts{}, true},
		"account-as-list": {readAcme, `[]`, publisher.Facts{}, true},
		"badge-number":    {readAcme, say(`"badge":1`), publisher.Facts{}, true},
		"joined-number":   {readAcme, strings.Replace(user, `"2020-01-02T03:04:05Z"`, `1577934245`, 1), publisher.Facts{}, true},
		"joined-nonsense": {readAcme, strings.Replace(user, `2020-01-02T03:04:05Z`, `yesterday`, 1), publisher.Facts{}, true},
		"pulls-as-text":   {readApp, strings.Replace(repository, `34567`, `"34567"`, 1), publisher.Facts{}, true},
		"pulls-huge":      {readApp, strings.Replace(repository, `34567`, `1e400`, 1), publisher.Facts{}, true},
		"no-name":         {readApp, `{}`, publisher.Facts{}, true},
		"no-count":        {dockerhub.ReadListing, `{"results":[]}`, publisher.Facts{}, true},
		"results-object":  {dockerhub.ReadListing, `{"count":1,"results":{}}`, publisher.Facts{}, true},
		"page-of-html":    {dockerhub.ReadListing, `<html>log in</html>`, publisher.Facts{}, true},
		"cut":             {dockerhub.ReadListing, listing[:len(listing)/2], publisher.Facts{}, true},
		"nothing":         {readAcme, ``, publisher.Facts{}, true},
		"null":            {readAcme, `null`, publisher.Facts{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.read([]byte(tt.body))
			if (err != nil) != tt.bad || err != nil && !errors.Is(err, trust.ErrMalformed) {
				t.Fatalf("%v", err)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	hub := dockerhub.Registry{}
	if hub.Host() != "docker.io" || hub.Title() == "" || hub.Endpoint() != "https://hub.docker.com" {
		t.Error("Docker Hub is at hub.docker.com")
	}
	for repository, want := range map[string][]string{
		"acme/app":       {"account docker.io/acme /v2/orgs/acme/", "repository docker.io/acme/app /v2/repositories/acme/app/", "repositories docker.io/acme /v2/repositories/acme/?page_size=100"},
		"a/b?c":          {"account docker.io/a /v2/orgs/a/", "repository docker.io/a/b?c /v2/repositories/a/b%3Fc/", "repositories docker.io/a /v2/repositories/a/?page_size=100"},
		"library/alpine": {"repository docker.io/library/alpine /v2/repositories/library/alpine/"},
		"alpine":         nil, "a/b/c": nil, "": nil, "/": nil, "a/": nil,
	} {
		var got []string
		for _, q := range hub.Questions(trust.Reference{Registry: "docker.io", Repository: repository}) {
			got = append(got, q.Key()+" "+q.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", repository, diff)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	publishertest.Run(t, dockerhub.Registry{})
}

// FuzzRead: no answer makes a reader panic, and what it makes of one can be remembered.
func FuzzRead(f *testing.F) {
	publishertest.Fuzz(f, dockerhub.Registry{}, organization, user, repository, listing)
}
