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
	// MinPattern is the shortest pattern that has three consecutive grams.
	MinPattern = gramLen + stride - 1
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
	// Bits of the bitmap: one in gramSparsity at most is set, within these bounds (8 KiB to 512 KiB).
	minBits, maxBits = 16, 22
	gramSparsity     = 128
)

// ErrPattern is wrapped by every error of New.
var ErrPattern = errors.New("bad pattern")

// Pattern is a byte string to find.
type Pattern struct {
	Bytes []byte
	// Fold finds the string whatever the case of its ASCII letters.
	Fold bool
}

// Set is a set of patterns, ready to scan. It never changes, so that any number of goroutines may use it.
type Set struct {
	patterns []pattern
	maxLen   int
	bitmap   []uint64
	shift    uint32
	// entries are sorted by bucket; those of bucket b are entries[index[b]:index[b+1]].
	entries     []entry
	index       []uint32
	bucketShift uint32
}

type pattern struct {
	text string // lower case if fold
	fold bool
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

// New builds a Set. It copies what it needs. A set without patterns is legal and finds nothing.
func New(patterns []Pattern) (*Set, error) {
	if len(patterns) > MaxPatterns {
		return nil, fmt.Errorf("%w: %d patterns are more than %d", ErrPattern, len(patterns), MaxPatterns)
	}
	s := &Set{patterns: make([]pattern, len(patterns))}
	for i, p := range patterns {
		if len(p.Bytes) < MinPattern || len(p.Bytes) > MaxPattern {
			return nil, fmt.Errorf("%w: %.64q has %d bytes, not %d to %d", ErrPattern, p.Bytes, len(p.Bytes), MinPattern, MaxPattern)
		}
		text := p.Bytes
		if p.Fold {
			text = lower(text)
		}
		s.patterns[i] = pattern{text: string(text), fold: p.Fold}
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
// too, in no particular order. Its time is bounded by len(p) times a constant of the Set.
func (s *Set) Scan(p []byte, emit func(pattern, start int)) {
	if len(s.patterns) == 0 {
		return
	}
	bitmap, shift := s.bitmap, s.shift&31
	i := 0
	// Four positions a round: 0, 3, 6 and 9 of 16 bytes, read as two overlapping words.
	for ; i+16 <= len(p); i += 4 * stride {
		q := p[i : i+16 : i+16]
		a := binary.LittleEndian.Uint64(q) | foldMask<<32 | foldMask
		b := binary.LittleEndian.Uint64(q[2*stride:]) | foldMask<<32 | foldMask
		h0 := hash(uint32(a)) >> shift
		h1 := hash(uint32(a>>(8*stride))) >> shift
		h2 := hash(uint32(b)) >> shift
		h3 := hash(uint32(b>>(8*stride))) >> shift
		r0 := bitmap[h0/64] >> (h0 % 64)
		r1 := bitmap[h1/64] >> (h1 % 64)
		r2 := bitmap[h2/64] >> (h2 % 64)
		r3 := bitmap[h3/64] >> (h3 % 64)
		if (r0|r1|r2|r3)&1 == 0 {
			continue
		}
		for k, r := range [4]uint64{r0, r1, r2, r3} {
			if r&1 != 0 {
				s.verify(p, i+k*stride, emit)
			}
		}
	}
	for ; i+gramLen <= len(p); i += stride {
		h := hash(load(p[i:])) >> shift
		if bitmap[h/64]>>(h%64)&1 != 0 {
			s.verify(p, i, emit)
		}
	}
}

// verify compares the patterns that have the gram at p[i:] with the text around it.
func (s *Set) verify(p []byte, i int, emit func(pattern, start int)) {
	gram := load(p[i:])
	b := bucketHash(gram) >> (s.bucketShift & 31)
	entries := s.entries[s.index[b]:s.index[b+1]]
	for k := range entries {
		e := &entries[k]
		start := i - int(e.offset)
		end := start + int(e.length)
		if e.gram != gram || start < 0 || end > len(p) {
			continue
		}
		text := p[start:end]
		if ends(text) != e.ends {
			continue
		}
		pat := &s.patterns[e.pattern]
		if pat.fold && equalLower(text, pat.text) || !pat.fold && string(text) == pat.text {
			emit(int(e.pattern), start)
		}
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
