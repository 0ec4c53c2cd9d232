// Package encoded finds content that stands encoded in text: base64, base32, base85, hexadecimal, escapes, lists of
// numbers, reversed, rotated or masked with one byte, and packed within. Nothing is executed: the runs themselves are
// found and decoded, whichever language would do it. What decodes to noise is not shown.
package encoded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

const (
	// windowBytes is how much of a text is held at once. A run that does not fit is read from the engine's spool, so
	// that chains of 64 texts within texts cost 64 windows at most.
	windowBytes = 256 << 10
	// firstWindow is held of a text whose size is not known, and doubled when it is full.
	firstWindow = 16 << 10
	// minBytes is the least size of a text that can hold anything.
	minBytes = 16
)

// New makes the wrapper.
func New() unwrap.Wrapper { return wrapper{} }

type wrapper struct{}

func (wrapper) Name() string { return "encoded" }

func (wrapper) Wraps(c unwrap.Content) bool {
	return (c.Kind == trust.KindScript || c.Kind == trust.KindText || c.Kind == trust.KindConfig) && len(c.Head) >= minBytes
}

func (wrapper) Unwrap(ctx context.Context, in unwrap.Input, show unwrap.Show) error {
	c := in.Content()
	size := firstWindow
	if c.Size >= 0 {
		size = int(min(max(c.Size+1, minBytes), windowBytes))
	}
	s := &scanner{in: in, r: in, show: show, buf: make([]byte, size), kind: c.Kind, within: lastPiece(c.Path)}
	if order := byteOrder(c.Head); order != nil {
		return s.emit("utf16", in, func(r io.Reader) io.Reader { return &utf16Reader{r: r, order: order} })
	}
	return s.run(ctx)
}

// lastPiece is the name of the piece that the content was shown as; empty if it stands in a file itself.
func lastPiece(path string) string {
	if i := strings.LastIndex(path, trust.Nested); i >= 0 {
		return path[i+len(trust.Nested):]
	}
	return ""
}

// scanner looks at one text, from its beginning to its end. buf[:n] is the window, whose first byte has the offset base.
type scanner struct {
	in     unwrap.Input
	r      io.Reader
	show   unwrap.Show
	kind   trust.Kind
	within string

	buf  []byte
	n    int
	base int64
	end  bool // the window reaches the end of the text
	// spool is set once a run did not fit into the window.
	spool     io.ReaderAt
	spoolSize int64
	spoolErr  error

	// next are the offsets where each search goes on.
	next [searches]int64
	// group is the run that was looked at last, which is made of parts.
	group span
	// taken ends the last literal that was shown as a whole: runs within it are looked at where it is decoded.
	taken int64
	words words
	// dark is the offset of a long run that decodes to nothing known, -1 if there is none.
	dark int64
}

// span is a part of the text, by offsets.
type span struct{ from, to int64 }

// The searches that go over the text, in the order in which they go over a window.
const (
	escapeSearch = iota
	runSearch
	listSearch
	wordSearch
	searches
)

// contextBytes of the text before a search's position stay in the window: what stands before a run tells how it is used.
const contextBytes = 1 << 10

func (s *scanner) run(ctx context.Context) error {
	s.dark = -1
	for {
		if err := s.fill(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("encoded: %w", err)
		}
		s.words |= findWords(s.buf[:s.n])
		for _, search := range []func() error{s.escapes, s.runs, s.lists, s.literals} {
			if err := search(); err != nil {
				return err
			}
		}
		if s.end {
			return s.opaque()
		}
		s.shift()
	}
}

// opaque is an error if a program feeds a long run to an interpreter and the run could not be read.
func (s *scanner) opaque() error {
	if s.dark >= 0 && s.words&runsDecoded == runsDecoded && s.kind != trust.KindText {
		return fmt.Errorf("%w: what is run from the encoded text at offset %d", trust.ErrUnsupported, s.dark)
	}
	return nil
}

// fill reads until the window is full or the text ends.
func (s *scanner) fill() error {
	for {
		for s.n < len(s.buf) {
			k, err := s.r.Read(s.buf[s.n:])
			s.n += k
			if err == io.EOF { //nolint:errorlint // only the bare value means the end
				s.end = true
				return s.spoolErr
			}
			if err != nil {
				return err //nolint:wrapcheck // as the interface demands
			}
		}
		if len(s.buf) >= windowBytes {
			return nil
		}
		s.buf = append(s.buf, make([]byte, min(len(s.buf), windowBytes-len(s.buf)))...)
	}
}

// shift drops what no search needs any more.
func (s *scanner) shift() {
	keep := s.base + int64(s.n)
	for _, at := range s.next {
		keep = min(keep, at)
	}
	drop := min(max(keep-contextBytes-s.base, 0), int64(s.n))
	s.n = copy(s.buf, s.buf[drop:s.n])
	s.base += drop
}

// from is where a search goes on in the window, and whether it does at all.
func (s *scanner) from(search int) (int, bool) {
	at := s.next[search] - s.base
	return int(min(at, int64(s.n))), at < int64(s.n)
}

// wait makes a search go on at i of the window, after the next fill if it reports true. It reports false if there is no
// point in waiting: the text ends here, or what begins at i is longer than the window should hold.
func (s *scanner) wait(search, i int) bool {
	s.next[search] = s.base + int64(i)
	return !s.end && (i > len(s.buf)/2 || len(s.buf) < windowBytes)
}

// section is the text from the offset at on, from the spool.
func (s *scanner) section(at int64) (io.Reader, error) {
	if s.spool == nil {
		ra, size, err := s.in.Spool()
		if err != nil {
			return nil, err //nolint:wrapcheck // as the interface demands
		}
		s.spool, s.spoolSize = ra, size
		s.r = s.guard(io.NewSectionReader(ra, s.base+int64(s.n), size-s.base-int64(s.n)))
	}
	return s.guard(io.NewSectionReader(s.spool, at, s.spoolSize-at)), nil
}

// opener gives the text from the offset at on, again and again: from the window if that holds all up to the offset to.
func (s *scanner) opener(at, to int64) (func() io.Reader, error) {
	if to <= s.base+int64(s.n) {
		b := s.buf[at-s.base : to-s.base]
		return func() io.Reader { return bytes.NewReader(b) }, nil
	}
	if _, err := s.section(at); err != nil {
		return nil, err
	}
	return func() io.Reader {
		r, _ := s.section(at) // the spool is there
		return r
	}, nil
}

// guard remembers an error of the spool, which must not pass for the end of a run.
func (s *scanner) guard(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		if err != nil && !errors.Is(err, io.EOF) {
			s.spoolErr = err
		}
		return n, err //nolint:wrapcheck // as the interface demands
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// emit shows one decoded piece.
func (s *scanner) emit(name string, r io.Reader, decode func(io.Reader) io.Reader) error {
	if decode != nil {
		r = decode(r)
	}
	if err := s.show(unwrap.Piece{Name: name, Size: -1, Encoding: true}, r); err != nil {
		return err //nolint:wrapcheck // as the interface demands
	}
	return s.spoolErr
}

const (
	// tryCost is charged for each look at something that may be encoded.
	tryCost = 200
	// sampleBytes of it are decoded to see what it is.
	sampleBytes = 1 << 10
)

func byteOrder(head []byte) func(a, b byte) rune {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return littleEndian
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return bigEndian
	}
	return nil
}
