package publisher

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
)

// Kind is what a question, and with it a record, is about.
type Kind string

// The kinds.
const (
	// KindAccount is who owns a namespace.
	KindAccount Kind = "account"
	// KindRepository is one repository.
	KindRepository Kind = "repository"
	// KindListing is all repositories of an account.
	KindListing Kind = "repositories"
)

// The words of Facts.Badge. None is the empty word.
const (
	// BadgeOfficial is an official image of the registry.
	BadgeOfficial = "official"
	// BadgeVerified is a publisher that the registry verified.
	BadgeVerified = "verified publisher"
	// BadgeOpenSource is an open source project that the registry sponsors.
	BadgeOpenSource = "sponsored open source"
)

// Limits on facts, which registries tell and snapshots hold: memory, and what is shown of them. No registry has counted
// more than maxCount of anything, and none is older than firstYear: what says otherwise is not believed.
const (
	maxText   = 128
	maxNames  = 100
	maxCount  = 1 << 50
	firstYear = 2000
)

// Facts are what a registry tells of one account, repository or listing. What it does not tell is nil or zero.
type Facts struct {
	// Missing is true when the registry knows no such thing, at least for those who do not log in.
	Missing bool `json:"missing,omitempty"`
	// ID is the registry's own for an account. It stays when a name changes hands.
	ID string `json:"id,omitempty"`
	// Type is "organization" or "user".
	Type string `json:"type,omitempty"`
	// Created is when the account or repository was made, Updated when the repository was last pushed to.
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	// Badge is one of the words above.
	Badge *string `json:"badge,omitempty"`
	Pulls *int64  `json:"pulls,omitempty"`
	Stars *int64  `json:"stars,omitempty"`
	// Repositories counts those of the account; Names are at most 100 of them, and Oldest when the oldest of those was made.
	Repositories *int64    `json:"repositories,omitempty"`
	Names        []string  `json:"names,omitempty"`
	Oldest       time.Time `json:"oldest,omitzero"`
}

// Badged reports whether the registry vouches for who it is.
func (f Facts) Badged() bool { return f.Badge != nil && *f.Badge != "" }

// bounded cuts what is longer than it has any right to be, makes text safe to show, and leaves out counts and times that
// cannot be.
func (f Facts) bounded() Facts {
	f.ID, f.Type = trust.Sanitise(f.ID, maxText), trust.Sanitise(f.Type, maxText)
	if f.Badge != nil {
		f.Badge = new(trust.Sanitise(*f.Badge, maxText))
	}
	names := f.Names[:min(len(f.Names), maxNames)]
	f.Names = nil
	for _, n := range names {
		f.Names = append(f.Names, trust.Sanitise(n, maxText))
	}
	for _, n := range []**int64{&f.Pulls, &f.Stars, &f.Repositories} {
		if *n != nil && (**n < 0 || **n > maxCount) {
			*n = nil
		}
	}
	for _, t := range []*time.Time{&f.Created, &f.Updated, &f.Oldest} {
		if year := t.UTC().Year(); year < firstYear || year > 9998 { // a later one cannot be written down everywhere
			*t = time.Time{}
		}
	}
	return f
}

// toldAt is bounded, without times that were still to come when they were told: a clock is wrong then, and which one is
// not known.
func (f Facts) toldAt(at time.Time) Facts {
	f = f.bounded()
	for _, t := range []*time.Time{&f.Created, &f.Updated, &f.Oldest} {
		if t.Sub(at) > slack {
			*t = time.Time{}
		}
	}
	return f
}

// over are f's facts, and those of before that f does not tell: which account it is. What a registry does not vouch for now,
// it does not vouch for.
func (f Facts) over(before Facts) Facts {
	out := f
	if f.Missing {
		out = before
		out.Missing = true
		return out
	}
	if f.ID == "" {
		out.ID = before.ID
	}
	if f.Created.IsZero() {
		out.Created = before.Created
	}
	return out
}

// Question is one thing that a registry can be asked, about one record.
type Question struct {
	Kind Kind
	// Name is what it is about, with the registry: "docker.io/acme", "docker.io/acme/app".
	Name string
	// Path stands below the endpoint's URL, with a query where there is one.
	Path string
	// Body is posted as JSON; nil means that the question is a GET.
	Body []byte
	// Read reads the body of a good answer. Errors wrap trust.ErrMalformed.
	Read func(body []byte) (Facts, error)
	// Absent reports whether an answer that is none (its status is not 200, and its body may be cut) says that the registry
	// knows no such thing, at least for those who do not log in. Nil is never; 404 and 410 always say so.
	Absent func(status int, body []byte) bool
}

// Key names the record that the question is about.
func (q Question) Key() string { return string(q.Kind) + " " + q.Name }

// Registry is one that has facts to give. A folder below this one implements it.
type Registry interface {
	// Host is what references call it: "docker.io".
	Host() string
	// Title is what people call it: "Docker Hub".
	Title() string
	// Endpoint is the URL of its API.
	Endpoint() string
	// Questions are what to ask about the publisher of a reference. None means that there is nothing to find out.
	Questions(trust.Reference) []Question
}

// errName is for what no registry could have told.
var errName = errors.New("no name of a record")

// parseKey is the inverse of Question.Key.
func parseKey(key string) (Kind, string, error) {
	kind, name, ok := strings.Cut(key, " ")
	switch k := Kind(kind); {
	case !ok || name == "" || len(name) > 512 || trust.Sanitise(name, len(name)) != name || strings.Contains(name, " "):
	case k == KindAccount, k == KindRepository, k == KindListing:
		return k, name, nil
	}
	return "", "", fmt.Errorf("%w: %q", errName, trust.Sanitise(key, maxText))
}
