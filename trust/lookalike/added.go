package lookalike

import (
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

// maxAdded bounds what is added to a brand without a separator: more than that makes another word.
const maxAdded = 8

// minGlued is the length from which a name is recognised where no separator parts it from the rest.
const minGlued = 5

// added is a namespace that has a known name in it, with something added that makes it pass for the owner's: anything
// with a brand; with the name of a project, of which honest people have their own tools, only a claim, a number, or an
// end that nobody can pronounce.
func (n *Names) added(ns string) (Resemblance, bool) {
	look := n.skeleton(ns)
	var found []target
	how := map[string]trust.Strength{}
	for i := range n.namespaces.all {
		one := &n.namespaces.all[i]
		if len(one.name) < 3 || len(ns) <= len(one.name) {
			continue
		}
		if rest, sep, ok := n.without(ns, one.name); ok && n.tells(*one, rest, sep) {
			found = append(found, *one)
			how[one.name] = trust.Weak
			continue
		}
		// The same with letters that look alike: nobody writes a brand so by chance.
		if one.brand && len(one.name) > minGlued && !strings.Contains(ns, one.name) && (strings.HasPrefix(look, one.skeleton) || strings.HasSuffix(look, one.skeleton)) {
			found = append(found, *one)
			how[one.name] = trust.Strong
		}
	}
	if len(found) == 0 {
		return Resemblance{}, false
	}
	one := slices.MinFunc(found, byLength)
	if how[one.name] == trust.Strong {
		return resembles(partNamespace, ns, one, trust.Strong, "it has the name in it, written with letters that look alike")
	}
	rest, _, _ := n.without(ns, one.name)
	return resembles(partNamespace, ns, one, trust.Weak, "it has the name in it, with "+quote(strings.Join(rest, " "))+" added")
}

// without is what a namespace has beside a name at its beginning or end, and whether a separator parts the two.
func (n *Names) without(ns, name string) (rest []string, separated, ok bool) {
	left, ok := strings.CutPrefix(ns, name)
	at := 0
	if !ok {
		if left, ok = strings.CutSuffix(ns, name); !ok {
			return nil, false, false
		}
		at = len(left) - 1
	}
	if left == "" {
		return nil, false, false
	}
	separated = strings.IndexByte(separators, left[at]) >= 0
	if !separated && len(name) < minGlued {
		return nil, false, false
	}
	return parts(left), separated, true
}

// tells reports whether what is added to a name says that the namespace is the owner's.
func (n *Names) tells(t target, rest []string, separated bool) bool {
	if len(rest) == 0 {
		return false
	}
	if t.brand {
		return separated || len(rest[0]) <= maxAdded
	}
	for _, r := range rest {
		switch {
		case n.claimed(r, t.ordinary), isNumber(r) && (!t.ordinary || len(r) > 2):
		case !separated && !t.ordinary && n.gibberish(r):
		default:
			return false
		}
	}
	return true
}

// claimed reports whether a word, with a number after it or not, says that somebody is the owner. Of an everyday word, few do.
func (n *Names) claimed(word string, ordinary bool) bool {
	word = strings.TrimRight(word, "0123456789")
	return n.pretences[word] || n.claims[word] && !ordinary
}

// gibberish is a short run of letters without a vowel that means nothing.
func (n *Names) gibberish(s string) bool {
	return len(s) >= 2 && len(s) <= 4 && !strings.ContainsAny(s, "aeiouy") && !n.ends[s] && !isNumber(s)
}
