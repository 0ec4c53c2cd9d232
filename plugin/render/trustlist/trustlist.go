// Package trustlist prints what trust lists say, and what is edited in them.
package trustlist

import (
	"bufio"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/lookalike"
)

// Entries are "trust ls" as JSON.
type Entries struct {
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

// NewEntries are entries as a document.
func NewEntries(entries ...trust.Entry) Entries {
	return Entries{Schema: render.Schema, Entries: append([]trust.Entry{}, entries...)}
}

// Text prints them as a table.
func (l Entries) Text(w io.Writer, _ render.Text) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ACTION\tPATTERN\tLEVEL\tEXPIRES\tOWNER\tWHERE\tREASON")
	for _, e := range l.Entries {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			line.EntryAction(e), line.Clean(e.Pattern), line.OrDash(e.Level), line.EntryEnd(e), line.OrDash(e.Owner), line.EntryPlace(e), line.OrDash(e.Reason))
	}
	return line.Flush(out)
}

// Text prints which entry decides about the reference, which lost, and whom it resembles.
func (a Standing) Text(w io.Writer, t render.Text) error {
	s := a.Standing
	out := bufio.NewWriter(w)
	name := line.Elide(a.Reference, line.Name)
	switch {
	case s.Denied():
		fmt.Fprintf(out, "%s: %s\n", t.Paint(string(trust.Block), "denied"), name)
	case s.Allowed() && s.Decided.RequireSignature != nil: // who signed it, this did not ask
		fmt.Fprintf(out, "%s: %s\n", t.Paint(string(trust.Allow), "allowed if signed"), name)
	case s.Allowed():
		fmt.Fprintf(out, "%s: %s\n", t.Paint(string(trust.Allow), "allowed"), name)
	case s.Decided != nil:
		fmt.Fprintf(out, "%s: %s\n", t.Paint(string(trust.Quarantine), "not as the entry requires"), name)
	default:
		fmt.Fprintf(out, "no entry matches: %s\n", name)
	}
	line.Standing(out, s)
	a.resembles(out)
	return line.Flush(out)
}

func (a Standing) resembles(out io.Writer) {
	if len(a.Resembles) == 0 {
		return
	}
	title := "Look-alike"
	if a.Standing.Trusted() {
		title += ", which the entry that allows the image waives"
	}
	var lines []string
	for _, r := range a.Resembles {
		lines = append(lines, line.Clean(fmt.Sprintf("%s %s (%s)", r.Part, r.Why, r.Strength)))
	}
	line.Section(out, title, lines)
}
