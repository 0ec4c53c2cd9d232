package policy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

// signatureQuestion names the question who signed the image.
const signatureQuestion = "signature"

// Again decides a verdict's evidence, which was gathered under another policy or other trust lists, as far as it goes, without
// asking anything again. Open says what it does not tell: the action is then the mildest that may come of it. What would
// change the action is not found out.
func (p *Policy) Again(v trust.Verdict, standing trust.Standing) (d trust.Decision, open string) {
	e, before := v.Evidence, v.Evidence.Standing
	unsigned := signedAgain(e, &standing)
	e.Standing = standing
	e.Unanswered = maps.Clone(e.Unanswered)
	if !standing.Allowed() || standing.Decided.RequireSignature == nil {
		delete(e.Unanswered, signatureQuestion)
	}
	if standing.Trusted() && !before.Trusted() {
		e.Findings = slices.DeleteFunc(slices.Clone(e.Findings), func(f trust.Finding) bool { return slices.Contains(nameChecks(), checkName(f)) })
		maps.DeleteFunc(e.Unanswered, func(q, _ string) bool { return questions{reputation: true}.about(q) })
	}
	if standing.Waived() && !before.Waived() {
		e.Findings = slices.DeleteFunc(slices.Clone(e.Findings), func(f trust.Finding) bool { return !ofImage(f) && !strings.HasPrefix(f.Path, nameOf) })
		maps.DeleteFunc(e.Unanswered, func(q, _ string) bool { return ofLayers(q) })
	}
	s := p.mode(e.Reference)
	var made decision
	p.decideUnder(&made, s, condense(e.Findings, p.before), e)
	d = trust.Decision{Action: made.action, Reasons: made.reasons, Called: made.called, Mode: string(s.Mode), Scope: s.Scope, Contact: p.doc.Contact}
	if standing.Denied() || cmp.Or(d.Called, d.Action) == trust.Block {
		return d, "" // no finding could make it milder or more severe
	}
	return d, cmp.Or(untold(v, standing), unsigned)
}

// signedAgain takes what was found out about a signature over to the same requirement, and says where it was not found out.
func signedAgain(e trust.Evidence, standing *trust.Standing) (open string) {
	if !standing.Allowed() || standing.Decided.RequireSignature == nil {
		return ""
	}
	before := e.Standing
	asked := slices.Contains(e.Answered, signatureQuestion)
	if _, unanswered := e.Unanswered[signatureQuestion]; before.Decided == nil || before.Decided.RequireSignature == nil ||
		*before.Decided.RequireSignature != *standing.Decided.RequireSignature || !asked && !unanswered {
		return "who signed it was not asked for at that time"
	}
	standing.Unmet = slices.Clone(standing.Unmet) // what the entry pins, by the lists of now
	for _, unmet := range before.Unmet {
		if !slices.Contains(standing.Unmet, unmet) && strings.Contains(unmet, "requires a signature") {
			standing.Unmet = append(standing.Unmet, unmet)
		}
	}
	return ""
}

// untold says what the evidence of a verdict does not tell: questions that nobody asked because they could not matter then.
// What was no question is none now.
func untold(v trust.Verdict, standing trust.Standing) string {
	before := v.Evidence.Standing
	switch {
	case before.Denied():
		return "it was denied and never inspected"
	case v.Passing:
		return "what came contradicted its digest, which may pass"
	case v.Decision == nil:
		return "it was judged by an older safepull, whose evidence says less"
	}
	stopped := cmp.Or(v.Decision.Called, v.Action) == trust.Block
	var not []string
	for _, q := range slices.Sorted(maps.Keys(v.Evidence.NotAsked)) {
		name := slices.Contains(nameChecks(), q)
		if name && !standing.Trusted() && (stopped || before.Trusted()) || !name && !standing.Waived() && (stopped || before.Waived()) {
			not = append(not, q)
		}
	}
	switch {
	case len(not) > 3:
		return "not asked at that time: " + strings.Join(not[:3], ", ") + " and more"
	case len(not) > 0:
		return "not asked at that time: " + strings.Join(not, ", ")
	}
	return ""
}
