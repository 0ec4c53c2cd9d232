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
	e.Unanswered = maps.Clone(e.Unanswered)
	standing, signed := signatures(e, standing)
	e.Standing = standing
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
	case !signed:
		return d, "who signed it was not asked at that time"
	case len(not) > 3:
		return d, "not asked at that time: " + strings.Join(not[:3], ", ") + " and more"
	case len(not) > 0:
		return d, "not asked at that time: " + strings.Join(not, ", ")
	}
	return d, ""
}

// askSignature is the name of the question who signed an image.
const askSignature = "signature"

// signatures gives a standing what was found out of the signature that it requires, and reports whether that was asked. An
// answer about another signer is none.
func signatures(e trust.Evidence, standing trust.Standing) (trust.Standing, bool) {
	was, is := e.Standing.Decided, standing.Decided
	if is == nil || is.RequireSignature == nil || len(standing.Unmet) > 0 {
		delete(e.Unanswered, askSignature)
		return standing, true
	}
	if was == nil || was.RequireSignature == nil || *was.RequireSignature != *is.RequireSignature {
		delete(e.Unanswered, askSignature)
		return standing, false
	}
	_, open := e.Unanswered[askSignature]
	if open || !slices.Contains(e.Answered, askSignature) {
		return standing, open
	}
	for _, u := range e.Standing.Unmet {
		if strings.Contains(u, "requires a signature") {
			standing.Unmet = append(slices.Clone(standing.Unmet), u)
		}
	}
	return standing, true
}
