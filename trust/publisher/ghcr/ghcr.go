// Package ghcr knows what GitHub tells of the accounts behind ghcr.io to anybody, and how. Of packages it tells nothing to
// those who are not logged in, and it vouches for nobody.
package ghcr

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/publisher/internal/document"
)

const host = "ghcr.io"

// Registry implements publisher.Registry.
type Registry struct{}

// Host implements publisher.Registry.
func (Registry) Host() string { return host }

// Title implements publisher.Registry.
func (Registry) Title() string { return "GitHub" }

// Endpoint implements publisher.Registry.
func (Registry) Endpoint() string { return "https://api.github.com" }

// Questions implements publisher.Registry. One question is asked of each account: GitHub answers sixty an hour.
func (Registry) Questions(ref trust.Reference) []publisher.Question {
	owner, _, ok := strings.Cut(ref.Repository, "/")
	if !ok || owner == "" {
		return nil
	}
	return []publisher.Question{{Kind: publisher.KindAccount, Name: host + "/" + owner, Path: "/users/" + url.PathEscape(owner), Read: ReadAccount}}
}

// ReadAccount reads a user or an organization.
func ReadAccount(body []byte) (publisher.Facts, error) {
	var doc struct {
		Login       string    `json:"login"`
		ID          int64     `json:"id"`
		Type        string    `json:"type"`
		CreatedAt   time.Time `json:"created_at"`
		PublicRepos *int64    `json:"public_repos"`
	}
	if err := document.Read(body, &doc); err != nil {
		return publisher.Facts{}, err
	}
	if doc.Login == "" || doc.ID <= 0 {
		return publisher.Facts{}, document.Lacks("a login and a number")
	}
	return publisher.Facts{
		ID: strconv.FormatInt(doc.ID, 10), Type: strings.ToLower(doc.Type), Created: doc.CreatedAt, Repositories: doc.PublicRepos,
	}, nil
}
