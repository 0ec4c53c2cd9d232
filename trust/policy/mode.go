package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/safepull/safepull/trust"
)

// Limits on modes, which are looked at for every decision.
const (
	maxScopes = 64
	maxScope  = 512
)

// A mode says what becomes of an action. Nothing that would be refused goes unsaid in any of them.
type mode string

const (
	// enforce: what is decided happens.
	enforce mode = "enforce"
	// warning: what would be refused is let through with a warning.
	warning mode = "warn"
	// monitor: as warning, and what would be warned of is let through without a word.
	monitor mode = "monitor"
)

// scope is the mode of the images whose names fit a pattern.
type scope struct {
	Scope  string `yaml:"scope"`
	Mode   mode   `yaml:"mode"`
	Reason string `yaml:"reason,omitempty"`
}

// scopePattern is what names are made of, and * and ?.
var scopePattern = regexp.MustCompile(`^[a-zA-Z0-9._:/*?-]+$`)

func (d document) validateModes(f *faults) {
	if len(d.Modes) > maxScopes {
		f.at([]string{"modes"}, "modes: more than %d: %w", maxScopes, trust.ErrLimit)
		return
	}
	for i, s := range d.Modes {
		place := []string{"modes", strconv.Itoa(i)}
		if len(s.Scope) > maxScope || !scopePattern.MatchString(s.Scope) || strings.Contains(s.Scope, "://") || !doublestar.ValidatePattern(s.Scope) {
			f.at(below(place, "scope"), "modes: scope %q is no pattern of names: write registry/repository with *, ? and **, without tag and digest", trust.Sanitise(s.Scope, 100))
			continue
		}
		if s.Mode != enforce && s.Mode != warning && s.Mode != monitor {
			f.at(below(place, "mode"), "modes: mode is %q: use enforce, warn or monitor", trust.Sanitise(string(s.Mode), 40))
		}
		if len(s.Reason) > maxBecause {
			f.at(below(place, "reason"), "modes: reason has more than %d bytes", maxBecause)
		}
		for j, before := range d.Modes[:i] {
			if covers(before.Scope, s.Scope) {
				f.at(below(place, "scope"), "modes: scope %q is never reached: the one at number %d, %q, fits first", s.Scope, j+1, before.Scope)
				break
			}
		}
	}
}

// covers reports whether a scope fits all that another one fits, where that is easy to see: it fits what the other one is,
// and samples of what its wildcards stand for, of characters that no scope has.
func covers(a, b string) bool {
	if a == "**" || a == b {
		return true
	}
	for _, sample := range []string{b, strings.NewReplacer("**", "~", "*", "~", "?", "~").Replace(b), strings.NewReplacer("**", "~~/~~", "*", "~~~", "?", "~").Replace(b)} {
		if !doublestar.MatchUnvalidated(a, sample) {
			return false
		}
	}
	return true
}

// mode is that of the first scope that fits; enforce where none does.
func (p *Policy) mode(ref trust.Reference) scope {
	name := ref.Name()
	for _, s := range p.doc.Modes {
		if doublestar.MatchUnvalidated(s.Scope, name) {
			return s
		}
	}
	return scope{Mode: enforce}
}

// soften makes of a decision what the mode wants, and says what was called for. What is fixed stays: a name that is
// denied, and content that contradicts itself, which nobody could serve.
func (d *decision) soften(s scope) {
	if d.fixed || s.Mode == enforce {
		return
	}
	switch {
	case !d.action.Serves():
		d.called, d.action = d.action, trust.Warn
		because := ""
		if s.Reason != "" {
			because = ": " + trust.Sanitise(s.Reason, maxBecause)
		}
		d.reasons = append([]string{fmt.Sprintf("would have been %s: the policy is in mode %s for %s%s", past(d.called), s.Mode, s.Scope, because)}, d.reasons...)
	case d.action == trust.Warn && s.Mode == monitor:
		d.called, d.action = trust.Warn, trust.Allow
	}
}

// past is an action as what has happened.
func past(a trust.Action) string {
	switch a {
	case trust.Warn:
		return "warned of"
	case trust.Quarantine:
		return "quarantined"
	}
	return "blocked"
}
