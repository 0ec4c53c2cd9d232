package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/safepull/safepull/trust"
)

// Limits on rules. They keep a policy readable, and a decision cheap however many findings there are.
const (
	maxRules   = 64
	maxSigns   = 4
	maxBecause = 160
)

// A rule raises the action when each of its signs was found and its condition holds. It never lowers one.
type rule struct {
	Name    string       `yaml:"name"`
	Action  trust.Action `yaml:"action"`
	Because string       `yaml:"because"`
	All     []sign       `yaml:"all"`
	// When is an expression over the evidence; empty means always.
	When string `yaml:"when"`
	when *condition
}

// A sign fits findings: of one of the checks or of the groups (of any, where there are none), with at least this
// strength and reach, of this class.
type sign struct {
	Checks   []string    `yaml:"checks"`
	Groups   []string    `yaml:"groups"`
	Strength *strength   `yaml:"strength"`
	Reach    trust.Reach `yaml:"reach"`
	Class    trust.Class `yaml:"class"`
}

// strength reads the words of trust.Strength.
type strength trust.Strength

// UnmarshalText reads the word.
func (s *strength) UnmarshalText(text []byte) error { return (*trust.Strength)(s).UnmarshalText(text) }

var ruleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func (r rule) validate(groups map[string][]string) error {
	switch {
	case !ruleName.MatchString(r.Name):
		return fmt.Errorf("rule %q: a name is up to 40 lower case letters, digits and hyphens", r.Name)
	case r.Action == "" || r.Action == trust.Allow:
		return fmt.Errorf("rule %s: action is %q: use warn, quarantine or block, because a rule never lets through", r.Name, r.Action)
	case r.Because == "" || len(r.Because) > maxBecause:
		return fmt.Errorf("rule %s: because must be one sentence of at most %d bytes", r.Name, maxBecause)
	case len(r.All) > maxSigns || len(r.All) == 0 && r.When == "":
		return fmt.Errorf("rule %s: all must have 1 to %d signs, or none where there is a condition (when)", r.Name, maxSigns)
	}
	for _, s := range r.All {
		if err := s.validate(groups); err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
	}
	return nil
}

func (s sign) validate(groups map[string][]string) error {
	for _, g := range s.Groups {
		if _, ok := groups[g]; !ok {
			return fmt.Errorf("group %q is not one of groups", g)
		}
	}
	if s.Reach != "" && !slices.Contains(reaches(), s.Reach) {
		return fmt.Errorf("reach is %q: use runs, present or hidden", s.Reach)
	}
	switch s.Class {
	case trust.ClassNode, trust.ClassOpaque:
	case "":
		if len(s.Checks) == 0 && len(s.Groups) == 0 {
			return errors.New("a sign must name checks, groups or a class")
		}
	default:
		return fmt.Errorf("class is %q: use node or opaque", s.Class)
	}
	return nil
}

// fits reports whether a finding shows the sign.
func (s sign) fits(p *Policy, f trust.Finding) bool {
	least := trust.Weak
	if s.Strength != nil {
		least = trust.Strength(*s.Strength)
	}
	if f.Strength < least || far(reachOf(f)) < far(s.Reach) {
		return false
	}
	if f.Class != s.Class && (s.Class != "" || f.Class == trust.ClassNode) {
		return false
	}
	check := checkName(f)
	return len(s.Checks) == 0 && len(s.Groups) == 0 || slices.Contains(s.Checks, check) || slices.Contains(s.Groups, p.Group(check))
}

// shown are the weightiest findings that show the signs, one for each sign; nil unless every sign was found.
func (r rule) shown(p *Policy, findings []trust.Finding) []trust.Finding {
	out := make([]trust.Finding, 0, len(r.All)) // not nil, also where the condition is all
	for _, s := range r.All {
		best := -1
		for i, f := range findings {
			if s.fits(p, f) && (best < 0 || p.before(f, findings[best])) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		out = append(out, findings[best])
	}
	return out
}

// reaches are the words from most to least.
func reaches() []trust.Reach {
	return []trust.Reach{trust.ReachRuns, trust.ReachPresent, trust.ReachHidden}
}

// far orders reaches; what is no known word is as far as it can be, except that a sign without one asks for nothing.
func far(r trust.Reach) int {
	switch r {
	case trust.ReachHidden, "":
		return 0
	case trust.ReachPresent:
		return 1
	}
	return 2
}
