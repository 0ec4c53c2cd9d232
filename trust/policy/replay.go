package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

// Again decides evidence that was gathered under another policy or other trust lists, as far as it goes, without asking
// anything again. Open says what it does not tell: the action is then the mildest that may come of it.
func (p *Policy) Again(e trust.Evidence, standing trust.Standing) (d trust.Decision, open string) {
	before := e.Standing
	e.Standing = standing
	e.Unanswered = maps.Clone(e.Unanswered)
	if standing.Trusted() && !before.Trusted() {
		e.Findings = slices.DeleteFunc(slices.Clone(e.Findings), func(f trust.Finding) bool { return slices.Contains(nameChecks(), checkName(f)) })
		maps.DeleteFunc(e.Unanswered, func(q, _ string) bool { return questions{reputation: true}.about(q) })
	}
	if standing.Waived() && !before.Waived() {
		e.Findings = slices.DeleteFunc(slices.Clone(e.Findings), func(f trust.Finding) bool { return !ofImage(f) && !strings.HasPrefix(f.Path, nameOf) })
		maps.DeleteFunc(e.Unanswered, func(q, _ string) bool { return ofLayers(q) })
	}
	d = p.Explain(e)
	if standing.Denied() || d.Action == trust.Block && d.Called == "" {
		return d, "" // nothing could make it milder or more severe
	}
	var not []string
	for _, q := range slices.Sorted(maps.Keys(e.NotAsked)) {
		if !standing.Trusted() && slices.Contains(nameChecks(), q) || !standing.Waived() && !slices.Contains(nameChecks(), q) {
			not = append(not, q)
		}
	}
	switch {
	case before.Denied():
		return d, "it was denied and never inspected"
	case len(not) > 3:
		return d, "not asked at that time: " + strings.Join(not[:3], ", ") + " and more"
	case len(not) > 0:
		return d, "not asked at that time: " + strings.Join(not, ", ")
	}
	return d, ""
}
