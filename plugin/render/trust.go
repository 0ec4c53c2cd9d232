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
	fmt.Fprintln(out, "ACTION\tPATTERN\tLEVEL\tEXPIRES\tOWNER\tWHERE\tREASON")
	for _, e := range entries {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			entryAction(e), clean(e.Pattern), orDash(e.Level), expiry(e), orDash(e.Owner), where(e), orDash(e.Reason))
	}
	return flushTable(out)
}

func flushTable(out *tabwriter.Writer) error {
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
	case s.Decided != nil:
		fmt.Fprintf(out, "%s: %s\n", t.paint(string(trust.Quarantine), "not as the entry requires"), name)
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
	if answer.Standing.Trusted() {
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
	for _, u := range s.Unmet[:min(len(s.Unmet), reasonMax)] {
		fmt.Fprintf(out, "           %s\n", clean(u))
	}
	for _, e := range s.Lost[:min(len(s.Lost), reasonMax)] {
		fmt.Fprintf(out, "  lost:    %s\n", entryLine(e))
		if e.Because != "" {
			fmt.Fprintf(out, "           because: %s\n", clean(e.Because))
		}
	}
}

// entryLine is one entry on one line: "deny docker.io/evil/* (user.yaml:3): reason".
func entryLine(e trust.Entry) string {
	line := fmt.Sprintf("%s %s (%s)", entryAction(e), clean(e.Pattern), where(e))
	if e.Level != "" {
		line += ", " + clean(e.Level)
	}
	for _, part := range []struct{ before, text string }{
		{"until", expiryOf(e)}, {"owner", e.Owner}, {"approved by", e.ApprovedBy}, {"ticket", e.Ticket},
	} {
		if part.text != "" {
			line += ", " + part.before + " " + clean(part.text)
		}
	}
	if e.Reason != "" {
		line += ": " + clean(e.Reason)
	}
	return line
}

// entryAction is what an entry does, with its conditions.
func entryAction(e trust.Entry) string {
	action := clean(e.Action)
	if e.SkipInspection {
		action += " without inspection"
	}
	if e.Tier == trust.TierKnown {
		action += " as known"
	}
	switch n := len(e.Digests); n {
	case 0:
	case 1:
		action += ", one digest"
	default:
		action += fmt.Sprintf(", %d digests", n)
	}
	if e.RequireSignature != nil {
		action += ", signed"
	}
	if e.Locked {
		action += ", locked"
	}
	return action
}

func expiryOf(e trust.Entry) string {
	if e.Expires.IsZero() {
		return ""
	}
	return expiry(e)
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
