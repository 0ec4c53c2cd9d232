package render

import (
	"bufio"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/lookalike"
)

// EntryList is "trust ls" as JSON.
type EntryList struct {
	Schema  int           `json:"schema"`
	Entries []trust.Entry `json:"entries"`
}

// Standing is "trust test" as JSON.
type Standing struct {
	Schema    int            `json:"schema"`
	Reference string         `json:"reference"`
	Standing  trust.Standing `json:"standing"`
	// Resembles are known names that parts of the reference look like. An entry that allows the image waives the question.
	Resembles []lookalike.Resemblance `json:"resembles"`
}

// Entries prints trust entries as a table.
func (t Text) Entries(w io.Writer, entries []trust.Entry) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ACTION\tPATTERN\tEXPIRES\tWHERE\tREASON")
	for _, e := range entries {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", entryAction(e), clean(e.Pattern), expiry(e), where(e), orDash(e.Reason))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Standing prints which entry decides about a reference, which lost, and whom it resembles.
func (t Text) Standing(w io.Writer, ref trust.Reference, answer Standing) error {
	s := answer.Standing
	out := bufio.NewWriter(w)
	name := elide(ref.String(), nameWidth)
	switch {
	case s.Denied():
		fmt.Fprintf(out, "%s: %s\n", t.paint(string(trust.Block), "denied"), name)
	case s.Allowed():
		fmt.Fprintf(out, "%s: %s\n", t.paint(string(trust.Allow), "allowed"), name)
	default:
		fmt.Fprintf(out, "no entry matches: %s\n", name)
	}
	t.standing(out, s)
	t.resembles(out, answer)
	return flush(out)
}

func (t Text) resembles(out io.Writer, answer Standing) {
	if len(answer.Resembles) == 0 {
		return
	}
	title := "Look-alike"
	if answer.Standing.Allowed() {
		title += ", which the entry that allows the image waives"
	}
	var lines []string
	for _, r := range answer.Resembles {
		lines = append(lines, clean(fmt.Sprintf("%s %s (%s)", r.Part, r.Why, r.Strength)))
	}
	section(out, title, lines)
}

func (t Text) standing(out io.Writer, s trust.Standing) {
	if s.Decided == nil && len(s.Lost) == 0 {
		return
	}
	fmt.Fprint(out, "\nTrust entries:\n")
	if s.Decided != nil {
		fmt.Fprintf(out, "  decided: %s\n", entryLine(*s.Decided))
	}
	for _, e := range s.Lost[:min(len(s.Lost), reasonMax)] {
		fmt.Fprintf(out, "  lost:    %s\n", entryLine(e))
	}
}

// entryLine is one entry on one line: "deny docker.io/evil/* (user.yaml:3): reason".
func entryLine(e trust.Entry) string {
	line := fmt.Sprintf("%s %s (%s)", entryAction(e), clean(e.Pattern), where(e))
	if !e.Expires.IsZero() {
		line += ", until " + expiry(e)
	}
	if e.Owner != "" {
		line += ", owner " + clean(e.Owner)
	}
	if e.Reason != "" {
		line += ": " + clean(e.Reason)
	}
	return line
}

func entryAction(e trust.Entry) string {
	if e.SkipInspection {
		return clean(e.Action) + " without inspection"
	}
	return clean(e.Action)
}

func expiry(e trust.Entry) string {
	if e.Expires.IsZero() {
		return "never"
	}
	return e.Expires.UTC().Format("2006-01-02 15:04 UTC")
}

func where(e trust.Entry) string {
	if e.List == "" {
		return "no list"
	}
	if e.Line == 0 {
		return clean(e.List)
	}
	return fmt.Sprintf("%s:%d", clean(e.List), e.Line)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s)
}
