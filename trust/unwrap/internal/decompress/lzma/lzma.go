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
	// minWindow is the smallest history; initialWindow is what is made at first.
	minWindow     = 4 << 10
	initialWindow = 64 << 10
	bufferBytes   = 16 << 10

	// AloneHeaderBytes is the length of the header of a .lzma file.
	AloneHeaderBytes = 13
)

// Limit is what a decoder may be asked to keep as history, in bytes: memory.
type Limit int64

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
func (l Limit) NewReader(r io.Reader, props []byte, size int64) (io.Reader, error) {
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
	if history > int64(l) {
		return nil, exceeded("lzma history of %d bytes", history)
	}
	d := &decoder{in: bufio.NewReaderSize(r, bufferBytes), window: window{limit: int(max(history, minWindow))}, packed: -1, left: size}
	d.reset(p)
	d.begin()
	return d, nil
}

// NewAlone decodes a .lzma file. If r is a bufio.Reader of 16 KiB or more, what follows the end can be read from it.
func (l Limit) NewAlone(r io.Reader) (io.Reader, error) {
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
	return l.NewReader(r, h[:5], size)
}

// window is the history, which is also where bytes wait to be read.
type window struct {
	buf   []byte
	limit int
	// at is where the next byte goes; total counts all.
	at    int
	total int64
	// since counts bytes since the history was forgotten.
	since int64
}

// room is how many bytes can be put in one piece.
func (w *window) room() int {
	if w.at == len(w.buf) {
		if len(w.buf) < w.limit {
			grown := make([]byte, min(w.limit, max(initialWindow, 2*len(w.buf))))
			copy(grown, w.buf)
			w.buf = grown
		} else {
			w.at = 0
		}
	}
	return len(w.buf) - w.at
}

func (w *window) put(b byte) {
	w.buf[w.at] = b
	w.at++
	w.total++
	w.since++
}

// has reports whether the history goes back as far as distance, which is 0 for the last byte.
func (w *window) has(distance uint32) bool {
	return int64(distance) < w.since && int64(distance) < int64(len(w.buf))
}

func (w *window) back(distance uint32) byte {
	i := w.at - int(distance) - 1
	if i < 0 {
		i += len(w.buf)
	}
	return w.buf[i]
}

// last is the byte before, 0 at the beginning.
func (w *window) last() byte {
	if w.since == 0 {
		return 0
	}
	return w.back(0)
}

// repeat copies n bytes from a distance; there is room for them.
func (w *window) repeat(distance uint32, n int) {
	from := w.at - int(distance) - 1
	if from < 0 {
		from += len(w.buf)
	}
	w.total += int64(n)
	w.since += int64(n)
	for range n {
		w.buf[w.at] = w.buf[from]
		w.at++
		if from++; from == len(w.buf) {
			from = 0
		}
	}
}

// malformed wraps trust.ErrMalformed.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrMalformed, fmt.Errorf(format, args...))
}

// exceeded wraps trust.ErrLimit.
func exceeded(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrLimit, fmt.Errorf(format, args...))
}
