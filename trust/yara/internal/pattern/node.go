// Package pattern turns the strings of YARA rules into something that finds them in bytes: literals to search for, and
// small automata that confirm, backwards and forwards from a literal, that the whole string is there. Everything is
// about bytes; no step looks further than Reach from its literal.
package pattern

import "math/bits"

// Limits of one string.
const (
	// Reach is how far a match may extend before and after the literal that was found, in bytes. It bounds the memory
	// and the time of a confirmation, and is YARA's own limit for regular expressions.
	Reach = 4096
	// maxInsts bounds the automaton of one branch, maxSteps those of all branches.
	maxInsts = 8192
	maxSteps = 1 << 18
	// maxBranches bounds into how many branches alternatives are taken apart.
	maxBranches = 128
	// maxRepeat bounds the numbers of {n,m} and of jumps.
	maxRepeat = Reach
	// maxNesting bounds groups within groups.
	maxNesting = 32
	// infinite is the upper bound of * and its like.
	infinite = -1
)

// set is a set of bytes.
type set [4]uint64

func (s *set) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *set) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

func (s *set) addRange(low, high byte) {
	for c := int(low); c <= int(high); c++ {
		s.add(byte(c))
	}
}

func (s *set) addSet(t set) {
	for i := range s {
		s[i] |= t[i]
	}
}

func (s set) negated() set { return set{^s[0], ^s[1], ^s[2], ^s[3]} }

func (s set) size() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// members are the bytes of the set, in order.
func (s set) members() []byte {
	var out []byte
	for c := range 256 {
		if s.has(byte(c)) {
			out = append(out, byte(c))
		}
	}
	return out
}

// folded has both cases of every letter of s.
func (s set) folded() set {
	for c := byte('a'); c <= 'z'; c++ {
		if s.has(c) || s.has(c-32) {
			s.add(c)
			s.add(c - 32)
		}
	}
	return s
}

func one(c byte) set {
	var s set
	s.add(c)
	return s
}

func anyByte() set { return set{}.negated() }

type nodeOp uint8

const (
	opSet    nodeOp = iota // one byte of the set
	opCat                  // one after the other; none is empty
	opAlt                  // one of them
	opRep                  // subs[0], min to max times
	opAssert               // where is a place, not a byte
)

type place uint8

const (
	fileStart place = iota
	fileEnd
	wordEdge
	noWordEdge
)

type node struct {
	op       nodeOp
	set      set
	subs     []*node
	min, max int
	lazy     bool // the fewest repetitions first
	place    place
}

func cat(subs ...*node) *node { return &node{op: opCat, subs: subs} }
func bytesNode(s set) *node   { return &node{op: opSet, set: s} }

// length is the least and the most that a node can consume, in characters; the most is at most Reach+1.
func (n *node) length() (low, high int) {
	switch n.op {
	case opSet:
		return 1, 1
	case opCat:
		for _, s := range n.subs {
			l, h := s.length()
			low, high = min(low+l, Reach+1), min(high+h, Reach+1)
		}
	case opAlt:
		low = Reach + 1
		for _, s := range n.subs {
			l, h := s.length()
			low, high = min(low, l), max(high, h)
		}
	case opRep:
		l, h := n.subs[0].length()
		low = min(l*n.min, Reach+1)
		switch {
		case h == 0:
		case n.max == infinite:
			high = Reach + 1
		default:
			high = min(h*n.max, Reach+1)
		}
	case opAssert:
	}
	return low, high
}

// reversed is the node that matches the same bytes from last to first.
func (n *node) reversed() *node {
	out := *n
	out.subs = make([]*node, len(n.subs))
	for i, s := range n.subs {
		k := i
		if n.op == opCat {
			k = len(n.subs) - 1 - i
		}
		out.subs[k] = s.reversed()
	}
	return &out
}
