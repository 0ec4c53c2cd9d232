package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/safepull/safepull/trust"
)

// atLeast is the least that happens where a group has a finding of a strength, wherever it stands.
type atLeast struct {
	Weak   trust.Action `yaml:"weak,omitempty"`
	Strong trust.Action `yaml:"strong,omitempty"`
	Proof  trust.Action `yaml:"proof,omitempty"`
}

func (d document) validateAtLeast(f *faults) {
	for _, group := range slices.Sorted(maps.Keys(d.AtLeast)) {
		switch _, ok := d.Groups[group]; {
		case !ok:
			f.at([]string{"atLeast", group}, "atLeast: group %q is not one of groups", trust.Sanitise(group, 40))
		case !ruleName.MatchString(group):
			f.at([]string{"atLeast", group}, "atLeast: %q: a group's name is up to 40 lower case letters, digits and hyphens here", trust.Sanitise(group, 40))
		}
		least := trust.Allow
		for _, s := range d.AtLeast[group].each() {
			if s.action == "" {
				continue
			}
			if s.action == trust.Allow || s.action.Severity() < least.Severity() {
				f.at([]string{"atLeast", group, s.strength.String()}, "atLeast: %s: %s is %q: use warn, quarantine or block, rising from weak over strong to proof",
					trust.Sanitise(group, 40), s.strength, s.action)
				continue
			}
			least = s.action
		}
	}
}

// strengthAction is the least action of one strength.
type strengthAction struct {
	strength trust.Strength
	action   trust.Action
}

func (a atLeast) each() [3]strengthAction {
	return [3]strengthAction{{trust.Weak, a.Weak}, {trust.Strong, a.Strong}, {trust.Proof, a.Proof}}
}

// leastRules are the section atLeast as rules, strongest first.
func (d document) leastRules() []rule {
	var out []rule
	for _, group := range slices.Sorted(maps.Keys(d.AtLeast)) {
		for _, s := range d.AtLeast[group].each() {
			if s.action != "" {
				out = append(out, rule{
					Name: fmt.Sprintf("at-least-%s-%s", group, s.strength), Action: s.action,
					Because: fmt.Sprintf("it has a sign of the group %s, at least %s", group, s.strength),
					All:     []sign{{Groups: []string{group}, Strength: new(strength(s.strength))}},
				})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b rule) int { return cmp.Compare(*b.All[0].Strength, *a.All[0].Strength) })
	return out
}
