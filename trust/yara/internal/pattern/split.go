package pattern

import "slices"

// part is one way through a pattern: its items follow each other, and items[from:to] are the literal to look for.
type part struct {
	items    []*node
	from, to int
	fold     bool // items[from:to] are letters in both cases, or single bytes
	score    int
}

const (
	// enough is the score of an atom that needs no improvement: about four bytes that are not the commonest.
	enough = 16
	// maxExpand bounds how many atoms a run of small sets becomes, maxSmall how long such a run is, and maxChoices how
	// large each of its sets.
	maxExpand  = 256
	maxSmall   = 4
	maxChoices = 16
	// unrolled bounds how many copies of a repeated group are written out to look for literals in them.
	unrolled = 8
	// maxItems bounds the items of what is taken apart, and by it the time that this takes.
	maxItems = 1024
)

// flatten is a node as a list of items, with the first repetitions of what must occur written out.
func flatten(n *node) []*node {
	switch n.op {
	case opCat:
		var out []*node
		for _, s := range n.subs {
			out = append(out, flatten(s)...)
		}
		return out
	case opAlt:
		if len(n.subs) == 1 {
			return flatten(n.subs[0])
		}
		if s, ok := oneOf(n); ok {
			return []*node{bytesNode(s)}
		}
	case opRep:
		return flattenRep(n)
	case opSet, opAssert:
	}
	return []*node{n}
}

// oneOf is what alternatives of one byte each are together.
func oneOf(n *node) (s set, ok bool) {
	for _, sub := range n.subs {
		items := flatten(sub)
		if len(items) != 1 || items[0].op != opSet {
			return s, false
		}
		s.addSet(items[0].set)
	}
	return s, true
}

func flattenRep(n *node) []*node {
	sub := flatten(n.subs[0])
	copies := min(n.min, unrolled)
	switch {
	case n.min == 0, len(sub) == 0, len(sub) > maxSmall*unrolled:
		return []*node{n}
	case len(sub) == 1 && sub[0].op == opSet && sub[0].set.size() > maxSmall:
		return []*node{n} // counts better than it reads
	case len(sub) > 1:
		copies = 1
	}
	var out []*node
	for range copies {
		out = append(out, sub...)
	}
	rest := *n
	rest.min -= copies
	if rest.max != infinite {
		rest.max -= copies
	}
	if rest.max != 0 {
		out = append(out, &rest)
	}
	return out
}

// split finds the parts that a pattern consists of, each with a literal. It takes alternatives apart only where there
// is no good literal outside them.
func split(items []*node) ([]part, bool) {
	budget := maxBranches
	parts := divide(items, &budget)
	for _, p := range parts {
		if p.to == p.from {
			return nil, false
		}
	}
	return parts, len(parts) > 0
}

func divide(items []*node, budget *int) []part {
	whole := best(items)
	if whole.score >= enough {
		return []part{whole}
	}
	out, score := []part{whole}, whole.score
	for i, n := range items {
		if n.op != opAlt || len(n.subs) > *budget {
			continue
		}
		*budget -= len(n.subs)
		var parts []part
		worst := enough
		for _, s := range n.subs {
			way := slices.Concat(items[:i], flatten(s), items[i+1:])
			if len(way) > maxItems {
				return out
			}
			for _, p := range divide(way, budget) {
				parts, worst = append(parts, p), min(worst, p.score)
			}
		}
		if worst > score {
			out, score = parts, worst
		}
		if score >= enough || len(out) > maxBranches {
			break
		}
	}
	return out
}

// best chooses the literal of a list of items: a run of single bytes, or of letters in both cases, or, if there is
// nothing better, a short run of small sets, which become several atoms.
func best(items []*node) part {
	out := part{items: items}
	for from := 0; from < len(items); from++ {
		to, fold, score := from, false, 0
		for to < len(items) && to-from < maxAtom/2 {
			value, both := worth(items[to])
			if value == 0 {
				break
			}
			fold, score, to = fold || both, score+value, to+1
		}
		if to-from >= MinAtom && score > out.score {
			out.from, out.to, out.fold, out.score = from, to, fold, score
		}
		from = max(from, to-1)
	}
	if out.score >= enough {
		return out
	}
	for from := range items {
		for to := from + MinAtom; to <= len(items) && to-from <= maxSmall; to++ {
			if fold, score, ok := expanded(items[from:to]); ok && score > out.score+2 {
				out.from, out.to, out.fold, out.score = from, to, fold, score
			}
		}
	}
	return out
}

// expanded is what a run of small sets is worth when every combination becomes an atom. ok is false when there are
// too many.
func expanded(run []*node) (fold bool, score int, ok bool) {
	for _, n := range run {
		_, both := worth(n)
		fold = fold || both
	}
	product := 1
	for _, n := range run {
		if n.op != opSet {
			return false, 0, false
		}
		size := len(choices(n.set, fold))
		if product *= size; size > maxChoices || product > maxExpand {
			return false, 0, false
		}
		value, _ := worth(n)
		if value == 0 { // what is left of a byte's worth when it is one of several
			value = 4 - bitLength(size-1)/2
		}
		score += value
	}
	return fold, score, true
}

// choices are the bytes of a set, of letters only the lower-case ones if they are found in both cases anyway.
func choices(s set, fold bool) []byte {
	if fold {
		var lowered set
		for _, c := range s.members() {
			lowered.add(lowerByte(c))
		}
		s = lowered
	}
	return s.members()
}

func bitLength(n int) int {
	bits := 0
	for ; n > 0; n >>= 1 {
		bits++
	}
	return bits
}

// worth is how much a byte helps to find a place; 0 says that it is no single byte. both is true for a letter in both
// cases.
func worth(n *node) (value int, both bool) {
	if n.op != opSet {
		return 0, false
	}
	switch m := n.set.members(); {
	case len(m) == 1 && (m[0] == 0 || m[0] == 0xff || m[0] == ' '):
		return 1, false
	case len(m) == 1:
		return 4, false
	case len(m) == 2 && m[0]|0x20 == m[1] && lowerByte(m[0]) == m[1] && m[0] != m[1]:
		return 3, true
	}
	return 0, false
}

// atoms are the literals of a part, in characters of stride bytes.
func (p *part) atoms(stride int) []Atom {
	texts := [][]byte{nil}
	for _, n := range p.items[p.from:p.to] {
		var longer [][]byte
		for _, t := range texts {
			for _, c := range choices(n.set, p.fold) {
				longer = append(longer, append(slices.Clip(t), c))
			}
		}
		texts = longer
	}
	var out []Atom
	for _, t := range texts {
		out = append(out, Atom{widened(t, stride), p.fold})
	}
	return out
}
