package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
)

// weightsOf says of findings what they weighed, as the policy recorded it.
func weightsOf(v trust.Verdict) map[Finding]string {
	if v.Decision == nil {
		return nil
	}
	of := map[int]trust.Weight{}
	for _, w := range v.Decision.Weights {
		of[w.Finding] = w
	}
	out := map[Finding]string{}
	for i, f := range v.Evidence.Findings {
		documented := NewFindings([]trust.Finding{f})[0]
		if w, ok := of[i]; ok {
			out[documented] = weighs(w)
		} else if _, twice := out[documented]; !twice {
			out[documented] = weighsNothing(f)
		}
	}
	return out
}

// weighsNothing says why a finding is no part of the sum.
func weighsNothing(f trust.Finding) string {
	switch check, _, _ := strings.Cut(f.Check, "@"); {
	case f.Strength == trust.Context && f.Class == "":
		return "0: it is shown, and weighs nothing by itself"
	case f.Class == trust.ClassNode || check == "campaign":
		return "0: rules look at it, and it has no points"
	case f.Strength == trust.Context:
		return "0: rules look at what hides its content, and it has no points"
	}
	return "0: another finding of the same check weighs more, or as much"
}

func weighs(w trust.Weight) string {
	points := strconv.FormatFloat(w.Points, 'f', -1, 64)
	counted := strconv.FormatFloat(w.Counted, 'f', -1, 64)
	switch w.Counted {
	case w.Points:
		return fmt.Sprintf("%s points, of the group %s", points, line.Clean(w.Group))
	case 0:
		return fmt.Sprintf("%s points, none of which count: two others of the group %s weigh more", points, line.Clean(w.Group))
	}
	return fmt.Sprintf("%s points, of which %s count: another one of the group %s weighs more", points, counted, line.Clean(w.Group))
}

// changes says what would change the action.
func (t Text) changes(out io.Writer, d *trust.Decision) {
	if d == nil || len(d.Changes) == 0 {
		return
	}
	lines := make([]string, 0, len(d.Changes))
	for _, c := range d.Changes[:min(len(d.Changes), reasonMax)] {
		text := line.Clean(c.If)
		if c.Then != "" {
			text += ": " + word(line.Clean(string(c.Then)))
		}
		lines = append(lines, text)
	}
	line.Section(out, "What would change it (decided again by the same policy)", lines)
}

// next says whom to ask, and what can be done meanwhile, about what was refused or would have been.
func (t Text) next(out io.Writer, d Document) {
	if d.ExitStatus == 0 && d.Called == "" && d.whom == "" {
		return
	}
	fmt.Fprintf(out, "\nWhom to ask: %s, naming %s.\n", t.whom(d), d.ID)
}

// Explanation is "explain" as JSON: the document of the verdict, and how it came about.
type Explanation struct {
	Document
	Standing trust.Standing  `json:"standing"`
	Vouched  []string        `json:"vouched"`
	Decision *trust.Decision `json:"decision"`
	// Whom is whom to ask about it, as far as the verdict knows.
	Whom string `json:"whom"`
}

// NewExplanation describes a verdict in full. Decision is null in verdicts of older programs.
func NewExplanation(v trust.Verdict) Explanation {
	e := Explanation{Document: NewDocument(v, ""), Whom: line.Clean(v.Whom()), Standing: v.Evidence.Standing, Vouched: line.CleanSome(v.Evidence.Vouched, reasonMax)}
	if v.Decision == nil {
		return e
	}
	d := *v.Decision
	d.Contact, d.Scope, d.Changes = line.Clean(d.Contact), line.Clean(d.Scope), nil
	d.Reasons = nil // they stand in the document
	d.Rules = line.CleanSome(d.Rules, reasonMax)
	for _, c := range v.Decision.Changes[:min(len(v.Decision.Changes), reasonMax)] {
		d.Changes = append(d.Changes, trust.Change{If: line.Clean(c.If), Then: trust.Action(line.Clean(string(c.Then)))})
	}
	d.Weights = placed(v.Decision.Weights, v.Evidence.Findings)
	e.Decision = &d
	return e
}

// placed are the weights by where their findings stand in a document, which is not where the evidence has them.
func placed(weights []trust.Weight, findings []trust.Finding) []trust.Weight {
	place := map[int]int{}
	for i, at := range weightiest(findings) {
		place[at] = i
	}
	var out []trust.Weight
	for _, w := range weights {
		if i, ok := place[w.Finding]; ok {
			w.Finding = i
			out = append(out, w)
		}
	}
	return out
}
