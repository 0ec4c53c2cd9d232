// Package quay knows what Quay tells of accounts and repositories to anybody, and how. It tells of no account when it was
// made, and vouches for nobody.
//
//   - GET /api/v1/repository/NAMESPACE/NAME?includeTags=true tells namespace, name, is_organization, and tags, at most 500 by
//     their names, with last_modified in the form of mail ("Wed, 15 Mar 2023 15:05:28 -0000").
//   - GET /api/v1/repository?public=true&namespace=NAME tells repositories, each with namespace and name, and next_page where
//     there are more; none for a namespace that is not there.
//   - What is not there, or private, has status 401 ("Requires authentication"): who has not logged in learns no difference.
//
// Source: endpoints/api/repository.py, repository_models_interface.py, __init__.py and endpoints/exception.py of
// github.com/quay/quay.
package quay

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/internal/document"
)

const host = "quay.io"

// Registry implements publisher.Registry.
type Registry struct{}

// Host implements publisher.Registry.
func (Registry) Host() string { return host }

// Title implements publisher.Registry.
func (Registry) Title() string { return "Quay" }

// Endpoint implements publisher.Registry.
func (Registry) Endpoint() string { return "https://quay.io" }

// Questions implements publisher.Registry.
func (Registry) Questions(ref trust.Reference) []publisher.Question {
	ns, repo, ok := strings.Cut(ref.Repository, "/")
	if !ok || ns == "" || repo == "" {
		return nil
	}
	account := host + "/" + ns
	return []publisher.Question{
		{
			Kind: publisher.KindRepository, Name: account + "/" + repo,
			Read:   func(body []byte) (publisher.Facts, error) { return ReadRepository(ns, repo, body) },
			Absent: func(status int, _ []byte) bool { return status == http.StatusUnauthorized },
			Path:   "/api/v1/repository/" + url.PathEscape(ns) + "/" + strings.ReplaceAll(url.PathEscape(repo), "%2F", "/") + "?includeTags=true",
		},
		{
			Kind: publisher.KindListing, Name: account, Path: "/api/v1/repository?public=true&namespace=" + url.QueryEscape(ns),
			Read: func(body []byte) (publisher.Facts, error) { return ReadListing(ns, body) },
		},
	}
}

// ReadRepository reads the repository of a name in a namespace; it was updated when its newest tag was.
func ReadRepository(namespace, name string, body []byte) (publisher.Facts, error) {
	var doc struct {
		Namespace      string `json:"namespace"`
		Name           string `json:"name"`
		IsOrganization *bool  `json:"is_organization"`
		Tags           map[string]struct {
			LastModified string `json:"last_modified"`
		} `json:"tags"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.Name != name || doc.Namespace != namespace {
		return publisher.Facts{}, document.Lacks("the name of the repository")
	}
	var f publisher.Facts
	if doc.IsOrganization != nil {
		f.Type = map[bool]string{true: "organization", false: "user"}[*doc.IsOrganization]
	}
	for _, t := range doc.Tags {
		if at, err := time.Parse(time.RFC1123Z, t.LastModified); err == nil && at.After(f.Updated) {
			f.Updated = at.UTC()
		}
	}
	return f, nil
}

// ReadListing reads the public repositories of a namespace. Others that an older Quay adds to them are left out.
func ReadListing(namespace string, body []byte) (publisher.Facts, error) {
	var doc struct {
		Repositories []struct {
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"repositories"`
		NextPage string `json:"next_page"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.Repositories == nil {
		return publisher.Facts{}, document.Lacks("a list")
	}
	var f publisher.Facts
	for _, r := range doc.Repositories {
		if r.Namespace == namespace {
			f.Names = append(f.Names, r.Name)
		}
	}
	if doc.NextPage == "" {
		f.Repositories = new(int64(len(f.Names)))
	}
	return f, nil
}
