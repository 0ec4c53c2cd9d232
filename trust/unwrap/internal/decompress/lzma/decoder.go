package lzma

import (
	"bufio"
	"io"
)

const (
	states       = 12
	posStates    = 16
	lengthStates = 4
	minMatch     = 2
	// firstDirect is the first slot of distances whose low bits have no model of their own.
	firstModel, firstDirect = 4, 14
	alignBits               = 4
	fullDistances           = 1 << (firstDirect / 2)
	// even is the probability of one half.
	even      = 1 << 10
	modelBits = 11
	moveBits  = 5
	top       = 1 << 24
	// endMark is the distance that ends the data.
	endMark = 0xffffffff
)

type prob = uint16

// lengths models the lengths of matches.
type lengths struct {
	choice [2]prob
	low    [posStates][8]prob
	mid    [posStates][8]prob
	high   [256]prob
}

// models are all adaptive probabilities but those of literals.
type models struct {
	match    [states][posStates]prob
	rep      [states]prob
	rep0     [states]prob
	rep1     [states]prob
	rep2     [states]prob
	rep0long [states][posStates]prob
	slots    [lengthStates][64]prob
	special  [fullDistances - firstDirect + 1]prob
	align    [1 << alignBits]prob
	length   lengths
	repeated lengths
}

// decoder is one stream of LZMA, or of chunks of LZMA2.
type decoder struct {
	in *bufio.Reader
	// packed is how many bytes of the chunk are left; -1 if there is no bound.
	packed    int64
	rng, code uint32
	window    window
	properties
	models   models
	literals []prob
	state    int
	reps     [4]uint32
	// copies is how much of a match is still to be copied.
	copies int
	// left is how many bytes of content are left; -1 if a mark ends it.
	left  int64
	ended bool
	err   error
	// chunks is nil for LZMA.
	chunks *chunks
}

// reset forgets all that was learnt, but not the history.
func (d *decoder) reset(p properties) {
	d.properties = p
	n := 0x300 << (p.lc + p.lp)
	if cap(d.literals) < n {
		d.literals = make([]prob, n)
	}
	d.literals = d.literals[:n]
	fill(d.literals)
	m := &d.models
	for i := range states {
		fill(m.match[i][:])
		fill(m.rep0long[i][:])
	}
	for _, p := range [][]prob{m.rep[:], m.rep0[:], m.rep1[:], m.rep2[:], m.special[:], m.align[:]} {
		fill(p)
	}
	for i := range m.slots {
		fill(m.slots[i][:])
	}
	for _, l := range []*lengths{&m.length, &m.repeated} {
		fill(l.choice[:])
		fill(l.high[:])
		for i := range l.low {
			fill(l.low[i][:])
			fill(l.mid[i][:])
		}
	}
	d.state, d.reps, d.copies = 0, [4]uint32{}, 0
}

func fill(p []prob) {
	for i := range p {
		p[i] = even
	}
}

// begin starts the range decoder.
func (d *decoder) begin() {
	first := d.next()
	d.rng, d.code = 0xffffffff, 0
	for range 4 {
		d.code = d.code<<8 | uint32(d.next())
	}
	if d.err == nil && (first != 0 || d.code == d.rng) {
		d.err = malformed("lzma data begins wrongly")
	}
}

// next reads a byte. Behind the end, it sets err.
func (d *decoder) next() byte {
	if d.packed == 0 {
		d.fail(malformed("lzma chunk is longer than it says"))
		return 0
	}
	d.packed--
	b, err := d.in.ReadByte()
	if err != nil {
		if err == io.EOF { //nolint:errorlint // bufio returns the reader's value
			err = malformed("lzma data ends too early")
		}
		d.fail(err)
	}
	return b
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if d.chunks != nil && d.err == nil {
			d.nextChunk()
		}
		if d.err != nil {
			return 0, d.err
		}
		n := min(len(p), d.window.room())
		begin := d.window.at
		if d.chunks != nil && d.chunks.plain {
			d.copyChunk(n)
		} else {
			d.decode(n)
		}
		n = copy(p, d.window.page[begin:d.window.at])
		if d.ended && d.err == nil {
			d.finish()
		}
		if n > 0 {
			return n, nil
		}
	}
}

// finish ends a stream, or a chunk.
func (d *decoder) finish() {
	if d.chunks != nil {
		if !d.chunks.plain && (d.packed != 0 || d.code != 0) {
			d.err = malformed("lzma chunk ends wrongly")
		}
		d.chunks.open = false
		return
	}
	d.err = io.EOF
}

// decode puts up to n bytes, for which there is room, into the window.
func (d *decoder) decode(n int) {
	w := &d.window
	if d.left >= 0 {
		n = int(min(int64(n), d.left))
	}
	end := w.total + int64(n)
	for w.total < end && d.err == nil && !d.ended {
		if d.copies > 0 {
			k := min(d.copies, int(end-w.total))
			w.repeat(d.reps[0], k)
			d.copies -= k
			continue
		}
		d.symbol()
	}
	if d.left < 0 {
		return
	}
	if d.left -= w.total - (end - int64(n)); d.left > 0 {
		return
	}
	if d.copies > 0 {
		d.fail(malformed("lzma match goes beyond the end"))
	}
	if !d.ended && d.chunks == nil && d.code != 0 { // a mark may follow
		d.closing()
	}
	d.ended = true
}

// symbol decodes a literal, or finds a match.
func (d *decoder) symbol() {
	pos := int(d.position()) & (1<<d.pb - 1)
	m := &d.models
	if d.bit(&m.match[d.state][pos]) == 0 {
		d.literal()
		return
	}
	if d.bit(&m.rep[d.state]) == 0 {
		d.reps[3], d.reps[2], d.reps[1] = d.reps[2], d.reps[1], d.reps[0]
		length := d.length(&m.length, pos)
		d.state = after(d.state, 7, 10)
		d.reps[0] = d.distance(length)
		if d.reps[0] == endMark && d.err == nil {
			d.mark()
			return
		}
		d.match(length)
		return
	}
	if d.bit(&m.rep0[d.state]) == 0 {
		if d.bit(&m.rep0long[d.state][pos]) == 0 {
			d.state = after(d.state, 9, 11)
			d.match(1)
			return
		}
	} else if d.bit(&m.rep1[d.state]) == 0 {
		d.reps[0], d.reps[1] = d.reps[1], d.reps[0]
	} else if d.bit(&m.rep2[d.state]) == 0 {
		d.reps[0], d.reps[1], d.reps[2] = d.reps[2], d.reps[0], d.reps[1]
	} else {
		d.reps[0], d.reps[1], d.reps[2], d.reps[3] = d.reps[3], d.reps[0], d.reps[1], d.reps[2]
	}
	length := d.length(&m.repeated, pos)
	d.state = after(d.state, 8, 11)
	d.match(length)
}

// closing decodes a mark, where nothing else may come.
func (d *decoder) closing() {
	pos := int(d.position()) & (1<<d.pb - 1)
	if d.bit(&d.models.match[d.state][pos]) == 1 && d.bit(&d.models.rep[d.state]) == 0 && d.distance(d.length(&d.models.length, pos)) == endMark {
		d.mark()
		return
	}
	d.fail(malformed("lzma data is longer than it says"))
}

// position counts bytes for the models.
func (d *decoder) position() int64 { return d.window.since }

// after is the state behind a match: one number if a literal came before, another if not.
func after(state, literal, match int) int {
	if state < 7 {
		return literal
	}
	return match
}

func (d *decoder) match(length int) {
	if d.err != nil {
		return
	}
	if !d.window.has(d.reps[0]) {
		d.err = d.window.missing(d.reps[0], "lzma match before the beginning")
		return
	}
	d.copies = length
}

// mark ends the data.
func (d *decoder) mark() {
	if d.chunks != nil || d.left > 0 || d.code != 0 {
		d.fail(malformed("lzma mark in a wrong place"))
	}
	d.ended = true
}

func (d *decoder) literal() {
	w := &d.window
	last := w.last()
	at := int(d.position())&(1<<d.lp-1)<<d.lc + int(last)>>(8-d.lc)
	p := d.literals[0x300*at:][:0x300]
	symbol := uint32(1)
	if d.state >= 7 {
		if !w.has(d.reps[0]) {
			d.fail(w.missing(d.reps[0], "lzma literal without a match"))
			return
		}
		match := uint32(w.back(d.reps[0]))
		for symbol < 0x100 {
			matched := match >> 7 & 1
			match <<= 1
			b := d.bit(&p[(1+matched)<<8+symbol])
			symbol = symbol<<1 | b
			if matched != b {
				break
			}
		}
	}
	for symbol < 0x100 {
		symbol = symbol<<1 | d.bit(&p[symbol])
	}
	if d.err != nil {
		return
	}
	w.put(byte(symbol))
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
}

func (d *decoder) length(l *lengths, pos int) int {
	if d.bit(&l.choice[0]) == 0 {
		return minMatch + int(d.tree(l.low[pos][:], 3))
	}
	if d.bit(&l.choice[1]) == 0 {
		return minMatch + 8 + int(d.tree(l.mid[pos][:], 3))
	}
	return minMatch + 16 + int(d.tree(l.high[:], 8))
}

func (d *decoder) distance(length int) uint32 {
	slot := d.tree(d.models.slots[min(length-minMatch, lengthStates-1)][:], 6)
	if slot < firstModel {
		return slot
	}
	direct := int(slot>>1 - 1)
	distance := (2 | slot&1) << direct
	if slot < firstDirect {
		return distance + d.reverse(d.models.special[distance-slot:], direct)
	}
	distance += d.direct(direct-alignBits) << alignBits
	return distance + d.reverse(d.models.align[:], alignBits)
}

// bit decodes a bit and adapts its probability.
func (d *decoder) bit(p *prob) uint32 {
	bound := d.rng >> modelBits * uint32(*p)
	var b uint32
	if d.code < bound {
		d.rng = bound
		*p += (1<<modelBits - *p) >> moveBits
	} else {
		d.rng -= bound
		d.code -= bound
		*p -= *p >> moveBits
		b = 1
	}
	if d.rng < top {
		d.rng <<= 8
		d.code = d.code<<8 | uint32(d.next())
	}
	return b
}

// direct decodes bits of even probability.
func (d *decoder) direct(n int) uint32 {
	var v uint32
	for range n {
		d.rng >>= 1
		b := uint32(1)
		if d.code < d.rng {
			b = 0
		} else {
			d.code -= d.rng
		}
		v = v<<1 | b
		if d.rng < top {
			d.rng <<= 8
			d.code = d.code<<8 | uint32(d.next())
		}
	}
	return v
}

// tree decodes n bits, the highest first.
func (d *decoder) tree(p []prob, n int) uint32 {
	v := uint32(1)
	for range n {
		v = v<<1 | d.bit(&p[v])
	}
	return v - 1<<n
}

// reverse decodes n bits, the lowest first.
func (d *decoder) reverse(p []prob, n int) uint32 {
	v, node := uint32(0), uint32(1)
	for i := range n {
		b := d.bit(&p[node])
		node = node<<1 | b
		v |= b << i
	}
	return v
}
