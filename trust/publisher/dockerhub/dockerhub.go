// Package dockerhub knows what Docker Hub tells of accounts and repositories to anybody, and how. By the fields:
//
//   - GET /v2/orgs/NAME/ tells id, orgname or username, type ("Organization", "User"), date_joined (RFC 3339) and, of
//     an organization, badge ("verified_publisher", "open_source", or empty). A user's name leads on to /v2/users/NAME/ with
//     status 308, and the other way round. Sources: src/accounts.ts of github.com/docker/hub-mcp, internal/dockerhub/models.go
//     of github.com/AlexGustafsson/cupdate.
//   - GET /v2/repositories/NAMESPACE/NAME/ tells name, namespace, date_registered, last_updated (both may be null),
//     pull_count, star_count. Sources: src/repos.ts and models.go there.
//   - GET /v2/repositories/NAMESPACE/?page_size=100 tells count and results, of the same fields, page by page.
//   - What is not there, or private, has status 404.
//   - Every answer carries X-RateLimit-Limit, -Remaining and -Reset (seconds since 1970), status 429 Retry-After in seconds,
//     and X-Retry-After as a time until 2025. Source: content/reference/api/hub/latest.yaml of github.com/docker/docs, and
//     its change 22916.
package dockerhub

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/internal/document"
)

// Registry implements publisher.Registry.
type Registry struct{}

// Host implements publisher.Registry.
func (Registry) Host() string { return trust.DockerHub }

// Title implements publisher.Registry.
func (Registry) Title() string { return "Docker Hub" }

// Endpoint implements publisher.Registry.
func (Registry) Endpoint() string { return "https://hub.docker.com" }

// official is the namespace of the official images, which belong to Docker itself.
const official = "library"

// Questions implements publisher.Registry. An account is asked for as an organization; the API leads on to users. Official
// images have no account of their own.
func (Registry) Questions(ref trust.Reference) []publisher.Question {
	ns, repo, ok := strings.Cut(ref.Repository, "/")
	if !ok || ns == "" || repo == "" || strings.Contains(repo, "/") {
		return nil
	}
	account, e := trust.DockerHub+"/"+ns, url.PathEscape
	repository := publisher.Question{
		Kind: publisher.KindRepository, Name: account + "/" + repo, Path: "/v2/repositories/" + e(ns) + "/" + e(repo) + "/",
		Read: func(body []byte) (publisher.Facts, error) { return ReadRepository(ns, repo, body) },
	}
	if ns == official {
		return []publisher.Question{repository}
	}
	return []publisher.Question{
		{
			Kind: publisher.KindAccount, Name: account, Path: "/v2/orgs/" + e(ns) + "/",
			Read: func(body []byte) (publisher.Facts, error) { return ReadAccount(ns, body) },
		},
		repository,
		{Kind: publisher.KindListing, Name: account, Path: "/v2/repositories/" + e(ns) + "/?page_size=100", Read: ReadListing},
	}
}

// ReadAccount reads the organization or the user of a name. Another one's answer is none: nobody is vouched for by what is
// said of somebody else.
func ReadAccount(name string, body []byte) (publisher.Facts, error) {
	var doc struct {
		ID         string    `json:"id"`
		OrgName    string    `json:"orgname"`
		Username   string    `json:"username"`
		Type       string    `json:"type"`
		DateJoined time.Time `json:"date_joined"`
		Badge      badge     `json:"badge"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if !strings.EqualFold(doc.OrgName, name) && !strings.EqualFold(doc.Username, name) {
		return publisher.Facts{}, document.Lacks("the name of the account")
	}
	return publisher.Facts{ID: doc.ID, Type: strings.ToLower(doc.Type), Created: doc.DateJoined, Badge: doc.Badge.word}, nil
}

// badge is told as a word, as an empty one, as null, or not at all; the last says nothing.
type badge struct{ word *string }

// UnmarshalJSON reads the word.
func (b *badge) UnmarshalJSON(text []byte) error {
	var word *string
	if err := json.Unmarshal(text, &word); err != nil {
		return err
	}
	switch b.word = new(""); {
	case word == nil, *word == "", *word == "none":
	case *word == "verified_publisher":
		*b.word = publisher.BadgeVerified
	case *word == "open_source":
		*b.word = publisher.BadgeOpenSource
	case *word == "official":
		*b.word = publisher.BadgeOfficial
	default: // a word of tomorrow is no badge that we know, and no lost one either
		b.word = nil
	}
	return nil
}

// repository is one, alone or in a listing.
type repository struct {
	Name           string    `json:"name"`
	Namespace      string    `json:"namespace"`
	DateRegistered time.Time `json:"date_registered"`
	LastUpdated    time.Time `json:"last_updated"`
	PullCount      *int64    `json:"pull_count"`
	StarCount      *int64    `json:"star_count"`
}

// ReadRepository reads the repository of a name in a namespace.
func ReadRepository(namespace, name string, body []byte) (publisher.Facts, error) {
	var doc repository
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.Name != name || doc.Namespace != namespace {
		return publisher.Facts{}, document.Lacks("the name of the repository")
	}
	f := publisher.Facts{Created: doc.DateRegistered, Updated: doc.LastUpdated, Pulls: doc.PullCount, Stars: doc.StarCount}
	if namespace == official {
		f.Badge = new(publisher.BadgeOfficial)
	}
	return f, nil
}

// ReadListing reads the first page of an account's repositories.
func ReadListing(body []byte) (publisher.Facts, error) {
	var doc struct {
		Count   *int64       `json:"count"`
		Results []repository `json:"results"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.Count == nil {
		return publisher.Facts{}, document.Lacks("a count")
	}
	f := publisher.Facts{Repositories: doc.Count}
	for _, r := range doc.Results {
		f.Names = append(f.Names, r.Name)
		if at := r.DateRegistered; !at.IsZero() && (f.Oldest.IsZero() || at.Before(f.Oldest)) {
			f.Oldest = at
		}
	}
	return f, nil
}
