package namespace

import (
	"cmp"
	"slices"
	"time"

	"github.com/safepull/safepull/trust"
)

// lostLimit bounds Standing.Lost, which goes into every verdict: a list may hold any number of entries that match.
const lostLimit = 16

// index finds the rules that may match a name without looking at the others: by the literal text that their pattern
// begins with, which for a pattern without wildcards is all of it.
type index struct {
	byPrefix map[string][]int32
	// lengths of the keys, ascending: a name is looked up by its own prefixes of these lengths.
	lengths []int
}

func newIndex(rules []rule) index {
	x := index{byPrefix: make(map[string][]int32)}
	for i := range rules {
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

// candidates calls f for every rule whose pattern begins as name does.
func (x *index) candidates(name string, f func(i int32)) {
	for _, n := range x.lengths {
		if n > len(name) {
			return
		}
		for _, i := range x.byPrefix[name[:n]] {
			f(i)
		}
	}
}

// Match tells how the lists stand to a reference at a time. An entry with a tag matches only a reference with a tag,
// an entry with a digest only a reference with that digest, or one that was reached through the index with it.
// Standing.TagMatters is also true when an entry looked at the tag and did not match: with another tag it might have
// decided. Standing.Lost holds the most specific of the overruled entries.
func (l *Lists) Match(ref trust.Reference, now time.Time) trust.Standing {
	var standing trust.Standing
	var matched []*rule
	name := matchable(ref)
	l.index.candidates(name, func(i int32) {
		r := &l.rules[i]
		if expired(r.entry, now) || !r.pattern.matchName(name) {
			return
		}
		if r.pattern.tag != "" {
			standing.TagMatters = true
		}
		if r.pattern.matchTarget(ref) {
			matched = append(matched, r)
		}
	})
	if len(matched) == 0 {
		return standing
	}
	slices.SortStableFunc(matched, precedence)
	for i, r := range matched {
		if e := r.entry.Expires; !e.IsZero() && (standing.Until.IsZero() || e.Before(standing.Until)) {
			standing.Until = e
		}
		if i > 0 && i <= lostLimit {
			standing.Lost = append(standing.Lost, r.entry)
		}
	}
	decided := matched[0].entry
	standing.Decided = &decided
	return standing
}

func expired(e trust.Entry, now time.Time) bool {
	return !e.Expires.IsZero() && !e.Expires.After(now)
}

// precedence puts the rule that decides first. Between equal patterns the stricter answer wins.
func precedence(a, b *rule) int {
	return cmp.Or(b.pattern.rank.compare(a.pattern.rank), cmp.Compare(leniency(a.entry), leniency(b.entry)))
}

func leniency(e trust.Entry) int {
	switch {
	case e.Action == deny:
		return 0
	case !e.SkipInspection:
		return 1
	}
	return 2
}
