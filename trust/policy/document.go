package policy

import (
	"cmp"
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
	MoreRules     []rule              `yaml:"moreRules,omitempty"`
	UnknownName   trust.Action        `yaml:"unknownName"`
	Unanswered    unanswered          `yaml:"unanswered"`

	// from is the file that each section is of.
	from map[string]string
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

// MarshalYAML writes it.
func (f factor) MarshalYAML() (any, error) { return float64(f) / 1000, nil }

// fill takes the sections that d leaves out from another document, adds its further rules to the others, and notes by name
// what is its own.
func (d *document) fill(base document, name string) {
	d.origins(base, name)
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

// origins notes which file each section and each rule is of.
func (d *document) origins(base document, name string) {
	d.from = maps.Clone(base.from)
	if d.from == nil {
		d.from = map[string]string{}
	}
	for section, own := range map[string]bool{
		"contact": d.Contact != "", "modes": d.Modes != nil, "points": d.Points != nil, "reach": d.Reach != nil, "second": d.Second != nil,
		"groups": d.Groups != nil, "weakTogether": d.WeakCap != 0, "weakIfAllowed": d.WeakIfAllowed != nil, "thresholds": d.Thresholds != nil,
		"atLeast": d.AtLeast != nil, "rules": d.Rules != nil, "unknownName": d.UnknownName != "", "unanswered": d.Unanswered != unanswered{},
	} {
		if own {
			d.from[section] = name
		}
	}
	for _, rules := range [][]rule{d.Rules, d.MoreRules} {
		for i := range rules {
			rules[i].from = name
		}
	}
}

// maxPoints bounds numbers of points, so that no sum of them can overflow.
const maxPoints = 10_000

// maxContact bounds what is shown of whom to ask.
const maxContact = 200

// validate says all that is wrong. Where sections are missing, it says no more than that.
func (d document) validate() []fault {
	var f faults
	if d.Version != 1 {
		f.at([]string{"version"}, "version is %d: this safepull reads version 1", d.Version)
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
			f.at(nil, "the section %q is missing: see the shipped policy", section.name)
		}
	}
	if len(f.all) > 0 {
		return f.all
	}
	d.validateNumbers(&f)
	d.Unanswered.validate(&f)
	if len(d.Contact) > maxContact || trust.Sanitise(d.Contact, maxContact) != d.Contact {
		f.at([]string{"contact"}, "contact must be one printable line of at most %d bytes", maxContact)
	}
	d.validateModes(&f)
	d.validateGroups(&f)
	d.validateAtLeast(&f)
	d.validateRules(&f)
	return f.all
}

func (d document) validateNumbers(f *faults) {
	p, t, r := *d.Points, *d.Thresholds, *d.Reach
	switch {
	case p.Context < 0 || p.Weak < p.Context || p.Strong < p.Weak || p.Proof < p.Strong || p.Proof > maxPoints:
		f.at([]string{"points"}, "points must rise from context over weak and strong to proof, and lie between 0 and %d", maxPoints)
	case p.Proof < t.Block:
		f.at([]string{"points", "proof"}, "points: proof weighs %d but block starts at %d: proof must block", p.Proof, t.Block)
	}
	if t.Warn <= 0 || t.Quarantine <= t.Warn || t.Block <= t.Quarantine {
		f.at([]string{"thresholds"}, "thresholds must rise from warn over quarantine to block and start above 0")
	}
	if r.Runs != 1000 || r.Present > r.Runs || r.Hidden > r.Present {
		f.at([]string{"reach"}, "reach must fall from runs, which is 1, over present to hidden")
	}
	switch {
	case d.WeakCap < p.Weak || d.WeakCap > maxPoints:
		f.at([]string{"weakTogether"}, "weakTogether is %d: use at least what one weak finding weighs (%d), and at most %d", d.WeakCap, p.Weak, maxPoints)
	case d.WeakCap >= t.Block:
		f.at([]string{"weakTogether"}, "weakTogether is %d but block starts at %d: weak signs never block by their number alone", d.WeakCap, t.Block)
	}
}

// maxChecks bounds the checks of a policy's groups; there are some thirty.
const maxChecks = 1000

func (d document) validateGroups(f *faults) {
	of := map[string]string{}
	for _, group := range slices.Sorted(maps.Keys(d.Groups)) {
		for i, check := range d.Groups[group] {
			if other, twice := of[check]; twice {
				f.at([]string{"groups", group, strconv.Itoa(i)}, "groups: check %q stands in %s and in %s: a check is in one group", check, other, group)
				continue
			}
			of[check] = group
		}
	}
	for _, group := range slices.Sorted(maps.Keys(d.Groups)) {
		if in, check := of[group]; check && in != group {
			f.at([]string{"groups", group}, "groups: %q is the name of a group and of a check in another one", group)
		}
	}
	if len(of) > maxChecks {
		f.at([]string{"groups"}, "groups: more than %d checks: %w", maxChecks, trust.ErrLimit)
	}
}

func (d document) validateRules(f *faults) {
	if len(d.Rules) > maxRules {
		f.at([]string{"rules"}, "rules: more than %d: %w", maxRules, trust.ErrLimit)
		return
	}
	names := map[string]bool{proofRule: true}
	for i, r := range d.Rules {
		path := []string{"rules", strconv.Itoa(i)}
		r.validate(f, path, d.Groups)
		if names[r.Name] {
			f.at(below(path, "name"), "rule %s: the name is taken", r.Name)
		}
		names[r.Name] = true
	}
}
