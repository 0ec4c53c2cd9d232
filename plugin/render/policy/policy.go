// Package policy prints what is asked about policies: whether one is right, what it makes of cases and of the past.
package policy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

// caseResult is one case of Tested. Wrong is empty where it is as wanted.
type caseResult struct {
	Name    string       `json:"name"`
	Line    int          `json:"line"`
	Action  trust.Action `json:"action"`
	Want    trust.Action `json:"want"`
	Wrong   string       `json:"wrong"`
	Reasons []string     `json:"reasons"`
}

// Tested is "policy test" as JSON.
type Tested struct {
	Schema  int           `json:"schema"`
	Policy  digest.Digest `json:"policy"`
	Cases   int           `json:"cases"`
	Failed  int           `json:"failed"`
	Results []caseResult  `json:"results"`
}

// Add tries a case, and notes what came of it.
func (r *Tested) Add(c policy.Case, p *policy.Policy) {
	d, wrong := p.Try(c)
	if r.Cases++; wrong != "" {
		r.Failed++
	}
	r.Results = append(r.Results, caseResult{Name: c.Name, Line: c.Line, Action: d.Action, Want: c.Want, Wrong: wrong, Reasons: d.Reasons})
}

// image is one about which the replayed policy decides otherwise.
type image struct {
	ID        string       `json:"id"`
	Reference string       `json:"reference"`
	Before    trust.Action `json:"before"`
	After     trust.Action `json:"after"`
	// Change is "refused", "freed", or "other" where it was served before and after, or neither.
	Change string `json:"change"`
	Reason string `json:"reason"`
	// Open says what the evidence does not tell: After is the mildest that may come of it then.
	Open string `json:"open"`
}

// Replayed is "policy replay" as JSON.
type Replayed struct {
	Schema  int           `json:"schema"`
	Since   time.Time     `json:"since"`
	Policy  digest.Digest `json:"policy"`
	Images  int           `json:"images"`
	Refused int           `json:"refused"`
	Freed   int           `json:"freed"`
	Other   int           `json:"other"`
	Changed []image       `json:"changed"`
}

// MarshalJSON writes no changes as an empty list.
func (r Replayed) MarshalJSON() ([]byte, error) {
	type plain Replayed
	r.Changed = append([]image{}, r.Changed...)
	return json.Marshal(plain(r)) //nolint:wrapcheck // the encoder adds who it is
}

// Add decides a verdict again, and notes it where the action is another one.
func (r *Replayed) Add(v trust.Verdict, p *policy.Policy, standing trust.Standing) {
	r.Images++
	d, open := p.Again(v.Evidence, standing)
	if d.Action == v.Action && open == "" {
		return
	}
	one := image{ID: line.Clean(v.ID), Reference: line.Clean(v.Reference.WithDigest("").String()), Before: v.Action, After: d.Action, Open: line.Clean(open)}
	if len(d.Reasons) > 0 {
		one.Reason = line.Clean(d.Reasons[0])
	} else if standing.Decided != nil {
		one.Reason = line.Clean(fmt.Sprintf("trust list allows %s", standing.Decided.Pattern))
	}
	switch {
	case v.Action.Serves() && !d.Action.Serves():
		one.Change = "refused"
		r.Refused++
	case !v.Action.Serves() && d.Action.Serves():
		one.Change = "freed"
		r.Freed++
	default:
		one.Change = "other"
		r.Other++
	}
	r.Changed = append(r.Changed, one)
}

// Text prints the cases of a file that are not as wanted, and how many there are.
func (r Tested) Text(w io.Writer, t render.Text, file string) error {
	out := bufio.NewWriter(w)
	for _, c := range r.Results {
		if c.Wrong == "" {
			fmt.Fprintf(out, "ok    %s: %s\n", line.Clean(c.Name), c.Action)
			continue
		}
		fmt.Fprintf(out, "%s  %s:%d: %s: %s\n", t.Paint(string(trust.Block), "FAIL"), line.Clean(file), c.Line, line.Clean(c.Name), line.Clean(c.Wrong))
		for _, reason := range c.Reasons[:min(len(c.Reasons), 8)] {
			fmt.Fprintf(out, "      - %s\n", line.Clean(reason))
		}
	}
	fmt.Fprintf(out, "%d cases, %d not as wanted, policy %s\n", r.Cases, r.Failed, line.Short(r.Policy))
	return line.Flush(out)
}

// Text prints who would be refused, freed, or treated otherwise.
func (r Replayed) Text(w io.Writer, _ render.Text) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "Decided again: %d images since %s, by policy %s\n", r.Images, line.Moment(r.Since), line.Short(r.Policy))
	for _, part := range []struct{ change, title string }{
		{"refused", "Newly refused"}, {"freed", "Freed"}, {"other", "Otherwise"},
	} {
		var lines []string
		for _, c := range r.Changed {
			if c.Change != part.change {
				continue
			}
			text := fmt.Sprintf("%s (%s): %s → %s", line.Elide(c.Reference, line.Name), c.ID, c.Before, c.After)
			if c.Open != "" {
				text = strings.Replace(text, "→ ", "→ at least ", 1)
			}
			if c.Reason != "" {
				text += ": " + line.Shorten(c.Reason, line.Reason)
			}
			if c.Open != "" {
				text += "; " + c.Open
			}
			lines = append(lines, text)
		}
		line.Section(out, part.title, lines)
	}
	fmt.Fprintf(out, "\n%d newly refused, %d freed, %d otherwise, %d as before\n", r.Refused, r.Freed, r.Other, r.Images-len(r.Changed))
	return line.Flush(out)
}
