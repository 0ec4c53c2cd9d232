// Package lz4 decodes LZ4 frames, and the frames of before, which kernels use. Checksums are not checked: what a broken
// frame holds is of interest too.
package lz4

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

// FrameMagic and LegacyMagic begin a frame.
const (
	FrameMagic  = "\x04\x22\x4d\x18"
	LegacyMagic = "\x02\x21\x4c\x18"
)

const (
	frameMagic, legacyMagic = 0x184d2204, 0x184c2102
	skippableMagic          = 0x184d2a50 // and 15 more

	history     = 64 << 10
	legacyBlock = 8 << 20
	bufferBytes = 32 << 10
	// minMatch is the shortest match.
	minMatch = 4
)

// Reader decodes frames, one after the other.
type Reader struct {
	in *bufio.Reader
	// block is the most that a block may hold, as its frame says.
	block  int
	legacy bool
	open   bool
	// linked blocks refer to those before; sums are checksums behind a block, or behind all.
	linked, blockSums, contentSum bool
	packed                        []byte
	// out is history and the current block, of which what is behind at was not read yet.
	out []byte
	at  int
	err error
	// memory grants what is held.
	memory Memory
	held   int64
}

// Memory grants n bytes, or says why not.
type Memory interface{ Hold(n int64) error }

// NewReader decodes r. It keeps at most two blocks, of 8 MiB each in the worst case, and grows to what there is.
func NewReader(r io.Reader, memory Memory) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, bufferBytes), memory: memory}
}

// ErrTrailing says that something else follows the last frame, which was not read.
var ErrTrailing = fmt.Errorf("%w: bytes behind the lz4 frames", trust.ErrMalformed)

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for r.at == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		if r.open {
			r.err = r.next()
		} else {
			r.err = r.frame()
		}
	}
	n := copy(p, r.out[r.at:])
	r.at += n
	return n, nil
}

func (r *Reader) word() (uint32, error) {
	var b [4]byte
	err := r.full(b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}

// frame reads the header of a frame, or skips one. It returns io.EOF at the end of all.
func (r *Reader) frame() error {
	head, err := r.in.Peek(4)
	if len(head) == 0 {
		return err
	}
	if len(head) == 4 {
		if m := binary.LittleEndian.Uint32(head); m != legacyMagic && m != frameMagic && m&^0xf != skippableMagic {
			return ErrTrailing
		}
	}
	magic, err := r.word()
	switch {
	case err != nil:
		return err
	case magic == legacyMagic:
		err := r.begin(legacyBlock)
		r.legacy = true
		return err
	case magic&^0xf == skippableMagic:
		n, err := r.word()
		if err != nil {
			return err
		}
		return r.skip(int64(n))
	}
	return r.header()
}

func (r *Reader) begin(block int) error {
	r.block, r.open, r.legacy, r.out, r.at = block, true, false, r.out[:0], 0
	r.linked, r.blockSums, r.contentSum = false, false, false
	if n := int64(2*block + history); n > r.held {
		if err := r.memory.Hold(n - r.held); err != nil {
			return err //nolint:wrapcheck // the grantor's own
		}
		r.held = n
	}
	return nil
}

func (r *Reader) header() error {
	var b [2]byte
	if err := r.full(b[:]); err != nil {
		return err
	}
	flags, size := b[0], b[1]>>4&7
	if flags>>6 != 1 || size < 4 {
		return malformed("lz4 frame header")
	}
	if flags&1 != 0 {
		return fmt.Errorf("%w: lz4 frame with a dictionary", trust.ErrUnsupported)
	}
	if err := r.begin(1 << (2*size + 8)); err != nil {
		return err
	}
	r.linked, r.blockSums, r.contentSum = flags&0x20 == 0, flags&0x10 != 0, flags&4 != 0
	rest := int64(1) // the checksum of the header
	if flags&8 != 0 {
		rest += 8
	}
	return r.skip(rest)
}

// next decodes a block.
func (r *Reader) next() error {
	if r.legacy {
		if _, err := r.in.Peek(1); err == io.EOF { //nolint:errorlint // bufio returns the reader's value
			r.open = false
			return nil
		}
	}
	size, err := r.word()
	if err != nil {
		return err
	}
	if r.legacy && (size == frameMagic || size == legacyMagic) {
		return fmt.Errorf("%w: lz4 frame behind one of before", trust.ErrUnsupported)
	}
	if size == 0 && !r.legacy {
		r.open = false
		if r.contentSum {
			return r.skip(4)
		}
		return nil
	}
	plain := size>>31 == 1 && !r.legacy
	if plain {
		size &^= 1 << 31
	}
	if int(size) > r.block+r.block/255+16 {
		return malformed("lz4 block of %d bytes", size)
	}
	if cap(r.packed) < int(size) {
		r.packed = make([]byte, size)
	}
	r.packed = r.packed[:size]
	if err := r.full(r.packed); err != nil {
		return err
	}
	r.slide()
	if plain {
		r.out = append(r.out, r.packed...)
	} else if err := r.decode(r.packed); err != nil {
		return err
	}
	if r.blockSums {
		return r.skip(4)
	}
	return nil
}

// slide keeps the history that the next block may refer to.
func (r *Reader) slide() {
	keep := 0
	if r.linked {
		keep = min(len(r.out), history)
	}
	r.out = append(r.out[:0], r.out[len(r.out)-keep:]...)
	r.at = len(r.out)
}

// decode appends what a block holds. What comes before a fault is there.
func (r *Reader) decode(b []byte) error {
	most := len(r.out) + r.block
	for len(b) > 0 {
		token := b[0]
		n, rest, ok := length(int(token>>4), b[1:])
		if !ok || n > len(rest) || n > most-len(r.out) {
			return malformed("lz4 literals")
		}
		r.out = append(r.out, rest[:n]...)
		if b = rest[n:]; len(b) == 0 {
			return nil
		}
		if len(b) < 2 {
			return malformed("lz4 block ends too early")
		}
		distance := int(binary.LittleEndian.Uint16(b))
		n, b, ok = length(int(token&0xf), b[2:])
		n += minMatch
		if !ok || distance == 0 || distance > len(r.out) || n > most-len(r.out) {
			return malformed("lz4 match")
		}
		for n > 0 {
			from := len(r.out) - distance
			k := min(n, distance)
			r.out = append(r.out, r.out[from:from+k]...)
			n -= k
		}
	}
	return nil
}

// length reads the bytes that add to a length of 15.
func length(n int, b []byte) (int, []byte, bool) {
	if n < 15 {
		return n, b, true
	}
	for i, c := range b {
		if n += int(c); c != 255 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

// malformed wraps trust.ErrMalformed.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrMalformed, fmt.Errorf(format, args...))
}

// full fills p. A source that ends before is malformed; any other error is passed on as it is.
func (r *Reader) full(p []byte) error {
	_, err := io.ReadFull(r.in, p)
	return noEnd(err)
}

// skip reads n bytes away, as full does.
func (r *Reader) skip(n int64) error {
	_, err := io.CopyN(io.Discard, r.in, n)
	return noEnd(err)
}

func noEnd(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // the bare value
		return malformed("lz4 frame ends too early")
	}
	return err
}
