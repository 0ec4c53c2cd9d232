// Package atom finds many literals of two bytes and more in bytes. Those of six bytes and more are found by
// trust/match; shorter ones by the pair of bytes in them that few others have, looked up in a bitmap.
package atom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/safepull/safepull/trust/match"
)

const (
	// MaxLiterals bounds the literals of a Finder, and so its memory and the time to make it.
	MaxLiterals = match.MaxPatterns
	// maxShare bounds how many literals one pair of bytes may wake, and by it the time that hostile content costs.
	maxShare = 300
	// maxCut bounds how many long literals are looked for by a part of them, and by it the time to make a Finder.
	maxCut = 64
)

// Literal is a byte string to find.
type Literal struct {
	Bytes []byte
	// Fold finds the literal whatever the case of its ASCII letters.
	Fold bool
}

// Error says which literal cannot be searched for together with those before it.
type Error struct {
	// Literal is its index.
	Literal int
	Why     error
}

// Error is Why.
func (e *Error) Error() string { return e.Why.Error() }

// Unwrap is Why.
func (e *Error) Unwrap() error { return e.Why }

// Finder finds a set of literals. It does not change.
type Finder struct {
	long    *match.Set
	longIDs []int
	maxLen  int

	// pairs has a bit for every pair of bytes that wakes a short literal; buckets[first[pair]] are those literals.
	pairs   *[1 << 16 / 64]uint64
	first   []uint32
	buckets [][]short
}

type short struct {
	id   int
	at   int // of the pair in the text
	text []byte
	fold bool
}

// New makes a Finder. Literals have at least two bytes and are distinct. Its error is an *Error.
func New(literals []Literal) (*Finder, error) {
	if len(literals) > MaxLiterals {
		return nil, &Error{MaxLiterals, fmt.Errorf("more than %d literals", MaxLiterals)}
	}
	f := &Finder{}
	var long []match.Pattern
	for i, l := range literals {
		f.maxLen = max(f.maxLen, len(l.Bytes))
		switch {
		case len(l.Bytes) < 2:
			return nil, &Error{i, errors.New("fewer than two bytes")}
		case len(l.Bytes) >= match.MinPattern:
			long = append(long, match.Pattern{Bytes: l.Bytes, Fold: l.Fold})
			f.longIDs = append(f.longIDs, i)
		default:
			if err := f.addShort(i, l); err != nil {
				return nil, &Error{i, err}
			}
		}
	}
	return f, f.addLong(long)
}

// addLong makes the set of the long literals. It fails when too many are alike: which one is too many, the shortest
// beginning that fails says. Those are looked for by a few of their bytes instead, which finds more, not less.
func (f *Finder) addLong(long []match.Pattern) error {
	for cut := 0; ; cut++ {
		var err error
		if f.long, err = match.New(long); err == nil {
			return nil
		}
		n := sort.Search(len(long), func(n int) bool { _, err := match.New(long[:n]); return err != nil })
		if n == 0 || n > len(long) || cut == maxCut {
			return &Error{f.longIDs[max(min(n, len(long))-1, 0)], err}
		}
		id, l := f.longIDs[n-1], long[n-1]
		if err := f.addShort(id, Literal{l.Bytes[:match.MinPattern-1], l.Fold}); err != nil {
			return &Error{id, err}
		}
		long, f.longIDs = slices.Delete(long, n-1, n), slices.Delete(f.longIDs, n-1, n)
	}
}

func (f *Finder) addShort(id int, l Literal) error {
	if f.pairs == nil {
		f.pairs, f.first = new([1 << 16 / 64]uint64), make([]uint32, 1<<16)
		f.buckets = make([][]short, 1) // the first is of no pair
	}
	best, bestCost := -1, maxShare+1
	for at := 0; at+2 <= len(l.Bytes); at++ {
		cost := 0
		for _, pair := range pairs(l.Bytes[at], l.Bytes[at+1], l.Fold) {
			n := len(f.buckets[f.first[pair]])
			if n >= maxShare {
				n = maxShare + 1
			}
			cost = max(cost, n)
		}
		if cost <= maxShare {
			cost = min(cost+common(l.Bytes[at])+common(l.Bytes[at+1]), maxShare)
		}
		if cost < bestCost {
			best, bestCost = at, cost
		}
	}
	if best < 0 {
		return fmt.Errorf("more than %d short strings are alike", maxShare)
	}
	for _, pair := range pairs(l.Bytes[best], l.Bytes[best+1], l.Fold) {
		f.pairs[pair>>6] |= 1 << (pair & 63)
		if f.first[pair] == 0 {
			f.first[pair] = uint32(len(f.buckets))
			f.buckets = append(f.buckets, nil)
		}
		b := f.first[pair]
		f.buckets[b] = append(f.buckets[b], short{id: id, at: best, text: l.Bytes, fold: l.Fold})
	}
	return nil
}

// common is a penalty for bytes that files are full of.
func common(b byte) int {
	switch b {
	case 0, 0xff:
		return 100
	case ' ', '\n', 'e', 't':
		return 20
	}
	return 0
}

// pairs are the pairs of bytes that stand for two bytes, with all cases if fold.
func pairs(a, b byte, fold bool) []uint16 {
	var out []uint16
	for _, x := range cases(a, fold) {
		for _, y := range cases(b, fold) {
			out = append(out, uint16(x)|uint16(y)<<8)
		}
	}
	return out
}

func cases(c byte, fold bool) []byte {
	if l := lower(c); fold && l >= 'a' && l <= 'z' {
		return []byte{l, l - 32}
	}
	return []byte{c}
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 32
	}
	return c
}

// MaxLen is the length of the longest literal.
func (f *Finder) MaxLen() int { return f.maxLen }

// Scan calls emit for every occurrence of every literal that lies wholly in p, in no particular order. Of literals that
// are much alike it may also report places where only the first five bytes stand.
func (f *Finder) Scan(p []byte, emit func(literal, start int)) {
	f.long.Scan(p, func(pattern, start int) { emit(f.longIDs[pattern], start) })
	if f.pairs == nil || len(p) < 2 {
		return
	}
	bitmap, i := f.pairs, 0
	bit := func(pair uint16) uint64 { return bitmap[pair>>6] >> (pair & 63) }
	for ; i+8 <= len(p); i += 4 { // four pairs a round, from one word
		v := binary.LittleEndian.Uint64(p[i:])
		if (bit(uint16(v))|bit(uint16(v>>8))|bit(uint16(v>>16))|bit(uint16(v>>24)))&1 == 0 {
			continue
		}
		for k := range 4 {
			if pair := uint16(v >> (8 * k)); bit(pair)&1 != 0 {
				f.verify(p, i+k, pair, emit)
			}
		}
	}
	for ; i+2 <= len(p); i++ {
		if pair := binary.LittleEndian.Uint16(p[i:]); bit(pair)&1 != 0 {
			f.verify(p, i, pair, emit)
		}
	}
}

func (f *Finder) verify(p []byte, i int, pair uint16, emit func(literal, start int)) {
	bucket := f.buckets[f.first[pair]]
	for k := range bucket {
		s := &bucket[k]
		start := i - s.at
		end := start + len(s.text)
		if start < 0 || end > len(p) {
			continue
		}
		if text := p[start:end]; string(text) == string(s.text) || s.fold && equalFold(text, s.text) {
			emit(s.id, start)
		}
	}
}

func equalFold(a, b []byte) bool {
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}
