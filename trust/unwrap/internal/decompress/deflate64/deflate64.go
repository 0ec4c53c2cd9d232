// Package deflate64 decodes what Windows packs large files of zip archives with: deflate (RFC 1951) with a window of 64 KiB,
// two more distances and matches of up to 64 KiB. Source: APPNOTE.TXT 6.3, section 5.5.
package deflate64

import (
	"bufio"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

const (
	window  = 64 << 10
	maxBits = 15
	// flushAt is how much is decoded before it is given away; a match may add another window.
	flushAt = 2 * window
	// longest is the length code that has sixteen bits of its own, instead of being 258.
	longest = 28
)

// Reader decodes one stream. It holds at most four windows.
type Reader struct {
	in   *bufio.Reader
	bits uint32
	n    uint
	// out is the window and what follows it; what is behind at was not read yet.
	out  []byte
	at   int
	last bool
	// block is what decodes the current block: 0 none, 1 stored, 2 coded; left are the bytes of a stored one.
	block    int
	left     int
	lit, dis code
	err      error
}

// NewReader decodes r. It reads no more of a *bufio.Reader than the stream has.
func NewReader(r io.Reader) *Reader {
	in, ok := r.(*bufio.Reader)
	if !ok {
		in = bufio.NewReader(r)
	}
	return &Reader{in: in}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for r.at == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		if len(r.out) > window {
			r.out = r.out[:copy(r.out, r.out[len(r.out)-window:])]
			r.at = len(r.out)
		}
		r.err = r.more()
	}
	n := copy(p, r.out[r.at:])
	r.at += n
	return n, nil
}

// more decodes until there is enough to give away, or the stream ends with io.EOF.
func (r *Reader) more() error {
	for len(r.out) < flushAt {
		var err error
		switch r.block {
		case 0:
			if r.last {
				return io.EOF
			}
			err = r.header()
		case 1:
			err = r.stored()
		default:
			err = r.symbol()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func malformed(what string) error { return fmt.Errorf("%w: deflate64: %s", trust.ErrMalformed, what) }

// take reads n bits, at most 16.
func (r *Reader) take(n uint) (int, error) {
	for r.n < n {
		b, err := r.in.ReadByte()
		if err == io.EOF { //nolint:errorlint // bufio returns the reader's value
			return 0, malformed("ends too early")
		}
		if err != nil {
			return 0, err
		}
		r.bits |= uint32(b) << r.n
		r.n += 8
	}
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.n -= n
	return int(v), nil
}

// header reads the beginning of a block.
func (r *Reader) header() error {
	h, err := r.take(3)
	if err != nil {
		return err
	}
	r.last = h&1 == 1
	switch h >> 1 {
	case 0:
		r.bits, r.n = 0, 0 // the rest of the byte
		size, err := r.take(16)
		if err != nil {
			return err
		}
		check, err := r.take(16)
		if err != nil {
			return err
		}
		if size != check^0xffff {
			return malformed("a stored block of two sizes")
		}
		r.block, r.left = 1, size
		return nil
	case 1:
		return r.fixed()
	case 2:
		return r.dynamic()
	}
	return malformed("a block of a type that there is not")
}

func (r *Reader) stored() error {
	n := min(r.left, flushAt-len(r.out))
	old := len(r.out)
	r.out = append(r.out, make([]byte, n)...)
	if k, err := io.ReadFull(r.in, r.out[old:]); err != nil {
		r.out = r.out[:old+k]
		if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // ReadFull returns the bare values
			return malformed("ends too early")
		}
		return err
	}
	if r.left -= n; r.left == 0 {
		r.block = 0
	}
	return nil
}

// code is a canonical Huffman code: how many symbols have each length, and the symbols in order.
type code struct {
	counts  [maxBits + 1]uint16
	symbols []uint16
}

// newCode makes the code for lengths. Too many codes are an error; too few are none, as some encoders write them.
func newCode(lengths []byte) (code, error) {
	c := code{symbols: make([]uint16, len(lengths))}
	for _, n := range lengths {
		c.counts[n]++
	}
	left := 1
	for _, n := range c.counts[1:] {
		if left = left<<1 - int(n); left < 0 {
			return c, malformed("a code of too many symbols")
		}
	}
	var at [maxBits + 2]uint16
	for n := 1; n <= maxBits; n++ {
		at[n+1] = at[n] + c.counts[n]
	}
	for s, n := range lengths {
		if n > 0 {
			c.symbols[at[n]] = uint16(s) //nolint:gosec // at most 320
			at[n]++
		}
	}
	c.counts[0] = 0
	return c, nil
}

// decode reads one symbol.
func (r *Reader) decode(c *code) (int, error) {
	word, first, index := 0, 0, 0
	for n := 1; n <= maxBits; n++ {
		bit, err := r.take(1)
		if err != nil {
			return 0, err
		}
		word |= bit
		count := int(c.counts[n])
		if word-first < count {
			return int(c.symbols[index+word-first]), nil
		}
		index += count
		first = (first + count) << 1
		word <<= 1
	}
	return 0, malformed("a symbol that there is not")
}

func (r *Reader) fixed() error {
	var lengths [288]byte
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	var distances [32]byte
	for i := range distances {
		distances[i] = 5
	}
	return r.codes(lengths[:], distances[:])
}

func (r *Reader) codes(literals, distances []byte) (err error) {
	if r.lit, err = newCode(literals); err == nil {
		r.dis, err = newCode(distances)
	}
	r.block = 2
	return err
}

func (r *Reader) dynamic() error {
	h, err := r.take(14)
	if err != nil {
		return err
	}
	literals, distances, lengths := h&31+257, h>>5&31+1, h>>10+4
	const order = "\x10\x11\x12\x00\x08\x07\x09\x06\x0a\x05\x0b\x04\x0c\x03\x0d\x02\x0e\x01\x0f"
	var small [19]byte
	for i := range lengths {
		n, err := r.take(3)
		if err != nil {
			return err
		}
		small[order[i]] = byte(n) //nolint:gosec // three bits
	}
	c, err := newCode(small[:])
	if err != nil {
		return err
	}
	all := make([]byte, 0, 320)
	for len(all) < literals+distances {
		s, err := r.decode(&c)
		if err != nil {
			return err
		}
		if s < 16 {
			all = append(all, byte(s)) //nolint:gosec // at most 15
			continue
		}
		repeat := [3]struct {
			bits uint
			base int
		}{{2, 3}, {3, 3}, {7, 11}}[s-16]
		n, err := r.take(repeat.bits)
		if err != nil {
			return err
		}
		value := byte(0)
		if s == 16 {
			if len(all) == 0 {
				return malformed("a length that repeats nothing")
			}
			value = all[len(all)-1]
		}
		for range n + repeat.base {
			all = append(all, value)
		}
	}
	if len(all) > literals+distances {
		return malformed("more lengths than symbols")
	}
	return r.codes(all[:literals], all[literals:])
}

// symbol decodes a byte, a match, or the end of the block.
func (r *Reader) symbol() error {
	s, err := r.decode(&r.lit)
	switch {
	case err != nil:
		return err
	case s < 256:
		r.out = append(r.out, byte(s)) //nolint:gosec // checked
		return nil
	case s == 256:
		r.block = 0
		return nil
	case s > 285:
		return malformed("a length that there is not")
	}
	length, err := r.value(s-257, 2, 3)
	if err != nil {
		return err
	}
	d, err := r.decode(&r.dis)
	if err != nil {
		return err
	}
	distance, err := r.value(d, 1, 1)
	if err != nil {
		return err
	}
	if distance > len(r.out) || distance > window {
		return malformed("a match that begins before everything")
	}
	for range length {
		r.out = append(r.out, r.out[len(r.out)-distance])
	}
	return nil
}

// value is a length or a distance: its symbol, how many bits of it tell sizes apart, and the smallest.
func (r *Reader) value(s int, fine uint, least int) (int, error) {
	if fine == 2 && s == longest {
		n, err := r.take(16)
		return n + least, err
	}
	if s < 2<<fine {
		return s + least, nil
	}
	extra := uint(s>>fine) - 1 //nolint:gosec // a symbol
	n, err := r.take(extra)
	return (1<<fine+s&(1<<fine-1))<<extra + n + least, err
}
