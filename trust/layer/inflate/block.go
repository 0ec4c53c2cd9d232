package inflate

import "encoding/binary"

// lengthOrder is in which order a block brings the lengths of the code for lengths.
var lengthOrder = [numLength]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// block reads the header of a block, with its codes.
func (r *Reader) block() error {
	if !r.need(3) {
		return r.cut()
	}
	r.final = r.take(1) == 1
	switch r.take(2) {
	case 0:
		return r.storedHeader()
	case 1:
		return r.useFixed()
	case 2:
		return r.readCodes()
	}
	return ErrCorrupt
}

// endBlock goes on to what follows a block.
func (r *Reader) endBlock() {
	r.state = atBlock
	if r.final {
		r.state = atTrailer
	}
}

func (r *Reader) storedHeader() error {
	r.align()
	p, err := r.next(4)
	if err != nil {
		return err
	}
	n := binary.LittleEndian.Uint16(p)
	if n != ^binary.LittleEndian.Uint16(p[2:]) {
		return ErrCorrupt
	}
	r.stored, r.state = int(n), inStored
	return nil
}

// copyStored copies as much of a stored block as there is input and room for.
func (r *Reader) copyStored() error {
	if r.stored == 0 {
		r.endBlock()
		return nil
	}
	if r.fill(1); r.ip == r.il {
		return r.cut()
	}
	n := copy(r.out[r.op:outEnd], r.in[r.ip:min(r.il, r.ip+r.stored)])
	r.op += n
	r.ip += n
	r.stored -= n
	return nil
}

// useFixed takes the fixed codes. They are kept: a block of ten bits must not cost the making of tables.
func (r *Reader) useFixed() error {
	if r.fixed == nil {
		var lit [numLit]uint8
		for i := range lit {
			switch {
			case i < 144, i >= 280:
				lit[i] = 8
			case i < 256:
				lit[i] = 9
			default:
				lit[i] = 7
			}
		}
		var dist [numDist]uint8
		for i := range dist {
			dist[i] = 5
		}
		f := &fixedCodes{}
		if !build(f.lit[:], litBits, lit[:], litMeaning[:]) || !build(f.dist[:], distBits, dist[:], distMeaning[:]) {
			return ErrCorrupt
		}
		r.fixed = f
	}
	r.lit, r.dist, r.state = &r.fixed.lit, &r.fixed.dist, inSymbols
	return nil
}

// readCodes reads the codes that a block brings.
func (r *Reader) readCodes() error {
	if !r.need(14) {
		return r.cut()
	}
	nlit, ndist, n := r.take(5)+endSym+1, r.take(5)+1, r.take(4)+4
	if nlit > maxLit || ndist > maxDist {
		return ErrCorrupt
	}
	var small [numLength]uint8
	for _, sym := range lengthOrder[:n] {
		if !r.need(3) {
			return r.cut()
		}
		small[sym] = uint8(r.take(3))
	}
	if !build(r.codes.length[:], lengthBits, small[:], lengthMeaning[:]) {
		return ErrCorrupt
	}
	var lengths [maxLit + maxDist]uint8
	if err := r.readLengths(lengths[:nlit+ndist]); err != nil {
		return err
	}
	if !build(r.codes.lit[:], litBits, lengths[:nlit], litMeaning[:]) ||
		!build(r.codes.dist[:], distBits, lengths[nlit:nlit+ndist], distMeaning[:]) {
		return ErrCorrupt
	}
	r.lit, r.dist, r.state = &r.codes.lit, &r.codes.dist, inSymbols
	return nil
}

// readLengths reads run-length coded lengths of codes. A run may go on from literals to distances, but not beyond.
func (r *Reader) readLengths(lengths []uint8) error {
	for i := 0; i < len(lengths); {
		r.need(lengthBits) // the last code may be shorter
		e := r.codes.length[r.bits&(1<<lengthBits-1)]
		if e&special != 0 {
			return ErrCorrupt
		}
		n := uint(e & 0xff)
		if n > r.nbits {
			return r.cut()
		}
		r.take(n)
		sym := e >> 16
		if sym < 16 {
			lengths[i] = uint8(sym)
			i++
			continue
		}
		var value uint8
		extra, least := uint(2), 3
		switch sym {
		case 16:
			if i == 0 {
				return ErrCorrupt
			}
			value = lengths[i-1]
		case 17:
			extra = 3
		case 18:
			extra, least = 7, 11
		}
		if !r.need(extra) {
			return r.cut()
		}
		run := least + r.take(extra)
		if run > len(lengths)-i {
			return ErrCorrupt
		}
		for ; run > 0; run-- {
			lengths[i] = value
			i++
		}
	}
	return nil
}
