// Package match finds many byte strings in a stream of bytes at once, at a speed near that of memory.
//
// A Set looks at every third position only: the four bytes there, folded to one case, are looked up in a bitmap.
// Each pattern has three consecutive four-byte grams in the bitmap, so that one of them always meets a position that
// is looked at. What the bitmap lets through is compared exactly; nothing is ever missed or reported twice.
package match

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What New accepts.
const (
	// MinPattern is the shortest pattern that has three consecutive grams, MinSampled the shortest that has one.
	MinPattern = gramLen + stride - 1
	MinSampled = gramLen
	// MaxPattern protects those who keep MaxLen bytes between two chunks of a stream.
	MaxPattern = 1 << 10
	// MaxPatterns protects the build time and the memory of a Set.
	MaxPatterns = 1 << 16
)

const (
	stride  = 3
	gramLen = 4
	// foldMask maps both cases of an ASCII letter to one value. Other bytes may collide; the comparison sorts them out.
	foldMask = 0x20202020
	// maxShare bounds how many patterns one gram may wake, and by it the time that a text made of near-matches costs.
	maxShare = 64
	// bitmapBits is the size of the bitmap, 128 KiB: in the second-level cache, and with 20,000 patterns still sparse.
	bitmapBits  = 20
	bitmapShift = 32 - bitmapBits
	// roundBytes are looked at in one round of Scan.
	roundBytes = 8 * stride
)

// ErrPattern is wrapped by every error of New.
var ErrPattern = errors.New("bad pattern")

// Pattern is a byte string to find.
type Pattern struct {
	Bytes []byte
	// Fold finds the string whatever the case of its ASCII letters.
	Fold bool
	// Sampled finds about one occurrence in three: those that happen to stand at a position that is looked at. It is for
	// signs that consist of many patterns, and costs a third of the others.
	Sampled bool
}

// Check reports what New would refuse of the pattern by itself.
func (p Pattern) Check() error {
	shortest := MinPattern
	if p.Sampled {
		shortest = MinSampled
	}
	if len(p.Bytes) < shortest || len(p.Bytes) > MaxPattern {
		return fmt.Errorf("%w: %.64q has %d bytes, not %d to %d", ErrPattern, p.Bytes, len(p.Bytes), shortest, MaxPattern)
	}
	return nil
}

// Set is a set of patterns, ready to scan. It never changes, so that any number of goroutines may use it.
type Set struct {
	patterns []pattern
	maxLen   int
	bitmap   *[1 << bitmapBits / 64]uint64
	// groups are sorted by bucket; those of bucket b are groups[index[b]:index[b+1]].
	groups      []group
	index       []uint32
	bucketShift uint32
	// ends and owners belong together: what sums up a pattern, and the pattern. Those of a group are sorted by ends.
	ends   []uint32
	owners []uint32
}

type pattern struct {
	text  string // lower case if fold
	fold  bool
	grams int // how many consecutive grams wake it
	first int // the offset of the first
}

// entry says that gram stands at offset of pattern. The pattern's ends tell patterns apart that share a gram, without
// touching the patterns themselves.
type entry struct {
	gram    uint32
	ends    uint32
	pattern uint32
	offset  uint16
	length  uint16
}

// group is all entries of one gram, offset and length: one look at the text decides which of them it may be, so that a
// text made of near-matches costs a step for each shape that patterns have around the gram, not for each pattern.
type group struct {
	gram        uint32
	offset      uint16
	length      uint16
	first, past uint32 // in ends and owners
}

// New builds a Set. It copies what it needs. A set without patterns is legal and finds nothing.
func New(patterns []Pattern) (*Set, error) {
	if len(patterns) > MaxPatterns {
		return nil, fmt.Errorf("%w: %d patterns are more than %d", ErrPattern, len(patterns), MaxPatterns)
	}
	s := &Set{patterns: make([]pattern, len(patterns))}
	for i, p := range patterns {
		if err := p.Check(); err != nil {
			return nil, err
		}
		text := p.Bytes
		if p.Fold {
			text = lower(text)
		}
		s.patterns[i] = pattern{text: string(text), fold: p.Fold, grams: stride}
		if p.Sampled {
			s.patterns[i].grams = 1
		}
		s.maxLen = max(s.maxLen, len(text))
	}
	entries, err := chooseGrams(s.patterns)
	if err != nil {
		return nil, err
	}
	s.build(entries)
	return s, nil
}

// MaxLen is the length of the longest pattern: who scans a stream in chunks must show MaxLen-1 bytes again.
func (s *Set) MaxLen() int { return s.maxLen }

// Scan calls emit for every occurrence of every pattern that lies wholly in p, exactly once each, overlapping ones
// too, in no particular order, but for sampled patterns. Its time is bounded by len(p) times a constant of the Set.
func (s *Set) Scan(p []byte, emit func(pattern, start int)) {
	if len(s.patterns) == 0 {
		return
	}
	bitmap := s.bitmap
	i := 0
	// Eight positions a round: 0, 3, … 21 of 28 bytes, read as four overlapping words. The compiler makes one
	// instruction of each test of a bit, and a branch that is hardly ever taken costs less than joining the answers.
	for n := 0; ; n++ {
		i = s.block(p, i, min(len(p), i+blockRounds(n)*roundBytes+gramLen), emit)
		if i+stride+roundBytes+gramLen > len(p) {
			break
		}
		// One step is shorter, so that sampled patterns are not missed for standing a multiple of three bytes apart.
		i--
		if h := hash(load(p[i:])) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i, i-stride+1, emit)
		}
		i += stride
	}
	for ; i+gramLen <= len(p); i += stride {
		if h := hash(load(p[i:])) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i, i-stride, emit)
		}
	}
}

// blockRounds is how many rounds the n-th block has. They differ, so that no distance between occurrences of sampled
// patterns keeps all of them where nothing looks: up to 75 bytes, one of 54 in a row is found. The three blocks together
// are no longer than 72 words of four bytes with two bytes between them.
func blockRounds(n int) int {
	switch n % 3 {
	case 0:
		return 7
	case 1:
		return 3
	}
	return 6
}

// block looks at whole rounds from i on, up to end, and returns where the next one would begin.
func (s *Set) block(p []byte, i, end int, emit func(pattern, start int)) int {
	bitmap := s.bitmap
	for ; i+roundBytes+gramLen <= end; i += roundBytes {
		q := p[i : i+roundBytes+gramLen : i+roundBytes+gramLen]
		a := binary.LittleEndian.Uint64(q) | foldMask<<32 | foldMask
		b := binary.LittleEndian.Uint64(q[2*stride:]) | foldMask<<32 | foldMask
		c := binary.LittleEndian.Uint64(q[4*stride:]) | foldMask<<32 | foldMask
		d := binary.LittleEndian.Uint64(q[6*stride:]) | foldMask<<32 | foldMask
		if h := hash(uint32(a)) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i, i-stride, emit)
		}
		if h := hash(uint32(a>>(8*stride))) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i+stride, i, emit)
		}
		if h := hash(uint32(b)) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i+2*stride, i+stride, emit)
		}
		if h := hash(uint32(b>>(8*stride))) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i+3*stride, i+2*stride, emit)
		}
		if h := hash(uint32(c)) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i+4*stride, i+3*stride, emit)
		}
		if h := hash(uint32(c>>(8*stride))) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i+5*stride, i+4*stride, emit)
		}
		if h := hash(uint32(d)) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i+6*stride, i+5*stride, emit)
		}
		if h := hash(uint32(d>>(8*stride))) >> bitmapShift; bitmap[h/64]&(1<<(h%64)) != 0 {
			s.verify(p, i+7*stride, i+6*stride, emit)
		}
	}
	return i
}

// verify compares the patterns that have the gram at p[i:] with the text around it. Those that were found at the position
// that was looked at before, prev, are left out.
func (s *Set) verify(p []byte, i, prev int, emit func(pattern, start int)) {
	gram := load(p[i:])
	b := bucketHash(gram) >> (s.bucketShift & 31)
	groups := s.groups[s.index[b]:s.index[b+1]]
	for k := range groups {
		g := &groups[k]
		start := i - int(g.offset)
		end := start + int(g.length)
		if g.gram != gram || start < 0 || end > len(p) {
			continue
		}
		text := p[start:end]
		sum := ends(text)
		from, to := g.first, g.past // the first that is not less than sum
		for from < to {
			if middle := (from + to) / 2; s.ends[middle] < sum {
				from = middle + 1
			} else {
				to = middle
			}
		}
		for ; from < g.past && s.ends[from] == sum; from++ {
			s.compare(text, start, prev, s.owners[from], emit)
		}
	}
}

func (s *Set) compare(text []byte, start, prev int, owner uint32, emit func(pattern, start int)) {
	pat := &s.patterns[owner]
	if pat.grams == stride && start+pat.first <= prev && start >= 0 {
		return
	}
	if pat.fold && equalLower(text, pat.text) || !pat.fold && string(text) == pat.text {
		emit(int(owner), start)
	}
}

func load(p []byte) uint32 { return binary.LittleEndian.Uint32(p) | foldMask }

// ends sums up the first and the last four bytes of a pattern or of what may be one.
func ends(p []byte) uint32 { return load(p)*0xC2B2AE35 ^ load(p[len(p)-gramLen:]) }

// hash and bucketHash are multiplicative hashes, the best bits on top; their factors differ so that grams that
// collide in the bitmap seldom share a bucket.
func hash(gram uint32) uint32       { return gram * 0x9E3779B1 }
func bucketHash(gram uint32) uint32 { return gram * 0x85EBCA6B }

func lower(p []byte) []byte {
	out := make([]byte, len(p))
	for i, c := range p {
		out[i] = lowerByte(c)
	}
	return out
}

func lowerByte(c byte) byte {
	if c-'A' < 26 {
		return c + ('a' - 'A')
	}
	return c
}

func equalLower(p []byte, lowered string) bool {
	if len(p) != len(lowered) {
		return false
	}
	for i := range p {
		if lowerByte(p[i]) != lowered[i] {
			return false
		}
	}
	return true
}
