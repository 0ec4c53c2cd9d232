// Package ghcr knows what GitHub tells of the accounts behind ghcr.io to anybody, and how. Of packages it tells nothing to
// those who are not logged in, and it vouches for nobody.
//
// GET /users/NAME answers for a user and an organization alike, with login, id (a number), type ("User", "Organization"), created_at
// (RFC 3339) and public_repos; 404 for nobody. Sixty questions an hour are free; X-RateLimit-Remaining and X-RateLimit-Reset
// (seconds since 1970) stand in every answer, and what is refused has status 403 or 429, with Retry-After or without. Answers
// carry ETag and Last-Modified. Sources: docs.github.com/rest/users/users, /rest/using-the-rest-api/rate-limits-for-the-rest-api
// and /best-practices-for-using-the-rest-api.
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
	owner, name, ok := strings.Cut(ref.Repository, "/")
	if !ok || owner == "" || name == "" {
		return nil
	}
	return []publisher.Question{{
		Kind: publisher.KindAccount, Name: host + "/" + owner, Path: "/users/" + url.PathEscape(owner),
		Read: func(body []byte) (publisher.Facts, error) { return ReadAccount(owner, body) },
	}}
}

// ReadAccount reads the user or the organization of a name. Another one's answer is none.
func ReadAccount(name string, body []byte) (publisher.Facts, error) {
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
	if !strings.EqualFold(doc.Login, name) || doc.ID <= 0 {
		return publisher.Facts{}, document.Lacks("the login and a number")
	}
	return publisher.Facts{
		ID: strconv.FormatInt(doc.ID, 10), Type: strings.ToLower(doc.Type), Created: doc.CreatedAt, Repositories: doc.PublicRepos,
	}, nil
}
