package inflate

import "encoding/binary"

const (
	// fastInput is how many bytes must be left for one round of the fast loop: it loads eight bytes at a time, three
	// times at most, and moves on by up to seven each time.
	fastInput = 32
	// fastMargin is the same, for the check between rounds.
	fastMargin = 24
	// enoughInput keeps the fast loop going for a while before more must be read.
	enoughInput = 1 << 10
)

// symbols decodes until the block ends, the output is full or input runs low.
func (r *Reader) symbols() error {
	r.fill(enoughInput)
	decode := r.slow
	if r.il-r.ip > fastInput {
		decode = r.fast
	}
	end, err := decode()
	if end {
		r.endBlock()
	}
	return err
}

// fast decodes with 56 bits or more in the bit buffer at the beginning of each round. A round takes two literals and a
// length (11+11+15+5 bits), or three literals, then refills and takes a distance (15+13 bits). There must be more than
// fastInput bytes of input, and room in the output. It reports whether the block ended.
func (r *Reader) fast() (end bool, err error) {
	in, out, lit, dist := r.in[:], r.out[:], r.lit, r.dist
	ip, op, inEnd, history := r.ip, r.op, r.il-fastMargin, r.history
	bb, n, ip := refill(r.bits, r.nbits, in, ip)
	e := lit[bb&litMask]
	for ip < inEnd && op < outEnd {
		saved := bb
		bb, n = bb>>(e&63), n-uint(e&0xff)
		if e&literal != 0 {
			out[op] = byte(e >> 16)
			op++
			e = lit[bb&litMask]
			saved = bb
			bb, n = bb>>(e&63), n-uint(e&0xff)
			if e&literal != 0 {
				out[op] = byte(e >> 16)
				op++
				e = lit[bb&litMask]
				saved = bb
				bb, n = bb>>(e&63), n-uint(e&0xff)
			}
		}
		if e&link != 0 {
			e = lit[uint(e>>16)+uint(bb&(1<<(e>>8&15)-1))]
			saved = bb
			bb, n = bb>>(e&63), n-uint(e&0xff)
		}
		if e&literal != 0 {
			out[op] = byte(e >> 16)
			op++
			bb, n, ip = refill(bb, n, in, ip)
			e = lit[bb&litMask]
			continue
		}
		if e&special != 0 {
			if end = e&blockEnd != 0; !end {
				err = ErrCorrupt
			}
			break
		}
		length := extended(e, saved)
		bb, n, ip = refill(bb, n, in, ip)
		e = dist[bb&distMask]
		if e&link != 0 {
			bb, n = bb>>distBits, n-distBits
			e = dist[uint(e>>16)+uint(bb&(1<<(e>>8&15)-1))]
		}
		src := op - extended(e, bb)
		if e&special != 0 || src < history {
			err = ErrCorrupt
			break
		}
		bb, n = bb>>(e&63), n-uint(e&0xff)
		bb, n, ip = refill(bb, n, in, ip)
		e = lit[bb&litMask]
		if op-src >= 8 {
			binary.LittleEndian.PutUint64(out[op:], binary.LittleEndian.Uint64(out[src:]))
			binary.LittleEndian.PutUint64(out[op+8:], binary.LittleEndian.Uint64(out[src+8:]))
			if length > 16 {
				copyFar(out, op+16, src+16, op+length)
			}
		} else {
			copyNear(out, op, src, op+length)
		}
		op += length
	}
	r.ip, r.op = ip-int(n>>3), op // whole bytes go back
	r.nbits = n & 7
	r.bits = bb & (1<<r.nbits - 1)
	return end, err
}

// refill tops the bit buffer up to between 56 and 63 bits. Bits above n may be set already: they are the same ones.
func refill(bb uint64, n uint, in []byte, ip int) (uint64, uint, int) {
	return bb | binary.LittleEndian.Uint64(in[ip:])<<(n&63), n | 56, ip + int((63-n)>>3)
}

// extended is the length or distance that e and its extra bits in bb mean.
func extended(e entry, bb uint64) int {
	return int(e>>16) + int(bb&(1<<(e&63)-1)>>(e>>8&63))
}

// copyFar copies from src to out[dst:end] in steps of 16 bytes, up to 15 too many; dst-src is at least 8.
func copyFar(out []byte, dst, src, end int) {
	for dst < end {
		binary.LittleEndian.PutUint64(out[dst:], binary.LittleEndian.Uint64(out[src:]))
		binary.LittleEndian.PutUint64(out[dst+8:], binary.LittleEndian.Uint64(out[src+8:]))
		dst += 16
		src += 16
	}
}

// nearSteps are, by distance, the largest multiples of it up to 8.
const nearSteps = "\x00\x08\x08\x06\x08\x05\x06\x07"

// copyNear copies from src to out[dst:end], up to 7 bytes too many, where the two are less than 8 bytes apart: it writes
// what is between them again and again, as often as eight bytes hold it. It calls nothing, which would cost the loop
// around it its registers.
func copyNear(out []byte, dst, src, end int) {
	d := uint(dst-src) & 7
	v := binary.LittleEndian.Uint64(out[src:]) & (1<<(8*d) - 1)
	v |= v << (8 * d)
	v |= v << (16 * d)
	v |= v << (32 * d)
	step := int(nearSteps[d])
	for ; dst < end; dst += step {
		binary.LittleEndian.PutUint64(out[dst:], v)
	}
}

// slow decodes one literal or match, near the end of the input. It reports whether the block ended.
func (r *Reader) slow() (end bool, err error) {
	r.need(32) // a literal or length takes 20 bits at most; at the end of input there may be fewer
	e, saved, ok := r.symbol(r.lit[:], litBits)
	switch {
	case !ok:
		return false, r.cut()
	case e&literal != 0:
		r.out[r.op] = byte(e >> 16)
		r.op++
		return false, nil
	case e&blockEnd != 0:
		return true, nil
	case e&special != 0:
		return false, ErrCorrupt
	}
	length := extended(e, saved)
	r.need(32) // a distance takes 28
	e, saved, ok = r.symbol(r.dist[:], distBits)
	switch {
	case !ok:
		return false, r.cut()
	case e&special != 0:
		return false, ErrCorrupt
	}
	src := r.op - extended(e, saved)
	if src < r.history {
		return false, ErrCorrupt
	}
	for ; length > 0; length-- {
		r.out[r.op] = r.out[src]
		r.op++
		src++
	}
	return false, nil
}

// symbol takes the next symbol and its extra bits; saved are the bits that both lie in. It is not ok if there are too few.
func (r *Reader) symbol(table []entry, first uint) (e entry, saved uint64, ok bool) {
	e = table[r.bits&(1<<first-1)]
	if e&link != 0 {
		if r.nbits < first {
			return 0, 0, false
		}
		r.take(first)
		e = table[uint(e>>16)+uint(r.bits&(1<<(e>>8&15)-1))]
	}
	saved = r.bits
	n := uint(e & 0xff)
	if n > r.nbits {
		return 0, 0, false
	}
	r.take(n)
	return e, saved, true
}
