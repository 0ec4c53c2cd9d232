package algorithm

import "encoding/binary"

// table finds 32-bit words at any offset of a byte stream. Any four bytes contain exactly one pair that begins at a
// multiple of three, so that only every third pair is looked up, in a bitmap that fits the first-level cache.
type table struct {
	pairs [1 << 16 / 64]uint64
	words map[uint32][]mark
}

// mark says what a word is part of.
type mark struct {
	id   int  // which constant
	wide bool // one half of a 64-bit constant
	tail bool // its second half
	big  bool // in big-endian byte order
}

func newTable() *table { return &table{words: map[uint32][]mark{}} }

// add registers the four bytes of a word as they stand in a file.
func (t *table) add(b [4]byte, m mark) {
	for i := range 3 {
		k := uint32(b[i]) | uint32(b[i+1])<<8
		t.pairs[k>>6] |= 1 << (k & 63)
	}
	key := binary.LittleEndian.Uint32(b[:])
	t.words[key] = append(t.words[key], m)
}

func (t *table) has(k uint64) uint64 { return t.pairs[k>>6&1023] >> (k & 63) & 1 }

// scan calls found for every registered word that lies wholly in p, in order of offset.
func (t *table) scan(p []byte, found func(at int, marks []mark)) {
	i, next := 0, 0
	// Five pairs in every fifteen bytes; the loads read sixteen.
	for ; i+16 <= len(p); i += 15 {
		a, b := binary.LittleEndian.Uint64(p[i:]), binary.LittleEndian.Uint64(p[i+8:])
		if t.has(a)|t.has(a>>24)|t.has(a>>48)|t.has(b>>8)|t.has(b>>32) != 0 {
			next = t.exact(p, max(next, i-2), i+15, found)
		}
	}
	t.exact(p, max(next, i-2), len(p), found)
}

// exact looks at every offset from from to before to, and returns where to go on.
func (t *table) exact(p []byte, from, to int, found func(at int, marks []mark)) int {
	to = min(to, len(p)-3)
	for j := max(0, from); j < to; j++ {
		k := uint64(binary.LittleEndian.Uint16(p[j:]))
		if t.has(k) == 0 {
			continue
		}
		if marks, ok := t.words[binary.LittleEndian.Uint32(p[j:])]; ok {
			found(j, marks)
		}
	}
	return max(from, to)
}
