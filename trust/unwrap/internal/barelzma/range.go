package barelzma

import (
	"bufio"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

const (
	probabilityBits = 11
	moveBits        = 5
	topValue        = 1 << 24
)

func even(probabilities []uint16) {
	for i := range probabilities {
		probabilities[i] = 1 << (probabilityBits - 1)
	}
}

// rangeDecoder reads bits of which each has a probability. After an error all bits are zero.
type rangeDecoder struct {
	r           *bufio.Reader
	width, code uint32
	err         error
}

func (d *rangeDecoder) start() error {
	if first := d.next(); first != 0 && d.err == nil {
		return fmt.Errorf("%w: lzma stream begins with %d", trust.ErrMalformed, first)
	}
	for range 4 {
		d.code = d.code<<8 | uint32(d.next())
	}
	d.width = 0xffffffff
	return d.err
}

func (d *rangeDecoder) next() byte {
	c, err := d.r.ReadByte()
	if err != nil && d.err == nil {
		if d.err = err; err == io.EOF { //nolint:errorlint // only the bare value means the end
			d.err = fmt.Errorf("%w: lzma stream ends early", trust.ErrMalformed)
		}
	}
	return c
}

func (d *rangeDecoder) normalise() {
	if d.width < topValue {
		d.width <<= 8
		d.code = d.code<<8 | uint32(d.next())
	}
}

func (d *rangeDecoder) bit(probability *uint16) int {
	p := uint32(*probability)
	bound := d.width >> probabilityBits * p
	if d.code < bound {
		d.width = bound
		*probability = uint16(p + (1<<probabilityBits-p)>>moveBits)
		d.normalise()
		return 0
	}
	d.width -= bound
	d.code -= bound
	*probability = uint16(p - p>>moveBits)
	d.normalise()
	return 1
}

// direct reads n bits of even probability.
func (d *rangeDecoder) direct(n int) uint32 {
	value := uint32(0)
	for range n {
		d.width >>= 1
		d.code -= d.width
		mask := -(d.code >> 31)
		d.code += d.width & mask
		d.normalise()
		value = value<<1 + mask + 1
	}
	return value
}

// tree reads n bits, the highest first, each with a probability that depends on those before it.
func tree(d *rangeDecoder, probabilities []uint16, n int) int {
	m := 1
	for range n {
		m = m<<1 | d.bit(&probabilities[m])
	}
	return m - 1<<n
}

// reverseTree is tree with the lowest bit first.
func reverseTree(d *rangeDecoder, probabilities []uint16, n int) int {
	m, value := 1, 0
	for i := range n {
		bit := d.bit(&probabilities[m])
		m = m<<1 | bit
		value |= bit << i
	}
	return value
}

type lengthDecoder struct {
	choice, choice2 uint16
	low, mid        [16][8]uint16
	high            [256]uint16
}

func (l *lengthDecoder) reset() {
	l.choice, l.choice2 = 1<<(probabilityBits-1), 1<<(probabilityBits-1)
	for i := range l.low {
		even(l.low[i][:])
		even(l.mid[i][:])
	}
	even(l.high[:])
}

// decode returns a length of at least 2.
func (l *lengthDecoder) decode(d *rangeDecoder, position int) int {
	switch {
	case d.bit(&l.choice) == 0:
		return 2 + tree(d, l.low[position][:], 3)
	case d.bit(&l.choice2) == 0:
		return 10 + tree(d, l.mid[position][:], 3)
	}
	return 18 + tree(d, l.high[:], 8)
}
