package trustlist

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
)

// Problems are "trust lint" as JSON.
type Problems struct {
	Schema   int                 `json:"schema"`
	Problems []namespace.Problem `json:"problems"`
}

// NewProblems are problems as a document.
func NewProblems(problems []namespace.Problem) Problems {
	return Problems{Schema: render.Schema, Problems: append([]namespace.Problem{}, problems...)}
}

// Text prints what is questionable, one entry a line.
func (a Problems) Text(w io.Writer, t render.Text) error {
	out := bufio.NewWriter(w)
	for _, p := range a.Problems {
		fmt.Fprintf(out, "%s: %s: %s %s: %s\n", line.EntryPlace(p.Entry), t.Paint(string(trust.Warn), line.Clean(p.Kind)), line.Clean(p.Entry.Action), line.Clean(p.Entry.Pattern), line.Clean(p.Why))
	}
	if len(a.Problems) == 0 {
		fmt.Fprintln(out, "nothing is questionable")
	}
	return line.Flush(out)
}

// change is a difference of two lists.
type change struct {
	// What is "added", "removed" or "changed".
	What string `json:"change"`
	namespace.Change
}

// Changes are "trust diff" and "trust import" as JSON.
type Changes struct {
	Schema  int      `json:"schema"`
	Changes []change `json:"changes"`
}

// NewChanges are changes as a document.
func NewChanges(changes []namespace.Change) Changes {
	doc := Changes{Schema: render.Schema, Changes: make([]change, len(changes))}
	for i, c := range changes {
		doc.Changes[i] = change{c.Word(), c}
	}
	return doc
}

// Text prints what went and what came, as diff does.
func (doc Changes) Text(w io.Writer, _ render.Text) error {
	out := bufio.NewWriter(w)
	for _, c := range doc.Changes {
		if c.Before != nil {
			fmt.Fprintf(out, "- %s\n", terms(*c.Before))
		}
		if c.After != nil {
			fmt.Fprintf(out, "+ %s\n", terms(*c.After))
		}
	}
	if len(doc.Changes) == 0 {
		fmt.Fprintln(out, "nothing differs")
	}
	return line.Flush(out)
}

// terms are line.Entry without where the entry stands.
func terms(e trust.Entry) string {
	e.List, e.Line, e.Level = "", 0, ""
	return strings.Replace(line.Entry(e), " (no list)", "", 1)
}

// Edits are "trust history" as JSON.
type Edits struct {
	Schema int    `json:"schema"`
	Edits  []edit `json:"edits"`
}

// edit is one change of the user's list.
type edit struct {
	At time.Time `json:"at"`
	By string    `json:"by"`
	change
}

// NewEdits are edits as a document.
func NewEdits(edits []namespace.Edit) Edits {
	doc := Edits{Schema: render.Schema, Edits: make([]edit, len(edits))}
	for i, e := range edits {
		doc.Edits[i] = edit{e.At, line.Clean(e.By), change{e.Word(), e.Change}}
	}
	return doc
}

// Text prints the history as a table.
func (doc Edits) Text(w io.Writer, _ render.Text) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "WHEN\tWHO\tWHAT\tENTRY")
	for _, e := range doc.Edits {
		entry := e.After
		if entry == nil {
			entry = e.Before
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", line.Moment(e.At), line.Clean(e.By), e.What, terms(*entry))
	}
	return line.Flush(out)
}
