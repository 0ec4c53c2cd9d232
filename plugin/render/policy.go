package render

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

// PolicyLinted is "policy lint" as JSON.
type PolicyLinted struct {
	Schema  int           `json:"schema"`
	Policy  string        `json:"policy"`
	Digest  digest.Digest `json:"digest"`
	Rules   int           `json:"rules"`
	Contact string        `json:"contact"`
}

// caseResult is one case of PolicyTested. Wrong is empty where it is as wanted.
type caseResult struct {
	Name    string       `json:"name"`
	Line    int          `json:"line"`
	Action  trust.Action `json:"action"`
	Want    trust.Action `json:"want"`
	Wrong   string       `json:"wrong"`
	Reasons []string     `json:"reasons"`
}

// PolicyTested is "policy test" as JSON.
type PolicyTested struct {
	Schema  int           `json:"schema"`
	Policy  digest.Digest `json:"policy"`
	Cases   int           `json:"cases"`
	Failed  int           `json:"failed"`
	Results []caseResult  `json:"results"`
}

// Add tries a case, and notes what came of it.
func (r *PolicyTested) Add(c policy.Case, p *policy.Policy) {
	d, wrong := p.Try(c)
	if r.Cases++; wrong != "" {
		r.Failed++
	}
	r.Results = append(r.Results, caseResult{Name: c.Name, Line: c.Line, Action: d.Action, Want: c.Want, Wrong: wrong, Reasons: d.Reasons})
}

// replayed is an image about which the replayed policy decides otherwise.
type replayed struct {
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

// PolicyReplayed is "policy replay" as JSON.
type PolicyReplayed struct {
	Schema  int           `json:"schema"`
	Since   time.Time     `json:"since"`
	Policy  digest.Digest `json:"policy"`
	Images  int           `json:"images"`
	Refused int           `json:"refused"`
	Freed   int           `json:"freed"`
	Other   int           `json:"other"`
	Changed []replayed    `json:"changed"`
}

// MarshalJSON writes no changes as an empty list.
func (r PolicyReplayed) MarshalJSON() ([]byte, error) {
	type plain PolicyReplayed
	r.Changed = append([]replayed{}, r.Changed...)
	return json.Marshal(plain(r)) //nolint:wrapcheck // the encoder adds who it is
}

// Add decides a verdict again, and notes it where the action is another one.
func (r *PolicyReplayed) Add(v trust.Verdict, p *policy.Policy, standing trust.Standing) {
	r.Images++
	d, open := p.Again(v.Evidence, standing)
	if d.Action == v.Action {
		return
	}
	one := replayed{ID: clean(v.ID), Reference: clean(v.Reference.WithDigest("").String()), Before: v.Action, After: d.Action, Open: clean(open)}
	if len(d.Reasons) > 0 {
		one.Reason = clean(d.Reasons[0])
	} else if standing.Decided != nil {
		one.Reason = clean(fmt.Sprintf("trust list allows %s", standing.Decided.Pattern))
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

// PolicyLinted prints that a policy is right.
func (t Text) PolicyLinted(w io.Writer, l PolicyLinted) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: right, %d rules, %s\n", clean(l.Policy), l.Rules, cleanDigest(l.Digest))
	if l.Contact == "" {
		fmt.Fprint(out, "note: \"contact\" is empty: people who are refused are not told whom to ask\n")
	}
	return flush(out)
}

// PolicyTested prints the cases that are not as wanted, and how many there are.
func (t Text) PolicyTested(w io.Writer, file string, r PolicyTested) error {
	out := bufio.NewWriter(w)
	for _, c := range r.Results {
		if c.Wrong == "" {
			fmt.Fprintf(out, "ok    %s: %s\n", clean(c.Name), c.Action)
			continue
		}
		fmt.Fprintf(out, "%s  %s:%d: %s: %s\n", t.paint(string(trust.Block), "FAIL"), clean(file), c.Line, clean(c.Name), clean(c.Wrong))
		for _, reason := range c.Reasons[:min(len(c.Reasons), 8)] {
			fmt.Fprintf(out, "      - %s\n", clean(reason))
		}
	}
	fmt.Fprintf(out, "%d cases, %d not as wanted, policy %s\n", r.Cases, r.Failed, short(r.Policy))
	return flush(out)
}

// PolicyReplayed prints who would be refused, freed, or treated otherwise.
func (t Text) PolicyReplayed(w io.Writer, r PolicyReplayed) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "Decided again: %d images since %s, by policy %s\n", r.Images, r.Since.UTC().Format("2006-01-02 15:04 UTC"), short(r.Policy))
	for _, part := range []struct{ change, title string }{
		{"refused", "Newly refused"}, {"freed", "Freed"}, {"other", "Otherwise"},
	} {
		var lines []string
		for _, c := range r.Changed {
			if c.Change != part.change {
				continue
			}
			line := fmt.Sprintf("%s (%s): %s → %s", elide(c.Reference, nameWidth), c.ID, c.Before, c.After)
			if c.Open != "" {
				line = strings.Replace(line, "→ ", "→ at least ", 1)
			}
			if c.Reason != "" {
				line += ": " + elide(longDigest.ReplaceAllString(c.Reason, "$1"), reasonWidth)
			}
			if c.Open != "" {
				line += "; " + c.Open
			}
			lines = append(lines, line)
		}
		section(out, part.title, lines)
	}
	fmt.Fprintf(out, "\n%d newly refused, %d freed, %d otherwise, %d as before\n", r.Refused, r.Freed, r.Other, r.Images-len(r.Changed))
	return flush(out)
}
