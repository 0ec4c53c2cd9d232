package policy

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// Limits on case files, so that a test ends.
const (
	maxCases    = 1000
	maxInCase   = 256
	maxCaseText = 300
)

// Case is evidence as a person writes it down, and what a policy should make of it.
type Case struct {
	Name string
	// Line is where it stands in its file.
	Line     int
	Evidence trust.Evidence
	// Want is the action; Rule, where it is not empty, the name of a rule that must be among the reasons; Called, where it
	// is not empty, the action that a mode made milder.
	Want, Called trust.Action
	Rule         string
}

// caseFile is a file of cases.
type caseFile struct {
	Version int         `yaml:"version"`
	Cases   []caseEntry `yaml:"cases"`
}

type caseEntry struct {
	Name       string        `yaml:"name"`
	Image      string        `yaml:"image"`
	Allowed    bool          `yaml:"allowed"`
	Denied     bool          `yaml:"denied"`
	Vouched    bool          `yaml:"vouched"`
	Platform   string        `yaml:"platform"`
	Findings   []caseFinding `yaml:"findings"`
	Unanswered []string      `yaml:"unanswered"`
	Integrity  []string      `yaml:"integrity"`
	Verdict    trust.Action  `yaml:"verdict"`
	Called     trust.Action  `yaml:"called"`
	Rule       string        `yaml:"rule"`
}

type caseFinding struct {
	Check    string      `yaml:"check"`
	Strength *strength   `yaml:"strength"`
	Reach    trust.Reach `yaml:"reach"`
	Class    trust.Class `yaml:"class"`
	Path     string      `yaml:"path"`
}

// LoadCases reads a file of cases. An error is an *Invalid where the file is wrong.
func LoadCases(name string, r io.Reader) ([]Case, error) {
	body, root, err := read("cases", name, r)
	if err != nil {
		return nil, err
	}
	var file caseFile
	if problems := strictly(body, &file); len(problems) > 0 {
		return nil, &Invalid{kind: "cases", Name: name, Problems: problems}
	}
	var f faults
	switch {
	case file.Version != 1:
		f.at([]string{"version"}, "version is %d: this safepull reads version 1", file.Version)
	case len(file.Cases) == 0:
		f.at([]string{"cases"}, "there are no cases")
	case len(file.Cases) > maxCases:
		f.at([]string{"cases"}, "more than %d cases: %w", maxCases, trust.ErrLimit)
	}
	out := make([]Case, 0, len(file.Cases))
	for i, e := range file.Cases[:min(len(file.Cases), maxCases)] {
		path := []string{"cases", strconv.Itoa(i)}
		c, err := e.read()
		if err != nil {
			f.at(path, "%w", err)
			continue
		}
		c.Line, _ = place(body, root, path, 0)
		out = append(out, c)
	}
	if len(f.all) > 0 {
		e := invalid(name, body, root, f.all, len(file.Cases))
		e.kind = "cases"
		return nil, e
	}
	return out, nil
}

func (e caseEntry) read() (Case, error) {
	switch {
	case e.Name == "" || len(e.Name) > maxCaseText:
		return Case{}, fmt.Errorf("a case needs a name of at most %d bytes", maxCaseText)
	case e.Verdict == "":
		return Case{}, errors.New("verdict is missing: use allow, warn, quarantine or block")
	case len(e.Findings) > maxInCase || len(e.Unanswered) > maxInCase || len(e.Integrity) > maxInCase:
		return Case{}, fmt.Errorf("more than %d findings or questions: %w", maxInCase, trust.ErrLimit)
	case e.Allowed && e.Denied:
		return Case{}, errors.New("an image is not both allowed and denied")
	}
	c := Case{Name: e.Name, Want: e.Verdict, Called: e.Called, Rule: e.Rule}
	c.Evidence = trust.Evidence{Platform: e.Platform, Integrity: e.Integrity, Findings: []trust.Finding{}, Unanswered: map[string]string{}}
	if e.Image != "" {
		ref, err := reference.Parse(e.Image)
		if err != nil {
			return Case{}, err
		}
		c.Evidence.Reference = ref
	}
	switch {
	case e.Allowed:
		c.Evidence.Standing.Decided = &trust.Entry{Pattern: "the case", Action: "allow"}
	case e.Denied:
		c.Evidence.Standing.Decided = &trust.Entry{Pattern: "the case", Action: "deny"}
	}
	if e.Vouched {
		c.Evidence.Vouched = []string{"the case"}
	}
	for _, q := range e.Unanswered {
		c.Evidence.Unanswered[q] = "the case says so"
	}
	for i, f := range e.Findings {
		finding, err := f.read(i)
		if err != nil {
			return Case{}, err
		}
		c.Evidence.Findings = append(c.Evidence.Findings, finding)
	}
	return c, nil
}

func (f caseFinding) read(i int) (trust.Finding, error) {
	s := sign{Checks: []string{f.Check}, Reach: f.Reach, Class: f.Class}
	if f.Check == "" || f.Strength == nil {
		return trust.Finding{}, fmt.Errorf("finding %d needs a check and a strength (context, weak, strong, proof)", i+1)
	}
	if _, err := s.validate(nil); err != nil {
		return trust.Finding{}, fmt.Errorf("finding %d: %w", i+1, err)
	}
	path := f.Path
	if path == "" {
		path = "finding " + strconv.Itoa(i+1)
	}
	return trust.Finding{Check: f.Check + "@1", Strength: trust.Strength(*f.Strength), Reach: f.Reach, Class: f.Class, Path: path, Why: "shows " + f.Check}, nil
}

// Try decides a case. Wrong is empty when the policy does what the case wants.
func (p *Policy) Try(c Case) (d trust.Decision, wrong string) {
	d = p.Explain(c.Evidence)
	switch all := strings.Join(d.Reasons, "\n"); {
	case d.Action != c.Want:
		return d, fmt.Sprintf("%s, want %s", d.Action, c.Want)
	case c.Called != "" && d.Called != c.Called:
		return d, fmt.Sprintf("%q was called for, want %s", d.Called, c.Called)
	case c.Rule != "" && !strings.Contains(all, "rule "+c.Rule+", "):
		return d, fmt.Sprintf("rule %s is not among the reasons", c.Rule)
	}
	return d, ""
}
