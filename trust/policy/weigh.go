package policy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/safepull/safepull/trust"
)

// milli is a number of points in thousandths, so that factors multiply without rounding and sums come out the same in
// any order.
type milli int

// String is the number of points, cut to one decimal.
func (m milli) String() string {
	tenths := int(m) / 100
	if tenths%10 == 0 {
		return strconv.Itoa(tenths / 10)
	}
	return strconv.Itoa(tenths/10) + "." + strconv.Itoa(tenths%10)
}

// campaignCheck finds what an image shares with blocked ones.
const campaignCheck = "campaign"

// counted is the weightiest finding of one check, with its points.
type counted struct {
	finding trust.Finding
	points  milli
}

// weighed is one group: its weightiest checks, at most two of which count.
type weighed struct {
	name   string
	checks []counted // weightiest first
	points milli
	// weak is true when there is nothing stronger than weak in the group.
	weak bool
}

// weigh is the groups, weightiest first, and the sum of their points.
//
// More findings never make the sum smaller: a group's points only grow with them, and one that is no longer weak leaves
// the weak ones, of which at most its own points were in the sum, with at least these.
func (p *Policy) weigh(findings []trust.Finding, allowed bool) (groups []weighed, sum milli) {
	best := map[string]counted{}
	strong := map[string]bool{}
	for _, f := range findings {
		if f.Class == trust.ClassNode || checkName(f) == campaignCheck && f.Strength < trust.Proof {
			continue // only rules look at these: what is shared with a blocked image weighs by itself already
		}
		check := checkName(f)
		c := counted{f, p.points(f, allowed)}
		if b, ok := best[check]; !ok || c.points > b.points || c.points == b.points && p.before(f, b.finding) {
			best[check] = c
		}
		if f.Strength > trust.Weak {
			strong[p.Group(check)] = true
		}
	}
	members := map[string][]counted{}
	for check, c := range best {
		if c.points > 0 {
			members[p.Group(check)] = append(members[p.Group(check)], c)
		}
	}
	var weak milli
	for name, checks := range members {
		slices.SortFunc(checks, func(a, b counted) int {
			return cmp.Or(cmp.Compare(b.points, a.points), cmp.Compare(a.finding.Check, b.finding.Check))
		})
		g := weighed{name: name, checks: checks, points: checks[0].points, weak: !strong[name]}
		if len(checks) > 1 {
			g.points += p.secondOf(checks[1].points)
		}
		if g.weak {
			weak += g.points
		} else {
			sum += g.points
		}
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b weighed) int {
		return cmp.Or(cmp.Compare(b.points, a.points), cmp.Compare(a.name, b.name))
	})
	return groups, sum + min(weak, milli(p.doc.WeakCap)*1000)
}

// condense keeps one finding, the first in order, of those that nothing here tells apart: there may be thousands, and
// rules look at all of them.
func condense(findings []trust.Finding, before func(a, b trust.Finding) bool) []trust.Finding {
	type key struct {
		check    string
		strength trust.Strength
		reach    trust.Reach
		class    trust.Class
	}
	first := map[key]trust.Finding{}
	for _, f := range findings {
		k := key{f.Check, f.Strength, reachOf(f), f.Class}
		if other, ok := first[k]; !ok || before(f, other) {
			first[k] = f
		}
	}
	return slices.Collect(maps.Values(first))
}

// points is what a finding weighs by itself.
func (p *Policy) points(f trust.Finding, allowed bool) milli {
	by := p.doc.Points
	strength := by.Proof // and whatever a future strength may be: never less than the most that is known
	switch f.Strength {
	case trust.Context:
		strength = by.Context
	case trust.Weak:
		strength = by.Weak
	case trust.Strong:
		strength = by.Strong
	}
	factor := p.doc.Reach.Runs
	switch reachOf(f) {
	case trust.ReachPresent:
		factor = p.doc.Reach.Present
	case trust.ReachHidden:
		factor = p.doc.Reach.Hidden
	}
	m := milli(strength) * milli(factor)
	if allowed && f.Strength == trust.Weak {
		m = m * milli(*p.doc.WeakIfAllowed) / 1000
	}
	return m
}

func (p *Policy) secondOf(m milli) milli { return m * milli(*p.doc.Second) / 1000 }

// reachOf is how far a finding is reached: what nobody placed is present, but an image's configuration runs.
func reachOf(f trust.Finding) trust.Reach {
	switch {
	case f.Reach == trust.ReachPresent, f.Reach == trust.ReachHidden:
		return f.Reach
	case f.Reach != "", ofImage(f): // a word of a later version is as far as it can be
		return trust.ReachRuns
	}
	return trust.ReachPresent
}

// ofImage reports whether a finding stands in the image's own documents rather than in a file.
func ofImage(f trust.Finding) bool {
	return f.Kind == trust.KindConfig || strings.HasPrefix(f.Path, "config:") || strings.HasPrefix(f.Path, "manifest:")
}

// checkName is the check without its version.
func checkName(f trust.Finding) string {
	name, _, _ := strings.Cut(f.Check, "@")
	return name
}

// before orders findings by weight and then by place, so that reasons come out the same every time.
func (p *Policy) before(a, b trust.Finding) bool {
	return cmp.Or(
		cmp.Compare(p.points(b, false), p.points(a, false)),
		cmp.Compare(b.Strength, a.Strength), cmp.Compare(a.Check, b.Check), cmp.Compare(a.Layer, b.Layer),
		cmp.Compare(a.Path, b.Path), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Why, b.Why),
	) < 0
}
