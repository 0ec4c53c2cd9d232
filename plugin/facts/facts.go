// Package facts shows what registries tell of publishers, as JSON and as text.
package facts

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// Document is "reputation show" as JSON.
type Document struct {
	Schema    int             `json:"schema"`
	Reference string          `json:"reference"`
	Known     publisher.Known `json:"known"`
	Findings  []trust.Finding `json:"findings"`
	Vouched   []string        `json:"vouched"`
	// Unanswered is what a registry did instead of answering, NotAsked why it was not asked; either may be empty.
	Unanswered string    `json:"unanswered"`
	NotAsked   string    `json:"notAsked"`
	Until      time.Time `json:"until,omitzero"`
}

// maxText bounds what one line takes over, in bytes.
const maxText = 1 << 10

func clean(s string) string { return trust.Sanitise(s, maxText) }

// New describes what is known of a publisher, in a schema of documents. The error is what a registry did instead of answering.
func New(schema int, ref trust.Reference, a publisher.Answer, err error) Document {
	r := Document{
		Schema: schema, Reference: clean(ref.WithDigest("").String()), Known: a.Known, Findings: append([]trust.Finding{}, a.Findings...),
		Vouched: append([]string{}, a.Vouched...), NotAsked: clean(a.NotAsked), Until: a.Until,
	}
	if err != nil {
		r.Unanswered = clean(err.Error())
	}
	return r
}

// Text prints it for people.
func (r Document) Text(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, r.Reference)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(out, "  %-13s %s\n", name+":", clean(text))
		}
	}
	k := r.Known
	row("Registry", k.Title)
	row("Account", accountLine(k.Account))
	row("Badge", cmp.Or(badgeLine(k.Account), badgeLine(k.Repository)))
	row("Repository", repositoryLine(k.Repository))
	switch n, public := k.Listing.Now.Repositories, k.Account.Now.Repositories; {
	case n != nil:
		row("Repositories", fmt.Sprint(*n))
	case public != nil: // GitHub counts those of source code
		row("Repositories", fmt.Sprintf("%d public ones of source code", *public))
	}
	for _, r := range []publisher.Record{k.Account, k.Repository, k.Listing} {
		if !r.Seen.IsZero() { // not every registry tells of accounts
			row("First seen", fmt.Sprintf("%s, last asked %s", day(r.Seen), r.Asked.UTC().Format("2006-01-02 15:04:05 UTC")))
			break
		}
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
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
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
		return strings.TrimPrefix(fmt.Sprintf("%s, made on %s", f.Type, day(f.Created)), ", ")
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
		parts = append(parts, "made on "+day(at))
	}
	if at := r.Now.Updated; !at.IsZero() {
		parts = append(parts, "last pushed on "+day(at))
	}
	if n := r.Now.Pulls; n != nil {
		parts = append(parts, counted(*n, "pull"))
	}
	if n := r.Now.Stars; n != nil {
		parts = append(parts, counted(*n, "star"))
	}
	return strings.Join(parts, ", ")
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
