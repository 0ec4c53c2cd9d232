package namespace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
)

// lostLimit bounds Standing.Lost, which goes into every verdict: a list may hold any number of entries that match.
const lostLimit = 16

// index finds the rules that may match a name without looking at the others: by a whole component that stands behind
// their pattern's first wildcard, else by the literal text that the pattern begins with.
type index struct {
	byPrefix    map[string][]int32
	byComponent map[string][]int32
	// lengths of the keys of byPrefix, ascending: a name is looked up by its own prefixes of these lengths.
	lengths []int
}

func newIndex(rules []rule) index {
	x := index{byPrefix: make(map[string][]int32), byComponent: make(map[string][]int32)}
	for i := range rules {
		if component := rules[i].pattern.component(); component != "" {
			x.byComponent[component] = append(x.byComponent[component], int32(i))
			continue
		}
		prefix := rules[i].pattern.prefix
		if _, known := x.byPrefix[prefix]; !known {
			x.lengths = append(x.lengths, len(prefix))
		}
		x.byPrefix[prefix] = append(x.byPrefix[prefix], int32(i))
	}
	slices.Sort(x.lengths)
	x.lengths = slices.Compact(x.lengths)
	return x
}

// candidates calls f once for every rule that may match.
func (x *index) candidates(name string, f func(i int32)) {
	for _, n := range x.lengths {
		if n > len(name) {
			break
		}
		for _, i := range x.byPrefix[name[:n]] {
			f(i)
		}
	}
	var seen []string
	for component := range strings.SplitSeq(name, "/") {
		if slices.Contains(seen, component) {
			continue
		}
		seen = append(seen, component)
		for _, i := range x.byComponent[component] {
			f(i)
		}
	}
}

// Match tells how the lists stand to a reference at a time. An entry with a tag matches only a reference with a tag,
// an entry with a digest only a reference with that digest, or one that was reached through the index with it.
// Standing.TagMatters is also true when an entry looked at the tag and did not match: with another tag it might have
// decided. Standing.Lost holds the most specific of the overruled entries, and behind them those that would have
// matched: they have ended, or are for a digest that the reference does not tell.
func (l *Lists) Match(ref trust.Reference, now time.Time) trust.Standing {
	standing := trust.Standing{Lists: l.digest}
	matched, missed := l.matched(ref, now, &standing)
	if len(matched) > 0 {
		decide(&standing, ref, matched)
	}
	for _, r := range missed[:min(len(missed), lostLimit-len(standing.Lost))] {
		e := r.entry
		e.Because = "it is for one digest alone, and a name without digest tells none"
		if expired(e, now) {
			e.Because = "it ended on " + e.Expires.UTC().Format(time.DateOnly)
		}
		standing.Lost = append(standing.Lost, e)
	}
	return standing
}

// decide finds the entry that decides among those that matched, and says why the others do not.
func decide(standing *trust.Standing, ref trust.Reference, matched []*rule) {
	limits := ceilings(matched)
	var kept, aside ranking
	for _, r := range matched {
		if e := r.entry.Expires; !e.IsZero() && (standing.Until.IsZero() || e.Before(standing.Until)) {
			standing.Until = e
		}
		if limits[r.height].forbids(r) {
			aside.add(r)
		} else {
			kept.add(r)
		}
	}
	winner := kept[0] // the lowest entry that is locked stands under no ceiling, so that never all are set aside
	decided := winner.entry
	standing.Decided = &decided
	standing.Unmet = unmet(decided, ref)
	lost := kept[1:]
	for _, r := range aside {
		lost.add(r)
	}
	for _, r := range lost[:min(len(lost), lostLimit)] {
		e := r.entry
		e.Because = because(r, winner, limits[r.height])
		standing.Lost = append(standing.Lost, e)
	}
}

// matched are the rules that match a reference, those that would if they had not ended or its digest were known, and what
// else the standing says of those that look at it.
func (l *Lists) matched(ref trust.Reference, now time.Time, standing *trust.Standing) (matched []*rule, missed ranking) {
	name := matchable(ref)
	l.index.candidates(name, func(i int32) {
		r := &l.rules[i]
		if !r.pattern.matchName(name) {
			return
		}
		ended := expired(r.entry, now)
		if r.pattern.tag != "" && !ended {
			standing.TagMatters = true
		}
		switch {
		case r.pattern.digest != "" && ref.Digest == "":
			missed.add(r)
		case !r.pattern.matchTarget(ref):
		case ended:
			missed.add(r)
		default:
			matched = append(matched, r)
		}
	})
	return matched, missed
}

// unmet says in what the image is not what the entry stands for. Who signed it, others find out.
func unmet(e trust.Entry, ref trust.Reference) []string {
	stands := fmt.Sprintf("the entry %s stands for %d digests alone", e.Pattern, len(e.Digests))
	if len(e.Digests) == 1 {
		stands = fmt.Sprintf("the entry %s stands for one digest alone", e.Pattern)
	}
	switch {
	case len(e.Digests) == 0, slices.Contains(e.Digests, ref.Digest), ref.Index != "" && slices.Contains(e.Digests, ref.Index):
		return nil
	case ref.Digest == "":
		return []string{stands + ", and a name without digest tells none"}
	}
	return []string{fmt.Sprintf("%s, and this is %s", stands, ref.Digest)}
}

func expired(e trust.Entry, now time.Time) bool {
	return !e.Expires.IsZero() && !e.Expires.After(now)
}

// ranking are the first rules in order of precedence, at most one more than Standing.Lost holds.
type ranking []*rule

func (k *ranking) add(r *rule) {
	full := len(*k) > lostLimit
	if full && (*k)[lostLimit].place <= r.place {
		return
	}
	at, _ := slices.BinarySearchFunc(*k, r, func(a, b *rule) int { return cmp.Compare(a.place, b.place) })
	if full {
		*k = (*k)[:lostLimit]
	}
	*k = slices.Insert(*k, at, r)
}

// precedence puts the rule that decides first: the more specific one, the stricter one of equal patterns, then that of
// the higher level.
func precedence(a, b *rule) int {
	return cmp.Or(b.pattern.rank.compare(a.pattern.rank), strictness(a.entry, b.entry), cmp.Compare(b.height, a.height))
}

// strictness is negative when a is stricter than b.
func strictness(a, b trust.Entry) int {
	return cmp.Or(cmp.Compare(leniency(a), leniency(b)), cmp.Compare(conditions(b), conditions(a)))
}

// leniency is how much an entry waives.
func leniency(e trust.Entry) int {
	switch {
	case e.Action == deny:
		return 0
	case e.Tier == trust.TierKnown:
		return 1
	case !e.SkipInspection:
		return 2
	}
	return 3
}

func conditions(e trust.Entry) int {
	n := 0
	if e.RequireSignature != nil {
		n += 2
	}
	if len(e.Digests) > 0 {
		n++
	}
	return n
}

// because says why a rule lost.
func because(r, winner *rule, limit ceiling) string {
	switch c := strictness(winner.entry, r.entry); {
	case limit.forbids(r):
		return fmt.Sprintf("more lenient than %s, which the %s list locks", limit.by.entry.Pattern, cmp.Or(limit.by.entry.Level, Shipped))
	case winner.pattern.rank.compare(r.pattern.rank) > 0:
		return "less specific"
	case c < 0 && winner.entry.Action == deny:
		return "as specific, and deny beats allow"
	case c < 0:
		return "as specific, and the stricter entry wins"
	case winner.height > r.height:
		return fmt.Sprintf("says as much as the entry of the %s list", winner.entry.Level)
	}
	return "says as much as another entry"
}
