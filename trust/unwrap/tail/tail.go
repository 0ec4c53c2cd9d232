// Package tail finds what stands behind the end of a file's own format: a program behind a picture, an archive behind a
// script that unpacks it, a payload behind an executable. The end comes from the format's own structure, read in order,
// not from a search for a marker that the payload could have too.
package tail

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

const (
	// minTail is the least that can hold a program. Less is padding, or a checksum.
	minTail = 48
	// peekBytes are looked at ahead.
	peekBytes = 4 << 10
	// longForScript is the size from which a script may have an archive behind it.
	longForScript = 512
)

// New makes the wrapper.
func New() unwrap.Wrapper { return wrapper{} }

type wrapper struct{}

func (wrapper) Name() string { return "tail" }

func (wrapper) Wraps(c unwrap.Content) bool { return formatOf(c) != nil }

func (wrapper) Unwrap(ctx context.Context, in unwrap.Input, show unwrap.Show) error {
	c := in.Content()
	s := &stream{ctx: ctx, r: bufio.NewReaderSize(in, peekBytes), size: c.Size, show: show}
	end := formatOf(c)
	if end == nil {
		return fmt.Errorf("%w: of no format with a known end", trust.ErrMalformed)
	}
	err := end(s)
	switch {
	case s.err != nil:
		return s.err
	case errors.Is(err, errBroken):
	case err != nil:
		return err
	}
	return s.rest()
}

// errBroken is a format that breaks off; what follows is looked at like a tail.
var errBroken = errors.New("broken")

// format reads a file up to its end by its own structure. It returns nil or errBroken where the rest is not of the format.
type format func(*stream) error

// formatOf tells the format from the beginning of a file; nil if it is none that has an end of its own.
func formatOf(c unwrap.Content) format {
	h := c.Head
	is := func(at int, magic string) bool {
		return len(h) >= at+len(magic) && string(h[at:at+len(magic)]) == magic
	}
	switch {
	case is(0, "\x89PNG\r\n\x1a\n"):
		return png
	case is(0, "\xff\xd8\xff"):
		return jpeg
	case is(0, "GIF87a"), is(0, "GIF89a"):
		return gif
	case is(0, "BM") && len(h) >= 26 && binary.LittleEndian.Uint32(h[6:]) == 0 && h[14] >= 12 && h[15]|h[16]|h[17] == 0:
		return bmp
	case is(0, "\x00\x00\x01\x00") && len(h) >= 22 && h[5] == 0 && h[4] > 0:
		return ico
	case is(0, "RIFF") && len(h) >= 12:
		return riff
	case is(0, "%PDF-"):
		return pdf
	case is(4, "ftyp"):
		return boxes
	case is(0, "OggS"):
		return ogg
	case is(0, "\x7fELF") && len(h) >= 52:
		return elf
	case is(0, "MZ") && len(h) >= 64:
		return pe
	case c.Kind == trust.KindScript && (c.Size < 0 || c.Size >= longForScript) && isShell(h):
		return script
	}
	return nil
}

// isShell reports whether a shell may read a script that begins so. Other interpreters read a file to its end.
func isShell(head []byte) bool {
	line, _, _ := bytes.Cut(head[:min(len(head), 256)], []byte("\n"))
	return bytes.HasPrefix(line, []byte("#!")) && bytes.Contains(line, []byte("sh")) ||
		bytes.HasPrefix(line, []byte("#!")) && bytes.Contains(line, []byte("perl")) || bytes.Contains(head, []byte("tail -")) || bytes.Contains(head, []byte("makeself"))
}

// stream is a file that is read in order.
type stream struct {
	ctx  context.Context
	r    *bufio.Reader
	at   int64
	size int64 // -1 if it is not known
	show unwrap.Show
	err  error // of the input or of show
}

// peek is the next n bytes, fewer at the end.
func (s *stream) peek(n int) []byte {
	b, err := s.r.Peek(n)
	if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
		s.err = err
	}
	return b
}

// take reads n bytes, at most peekBytes; they are valid until the next call.
func (s *stream) take(n int) ([]byte, error) {
	b := s.peek(n)
	if len(b) < n {
		return nil, errBroken
	}
	_, _ = s.r.Discard(n) // it was peeked at
	s.at += int64(n)
	return b, s.err
}

// skip passes over n bytes of the format. Where it would lead behind the end of the file the format is broken, and the
// place where that was said is the beginning of the rest, if it is known at once.
func (s *stream) skip(n int64) error {
	if n < 0 || s.size >= 0 && n > s.size-s.at {
		return errBroken
	}
	if err := s.ctx.Err(); err != nil {
		return fmt.Errorf("tail: %w", err)
	}
	for n > 0 {
		k, err := s.r.Discard(int(min(n, 1<<20)))
		s.at += int64(k)
		n -= int64(k)
		if err == io.EOF { //nolint:errorlint // only the bare value means the end
			return errBroken
		}
		if err != nil {
			s.err = err
			return err //nolint:wrapcheck // as the interface demands
		}
	}
	return nil
}

// skipTo is skip to an offset; one that was passed already is no error.
func (s *stream) skipTo(at int64) error { return s.skip(max(0, at-s.at)) }

// rest shows what is left, unless it is too short, or zeros and line ends to begin with and nothing else soon.
func (s *stream) rest() error { return s.showRest("tail") }

func (s *stream) showRest(name string) error {
	for { // padding
		b := s.peek(peekBytes)
		n := len(b) - len(bytes.TrimLeft(b, "\x00\r\n "))
		if bytes.HasPrefix(b[n:], []byte("asm\x01")) { // WebAssembly begins with a zero
			n--
		}
		if n <= 0 {
			break
		}
		_, _ = s.r.Discard(n) // it was peeked at
		s.at += int64(n)
	}
	if s.err != nil || len(s.peek(minTail)) < minTail {
		return s.err
	}
	if n := markBytes(s.peek(peekBytes)); n > 0 {
		_, _ = s.r.Discard(n) // it was peeked at
		s.at += int64(n)
	}
	size := int64(-1)
	if s.size >= 0 {
		size = s.size - s.at
	}
	err := s.show(unwrap.Piece{Name: fmt.Sprintf("%s@%d", name, s.at), Size: size, Tail: true}, s.r)
	return err //nolint:wrapcheck // as the interface demands
}

// nearMark is how far behind the end of a format packed content may begin, behind a mark by which a program finds its own
// payload; nearZlib is how far zlib's two bytes say so: farther, they are chance.
const nearMark, nearZlib = 256, 64

// markBytes is how much of a tail stands before packed content in it; 0 where none is near, or the tail is something itself.
func markBytes(tail []byte) int {
	for _, magic := range []string{"#!", "0707", "!<ar", "Rar!", "MSCF", "MZ", "\x00asm"} {
		if bytes.HasPrefix(tail, []byte(magic)) {
			return 0
		}
	}
	if isTar(tail) {
		return 0
	}
	for i := range min(nearMark, max(0, len(tail)-minTail)) {
		if packedMagic(tail[i:]) && (tail[i] != 0x78 || i <= nearZlib) {
			return i
		}
	}
	return 0
}
