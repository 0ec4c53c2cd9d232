package algorithm

import "encoding/binary"

// table finds 32-bit words at any offset of a window.
type table struct {
	// quick has a bit for the hash of every word, so that next to nothing else is asked for in words.
	quick [1 << quickBits / 64]uint64
	words map[uint32][]int // constants
}

const quickBits = 16

func newTable() *table { return &table{words: map[uint32][]int{}} }

// add registers the four bytes of a constant as they stand in a file.
func (t *table) add(b [4]byte, id int) {
	key := binary.LittleEndian.Uint32(b[:])
	h := hash(key)
	t.quick[h>>6] |= 1 << (h & 63)
	t.words[key] = append(t.words[key], id)
}

// hash spreads a word over the bits of quick (the multiplier is 2³² over the golden ratio).
func hash(w uint32) uint32 { return w * 0x9e3779b1 >> (32 - quickBits) }

// scan calls found for every registered word that lies wholly in p, in order of offset.
func (t *table) scan(p []byte, found func(at, id int)) {
	for i := 0; i+4 <= len(p); i++ {
		w := binary.LittleEndian.Uint32(p[i:])
		if h := hash(w); t.quick[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		for _, id := range t.words[w] {
			found(i, id)
		}
	}
}
