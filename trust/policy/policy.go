// Package policy turns evidence into an action and its reasons. It is pure: the same evidence gives the same answer.
package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// maxFile bounds a policy file, in bytes; the shipped one has about a thousand.
const maxFile = 256 << 10

// Policy weighs evidence. Make one with Load.
type Policy struct {
	doc    document
	digest digest.Digest
}

type document struct {
	Version    int        `yaml:"version"`
	Points     points     `yaml:"points"`
	WeakCap    int        `yaml:"weakTogether"`
	Thresholds thresholds `yaml:"thresholds"`
	Unanswered string     `yaml:"unanswered"`
}

type points struct {
	Proof   int `yaml:"proof"`
	Strong  int `yaml:"strong"`
	Weak    int `yaml:"weak"`
	Context int `yaml:"context"`
}

type thresholds struct {
	Warn       int `yaml:"warn"`
	Quarantine int `yaml:"quarantine"`
	Block      int `yaml:"block"`
}

// Load reads a policy file. The name stands in errors, which say the line where the file is wrong.
func Load(name string, r io.Reader) (*Policy, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read policy %s: %w", name, err)
	}
	if len(body) > maxFile {
		return nil, fmt.Errorf("policy %s has more than %d bytes: %w", name, maxFile, trust.ErrLimit)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	var doc document
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("policy %s", explain(name, err))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("policy %s: more than one YAML document: keep the first and remove the rest", name)
	}
	if err := doc.validate(); err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return &Policy{doc: doc, digest: digest.FromString(fmt.Sprintf("%+v", doc))}, nil
}

// unknownKey is how the YAML library says that a key has no field.
var unknownKey = regexp.MustCompile(`^line (\d+): field (\S+) not found in type .*`)

// explain is an error of the YAML library as one sentence that begins with its place.
func explain(name string, err error) string {
	if errors.Is(err, io.EOF) {
		return name + ": the file is empty: begin with \"version: 1\""
	}
	first := strings.TrimPrefix(err.Error(), "yaml: ")
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) && len(wrong.Errors) > 0 {
		first = wrong.Errors[0]
	}
	if m := unknownKey.FindStringSubmatch(first); m != nil {
		return fmt.Sprintf("%s:%s: unknown key %q: remove it, or see the shipped policy for the keys", name, m[1], m[2])
	}
	if line, rest, ok := strings.Cut(strings.TrimPrefix(first, "line "), ": "); ok && line != first {
		return fmt.Sprintf("%s:%s: %s", name, line, rest)
	}
	return name + ": " + first
}

func (d document) validate() error {
	p, t := d.Points, d.Thresholds
	switch {
	case d.Version != 1:
		return fmt.Errorf("version is %d: this safepull reads version 1", d.Version)
	case p.Context < 0 || p.Weak < p.Context || p.Strong < p.Weak || p.Proof < p.Strong:
		return errors.New("points must rise from context over weak and strong to proof and start at 0 or more")
	case t.Warn <= 0 || t.Quarantine <= t.Warn || t.Block <= t.Quarantine:
		return errors.New("thresholds must rise from warn over quarantine to block and start above 0")
	case p.Proof < t.Block:
		return fmt.Errorf("points: proof weighs %d but block starts at %d: proof must block", p.Proof, t.Block)
	case d.WeakCap < p.Weak:
		return fmt.Errorf("weakTogether is %d, less than one weak finding (%d)", d.WeakCap, p.Weak)
	case trust.Action(d.Unanswered) != trust.Quarantine && trust.Action(d.Unanswered) != trust.Block:
		return fmt.Errorf("unanswered is %q: use quarantine or block, because unknown is not clean", d.Unanswered)
	}
	return nil
}

// Digest changes whenever the policy could decide otherwise.
func (p *Policy) Digest() digest.Digest { return p.digest }

// Decide weighs the evidence. The reasons are sentences for people, the weightiest first; an action of allow has none
// unless an entry of a trust list decided.
func (p *Policy) Decide(e trust.Evidence) (trust.Action, []string) {
	if e.Standing.Denied() {
		return trust.Block, []string{denial(*e.Standing.Decided)}
	}
	action, reasons := trust.Allow, []string(nil)
	raise := func(to trust.Action, why ...string) {
		if to.Severity() > action.Severity() {
			action = to
		}
		reasons = append(reasons, why...)
	}
	if len(e.Integrity) > 0 {
		raise(trust.Block, e.Integrity...)
	}
	sum, strongest := p.weigh(e.Findings)
	if to := p.threshold(sum); to != trust.Allow {
		raise(to, sentences(strongest)...)
	}
	if len(e.Unanswered) > 0 {
		raise(trust.Action(p.doc.Unanswered), unanswered(e.Unanswered)...)
	}
	return action, reasons
}

func (p *Policy) threshold(sum int) trust.Action {
	switch t := p.doc.Thresholds; {
	case sum >= t.Block:
		return trust.Block
	case sum >= t.Quarantine:
		return trust.Quarantine
	case sum >= t.Warn:
		return trust.Warn
	}
	return trust.Allow
}

// weigh sums the points of the strongest finding of each check, and returns those findings, weightiest first.
func (p *Policy) weigh(findings []trust.Finding) (int, []trust.Finding) {
	best := map[string]trust.Finding{}
	for _, f := range findings {
		if b, ok := best[f.Check]; !ok || before(f, b) {
			best[f.Check] = f
		}
	}
	strongest := make([]trust.Finding, 0, len(best))
	sum, weak := 0, 0
	for _, f := range best {
		switch f.Strength {
		case trust.Context:
			sum += p.doc.Points.Context
			continue
		case trust.Weak:
			weak += p.doc.Points.Weak
		case trust.Strong:
			sum += p.doc.Points.Strong
		default:
			// Proof, and whatever a future strength may be: never less than the most that is known.
			sum += p.doc.Points.Proof
		}
		strongest = append(strongest, f)
	}
	sort.Slice(strongest, func(i, j int) bool { return before(strongest[i], strongest[j]) })
	return sum + min(weak, p.doc.WeakCap), strongest
}

// before orders findings by weight and then by place, so that reasons come out the same every time.
func before(a, b trust.Finding) bool {
	if a.Strength != b.Strength {
		return a.Strength > b.Strength
	}
	if a.Check != b.Check {
		return a.Check < b.Check
	}
	if a.Layer != b.Layer {
		return a.Layer < b.Layer
	}
	if a.Path != b.Path {
		return a.Path < b.Path
	}
	return a.Offset < b.Offset
}
