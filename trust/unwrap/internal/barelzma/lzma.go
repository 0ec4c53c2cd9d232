// Package barelzma decodes bare LZMA streams, as executable packers and the older file format have them: no container, no
// checksum, and a size that stands elsewhere or an end marker. It follows the description in the LZMA specification of
// Igor Pavlov, which is in the public domain.
package barelzma

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

// Properties are how a stream was encoded.
type Properties struct {
	// LiteralContext, LiteralPosition and Position are numbers of bits: at most 8, 4 and 4.
	LiteralContext, LiteralPosition, Position int
}

// ParseProperties reads the byte that the file format keeps them in.
func ParseProperties(b byte) (Properties, error) {
	if b >= 9*5*5 {
		return Properties{}, fmt.Errorf("%w: lzma properties %d", trust.ErrMalformed, b)
	}
	return Properties{LiteralContext: int(b % 9), LiteralPosition: int(b / 9 % 5), Position: int(b / 45)}, nil
}

// Reader decodes a stream. It holds the dictionary in memory.
type Reader struct {
	in        rangeDecoder
	props     Properties
	window    []byte
	at        int   // where the next byte goes in the window
	full      bool  // the window was written to its end once
	total     int64 // bytes so far
	left      int64 // bytes to come; -1 if an end marker comes
	read      int   // where the next byte to be read stands
	pending   int   // bytes that were decoded and not read
	matchLeft int
	err       error

	state                  int
	reps                   [4]uint32
	literals               []uint16
	isMatch, isRep0Long    [12 << 4]uint16
	isRep, isRep0, isRep1  [12]uint16
	isRep2                 [12]uint16
	slots                  [4][64]uint16
	special                [128]uint16
	align                  [16]uint16
	matchLength, repLength lengthDecoder
}

// NewReader decodes r. size is that of the decoded bytes, -1 if an end marker follows them; dictionary is in bytes, which are
// allocated.
func NewReader(r *bufio.Reader, p Properties, size int64, dictionary int) (*Reader, error) {
	if p.LiteralContext < 0 || p.LiteralContext > 8 || p.LiteralPosition < 0 || p.LiteralPosition > 4 || p.Position < 0 || p.Position > 4 {
		return nil, fmt.Errorf("%w: lzma properties %v", trust.ErrMalformed, p)
	}
	d := &Reader{props: p, left: size, window: make([]byte, max(dictionary, 1)), literals: make([]uint16, 0x300<<(p.LiteralContext+p.LiteralPosition))}
	for _, probabilities := range [][]uint16{
		d.literals, d.isMatch[:], d.isRep0Long[:], d.isRep[:], d.isRep0[:], d.isRep1[:], d.isRep2[:], d.special[:], d.align[:], d.slots[0][:], d.slots[1][:], d.slots[2][:], d.slots[3][:],
	} {
		even(probabilities)
	}
	d.matchLength.reset()
	d.repLength.reset()
	d.in.r = r
	return d, d.in.start()
}

// Read implements io.Reader.
func (d *Reader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if d.pending == 0 {
			if d.err == nil && n == 0 {
				d.err = d.fill()
			}
			if d.pending == 0 {
				break
			}
		}
		k := copy(p[n:], d.window[d.read:min(d.read+d.pending, len(d.window))])
		n += k
		d.pending -= k
		if d.read += k; d.read == len(d.window) {
			d.read = 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, d.err
	}
	return n, nil
}

// fill decodes until the window's end or a few thousand bytes.
func (d *Reader) fill() error {
	most := min(len(d.window), 32<<10)
	for d.pending < most {
		if d.matchLeft > 0 {
			if d.left == 0 {
				return fmt.Errorf("%w: lzma match beyond the end", trust.ErrMalformed)
			}
			d.put(d.back(d.reps[0]))
			d.matchLeft--
			continue
		}
		if d.left == 0 {
			return io.EOF
		}
		if err := d.symbol(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Reader) put(c byte) {
	d.window[d.at] = c
	d.pending++
	d.total++
	if d.left > 0 {
		d.left--
	}
	if d.at++; d.at == len(d.window) {
		d.at, d.full = 0, true
	}
}

// back is the byte at a distance, of which zero is the last one.
func (d *Reader) back(distance uint32) byte {
	i := d.at - 1 - int(distance)
	if i < 0 {
		i += len(d.window)
	}
	return d.window[i]
}

// reaches reports whether there is a byte at the distance.
func (d *Reader) reaches(distance uint32) bool {
	return int64(distance) < int64(d.at) || d.full && int64(distance) < int64(len(d.window))
}

// symbol decodes a literal, or the distance and length of a match.
func (d *Reader) symbol() error {
	position := int(d.total) & (1<<d.props.Position - 1)
	context := d.state<<4 | position
	if d.in.bit(&d.isMatch[context]) == 0 {
		d.put(d.literal())
		return d.in.err
	}
	length := 0
	if d.in.bit(&d.isRep[d.state]) == 0 {
		d.reps[3], d.reps[2], d.reps[1] = d.reps[2], d.reps[1], d.reps[0]
		length = d.matchLength.decode(&d.in, position)
		d.state = next(d.state, 7, 10)
		if d.reps[0] = d.distance(length); d.reps[0] == 0xffffffff {
			if d.in.err == nil && d.left < 0 {
				d.left = 0
				return io.EOF
			}
			return errors.Join(d.in.err, fmt.Errorf("%w: lzma end marker too early", trust.ErrMalformed))
		}
	} else {
		if length = d.repeat(context, position); length == 1 {
			if !d.reaches(d.reps[0]) {
				return fmt.Errorf("%w: lzma distance", trust.ErrMalformed)
			}
			d.put(d.back(d.reps[0]))
			return d.in.err
		}
	}
	if !d.reaches(d.reps[0]) {
		return errors.Join(d.in.err, fmt.Errorf("%w: lzma distance", trust.ErrMalformed))
	}
	d.matchLeft = length
	return d.in.err
}

// repeat decodes a match whose distance was used before; the length is 1 for a single byte.
func (d *Reader) repeat(context, position int) int {
	switch {
	case d.in.bit(&d.isRep0[d.state]) == 0:
		if d.in.bit(&d.isRep0Long[context]) == 0 {
			d.state = next(d.state, 9, 11)
			return 1
		}
	case d.in.bit(&d.isRep1[d.state]) == 0:
		d.reps[0], d.reps[1] = d.reps[1], d.reps[0]
	case d.in.bit(&d.isRep2[d.state]) == 0:
		d.reps[0], d.reps[1], d.reps[2] = d.reps[2], d.reps[0], d.reps[1]
	default:
		d.reps[0], d.reps[1], d.reps[2], d.reps[3] = d.reps[3], d.reps[0], d.reps[1], d.reps[2]
	}
	length := d.repLength.decode(&d.in, position)
	d.state = next(d.state, 8, 11)
	return length
}

// next is the state after a match: one for those that follow a literal, another for those that follow a match.
func next(state, afterLiteral, afterMatch int) int {
	if state < 7 {
		return afterLiteral
	}
	return afterMatch
}

func (d *Reader) literal() byte {
	last := byte(0)
	if d.at > 0 || d.full {
		last = d.back(0)
	}
	index := int(d.total)&(1<<d.props.LiteralPosition-1)<<d.props.LiteralContext | int(last)>>(8-d.props.LiteralContext)
	probabilities := d.literals[0x300*index:][:0x300]
	symbol := 1
	if d.state >= 7 {
		match := 0
		if d.reaches(d.reps[0]) {
			match = int(d.back(d.reps[0]))
		}
		for symbol < 0x100 {
			matchBit := match >> 7 & 1
			match <<= 1
			bit := d.in.bit(&probabilities[(1+matchBit)<<8+symbol])
			symbol = symbol<<1 | bit
			if matchBit != bit {
				break
			}
		}
	}
	for symbol < 0x100 {
		symbol = symbol<<1 | d.in.bit(&probabilities[symbol])
	}
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
	return byte(symbol)
}

func (d *Reader) distance(length int) uint32 {
	slot := uint32(tree(&d.in, d.slots[min(length-2, 3)][:], 6))
	if slot < 4 {
		return slot
	}
	direct := slot>>1 - 1
	distance := (2 | slot&1) << direct
	if slot < 14 {
		return distance + uint32(reverseTree(&d.in, d.special[distance-slot:], int(direct)))
	}
	distance += d.in.direct(int(direct)-4) << 4
	return distance + uint32(reverseTree(&d.in, d.align[:], 4))
}
