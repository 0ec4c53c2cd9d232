// Package quay knows what Quay tells of accounts and repositories to anybody, and how. It tells of no account when it was
// made, and vouches for nobody.
package quay

import (
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
			Kind: publisher.KindRepository, Name: account + "/" + repo, Read: ReadRepository,
			Path: "/api/v1/repository/" + url.PathEscape(ns) + "/" + strings.ReplaceAll(url.PathEscape(repo), "%2F", "/") + "?includeTags=true",
		},
		{Kind: publisher.KindListing, Name: account, Path: "/api/v1/repository?public=true&namespace=" + url.QueryEscape(ns), Read: ReadListing},
	}
}

// ReadRepository reads one repository; it was updated when its newest tag was.
func ReadRepository(body []byte) (publisher.Facts, error) {
	var doc struct {
		Name           string `json:"name"`
		IsOrganization *bool  `json:"is_organization"`
		Tags           map[string]struct {
			LastModified string `json:"last_modified"`
		} `json:"tags"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.Name == "" {
		return publisher.Facts{}, document.Lacks("a name")
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

// ReadListing reads the public repositories of an account.
func ReadListing(body []byte) (publisher.Facts, error) {
	var doc struct {
		Repositories []struct {
			Name string `json:"name"`
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
	if doc.NextPage == "" {
		f.Repositories = new(int64(len(doc.Repositories)))
	}
	for _, r := range doc.Repositories {
		f.Names = append(f.Names, r.Name)
	}
	return f, nil
}
