// Package policy turns evidence into an action and its reasons. It is pure: the same evidence gives the same answer.
package policy

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Policy weighs evidence. Make one with Load, or from another one with Override. It may be used by any number of
// goroutines.
type Policy struct {
	name    string
	doc     document
	env     *environment
	groupOf map[string]string
	// rules are those of the document, with what its other sections come to.
	rules  []rule
	digest digest.Digest
}

// Digest changes whenever the policy could decide otherwise.
func (p *Policy) Digest() digest.Digest { return p.digest }

// Name is the file that it was read from, as Load and Override were told.
func (p *Policy) Name() string { return p.name }

// Rules is how many rules there are, those that other sections come to among them.
func (p *Policy) Rules() int { return len(p.rules) }

// Contact is whom to ask, if the policy says so.
func (p *Policy) Contact() string { return p.doc.Contact }

// Group is the group of a check, named without its version: a check that stands in none is one by itself.
func (p *Policy) Group(check string) string { return cmp.Or(p.groupOf[check], check) }

// proofRule names the outcome that rules cannot change: a proof of mining is never let through, but in a scope whose mode
// says so.
const proofRule = "proof"

// Decide weighs the evidence. The reasons are the computation, as sentences for people: contradictions, the rules that
// apply, most severe first, the groups that counted, weightiest first, with their sum, what stayed unanswered, and that
// nobody knows the name. An action of allow has none, but in mode monitor those
// of the warning that it would have been.
//
// More evidence of any kind never makes the action less severe, and an allowed name changes nothing but the weight of
// weak findings.
func (p *Policy) Decide(e trust.Evidence) (trust.Action, []string) {
	var d decision
	p.decideUnder(&d, p.mode(e.Reference), condense(e.Findings, p.before), e)
	return d.action, d.reasons
}

// decideUnder decides in a mode on findings that are all that matters of the evidence's.
func (p *Policy) decideUnder(d *decision, s scope, found []trust.Finding, e trust.Evidence) {
	d.action, d.fixed = trust.Allow, len(e.Integrity) > 0 || e.Standing.Denied()
	if e.Standing.Denied() {
		d.raise(trust.Block, denial(*e.Standing.Decided))
		return
	}
	if d.fixed {
		d.raise(trust.Block, e.Integrity...)
	}
	if len(e.Standing.Unmet) > 0 {
		d.raise(trust.Quarantine, unmet(*e.Standing.Decided, e.Standing.Unmet)...)
	}
	p.decide(d, found, e)
	for _, class := range p.doc.Unanswered.classes() {
		if open := class.of(e.Unanswered); len(open) > 0 {
			d.raise(class.action, open...)
		}
	}
	if to := p.doc.UnknownName; to != trust.Allow && to.Severity() >= d.action.Severity() && nameUnknown(e) {
		d.raise(to, unknownName(e, to))
	}
	d.soften(s)
}

// decide raises the action by what was found.
func (p *Policy) decide(d *decision, found []trust.Finding, e trust.Evidence) {
	at := placesOf(e)
	all := p.applying(found, e)
	for _, a := range all {
		d.raise(a.rule.Action, at.applies(a))
		d.rules = append(d.rules, a.rule.Name)
	}
	groups, sum := p.weigh(found, e.Standing.Trusted())
	to := p.threshold(sum)
	if d.raise(to); !d.silent && (len(all) > 0 || to != trust.Allow) {
		d.raise(to, p.computation(at, groups, sum)...)
	}
}

// decision is an action that only grows.
type decision struct {
	action  trust.Action
	reasons []string
	rules   []string
	// called is the action that the evidence calls for, where the mode made it milder.
	called trust.Action
	// fixed is true where no mode makes it milder.
	fixed bool
	// silent is true where nobody asks for reasons.
	silent bool
}

func (d *decision) raise(to trust.Action, why ...string) {
	if to.Severity() > d.action.Severity() {
		d.action = to
	}
	d.reasons = append(d.reasons, why...)
}

// applied is a rule that applies, with a finding for each of its signs.
type applied struct {
	rule  rule
	shown []trust.Finding
}

// applying are the rules that apply with the most severe action of all that do, in their order. One is fixed: for a proof
// that nothing runs, which the points alone might let through. A proof that runs blocks by its points.
func (p *Policy) applying(found []trust.Finding, e trust.Evidence) []applied {
	var all []applied
	var variables map[string]any
	for _, r := range append(slices.Clip(p.rules), unreachedProof()) {
		if len(all) > 0 && all[0].rule.Action.Severity() > r.Action.Severity() {
			continue
		}
		shown := r.shown(p, found)
		if shown == nil || r.Name == proofRule && (len(all) > 0 && all[0].rule.Action == r.Action || reachOf(shown[0]) == trust.ReachRuns) {
			continue
		}
		if r.when != nil && variables == nil {
			variables = p.variables(found, e)
		}
		if !r.when.holds(variables) {
			continue
		}
		if len(all) > 0 && all[0].rule.Action.Severity() < r.Action.Severity() {
			all = nil
		}
		all = append(all, applied{r, shown})
	}
	return all
}

// unreachedProof is the fixed rule.
func unreachedProof() rule {
	return rule{
		Name: proofRule, Action: trust.Quarantine, Because: "it holds a sign that is proof by itself, though nothing known runs it",
		All: []sign{{Strength: new(strength(trust.Proof))}},
	}
}

func (p *Policy) threshold(sum milli) trust.Action {
	switch t := p.doc.Thresholds; {
	case sum >= milli(t.Block)*1000:
		return trust.Block
	case sum >= milli(t.Quarantine)*1000:
		return trust.Quarantine
	case sum >= milli(t.Warn)*1000:
		return trust.Warn
	}
	return trust.Allow
}
