// Package policy turns evidence into an action and its reasons. It is pure: the same evidence gives the same answer.
package policy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// maxFile bounds a policy file, in bytes; the shipped one has some thousand.
const maxFile = 256 << 10

// Policy weighs evidence. Make one with Load, or from another one with Override.
type Policy struct {
	doc     document
	groupOf map[string]string
	digest  digest.Digest
}

// document is a policy file. Sections that a file may leave out are nil then.
type document struct {
	Version       int                 `yaml:"version"`
	Points        *points             `yaml:"points"`
	Reach         *reach              `yaml:"reach"`
	Second        *factor             `yaml:"second"`
	Groups        map[string][]string `yaml:"groups"`
	WeakCap       int                 `yaml:"weakTogether"`
	WeakIfAllowed *factor             `yaml:"weakIfAllowed"`
	Thresholds    *thresholds         `yaml:"thresholds"`
	Rules         []rule              `yaml:"rules"`
	UnknownName   trust.Action        `yaml:"unknownName"`
	Unanswered    unanswered          `yaml:"unanswered"`
}

type points struct {
	Proof   int `yaml:"proof"`
	Strong  int `yaml:"strong"`
	Weak    int `yaml:"weak"`
	Context int `yaml:"context"`
}

type reach struct {
	Runs    factor `yaml:"runs"`
	Present factor `yaml:"present"`
	Hidden  factor `yaml:"hidden"`
}

type thresholds struct {
	Warn       int `yaml:"warn"`
	Quarantine int `yaml:"quarantine"`
	Block      int `yaml:"block"`
}

// factor is a number from 0 to 1 with at most three decimals, in thousandths.
type factor int

// UnmarshalYAML reads the decimal number.
func (f *factor) UnmarshalYAML(n *yaml.Node) error {
	var v float64
	if err := n.Decode(&v); err != nil {
		return err
	}
	if !(v >= 0 && v <= 1) {
		return fmt.Errorf("line %d: %q is no factor: use a number from 0 to 1", n.Line, trust.Sanitise(n.Value, 40))
	}
	*f = factor(math.Round(v * 1000))
	return nil
}

// Load reads a policy file that has every section. The name stands in errors, which say the line where the file is
// wrong.
func Load(name string, r io.Reader) (*Policy, error) { return load(name, r, document{}) }

// Override reads a policy file that may leave sections out; they are then as in p. The rest is as for Load.
func (p *Policy) Override(name string, r io.Reader) (*Policy, error) { return load(name, r, p.doc) }

func load(name string, r io.Reader, base document) (*Policy, error) {
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
	doc.fill(base)
	if err := doc.validate(); err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	groupOf := map[string]string{}
	for group, checks := range doc.Groups {
		for _, check := range checks {
			groupOf[check] = group
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("digest policy %s: %w", name, err)
	}
	return &Policy{doc: doc, groupOf: groupOf, digest: digest.FromBytes(text)}, nil
}

// fill takes the sections that d leaves out from another document.
func (d *document) fill(base document) {
	d.Points = cmp.Or(d.Points, base.Points)
	d.Reach = cmp.Or(d.Reach, base.Reach)
	d.Second = cmp.Or(d.Second, base.Second)
	d.WeakCap = cmp.Or(d.WeakCap, base.WeakCap)
	d.WeakIfAllowed = cmp.Or(d.WeakIfAllowed, base.WeakIfAllowed)
	d.Thresholds = cmp.Or(d.Thresholds, base.Thresholds)
	d.UnknownName = cmp.Or(d.UnknownName, base.UnknownName)
	d.Unanswered.Content = cmp.Or(d.Unanswered.Content, base.Unanswered.Content)
	d.Unanswered.Reputation = cmp.Or(d.Unanswered.Reputation, base.Unanswered.Reputation)
	if d.Groups == nil {
		d.Groups = base.Groups
	}
	if d.Rules == nil {
		d.Rules = base.Rules
	}
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
	if d.Version != 1 {
		return fmt.Errorf("version is %d: this safepull reads version 1", d.Version)
	}
	for name, missing := range map[string]bool{
		"points": d.Points == nil, "reach": d.Reach == nil, "second": d.Second == nil, "groups": d.Groups == nil,
		"weakIfAllowed": d.WeakIfAllowed == nil, "thresholds": d.Thresholds == nil, "rules": d.Rules == nil,
	} {
		if missing {
			return fmt.Errorf("the section %q is missing: see the shipped policy", name)
		}
	}
	p, t, r := *d.Points, *d.Thresholds, *d.Reach
	switch {
	case p.Context < 0 || p.Weak < p.Context || p.Strong < p.Weak || p.Proof < p.Strong || p.Proof > maxPoints:
		return fmt.Errorf("points must rise from context over weak and strong to proof, and lie between 0 and %d", maxPoints)
	case t.Warn <= 0 || t.Quarantine <= t.Warn || t.Block <= t.Quarantine:
		return errors.New("thresholds must rise from warn over quarantine to block and start above 0")
	case p.Proof < t.Block:
		return fmt.Errorf("points: proof weighs %d but block starts at %d: proof must block", p.Proof, t.Block)
	case r.Runs != 1000 || r.Present > r.Runs || r.Hidden > r.Present:
		return errors.New("reach must fall from runs, which is 1, over present to hidden")
	case d.WeakCap < p.Weak || d.WeakCap > maxPoints:
		return fmt.Errorf("weakTogether is %d: use at least what one weak finding weighs (%d), and at most %d", d.WeakCap, p.Weak, maxPoints)
	case d.WeakCap >= t.Block:
		return fmt.Errorf("weakTogether is %d but block starts at %d: weak signs never block by their number alone", d.WeakCap, t.Block)
	case d.UnknownName == "":
		return errors.New("the section \"unknownName\" is missing: use allow, warn, quarantine or block")
	}
	if err := d.Unanswered.validate(); err != nil {
		return err
	}
	return errors.Join(d.validateGroups(), d.validateRules())
}

// maxPoints bounds numbers of points, so that no sum of them can overflow.
const maxPoints = 10_000

// maxChecks bounds the checks of a policy's groups; there are some thirty.
const maxChecks = 1000

func (d document) validateGroups() error {
	of := map[string]string{}
	for _, group := range slices.Sorted(maps.Keys(d.Groups)) {
		for _, check := range d.Groups[group] {
			if other, twice := of[check]; twice {
				return fmt.Errorf("groups: check %q stands in %s and in %s: a check is in one group", check, other, group)
			}
			of[check] = group
		}
		if _, check := of[group]; check && of[group] != group {
			return fmt.Errorf("groups: %q is the name of a group and of a check in another one", group)
		}
	}
	if len(of) > maxChecks {
		return fmt.Errorf("groups: more than %d checks: %w", maxChecks, trust.ErrLimit)
	}
	return nil
}

func (d document) validateRules() error {
	if len(d.Rules) > maxRules {
		return fmt.Errorf("rules: more than %d: %w", maxRules, trust.ErrLimit)
	}
	names := map[string]bool{proofRule: true}
	for _, r := range d.Rules {
		if err := r.validate(d.Groups); err != nil {
			return err
		}
		if names[r.Name] {
			return fmt.Errorf("rule %s: the name is taken", r.Name)
		}
		names[r.Name] = true
	}
	return nil
}

// Digest changes whenever the policy could decide otherwise.
func (p *Policy) Digest() digest.Digest { return p.digest }

// Group is the group of a check, named without its version: a check that stands in none is one by itself.
func (p *Policy) Group(check string) string { return cmp.Or(p.groupOf[check], check) }

// proofRule names the outcome that is fixed: a proof of mining is never let through.
const proofRule = "proof"

// Decide weighs the evidence. The reasons are the computation, as sentences for people: contradictions, the rules that
// apply, most severe first, the groups that counted, weightiest first, with their sum, what stayed unanswered, and that
// nobody knows the name. An action of allow has none.
//
// More evidence of any kind never makes the action less severe, and an allowed name changes nothing but the weight of
// weak findings.
func (p *Policy) Decide(e trust.Evidence) (trust.Action, []string) {
	if e.Standing.Denied() {
		return trust.Block, []string{denial(*e.Standing.Decided)}
	}
	d := decision{action: trust.Allow}
	if len(e.Integrity) > 0 {
		d.raise(trust.Block, e.Integrity...)
	}
	if len(e.Standing.Unmet) > 0 {
		d.raise(trust.Quarantine, unmet(*e.Standing.Decided, e.Standing.Unmet)...)
	}
	p.decide(&d, condense(e.Findings, p.before), e)
	for _, class := range p.doc.Unanswered.classes() {
		if open := class.of(e.Unanswered); len(open) > 0 {
			d.raise(class.action, open...)
		}
	}
	if to := p.doc.UnknownName; to != trust.Allow && to.Severity() >= d.action.Severity() && nameUnknown(e) {
		d.raise(to, unknownName(e, to))
	}
	return d.action, d.reasons
}

// decide raises the action by what was found.
func (p *Policy) decide(d *decision, found []trust.Finding, e trust.Evidence) {
	at := placesOf(e)
	all := p.applying(found)
	for _, a := range all {
		d.raise(a.rule.Action, at.applies(a))
	}
	groups, sum := p.weigh(found, e.Standing.Trusted())
	to := p.threshold(sum)
	if len(all) > 0 || to != trust.Allow {
		d.raise(to, p.computation(at, groups, sum)...)
	}
}

// decision is an action that only grows.
type decision struct {
	action  trust.Action
	reasons []string
}

func (d *decision) raise(to trust.Action, why ...string) {
	if to.Severity() > d.action.Severity() {
		d.action = to
	}
	d.reasons = append(d.reasons, why...)
}

// applied is a rule that applies, with a finding for each of its signs.
type applied struct {
	rule  rule
	shown []trust.Finding
}

// applying are the rules that apply with the most severe action of all that do, in their order. One is fixed: for a proof
// that nothing runs, which the points alone might let through. A proof that runs blocks by its points.
func (p *Policy) applying(found []trust.Finding) []applied {
	var all []applied
	for _, r := range append(slices.Clip(p.doc.Rules), unreachedProof()) {
		if len(all) > 0 && all[0].rule.Action.Severity() > r.Action.Severity() {
			continue
		}
		shown := r.shown(p, found)
		if shown == nil || r.Name == proofRule && (len(all) > 0 && all[0].rule.Action == r.Action || reachOf(shown[0]) == trust.ReachRuns) {
			continue
		}
		if len(all) > 0 && all[0].rule.Action.Severity() < r.Action.Severity() {
			all = nil
		}
		all = append(all, applied{r, shown})
	}
	return all
}

// unreachedProof is the fixed rule.
func unreachedProof() rule {
	return rule{
		Name: proofRule, Action: trust.Quarantine, Because: "it holds a sign that is proof by itself, though nothing known runs it",
		All: []sign{{Strength: new(strength(trust.Proof))}},
	}
}

func (p *Policy) threshold(sum milli) trust.Action {
	switch t := p.doc.Thresholds; {
	case sum >= milli(t.Block)*1000:
		return trust.Block
	case sum >= milli(t.Quarantine)*1000:
		return trust.Quarantine
	case sum >= milli(t.Warn)*1000:
		return trust.Warn
	}
	return trust.Allow
}
