// Package zstdframe finds where a zstd frame ends, and what it asks for, without decoding it. It follows RFC 8878.
package zstdframe

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// NewReader reads the frame at the beginning of r.
func NewReader(r *bufio.Reader) *Reader { return &Reader{r: r} }

// Reader is one zstd frame: it hands on bytes up to its end, as the headers of its blocks say.
type Reader struct {
	r *bufio.Reader
	// head holds bytes of headers that were looked at and are not handed on yet; left are bytes that follow them.
	head   []byte
	left   int64
	began  bool
	closed bool
	check  bool
	buf    [32]byte
}

// Ended reports whether all of the frame was handed on.
func (f *Reader) Ended() bool { return f.closed && f.left == 0 && len(f.head) == 0 }

// Read implements io.Reader.
func (f *Reader) Read(p []byte) (int, error) {
	if len(f.head) == 0 && f.left == 0 {
		if f.closed {
			return 0, io.EOF
		}
		if err := f.follow(); err != nil {
			return 0, err
		}
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, noEOF(err)
}

// take reads n bytes of a header, to be handed on.
func (f *Reader) take(n int) ([]byte, error) {
	at := len(f.head)
	f.head = f.buf[:at+n]
	if _, err := io.ReadFull(f.r, f.head[at:]); err != nil {
		f.head = nil
		return nil, noEOF(err)
	}
	return f.head[at:], nil
}

// follow reads the next header: the frame's, or a block's.
func (f *Reader) follow() error {
	f.head = f.buf[:0]
	if !f.began {
		f.began = true
		return f.header()
	}
	b, err := f.take(3)
	if err != nil {
		return err
	}
	h := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	f.left = int64(h >> 3)
	if h>>1&3 == 1 { // one byte, repeated
		f.left = 1
	}
	if h&1 == 1 {
		f.closed = true
		if f.check {
			f.left += 4
		}
	}
	return nil
}

// Window is the history that a decoder needs, in bytes: its window, or the content where it must be there as a whole. It
// must be asked before the first Read.
func (f *Reader) Window() (int64, error) {
	if f.began {
		return 0, errors.New("zstd frame is read already")
	}
	if err := f.follow(); err != nil {
		return 0, err
	}
	b := f.head[4:]
	desc, b := b[0], b[1:]
	if desc>>5&1 == 0 {
		base := int64(1) << (10 + b[0]>>3)
		return base + base/8*int64(b[0]&7), nil
	}
	b = b[[...]int{0, 1, 2, 4}[desc&3]:]
	size := uint64(b[0])
	switch len(b) {
	case 2:
		size = uint64(binary.LittleEndian.Uint16(b)) + 256
	case 4:
		size = uint64(binary.LittleEndian.Uint32(b))
	case 8:
		size = binary.LittleEndian.Uint64(b)
	}
	return int64(min(size, math.MaxInt64)), nil
}

// header reads the magic number and the frame header, RFC 8878 section 3.1.1.1.
func (f *Reader) header() error {
	b, err := f.take(5)
	if err != nil {
		return err
	}
	desc := b[4]
	single := desc>>5&1 == 1
	n := [...]int{0, 1, 2, 4}[desc&3]
	switch {
	case desc>>6 > 0:
		n += 1 << (desc >> 6)
	case single:
		n++
	}
	if !single {
		n++
	}
	f.check = desc>>2&1 == 1
	_, err = f.take(n)
	return err
}

func noEOF(err error) error {
	if err == io.EOF { //nolint:errorlint // only the bare value means the end
		return io.ErrUnexpectedEOF
	}
	return err
}
