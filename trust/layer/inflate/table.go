package inflate

import (
	"math/bits"
	"slices"
)

// An entry of a decoding table says all that a symbol means:
//
//   - a literal:       bit 31; the byte in bits 16 to 23
//   - a length or distance: its base in bits 16 to 30
//   - special (bit 15): the end of a block (bit 13), or a link to a table for longer codes (bit 14) that begins at the
//     index in bits 16 to 30 and is looked up with as many bits as bits 8 to 11 say, or else a code that is not used
//
// Bits 0 to 7 are how many bits of input the entry uses up, extra bits included; bits 8 to 13 are how many of them are
// the code, without extra bits. A code that is not used takes none.
type entry = uint32

const (
	literal  entry = 1 << 31
	special  entry = 1 << 15
	link     entry = 1 << 14
	blockEnd entry = 1 << 13
)

const (
	maxCodeBits = 15
	litBits     = 11
	distBits    = 8
	lengthBits  = 7

	litMask  = 1<<litBits - 1
	distMask = 1<<distBits - 1
)

// The tables have room for the worst complete code: a first part, looked up with the first bits, and the tables that it
// links to. For 288 symbols and 11 bits that is 2342 entries, for 32 symbols and 8 bits 402, as zlib's "enough" counts.
type (
	litTable    [2342]entry
	distTable   [402]entry
	lengthTable [1 << lengthBits]entry
)

// codes are the tables of a block that brings its own.
type codes struct {
	lit    litTable
	dist   distTable
	length lengthTable
}

// fixedCodes are the tables of RFC 1951 section 3.2.6.
type fixedCodes struct {
	lit  litTable
	dist distTable
}

const (
	numLit    = 288 // two of which have no meaning
	numDist   = 32  // likewise
	numLength = 19
	// What a block may bring lengths for.
	maxLit  = 286
	maxDist = 30
	endSym  = 256
)

// What symbols mean, as entries without a code.
var (
	litMeaning    = litMeanings()
	distMeaning   = distMeanings()
	lengthMeaning = lengthMeanings()
)

func litMeanings() (m [numLit]entry) {
	for i := range endSym {
		m[i] = literal | entry(i)<<16
	}
	m[endSym] = special | blockEnd
	base := entry(3)
	for i := endSym + 1; i < maxLit-1; i++ {
		extra := entry(max(0, (i-261)/4))
		m[i] = base<<16 | extra
		base += 1 << extra
	}
	m[maxLit-1] = maxMatch << 16
	m[maxLit], m[maxLit+1] = special, special
	return m
}

func distMeanings() (m [numDist]entry) {
	base := entry(1)
	for i := range maxDist {
		extra := entry(max(0, i/2-1))
		m[i] = base<<16 | extra
		base += 1 << extra
	}
	m[maxDist], m[maxDist+1] = special, special
	return m
}

func lengthMeanings() (m [numLength]entry) {
	for i := range m {
		m[i] = entry(i) << 16
	}
	return m
}

// build fills table for the canonical code whose lengths are given by symbol, with a first part of 1<<first entries. As
// compress/flate, it accepts a complete code, one that has a single symbol of one bit, and one without symbols.
func build(table []entry, first int, lengths []uint8, meaning []entry) bool {
	var count [maxCodeBits + 1]int
	for _, n := range lengths {
		count[n&maxCodeBits]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	space := 0 // of 1<<15
	for n, c := range count {
		space += c << (maxCodeBits - n)
	}
	if space != 1<<maxCodeBits {
		if used > 1 || used == 1 && count[1] != 1 {
			return false
		}
		table[0], table[1] = special, special
		if used == 1 {
			table[0] = coded(meaning[slices.Index(lengths, 1)], 1)
		}
		for n := 2; n < 1<<first; n *= 2 {
			copy(table[n:2*n], table[:n])
		}
		return true
	}
	var sorted [numLit]uint16
	sortByLength(sorted[:used], lengths, &count)
	code, rest := fillFirst(table, first, sorted[:used], &count, meaning)
	return fillLinked(table, first, code, rest, &count, meaning)
}

// sortByLength lists the symbols that are used, shortest code first.
func sortByLength(sorted []uint16, lengths []uint8, count *[maxCodeBits + 1]int) {
	var at [maxCodeBits + 2]int
	for n := 1; n <= maxCodeBits; n++ {
		at[n+1] = at[n] + count[n]
	}
	for sym, n := range lengths {
		if n > 0 {
			sorted[at[n]] = uint16(sym)
			at[n]++
		}
	}
}

// fillFirst fills the first part: it grows by doubling, so that each code is written once. It returns the code that
// follows, for one more bit than first, and the symbols that are left.
func fillFirst(table []entry, first int, sorted []uint16, count *[maxCodeBits + 1]int, meaning []entry) (uint, []uint16) {
	code := uint(0)
	for n := 1; n <= first; n++ {
		half := 1 << (n - 1)
		copy(table[half:2*half], table[:half])
		for _, sym := range sorted[:count[n]] {
			table[reversed(code, n)] = coded(meaning[sym], n)
			code++
		}
		sorted = sorted[count[n]:]
		code <<= 1
	}
	return code, sorted
}

// fillLinked fills the tables for longer codes, one for each beginning that they share.
func fillLinked(table []entry, first int, code uint, sorted []uint16, count *[maxCodeBits + 1]int, meaning []entry) bool {
	start, width, free := 0, 0, 1<<first
	prefix := -1
	for n := first + 1; n <= maxCodeBits; n++ {
		for k := range count[n] {
			rev := reversed(code, n)
			if p := rev & (1<<first - 1); p != prefix {
				prefix, start = p, free
				width = linkedBits(n, n-first, count[n]-k, count)
				free += 1 << width
				if free > len(table) {
					return false // cannot be: the tables have room for every complete code
				}
				table[p] = special | link | entry(start)<<16 | entry(width)<<8 | entry(first)
			}
			e := coded(meaning[sorted[k]], n-first)
			for i := rev >> first; i < 1<<width; i += 1 << (n - first) {
				table[start+i] = e
			}
			code++
		}
		sorted = sorted[count[n]:]
		code <<= 1
	}
	return true
}

// linkedBits is how many bits look up the table that begins with a code of n bits, width of them behind the first part,
// when there are left codes of n bits: as many as it takes until the code space is full.
func linkedBits(n, width, left int, count *[maxCodeBits + 1]int) int {
	for left < 1<<width && n < maxCodeBits {
		n++
		width++
		left = left<<1 + count[n]
	}
	return width
}

// reversed is a code of n bits as it lies in the input, its first bit lowest.
func reversed(code uint, n int) int { return int(bits.Reverse16(uint16(code << (16 - n)))) }

// coded is a meaning with a code of n bits, or with the n bits that are left of it.
func coded(meaning entry, n int) entry { return meaning + entry(n)<<8 + entry(n) }
