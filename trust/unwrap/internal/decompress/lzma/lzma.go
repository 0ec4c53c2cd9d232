// Package lzma decodes LZMA and LZMA2 data as zip, 7z and .lzma files hold it. The history that a decoder keeps grows
// with what it decoded, so that data which only claims to need much costs little. It follows the description of the
// format in Igor Pavlov's LZMA specification.
package lzma

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

const (
	// minWindow is the smallest history.
	minWindow   = 4 << 10
	bufferBytes = 16 << 10

	// AloneHeaderBytes is the length of the header of a .lzma file.
	AloneHeaderBytes = 13
)

// Limit is what a decoder may be asked to keep as history, in bytes: memory.
type Limit int64

// Memory grants n bytes, or says why not.
type Memory interface{ Hold(n int64) error }

// Bounds are those of a decoder. Where Memory, unless it is nil, grants no more history, the decoder goes on with what it
// has: only data that refers further back ends with Memory's error.
type Bounds struct {
	Limit
	Memory Memory
}

// models and literals of a decoder, in bytes.
const (
	modelBytes   = 64 << 10
	literalBytes = 0x300 * 2
)

// hold charges for a decoder whose literals depend on so many bits.
func (b Bounds) hold(bits int) error {
	if b.Memory == nil {
		return nil
	}
	return b.Memory.Hold(modelBytes + literalBytes<<bits) //nolint:wrapcheck // the grantor's own
}

// properties are the three numbers in the first byte of LZMA properties.
type properties struct{ lc, lp, pb int }

func parse(b byte) (properties, error) {
	if b >= 9*5*5 {
		return properties{}, malformed("lzma properties %#x", b)
	}
	return properties{lc: int(b % 9), lp: int(b / 9 % 5), pb: int(b / 45)}, nil
}

// NewReader decodes raw LZMA. Props is its byte of properties and the size of its history in four; size is that of the
// content, -1 if a mark ends it. Where it is known, the mark may still come.
func (b Bounds) NewReader(r io.Reader, props []byte, size int64) (io.Reader, error) {
	if len(props) < 5 {
		return nil, malformed("lzma properties of %d bytes", len(props))
	}
	p, err := parse(props[0])
	if err != nil {
		return nil, err
	}
	history := int64(binary.LittleEndian.Uint32(props[1:]))
	if size >= 0 {
		history = min(history, size)
	}
	if history > int64(b.Limit) {
		return nil, exceeded("lzma history of %d bytes", history)
	}
	if err := b.hold(p.lc + p.lp); err != nil {
		return nil, err
	}
	d := &decoder{in: bufio.NewReaderSize(r, bufferBytes), window: window{limit: int(max(history, minWindow)), memory: b.Memory}, packed: -1, left: size}
	d.reset(p)
	d.begin()
	return d, nil
}

// Decode decodes raw LZMA into out, which it fills, and which serves as history.
func Decode(out []byte, r io.Reader, props byte) error {
	p, err := parse(props)
	if err != nil {
		return err
	}
	d := &decoder{in: bufio.NewReaderSize(r, bufferBytes), window: window{limit: max(len(out), minWindow)}, packed: -1, left: int64(len(out))}
	d.window.over(out)
	d.reset(p)
	d.begin()
	for d.err == nil && !d.ended {
		d.decode(d.window.room())
	}
	return d.err
}

// NewAlone decodes a .lzma file. If r is a bufio.Reader of 16 KiB or more, what follows the end can be read from it.
func (b Bounds) NewAlone(r io.Reader) (io.Reader, error) {
	var h [AloneHeaderBytes]byte
	if _, err := io.ReadFull(r, h[:]); err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // ReadFull returns the bare value
		return nil, malformed("lzma header ends too early")
	} else if err != nil {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint64(h[5:]))
	if size < -1 {
		return nil, malformed("lzma size")
	}
	return b.NewReader(r, h[:5], size)
}

// malformed wraps trust.ErrMalformed.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrMalformed, fmt.Errorf(format, args...))
}

// exceeded wraps trust.ErrLimit.
func exceeded(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrLimit, fmt.Errorf(format, args...))
}
