package upx

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzma"
)

// The methods of blocks. 2 to 10 are three kinds of one family, each with three ways to store its bits.
const (
	methodNRV2B   = 2
	methodNRV2D   = 5
	methodNRV2E   = 8
	methodLZMA    = 14
	methodDeflate = 15
)

// decode fills out from one block.
func decode(out []byte, r io.Reader, b block) error {
	switch {
	case b.packed == b.size:
		return full(io.ReadFull(r, out))
	case b.method == methodLZMA:
		return decodeLZMA(out, bufio.NewReader(r))
	case b.method == methodDeflate:
		return full(io.ReadFull(flate.NewReader(r), out))
	}
	n := &nrv{bits: bits{r: bufio.NewReader(r), word: []int{4, 1, 2}[(b.method-methodNRV2B)%3]}, out: out}
	return n.decode(int(b.method-methodNRV2B) / 3)
}

func full(_ int, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // only the bare values mean the end
		return fmt.Errorf("%w: block ends early", trust.ErrMalformed)
	}
	return err //nolint:wrapcheck // of the input, or a decompressor's own
}

// decodeLZMA reads two bytes of properties, the first of which is there to check the second, and a bare stream.
func decodeLZMA(out []byte, r *bufio.Reader) error {
	head, err := r.Peek(2)
	if err != nil {
		return full(0, err)
	}
	lc, lp, pb := int(head[1]&15), int(head[1]>>4), int(head[0]&7)
	if int(head[0]>>3) != lc+lp || lc > 8 || lp > 4 || pb > 4 {
		return fmt.Errorf("%w: lzma properties %x", trust.ErrMalformed, head)
	}
	_, _ = r.Discard(2) // they were peeked at
	if err := lzma.Decode(out, r, byte((pb*5+lp)*9+lc)); err != nil {
		return fmt.Errorf("block: %w", err)
	}
	return nil
}

// bits reads single bits from words of 1, 2 or 4 bytes, the highest first, and bytes from between the words.
type bits struct {
	r    *bufio.Reader
	word int
	have uint
	acc  uint32
	err  error
}

func (b *bits) byte() uint32 {
	c, err := b.r.ReadByte()
	if err != nil && b.err == nil {
		b.err = full(0, err)
	}
	return uint32(c)
}

func (b *bits) bit() uint32 {
	if b.have == 0 {
		var word [4]byte
		for i := range b.word {
			word[i] = byte(b.byte())
		}
		b.acc = binary.LittleEndian.Uint32(word[:])
		b.have = uint(b.word) * 8
	}
	b.have--
	return b.acc >> b.have & 1
}

// nrv decodes the NRV family: literals, and matches whose distance and length are written in codes of growing length.
type nrv struct {
	bits
	out  []byte
	n    int
	last uint32
}

// The kinds of the family.
const (
	kindB = iota
	kindD
	kindE
)

const endMarker = 0xffffffff

func (d *nrv) decode(kind int) error {
	d.last = 1
	for d.err == nil {
		if d.bit() == 1 {
			if c := d.byte(); d.err == nil {
				if d.n == len(d.out) {
					return d.outside()
				}
				d.out[d.n] = byte(c)
				d.n++
			}
			continue
		}
		distance, odd, end := d.distance(kind)
		if end {
			break
		}
		if err := d.match(distance, d.length(kind, distance, odd)); err != nil {
			return err
		}
	}
	if d.err == nil && d.n < len(d.out) {
		return fmt.Errorf("%w: block has %d bytes of %d", trust.ErrMalformed, d.n, len(d.out))
	}
	return d.err
}

func (d *nrv) outside() error {
	return fmt.Errorf("%w: block of more than %d bytes", trust.ErrMalformed, len(d.out))
}

// distance decodes how far back a match lies. All kinds but the first store the lowest bit of the length with it.
func (d *nrv) distance(kind int) (distance, odd uint32, end bool) {
	m := uint32(1)
	for {
		m = m<<1 | d.bit()
		if d.bit() == 1 || d.err != nil || m > 1<<25 {
			break
		}
		if kind != kindB {
			m = (m-1)<<1 | d.bit()
		}
	}
	if m == 2 {
		if kind != kindB {
			odd = d.bit()
		}
		return d.last, odd, false
	}
	m = (m-3)<<8 | d.byte()
	if m == endMarker || d.err != nil {
		return 0, 0, true
	}
	if kind != kindB {
		odd = ^m & 1
		m >>= 1
	}
	d.last = m + 1
	return d.last, odd, false
}

// length decodes how long a match is, of at least 2 bytes.
func (d *nrv) length(kind int, distance, odd uint32) uint32 {
	far := uint32(0x500)
	n := uint32(0)
	switch kind {
	case kindB:
		far = 0xd00
		if n = d.bit()<<1 | d.bit(); n == 0 {
			n = d.growing() + 2
		}
	case kindD:
		if n = odd<<1 | d.bit(); n == 0 {
			n = d.growing() + 2
		}
	default:
		switch {
		case odd == 1:
			n = 1 + d.bit()
		case d.bit() == 1:
			n = 3 + d.bit()
		default:
			n = d.growing() + 3
		}
	}
	if distance > far {
		n++
	}
	return n + 1
}

func (d *nrv) growing() uint32 {
	n := uint32(1)
	for {
		n = n<<1 | d.bit()
		if d.bit() == 1 || d.err != nil || n > 1<<28 {
			return n
		}
	}
}

func (d *nrv) match(distance, length uint32) error {
	if d.err != nil {
		return d.err
	}
	if int64(distance) > int64(d.n) || int64(length) > int64(len(d.out)-d.n) {
		return d.outside()
	}
	for range length {
		d.out[d.n] = d.out[d.n-int(distance)]
		d.n++
	}
	return nil
}

// unfilter takes the change back that some packings make to the targets of calls and jumps: they are written from the
// beginning of the block, highest byte first, with a mark in that byte. Other filters leave constants and strings as they
// are, and are not taken back.
func unfilter(b []byte, filter, mark byte) {
	if filter != 0x46 && filter != 0x49 {
		return
	}
	for i := 0; i+5 <= len(b); i++ {
		call := b[i] == 0xe8 || b[i] == 0xe9
		conditional := filter == 0x49 && i > 0 && b[i-1] == 0x0f && b[i] >= 0x80 && b[i] <= 0x8f
		if !call && !conditional || b[i+1] != mark {
			continue
		}
		target := binary.BigEndian.Uint32(b[i+1:]) - uint32(mark)<<24
		binary.LittleEndian.PutUint32(b[i+1:], target-uint32(i+1))
		i += 4
	}
}
