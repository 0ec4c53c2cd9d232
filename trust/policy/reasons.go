package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// places knows the layers of an image by number.
type places map[digest.Digest]int

func placesOf(e trust.Evidence) places {
	p := places{}
	for i, d := range e.Layers {
		if _, twice := p[d]; !twice {
			p[d] = i + 1
		}
	}
	return p
}

// commandsOf begins the paths of command lines that a script forms when it runs; the layer is the script's.
const commandsOf = "closure:"

// nameOf begins the paths of parts of the image's name.
const nameOf = "name:"

// publisherOf begins the paths of what registries tell of a publisher.
const publisherOf = "publisher:"

// of is where a finding stands: "usr/bin/x in layer 2 sha256:0123456789ab, runs", or the part of the configuration.
func (p places) of(f trust.Finding) string {
	where := trust.Sanitise(f.Path, 120)
	if script, ok := strings.CutPrefix(where, commandsOf); ok {
		where = "commands of " + script
	}
	if part, ok := strings.CutPrefix(where, nameOf); ok {
		return "the " + part + " of its name"
	}
	if part, ok := strings.CutPrefix(where, publisherOf); ok {
		return "the " + part + " of its publisher"
	}
	if !ofImage(f) && f.Layer != "" {
		where += " in layer "
		if n := p[f.Layer]; n > 0 {
			where += strconv.Itoa(n) + " "
		}
		where += short(f.Layer.String())
	}
	switch reachOf(f) {
	case trust.ReachRuns:
		return where + ", runs"
	case trust.ReachHidden:
		if f.HiddenBy > 0 {
			return fmt.Sprintf("%s, hidden by layer %d", where, f.HiddenBy)
		}
		return where + ", hidden by a later layer"
	}
	return where
}

// applies is a rule as a sentence, with what shows each of its signs and where.
func (p places) applies(a applied) string {
	var shown []string
	for _, f := range a.shown {
		if sign := fmt.Sprintf("%s (%s)", f.Why, p.of(f)); !slices.Contains(shown, sign) {
			shown = append(shown, sign)
		}
	}
	if len(shown) == 0 {
		return fmt.Sprintf("%s: rule %s, %s", a.rule.Because, a.rule.Name, a.rule.Action)
	}
	return fmt.Sprintf("%s: %s: rule %s, %s", a.rule.Because, strings.Join(shown, ", "), a.rule.Name, a.rule.Action)
}

// computation is one sentence for each group that counted, and one for their sum.
func (p *Policy) computation(at places, groups []weighed, sum milli) []string {
	var out []string
	weak := 0
	for _, g := range groups {
		first := g.checks[0]
		line := fmt.Sprintf("%s (%s): %s %s, %s", first.finding.Why, at.of(first.finding), g.name, g.points, first.finding.Strength)
		if len(g.checks) > 1 {
			second := g.checks[1]
			line += fmt.Sprintf(", with %s (%s)", checkName(second.finding), at.of(second.finding))
		}
		if g.weak {
			weak++
		}
		out = append(out, line)
	}
	if len(out) == 0 {
		return nil
	}
	total := fmt.Sprintf("%s points together", sum)
	if weak > 1 {
		total += fmt.Sprintf(", of which the weak ones at most %d", p.doc.WeakCap)
	}
	t := p.doc.Thresholds
	switch p.threshold(sum) {
	case trust.Block:
		total += fmt.Sprintf(": block begins at %d", t.Block)
	case trust.Quarantine:
		total += fmt.Sprintf(": quarantine begins at %d", t.Quarantine)
	case trust.Warn:
		total += fmt.Sprintf(": warn begins at %d", t.Warn)
	default:
		total += fmt.Sprintf(": less than %d, where warn begins", t.Warn)
	}
	return append(out, total)
}

// short cuts a digest to what people compare: the algorithm and twelve characters.
func short(d string) string {
	if algorithm, hex, ok := strings.Cut(d, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return d
}

func denial(e trust.Entry) string {
	s := fmt.Sprintf("trust list denies %s", e.Pattern)
	if e.List != "" {
		s += fmt.Sprintf(" (%s, line %d)", e.List, e.Line)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Ticket != "" {
		s += " (ticket " + e.Ticket + ")"
	}
	return s
}

// unmet says which condition of a trust entry the image does not meet.
func unmet(e trust.Entry, conditions []string) []string {
	out := make([]string, len(conditions))
	for i, c := range conditions {
		out[i] = "trust list: " + c
		if e.Owner != "" {
			out[i] += fmt.Sprintf(" (ask %s)", e.Owner)
		}
	}
	return out
}
