package algorithm

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	"golang.org/x/crypto/blake2b"

	"github.com/safepull/safepull/trust/indicator"
)

// words are all 32-bit constants of RandomX in file order, in blocks of four.
func (r Rules) words() ([][4]byte, error) {
	var all []byte
	for _, l := range r.Labels {
		switch l.Size {
		case blake2b.Size:
			h := blake2b.Sum512([]byte(l.Text))
			all = append(all, h[:]...)
		case blake2b.Size256:
			h := blake2b.Sum256([]byte(l.Text))
			all = append(all, h[:]...)
		default:
			return nil, fmt.Errorf("label %q: size %d, want 32 or 64", l.Text, l.Size)
		}
	}
	for _, w := range r.Words {
		b, err := hex.DecodeString(w)
		if err != nil || len(b)%4 != 0 {
			return nil, fmt.Errorf("words: %q is not hexadecimal bytes, four a word", w)
		}
		all = append(all, b...)
	}
	var out [][4]byte
	for b := range slices.Chunk(all, 4) {
		out = append(out, [4]byte(b))
	}
	return out, nil
}

// word registers a 32-bit constant in both byte orders, as WebAssembly encodes it, as unoptimised code for aarch64
// moves it, and as source text spells it. i is its place among all words.
//
// A hit for one occurrence in three is enough: one of the words is a hit, whatever distance they keep, since the matcher
// changes its step now and then; and its window shows the others.
func (ind *Indicator) word(le [4]byte, i int) {
	id := ind.randomx
	ind.randomx++
	value := binary.LittleEndian.Uint32(le[:])
	for _, b := range [][4]byte{le, {le[3], le[2], le[1], le[0]}} {
		ind.table.add(b, id)
		ind.literal(indicator.Literal{Text: string(b[:]), Sampled: true}, literal{class: window, id: id})
	}
	// WebAssembly's i32.const and up to five bytes, the first four of which hold 28 of the bits.
	if leb := leb128(int64(int32(value))); len(leb) >= 4 { //nolint:gosec // the same bits
		ind.table.add([4]byte(leb), id)
		ind.literal(indicator.Literal{Text: "\x41" + string(leb), Sampled: len(leb) == 4}, literal{class: window, id: id})
	}
	ind.literal(indicator.Literal{Text: moves(value, 3-i%4)}, literal{class: moved, id: id})
	ind.literal(indicator.Literal{Text: fmt.Sprintf("0x%08x", value), Fold: true}, literal{class: written, id: id})
}

// moves are the two instructions (movz, movk) that load a constant into a 32-bit register of aarch64. Compilers that
// do not optimise put the four words of a 128-bit constant into the registers of four arguments, last word first.
func moves(value uint32, register int) string {
	b := binary.LittleEndian.AppendUint32(nil, 0x52800000|value&0xffff<<5|uint32(register)) //nolint:gosec // 0 to 3
	return string(binary.LittleEndian.AppendUint32(b, 0x72a00000|value>>16<<5|uint32(register)))
}

// leb128 is the signed encoding of WebAssembly's constants.
func leb128(v int64) []byte {
	var out []byte
	for {
		b := byte(v) & 0x7f
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// wide registers a 64-bit constant, given as hexadecimal bytes.
func (ind *Indicator) wide(text string) error {
	le, err := hex.DecodeString(text)
	if err != nil || len(le) != 8 {
		return fmt.Errorf("wide: %q is not eight hexadecimal bytes", text)
	}
	id := ind.randomx
	ind.randomx++
	value := binary.LittleEndian.Uint64(le)
	ind.literal(indicator.Literal{Text: string(le)}, literal{class: wide, id: id})
	ind.literal(indicator.Literal{Text: string(leb128(int64(value)))}, literal{class: wide, id: id}) //nolint:gosec // the same bits
	slices.Reverse(le)
	ind.literal(indicator.Literal{Text: string(le)}, literal{class: wide, id: id})
	ind.literal(indicator.Literal{Text: fmt.Sprintf("0x%016x", value), Fold: true}, literal{class: written, id: id})
	ind.literal(indicator.Literal{Text: fmt.Sprintf("%d", value), Fold: true}, literal{class: written, id: id})
	return nil
}

// cluster counts different constants that stand within span of each other. It stops at enough.
type cluster struct {
	enough int
	near   []sight // within span, oldest first, from near[gone] on
	gone   int
	counts map[int]int // constant → how often it is in near
	best   int         // most different ones at once
	at     int64       // where those begin
}

type sight struct {
	at int64
	id int
}

// full reports that more sights change nothing.
func (c *cluster) full() bool { return c.best >= c.enough }

// add takes sights in order of offset.
func (c *cluster) add(at int64, id int) {
	if c.full() {
		return
	}
	for ; c.gone < len(c.near) && c.near[c.gone].at <= at-span; c.gone++ {
		old := c.near[c.gone].id
		if c.counts[old]--; c.counts[old] == 0 {
			delete(c.counts, old)
		}
	}
	if c.gone > len(c.near)/2 { // seldom, so that a file full of constants costs no more than its length
		c.near, c.gone = append(c.near[:0], c.near[c.gone:]...), 0
	}
	if c.counts == nil {
		c.counts = map[int]int{}
	}
	c.near = append(c.near, sight{at, id})
	c.counts[id]++
	if n := len(c.counts); n > c.best {
		c.best, c.at = n, c.near[c.gone].at
	}
}
