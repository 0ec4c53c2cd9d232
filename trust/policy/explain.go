package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

// Limits on what is found out about changes, so that an image cannot make a decision cost more than a few milliseconds.
const (
	maxChanges = 8
	// maxTries bounds the checks that are left out one by one, weightiest first.
	maxTries = 16
)

// Explain decides as Decide does, and says what each finding weighed and what would change the action. What would
// change it is found out by deciding again on other evidence, never guessed.
func (p *Policy) Explain(e trust.Evidence) trust.Decision {
	found, s := condense(e.Findings, p.before), p.mode(e.Reference)
	var d decision
	p.decideUnder(&d, s, found, e)
	out := trust.Decision{Action: d.action, Reasons: d.reasons, Rules: d.rules, Called: d.called, Mode: string(s.Mode), Scope: s.Scope, Contact: p.doc.Contact}
	if !e.Standing.Denied() {
		out.Weights, out.Sum = p.weights(e, found)
	}
	if d.action != trust.Allow || d.called != "" {
		out.Changes = p.changes(e, found)
	}
	return out
}

// weights are the findings that counted.
func (p *Policy) weights(e trust.Evidence, found []trust.Finding) ([]trust.Weight, float64) {
	groups, sum := p.weigh(found, e.Standing.Trusted())
	var out []trust.Weight
	for _, g := range groups {
		for i, c := range g.checks {
			counted := c.points
			switch i {
			case 0:
			case 1:
				counted = p.secondOf(c.points)
			default:
				counted = 0
			}
			out = append(out, trust.Weight{Finding: slices.Index(e.Findings, c.finding), Group: g.name, Points: c.points.number(), Counted: counted.number()})
		}
	}
	return out, sum.number()
}

// number is the points as a number.
func (m milli) number() float64 { return float64(m) / 1000 }

// changes tries what people can do, and what would have to be otherwise in the image. All are decided in mode enforce.
func (p *Policy) changes(e trust.Evidence, found []trust.Finding) []trust.Change {
	if e.Standing.Denied() {
		return []trust.Change{{If: fmt.Sprintf("if no trust list denied %s, the image would be inspected first", trust.Sanitise(e.Standing.Decided.Pattern, 200))}}
	}
	then := func(found []trust.Finding, e trust.Evidence) trust.Action {
		d := decision{silent: true}
		p.decideUnder(&d, scope{Mode: enforce}, found, e)
		return d.action
	}
	now := then(found, e)
	var out []trust.Change
	add := func(then trust.Action, format string, args ...any) {
		if len(out) < maxChanges {
			out = append(out, trust.Change{If: fmt.Sprintf(format, args...), Then: then})
		}
	}
	p.without(found, e, now, then, add)
	p.withoutRules(found, e, now, add)
	for _, class := range p.doc.Unanswered.classes() {
		if open := class.of(e.Unanswered); len(open) > 0 {
			answered := e
			answered.Unanswered = maps.Clone(e.Unanswered)
			maps.DeleteFunc(answered.Unanswered, func(q, _ string) bool { return class.about(q) })
			if a := then(found, answered); a.Severity() < now.Severity() {
				add(a, "if %s were answered, and nothing found there", named(class, e.Unanswered))
			}
		}
	}
	p.byEntry(found, e, then, add)
	return out
}

// named are the open questions of a class, for a sentence.
func named(class questions, open map[string]string) string {
	var names []string
	for _, q := range slices.Sorted(maps.Keys(open)) {
		if class.about(q) {
			names = append(names, q)
		}
	}
	if len(names) > 3 {
		names = append(names[:3], fmt.Sprintf("%d more questions", len(names)-3))
	}
	return strings.Join(names, ", ")
}

type (
	decider func([]trust.Finding, trust.Evidence) trust.Action
	adder   func(then trust.Action, format string, args ...any)
)

// without leaves out what one check found, and where no single one matters, more and more of them, weightiest first.
func (p *Policy) without(found []trust.Finding, e trust.Evidence, now trust.Action, then decider, add adder) {
	at := placesOf(e)
	first := map[string]trust.Finding{}
	for _, f := range found {
		if other, ok := first[checkName(f)]; !ok || p.before(f, other) {
			first[checkName(f)] = f
		}
	}
	checks := slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		if p.before(first[a], first[b]) {
			return -1
		}
		return 1
	})
	checks = checks[:min(len(checks), maxTries)]
	single := false
	for _, check := range checks {
		rest := slices.DeleteFunc(slices.Clone(found), func(f trust.Finding) bool { return checkName(f) == check })
		if a := then(rest, e); a.Severity() < now.Severity() {
			single = true
			add(a, "without what %s found: %s (%s)", check, first[check].Why, at.of(first[check]))
		}
	}
	if single {
		return
	}
	for n := 2; n <= len(checks); n++ {
		rest := slices.DeleteFunc(slices.Clone(found), func(f trust.Finding) bool { return slices.Contains(checks[:n], checkName(f)) })
		if a := then(rest, e); a.Severity() < now.Severity() {
			add(a, "without what %s and %s found", strings.Join(checks[:n-1], ", "), checks[n-1])
			return
		}
	}
}

// withoutRules leaves out rules that ask for more than signs: whoever keeps the policy can change those.
func (p *Policy) withoutRules(found []trust.Finding, e trust.Evidence, now trust.Action, add adder) {
	for _, a := range p.applying(found, e) {
		if a.rule.When == "" {
			continue
		}
		other := *p
		other.rules = slices.DeleteFunc(slices.Clone(p.rules), func(r rule) bool { return r.Name == a.rule.Name })
		d := decision{silent: true}
		if other.decideUnder(&d, scope{Mode: enforce}, found, e); d.action.Severity() < now.Severity() {
			add(d.action, "if the policy had no rule %s (%s)", a.rule.Name, a.rule.from)
		}
	}
}

// nameChecks are the checks that an entry which allows the name waives.
func nameChecks() []string { return []string{"look-alike", publisherQuestion} }

// byEntry tries entries of a trust list: one that allows the name, and one that waives the inspection too.
func (p *Policy) byEntry(found []trust.Finding, e trust.Evidence, then decider, add adder) {
	if e.Reference.Registry == "" || e.Standing.Decided != nil && e.Standing.Decided.SkipInspection {
		return
	}
	allowed := e
	allowed.Standing.Decided, allowed.Standing.Unmet = &trust.Entry{Action: "allow"}, nil
	allowed.Unanswered = maps.Clone(e.Unanswered)
	maps.DeleteFunc(allowed.Unanswered, func(q, _ string) bool { return questions{reputation: true}.about(q) })
	rest := slices.DeleteFunc(slices.Clone(found), func(f trust.Finding) bool { return slices.Contains(nameChecks(), checkName(f)) })
	switch to := then(rest, allowed); {
	case len(e.Standing.Unmet) > 0: // the more specific entry decides, whatever others allow
		add(to, "if the image met what the entry %s asks for", trust.Sanitise(e.Standing.Decided.Pattern, 160))
	case !e.Standing.Trusted():
		if add(to, "with an entry that allows %s/**", trust.Sanitise(e.Reference.Namespace(), 160)); to == trust.Allow {
			return // nobody needs to look away
		}
	}
	if len(e.Integrity) == 0 {
		maps.DeleteFunc(allowed.Unanswered, func(q, _ string) bool { return ofLayers(q) })
		rest = slices.DeleteFunc(rest, func(f trust.Finding) bool { return !ofImage(f) })
		add(then(rest, allowed), "with an entry for this digest that waives the inspection of its layers, which needs a reason, an owner and an end")
	}
}

// ofLayers reports whether a question is about layers, or about what comes of them.
func ofLayers(question string) bool {
	return strings.HasPrefix(question, "layer") || question == "what runs"
}
