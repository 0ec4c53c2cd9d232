// Package lzw decodes what compress(1) writes, the .Z files of before gzip, which gzip still reads.
package lzw

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

const (
	// Magic begins a file.
	Magic = "\x1f\x9d"

	bufferBytes = 16 << 10
	firstBits   = 9
	maxBits     = 16
	// clearCode empties the table, in files that use it.
	clearCode = 256
	blockMode = 0x80
)

// Reader decodes one file. The format has no end but that of the file, and no checksum.
type Reader struct {
	in *bufio.Reader
	// bits are read and not used yet, have how many there are.
	bits uint32
	have uint
	// width is that of a code; codes were read since the width was set, which matters because eight always come together.
	width, most uint
	codes       int
	block       bool
	// next is the number of the next entry; last the code before, -1 at the beginning and behind a clear.
	next, last int
	first      byte
	prefix     [1 << maxBits]uint16
	suffix     [1 << maxBits]byte
	// stack holds what one code stands for, from its end to the byte that was not read yet.
	stack [1<<maxBits + 1]byte
	top   int
	err   error
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	z := &Reader{in: bufio.NewReaderSize(r, bufferBytes), width: firstBits, last: -1, next: clearCode}
	var h [3]byte
	if _, err := io.ReadFull(z.in, h[:]); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // ReadFull returns the bare value
			err = malformed("header ends too early")
		}
		return nil, err
	}
	z.most, z.block = uint(h[2]&0x1f), h[2]&blockMode != 0
	if string(h[:2]) != Magic || z.most < firstBits || z.most > maxBits {
		return nil, malformed("header %x", h)
	}
	z.reset()
	return z, nil
}

func (z *Reader) reset() {
	z.next, z.last = clearCode, -1
	if z.block {
		z.next++
	}
	z.width, z.codes = firstBits, 0
}

// Read implements io.Reader.
func (z *Reader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if z.top == 0 {
			if z.err == nil {
				z.err = z.expand()
			}
			if z.err != nil {
				break
			}
			continue
		}
		z.top--
		p[n] = z.stack[z.top]
		n++
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, z.err
}

// code reads one. It returns io.EOF where there is no whole one.
func (z *Reader) code() (int, error) {
	for z.have < z.width {
		b, err := z.in.ReadByte()
		if err != nil {
			return 0, err
		}
		z.bits |= uint32(b) << z.have
		z.have += 8
	}
	c := int(z.bits & (1<<z.width - 1))
	z.bits >>= z.width
	z.have -= z.width
	z.codes++
	return c, nil
}

// align skips the rest of eight codes, which an encoder writes together.
func (z *Reader) align() error {
	for z.codes%8 != 0 {
		if _, err := z.code(); err != nil {
			return err
		}
	}
	return nil
}

// expand puts what the next code stands for on the stack.
func (z *Reader) expand() error {
	if z.next > 1<<z.width-1 && z.width < z.most {
		if err := z.align(); err != nil {
			return err
		}
		z.width++
		z.codes = 0
	}
	c, err := z.code()
	if err != nil {
		return err
	}
	if c == clearCode && z.block {
		err := z.align()
		z.reset()
		return err
	}
	if z.last < 0 {
		if c > 255 {
			return malformed("code %d at the beginning", c)
		}
		z.first, z.last = byte(c), c
		z.push(byte(c))
		return nil
	}
	return z.entry(c)
}

func (z *Reader) entry(c int) error {
	at := c
	if c >= z.next {
		if c > z.next {
			return malformed("code %d of %d", c, z.next)
		}
		z.push(z.first) // the entry that this code is about to make
		at = z.last
	}
	for at > 255 {
		z.push(z.suffix[at])
		at = int(z.prefix[at])
	}
	z.first = byte(at)
	z.push(z.first)
	if z.next < 1<<z.most {
		z.prefix[z.next], z.suffix[z.next] = uint16(z.last), z.first
		z.next++
	}
	z.last = c
	return nil
}

// push cannot overflow: an entry's prefix always has a smaller number.
func (z *Reader) push(b byte) {
	z.stack[z.top] = b
	z.top++
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: compress: %w", trust.ErrMalformed, fmt.Errorf(format, args...))
}
