package render

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace"
)

// TrustProblems is "trust lint" as JSON.
type TrustProblems struct {
	Schema   int                 `json:"schema"`
	Problems []namespace.Problem `json:"problems"`
}

// TrustProblems prints what is questionable, one entry a line.
func (t Text) TrustProblems(w io.Writer, answer TrustProblems) error {
	out := bufio.NewWriter(w)
	for _, p := range answer.Problems {
		fmt.Fprintf(out, "%s: %s: %s %s: %s\n", where(p.Entry), t.paint(string(trust.Warn), clean(p.Kind)), clean(p.Entry.Action), clean(p.Entry.Pattern), clean(p.Why))
	}
	if len(answer.Problems) == 0 {
		fmt.Fprintln(out, "nothing is questionable")
	}
	return flush(out)
}

// trustChange is a difference of two lists.
type trustChange struct {
	// What is "added", "removed" or "changed".
	What string `json:"change"`
	namespace.Change
}

// TrustChanges are "trust diff" and "trust import" as JSON.
type TrustChanges struct {
	Schema  int           `json:"schema"`
	Changes []trustChange `json:"changes"`
}

// Of are changes as a document.
func (TrustChanges) Of(changes []namespace.Change) TrustChanges {
	doc := TrustChanges{Schema: Schema, Changes: make([]trustChange, len(changes))}
	for i, c := range changes {
		doc.Changes[i] = trustChange{c.Word(), c}
	}
	return doc
}

// Changes prints what went and what came, as diff does.
func (t Text) Changes(w io.Writer, doc TrustChanges) error {
	out := bufio.NewWriter(w)
	for _, c := range doc.Changes {
		if c.Before != nil {
			fmt.Fprintf(out, "- %s\n", entryTerms(*c.Before))
		}
		if c.After != nil {
			fmt.Fprintf(out, "+ %s\n", entryTerms(*c.After))
		}
	}
	if len(doc.Changes) == 0 {
		fmt.Fprintln(out, "nothing differs")
	}
	return flush(out)
}

// entryTerms is entryLine without where the entry stands.
func entryTerms(e trust.Entry) string {
	e.List, e.Line, e.Level = "", 0, ""
	return strings.Replace(entryLine(e), " (no list)", "", 1)
}

// TrustEdits is "trust history" as JSON.
type TrustEdits struct {
	Schema int         `json:"schema"`
	Edits  []trustEdit `json:"edits"`
}

// trustEdit is one change of the user's list.
type trustEdit struct {
	At time.Time `json:"at"`
	By string    `json:"by"`
	trustChange
}

// Of are edits as a document.
func (TrustEdits) Of(edits []namespace.Edit) TrustEdits {
	doc := TrustEdits{Schema: Schema, Edits: make([]trustEdit, len(edits))}
	for i, e := range edits {
		doc.Edits[i] = trustEdit{e.At, clean(e.By), trustChange{e.Word(), e.Change}}
	}
	return doc
}

// Edits prints a history as a table.
func (t Text) Edits(w io.Writer, doc TrustEdits) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "WHEN\tWHO\tWHAT\tENTRY")
	for _, e := range doc.Edits {
		entry := e.After
		if entry == nil {
			entry = e.Before
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", e.At.UTC().Format("2006-01-02 15:04 UTC"), clean(e.By), e.What, entryTerms(*entry))
	}
	return flushTable(out)
}
