package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// document is a policy file. Sections that a file may leave out are nil then.
type document struct {
	Version       int                 `yaml:"version"`
	Contact       string              `yaml:"contact"`
	Modes         []scope             `yaml:"modes"`
	Points        *points             `yaml:"points"`
	Reach         *reach              `yaml:"reach"`
	Second        *factor             `yaml:"second"`
	Groups        map[string][]string `yaml:"groups"`
	WeakCap       int                 `yaml:"weakTogether"`
	WeakIfAllowed *factor             `yaml:"weakIfAllowed"`
	Thresholds    *thresholds         `yaml:"thresholds"`
	AtLeast       map[string]atLeast  `yaml:"atLeast"`
	Rules         []rule              `yaml:"rules"`
	MoreRules     []rule              `yaml:"moreRules"`
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

// fill takes the sections that d leaves out from another document, and adds its further rules to the others.
func (d *document) fill(base document) {
	d.Contact = cmp.Or(d.Contact, base.Contact)
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
	if d.AtLeast == nil {
		d.AtLeast = maps.Clone(base.AtLeast)
		maps.DeleteFunc(d.AtLeast, func(group string, _ atLeast) bool { _, known := d.Groups[group]; return !known })
	}
	if d.Modes == nil {
		d.Modes = base.Modes
	}
	if d.Rules == nil {
		d.Rules = base.Rules
	}
	d.Rules = append(slices.Clip(d.Rules), d.MoreRules...)
	d.MoreRules = nil
}

// fault is what is wrong with a part of a document, which the path leads to: keys, and numbers of items.
type fault struct {
	path []string
	err  error
}

func (f fault) Error() string { return f.err.Error() }

func (f fault) Unwrap() error { return f.err }

// at is a fault with a message.
func at(format string, args []any, path ...string) error {
	return fault{path, fmt.Errorf(format, args...)}
}

// maxPoints bounds numbers of points, so that no sum of them can overflow.
const maxPoints = 10_000

// maxContact bounds what is shown of whom to ask.
const maxContact = 200

func (d document) validate() error {
	if d.Version != 1 {
		return at("version is %d: this safepull reads version 1", []any{d.Version}, "version")
	}
	for _, section := range []struct {
		name    string
		missing bool
	}{
		{"points", d.Points == nil}, {"reach", d.Reach == nil}, {"second", d.Second == nil}, {"groups", d.Groups == nil},
		{"weakIfAllowed", d.WeakIfAllowed == nil}, {"thresholds", d.Thresholds == nil}, {"rules", d.Rules == nil},
		{"unknownName", d.UnknownName == ""},
	} {
		if section.missing {
			return fmt.Errorf("the section %q is missing: see the shipped policy", section.name)
		}
	}
	if err := d.validateNumbers(); err != nil {
		return err
	}
	if err := d.Unanswered.validate(); err != nil {
		return err
	}
	if len(d.Contact) > maxContact || trust.Sanitise(d.Contact, maxContact) != d.Contact {
		return at("contact must be one printable line of at most %d bytes", []any{maxContact}, "contact")
	}
	return cmp.Or(d.validateModes(), d.validateGroups(), d.validateAtLeast(), d.validateRules())
}

func (d document) validateNumbers() error {
	p, t, r := *d.Points, *d.Thresholds, *d.Reach
	switch {
	case p.Context < 0 || p.Weak < p.Context || p.Strong < p.Weak || p.Proof < p.Strong || p.Proof > maxPoints:
		return at("points must rise from context over weak and strong to proof, and lie between 0 and %d", []any{maxPoints}, "points")
	case t.Warn <= 0 || t.Quarantine <= t.Warn || t.Block <= t.Quarantine:
		return at("thresholds must rise from warn over quarantine to block and start above 0", nil, "thresholds")
	case p.Proof < t.Block:
		return at("points: proof weighs %d but block starts at %d: proof must block", []any{p.Proof, t.Block}, "points", "proof")
	case r.Runs != 1000 || r.Present > r.Runs || r.Hidden > r.Present:
		return at("reach must fall from runs, which is 1, over present to hidden", nil, "reach")
	case d.WeakCap < p.Weak || d.WeakCap > maxPoints:
		return at("weakTogether is %d: use at least what one weak finding weighs (%d), and at most %d", []any{d.WeakCap, p.Weak, maxPoints}, "weakTogether")
	case d.WeakCap >= t.Block:
		return at("weakTogether is %d but block starts at %d: weak signs never block by their number alone", []any{d.WeakCap, t.Block}, "weakTogether")
	}
	return nil
}

// maxChecks bounds the checks of a policy's groups; there are some thirty.
const maxChecks = 1000

func (d document) validateGroups() error {
	of := map[string]string{}
	for _, group := range slices.Sorted(maps.Keys(d.Groups)) {
		for i, check := range d.Groups[group] {
			if other, twice := of[check]; twice {
				return at("groups: check %q stands in %s and in %s: a check is in one group", []any{check, other, group}, "groups", group, strconv.Itoa(i))
			}
			of[check] = group
		}
		if _, check := of[group]; check && of[group] != group {
			return at("groups: %q is the name of a group and of a check in another one", []any{group}, "groups", group)
		}
	}
	for _, group := range slices.Sorted(maps.Keys(d.Groups)) {
		if in, check := of[group]; check && in != group {
			return at("groups: %q is the name of a group and of a check in another one", []any{group}, "groups", group)
		}
	}
	if len(of) > maxChecks {
		return at("groups: more than %d checks: %w", []any{maxChecks, trust.ErrLimit}, "groups")
	}
	return nil
}

func (d document) validateRules() error {
	if len(d.Rules) > maxRules {
		return at("rules: more than %d: %w", []any{maxRules, trust.ErrLimit}, "rules")
	}
	names := map[string]bool{proofRule: true}
	for i, r := range d.Rules {
		err := r.validate(d.Groups)
		if err == nil && names[r.Name] {
			err = fmt.Errorf("rule %s: the name is taken", r.Name)
		}
		if err != nil {
			return within(err, "rules", strconv.Itoa(i))
		}
		names[r.Name] = true
	}
	return nil
}

// within is an error at a place below which it may have one of its own.
func within(err error, path ...string) error {
	var f fault
	if errors.As(err, &f) {
		return fault{append(slices.Clip(path), f.path...), err}
	}
	return fault{path, err}
}
