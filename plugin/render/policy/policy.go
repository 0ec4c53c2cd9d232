// Package policy prints what is asked about policies: whether one is right, what it makes of cases and of the past.
package policy

import (
	"bufio"
	"fmt"
	"io"

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
