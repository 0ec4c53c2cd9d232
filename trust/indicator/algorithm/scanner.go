package algorithm

import "encoding/binary"

// table finds 32-bit words at any offset of a byte stream. Any four bytes contain exactly one pair that begins at a
// multiple of three, so that only every third pair is looked up. A pair costs one load: a byte for each of the 65536,
// of which ordinary content touches few.
type table struct {
	pairs [1 << 16]byte
	// quick has a bit for the hash of every word, so that next to nothing else is asked for in words.
	quick [1 << quickBits / 64]uint64
	words map[uint32][]mark
}

const (
	quickBits = 16
	// block is how many bytes are looked at in one step: ten pairs at multiples of three.
	block = 30
)

// mark says which constant a word is.
type mark struct{ id int }

func newTable() *table { return &table{words: map[uint32][]mark{}} }

// add registers the four bytes of a word as they stand in a file.
func (t *table) add(b [4]byte, m mark) {
	for i := range 3 {
		t.pairs[uint16(b[i])|uint16(b[i+1])<<8] = 1
	}
	key := binary.LittleEndian.Uint32(b[:])
	h := hash(key)
	t.quick[h>>6] |= 1 << (h & 63)
	t.words[key] = append(t.words[key], m)
}

// hash spreads a word over the bits of quick (the multiplier is 2³² over the golden ratio).
func hash(w uint32) uint32 { return w * 0x9e3779b1 >> (32 - quickBits) }

// scan calls found for every registered word that lies wholly in p, in order of offset.
func (t *table) scan(p []byte, found func(at int, marks []mark)) {
	i, next := 0, 0
	pairs := &t.pairs
	for ; len(p)-i >= block+2; i += block {
		x := p[i : i+block+2 : i+block+2]
		a, b := binary.LittleEndian.Uint64(x), binary.LittleEndian.Uint64(x[8:])
		c, d := binary.LittleEndian.Uint64(x[15:]), binary.LittleEndian.Uint64(x[23:])
		one := pairs[uint16(a)] | pairs[uint16(a>>24)] | pairs[uint16(a>>48)] | pairs[uint16(b>>8)] | pairs[uint16(b>>32)]
		two := pairs[uint16(c)] | pairs[uint16(c>>24)] | pairs[uint16(c>>48)] | pairs[uint16(d>>8)] | pairs[uint16(d>>32)]
		if one|two != 0 {
			next = t.exact(p, max(next, i-2), i+block, found)
		}
	}
	t.exact(p, max(next, i-2), len(p), found)
}

// exact looks at every offset from from to before to, and returns where to go on.
func (t *table) exact(p []byte, from, to int, found func(at int, marks []mark)) int {
	from = max(0, from)
	to = min(to, len(p)-3)
	for j := from; j < to; j++ {
		w := binary.LittleEndian.Uint32(p[j:])
		h := hash(w)
		if t.quick[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		if marks, ok := t.words[w]; ok {
			found(j, marks)
		}
	}
	return max(from, to)
}
