package policy

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/policy"
)

// Linted is "policy lint" as JSON. Digest is empty, and Rules is 0, where there are problems.
type Linted struct {
	Schema   int              `json:"schema"`
	Policy   string           `json:"policy"`
	Digest   digest.Digest    `json:"digest"`
	Rules    int              `json:"rules"`
	Contact  string           `json:"contact"`
	Problems []policy.Problem `json:"problems"`
}

// NewLinted is a policy that was loaded, or what is wrong with it.
func NewLinted(name string, p *policy.Policy, wrong *policy.Invalid) Linted {
	l := Linted{Schema: render.Schema, Policy: line.Clean(name), Problems: []policy.Problem{}}
	if wrong != nil {
		for _, problem := range wrong.Problems {
			problem.What = line.Clean(problem.What)
			l.Problems = append(l.Problems, problem)
		}
		return l
	}
	l.Digest, l.Rules, l.Contact = p.Digest(), p.Rules(), line.Clean(p.Contact())
	return l
}

// Text prints that the policy is right, or its problems, one a line, as compilers do.
func (l Linted) Text(w io.Writer, _ render.Text) error {
	out := bufio.NewWriter(w)
	for _, p := range l.Problems {
		at := ""
		if p.Line > 0 {
			at = fmt.Sprintf(":%d:%d", p.Line, p.Column)
		}
		fmt.Fprintf(out, "%s%s: %s\n", l.Policy, at, p.What)
	}
	if len(l.Problems) == 0 {
		fmt.Fprintf(out, "%s: right, %d rules, %s\n", l.Policy, l.Rules, line.Digest(l.Digest))
		if l.Contact == "" {
			fmt.Fprint(out, "note: \"contact\" is empty: people who are refused are not told whom to ask\n")
		}
	}
	return line.Flush(out)
}

// Shown is "policy show" as JSON.
type Shown struct {
	Schema int `json:"schema"`
	// Policy is the file, or the name of a shipped policy, and Chosen why it is that one.
	Policy  string        `json:"policy"`
	Chosen  string        `json:"chosen"`
	Digest  digest.Digest `json:"digest"`
	Rules   int           `json:"rules"`
	Contact string        `json:"contact"`
	// Own are the sections that its own file has; the others are as shipped.
	Own []string `json:"own"`
	// Document is the whole policy.
	Document any `json:"document"`

	text string
}

// NewShown is a policy as a document.
func NewShown(p *policy.Policy, chosen string) (Shown, error) {
	text, err := p.YAML()
	if err != nil {
		return Shown{}, fmt.Errorf("show the policy: %w", err)
	}
	s := Shown{
		Schema: render.Schema, Policy: line.Clean(p.Name()), Chosen: chosen, Digest: p.Digest(), Rules: p.Rules(), Contact: line.Clean(p.Contact()),
		Own: p.Own(), text: string(text),
	}
	if err := yaml.Unmarshal(text, &s.Document); err != nil {
		return Shown{}, fmt.Errorf("show the policy: %w", err)
	}
	return s, nil
}

// Text prints it as a policy file, whose first lines are comments about it.
func (s Shown) Text(w io.Writer, _ render.Text) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# Policy: %s (%s)\n# Digest: %s\n", s.Policy, s.Chosen, line.Digest(s.Digest))
	if s.Contact == "" {
		fmt.Fprint(out, "# Contact: nobody is named, so that people who are refused are not told whom to ask\n")
	}
	fmt.Fprint(out, "# The comment above a section says which file it is of; the shipped policy's own comments explain each one.\n")
	for l := range strings.Lines(s.text) {
		// Texts of a file stand quoted by the encoder; only line ends may pass.
		fmt.Fprintln(out, trust.Sanitise(strings.TrimRight(l, "\n"), len(l)+1))
	}
	return line.Flush(out)
}
