package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// Reputation is "reputation show" as JSON.
type Reputation struct {
	Schema    int             `json:"schema"`
	Reference string          `json:"reference"`
	Known     publisher.Known `json:"known"`
	Findings  []Finding       `json:"findings"`
	Vouched   []string        `json:"vouched"`
	// Unanswered is what a registry did instead of answering, NotAsked why it was not asked; either may be empty.
	Unanswered string    `json:"unanswered"`
	NotAsked   string    `json:"notAsked"`
	Until      time.Time `json:"until,omitzero"`
}

// NewReputation describes what is known of a publisher. The error is what a registry did instead of answering.
func NewReputation(ref trust.Reference, a publisher.Answer, err error) Reputation {
	r := Reputation{
		Schema: Schema, Reference: clean(ref.WithDigest("").String()), Known: a.Known, Findings: NewFindings(a.Findings),
		Vouched: cleanSome(a.Vouched, reasonMax), NotAsked: clean(a.NotAsked), Until: a.Until,
	}
	if err != nil {
		r.Unanswered = clean(err.Error())
	}
	return r
}

// Reputation prints what is known of a publisher, for people.
func (t Text) Reputation(w io.Writer, r Reputation) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, elide(r.Reference, nameWidth))
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(out, "  %-13s %s\n", name+":", clean(text))
		}
	}
	k := r.Known
	row("Registry", k.Title)
	row("Account", accountLine(k.Account))
	row("Badge", badgeLine(k.Account))
	row("Repository", repositoryLine(k.Repository))
	if n := k.Listing.Now.Repositories; n != nil {
		row("Repositories", fmt.Sprint(*n))
	}
	if seen := k.Account.Seen; !seen.IsZero() {
		row("First seen", fmt.Sprintf("%s, last asked %s", date(seen), k.Account.Asked.UTC().Format("2006-01-02 15:04:05 UTC")))
	}
	row("Not asked", r.NotAsked)
	if r.Unanswered != "" {
		row("Unanswered", r.Unanswered)
	}
	if len(r.Findings) == 0 {
		row("Signs", "none")
	}
	for _, f := range r.Findings {
		row("Sign", fmt.Sprintf("%s: the %s %s", f.Strength, strings.TrimPrefix(f.Path, publisher.Part), f.Why))
	}
	return flush(out)
}

func accountLine(r publisher.Record) string {
	switch f := r.Now; {
	case r.Key == "":
		return ""
	case f.Missing:
		return "the registry does not know it"
	case f.Created.IsZero():
		return strings.TrimSpace(f.Type + ", made at a time that is not told")
	default:
		return strings.TrimPrefix(fmt.Sprintf("%s, made on %s", f.Type, date(f.Created)), ", ")
	}
}

func badgeLine(r publisher.Record) string {
	switch {
	case r.Key == "" || r.Now.Badge == nil:
		return ""
	case *r.Now.Badge == "":
		return "none"
	}
	return *r.Now.Badge
}

func repositoryLine(r publisher.Record) string {
	if r.Key == "" {
		return ""
	}
	if r.Now.Missing {
		return "not shown to those without a login"
	}
	var parts []string
	if at := r.Now.Created; !at.IsZero() {
		parts = append(parts, "made on "+date(at))
	}
	if at := r.Now.Updated; !at.IsZero() {
		parts = append(parts, "last pushed on "+date(at))
	}
	if n := r.Now.Pulls; n != nil {
		parts = append(parts, fmt.Sprintf("%d pulls", *n))
	}
	if n := r.Now.Stars; n != nil {
		parts = append(parts, fmt.Sprintf("%d stars", *n))
	}
	return strings.Join(parts, ", ")
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
