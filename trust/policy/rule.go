package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

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
	All     []sign       `yaml:"all,omitempty"`
	// When is an expression over the evidence; empty means always.
	When string `yaml:"when,omitempty"`
	when *condition
	// from is the file that it stands in.
	from string
}

// A sign fits findings: of one of the checks or of the groups (of any, where there are none), with at least this
// strength and reach, of this class.
type sign struct {
	Checks   []string    `yaml:"checks,omitempty"`
	Groups   []string    `yaml:"groups,omitempty"`
	Strength *strength   `yaml:"strength,omitempty"`
	Reach    trust.Reach `yaml:"reach,omitempty"`
	Class    trust.Class `yaml:"class,omitempty"`
}

// strength reads the words of trust.Strength.
type strength trust.Strength

// UnmarshalText reads the word.
func (s *strength) UnmarshalText(text []byte) error { return (*trust.Strength)(s).UnmarshalText(text) }

// MarshalText writes the word.
func (s strength) MarshalText() ([]byte, error) { return trust.Strength(s).MarshalText() }

var ruleName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func (r rule) validate(f *faults, path []string, groups map[string][]string) {
	if !ruleName.MatchString(r.Name) {
		f.at(below(path, "name"), "rule %q: a name is up to 40 lower case letters, digits and hyphens", trust.Sanitise(r.Name, 60))
	}
	if r.Action == "" || r.Action == trust.Allow {
		f.at(below(path, "action"), "rule %s: action is %q: use warn, quarantine or block, because a rule never lets through", r.Name, r.Action)
	}
	if r.Because == "" || len(r.Because) > maxBecause || trust.Sanitise(r.Because, maxBecause) != r.Because {
		f.at(below(path, "because"), "rule %s: because must be one printable sentence of at most %d bytes", r.Name, maxBecause)
	}
	if len(r.All) > maxSigns || len(r.All) == 0 && r.When == "" {
		f.at(below(path, "all"), "rule %s: all must have 1 to %d signs, or none where there is a condition (when)", r.Name, maxSigns)
		return
	}
	for i, s := range r.All {
		if key, err := s.validate(groups); err != nil {
			f.at(below(path, append([]string{"all", strconv.Itoa(i)}, key...)...), "rule %s: %w", r.Name, err)
		}
	}
}

// validate says what is wrong, and the key that it is about.
func (s sign) validate(groups map[string][]string) ([]string, error) {
	for i, g := range s.Groups {
		if _, ok := groups[g]; !ok {
			return []string{"groups", strconv.Itoa(i)}, fmt.Errorf("group %q is not one of groups", trust.Sanitise(g, 60))
		}
	}
	if s.Reach != "" && !slices.Contains(reaches(), s.Reach) {
		return []string{"reach"}, fmt.Errorf("reach is %q: use runs, present or hidden", trust.Sanitise(string(s.Reach), 60))
	}
	switch s.Class {
	case trust.ClassNode, trust.ClassOpaque:
	case "":
		if len(s.Checks) == 0 && len(s.Groups) == 0 {
			return nil, errors.New("a sign must name checks, groups or a class")
		}
	default:
		return []string{"class"}, fmt.Errorf("class is %q: use node or opaque", trust.Sanitise(string(s.Class), 60))
	}
	return nil, nil
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
