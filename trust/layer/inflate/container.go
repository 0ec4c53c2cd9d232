package inflate

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Flags of a gzip header, RFC 1952 section 2.3.1.
const (
	hasHeaderSum = 1 << 1
	hasExtra     = 1 << 2
	hasName      = 1 << 3
	hasComment   = 1 << 4
)

// maxString bounds a name or comment in a gzip header with its NUL: memory, and the bound that compress/gzip has.
const maxString = 512

// header reads what is before the deflate data.
func (r *Reader) header() error {
	var err error
	r.sum = checksum{}
	switch r.format {
	case gzipFormat:
		err = r.gzipHeader()
	case zlibFormat:
		err = r.zlibHeader()
		r.sum.value = adlerStart
	}
	r.members++
	r.history = r.op // a member does not reach into the one before
	r.state = atBlock
	return err
}

func (r *Reader) gzipHeader() error {
	if r.fill(1); r.ip == r.il && r.members > 0 && r.srcErr == nil {
		return io.EOF
	}
	r.before, r.begins = r.begins, r.moved+int64(r.ip)
	var sum uint32
	field := func(n int) ([]byte, error) {
		p, err := r.next(n)
		sum = crc32.Update(sum, crc32.IEEETable, p)
		return p, err
	}
	p, err := field(10)
	if err != nil {
		return err
	}
	if p[0] != 0x1f || p[1] != 0x8b || p[2] != 8 {
		return ErrHeader
	}
	flags := p[3]
	if flags&hasExtra != 0 {
		if p, err = field(2); err != nil {
			return err
		}
		if _, err = field(int(binary.LittleEndian.Uint16(p))); err != nil {
			return err
		}
	}
	for _, flag := range [...]byte{hasName, hasComment} {
		if flags&flag == 0 {
			continue
		}
		n, err := r.stringBytes()
		if err != nil {
			return err
		}
		if _, err = field(n); err != nil {
			return err
		}
	}
	if flags&hasHeaderSum != 0 {
		want := uint16(sum)
		if p, err = r.next(2); err != nil {
			return err
		}
		if binary.LittleEndian.Uint16(p) != want {
			return ErrHeader
		}
	}
	return nil
}

// stringBytes is the length of the string that comes next, with its NUL.
func (r *Reader) stringBytes() (int, error) {
	r.fill(maxString)
	window := r.in[r.ip:min(r.il, r.ip+maxString)]
	switch n := bytes.IndexByte(window, 0); {
	case n >= 0:
		return n + 1, nil
	case len(window) < maxString:
		return 0, r.cut()
	}
	return 0, ErrHeader
}

// zlibHeader reads the header of RFC 1950 section 2.2. A dictionary is accepted if it is the empty one.
func (r *Reader) zlibHeader() error {
	p, err := r.next(2)
	if err != nil {
		return err
	}
	if p[0]&0xf != 8 || p[0]>>4 > 7 || binary.BigEndian.Uint16(p)%31 != 0 {
		return ErrHeader
	}
	if p[1]&0x20 == 0 {
		return nil
	}
	if p, err = r.next(4); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(p) != adlerStart {
		return ErrHeader
	}
	return nil
}

// trailer compares what is after the deflate data with the content.
func (r *Reader) trailer() error {
	r.align()
	r.summarise()
	switch r.format {
	case gzipFormat:
		p, err := r.next(8)
		if err != nil {
			return err
		}
		if binary.LittleEndian.Uint32(p) != r.sum.value || binary.LittleEndian.Uint32(p[4:]) != r.sum.size {
			return ErrChecksum
		}
		r.state = atHeader
		return nil
	case zlibFormat:
		p, err := r.next(4)
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint32(p) != r.sum.value {
			return ErrChecksum
		}
	}
	return io.EOF
}

// The Adler-32 checksum of RFC 1950. hash/adler32 cannot continue from a value without an allocation.
const (
	adlerStart = 1
	adlerMod   = 65521
	// adlerRun is how many bytes can be added before the sums must be reduced, to stay within 32 bits.
	adlerRun = 5552
)

func adler(sum uint32, p []byte) uint32 {
	a, b := sum&0xffff, sum>>16
	for len(p) > 0 {
		run := p[:min(len(p), adlerRun)]
		p = p[len(run):]
		for _, c := range run {
			a += uint32(c)
			b += a
		}
		a %= adlerMod
		b %= adlerMod
	}
	return b<<16 | a
}
