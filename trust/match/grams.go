package match

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// chooseGrams finds for each pattern the three consecutive grams that will wake it least often in vain: those that
// are rare in files and that few other patterns use. Patterns with the least choice choose first.
func chooseGrams(patterns []pattern) ([]entry, error) {
	order := make([]int, len(patterns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(patterns[a].text), len(patterns[b].text)) })

	shares := make(map[uint32]int, stride*len(patterns))
	entries := make([]entry, 0, stride*len(patterns))
	for _, i := range order {
		text, grams := []byte(patterns[i].text), patterns[i].grams
		best, bestCost := -1, math.Inf(1)
		for at := 0; at+gramLen+grams-1 <= len(text); at++ {
			cost := 0.0
			for k := range grams {
				gram := load(text[at+k:])
				cost += gramCost(gram, shares[gram])
			}
			if cost < bestCost {
				best, bestCost = at, cost
			}
		}
		if best < 0 {
			return nil, fmt.Errorf("%w: more than %d patterns are as like as %.64q", ErrPattern, maxShare, text)
		}
		patterns[i].first = best
		for k := range grams {
			gram := load(text[best+k:])
			shares[gram]++
			entries = append(entries, entry{
				gram: gram, ends: ends(text), pattern: uint32(i), offset: uint16(best + k), length: uint16(len(text)),
			})
		}
	}
	return entries, nil
}

// gramCost estimates what one more pattern on a gram costs: how often the gram occurs in 100 MB of files, for each
// pattern that it wakes, and a part that grows fast with their number, against texts made of that very gram.
func gramCost(gram uint32, shares int) float64 {
	if shares+stride > maxShare { // a pattern may use one gram three times
		return math.Inf(1)
	}
	bitsOfRarity := 0
	for ; gram != 0; gram >>= 8 {
		bitsOfRarity += int(byteRarity[foldedIndex(byte(gram))])
	}
	frequency := 1e8 * math.Exp2(-float64(bitsOfRarity)/8)
	n := float64(shares)
	return frequency*(1+n) + n*n*n
}

// foldedIndex packs a byte that has bit 5 set into seven bits.
func foldedIndex(b byte) byte { return b&0x1f | b>>1&0x60 }

// build fills the bitmap and the buckets.
func (s *Set) build(entries []entry) {
	n := bits.Len(uint(len(entries)))
	s.bitmap = new([1 << bitmapBits / 64]uint64)
	bucketBits := max(n+1, 8)
	s.bucketShift = uint32(32 - bucketBits)
	s.index = make([]uint32, 1<<bucketBits+1)

	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(
			cmp.Compare(bucketHash(a.gram)>>s.bucketShift, bucketHash(b.gram)>>s.bucketShift),
			cmp.Compare(a.gram, b.gram), cmp.Compare(a.offset, b.offset), cmp.Compare(a.length, b.length),
			cmp.Compare(a.ends, b.ends), cmp.Compare(a.pattern, b.pattern))
	})
	for i, e := range entries {
		s.ends, s.owners = append(s.ends, e.ends), append(s.owners, e.pattern)
		if last := len(s.groups) - 1; last >= 0 && s.groups[last].gram == e.gram && s.groups[last].offset == e.offset && s.groups[last].length == e.length {
			s.groups[last].past++
			continue
		}
		s.groups = append(s.groups, group{gram: e.gram, offset: e.offset, length: e.length, first: uint32(i), past: uint32(i) + 1})
		h := hash(e.gram) >> bitmapShift
		s.bitmap[h/64] |= 1 << (h % 64)
		s.index[bucketHash(e.gram)>>s.bucketShift+1]++
	}
	for b := 1; b < len(s.index); b++ {
		s.index[b] += s.index[b-1]
	}
}
