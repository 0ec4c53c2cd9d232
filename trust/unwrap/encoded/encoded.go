// Package encoded finds content that stands encoded in text: base64, base32, base85, hexadecimal, escapes, lists of
// numbers, reversed, rotated or masked with one byte, and packed within. Nothing is executed: the runs themselves are
// found and decoded, whichever language would do it. What decodes to noise is not shown.
package encoded

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

const (
	// windowBytes is how much of a text is held at once. What does not fit is read as a stream, so that chains of 64 texts
	// within texts cost 64 windows at most.
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
	return peelText(ctx, in, show, windowBytes)
}

// peelText peels a text of which no more than window bytes are held.
func peelText(ctx context.Context, in unwrap.Input, show unwrap.Show, window int) error {
	c := in.Content()
	size := min(firstWindow, window)
	if c.Size >= 0 {
		size = int(min(max(c.Size+1, minBytes), int64(window)))
	}
	if in.Hold(int64(size)) != nil {
		size, window = min(size, firstWindow), min(window, firstWindow)
		if err := in.Hold(int64(size)); err != nil {
			return err //nolint:wrapcheck // as the interface demands
		}
	}
	s := &scanner{in: in, r: in, window: window, show: show, buf: make([]byte, size), kind: c.Kind, within: lastPiece(c.Path)}
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
	// window bounds the length of buf.
	window int
	end    bool // the window reaches the end of the text
	// impatient is set where what a search waits for cannot fit into the window: it is then read as a stream.
	impatient bool
	// spool is set for texts whose beginning says that something in them is turned around.
	spool io.ReaderAt

	// next are the offsets where each search goes on.
	next [searches]int64
	// group is the run that was looked at last, which is made of parts.
	group span
	// cut is true if the window does not hold all of it.
	cut bool
	// taken ends the last literal that was shown as a whole: runs within it are looked at where it is decoded.
	taken int64
	words words
	// dark is the offset of a long run that decodes to nothing known, -1 if there is none.
	dark int64
	// darkBytes is how long all such runs are together.
	darkBytes int64
}

// span is a part of the text, by offsets.
type span struct{ from, to int64 }

// The searches that go over the text, in the order in which they go over a window.
const (
	escapeSearch = iota
	runSearch
	listSearch
	uuSearch
	wordSearch
	searches
)

// contextBytes of the text before a search's position stay in the window: what stands before a run tells how it is used.
const contextBytes = 1 << 10

func (s *scanner) run(ctx context.Context) error {
	s.dark = -1
	if bytes.HasPrefix(s.in.Content().Head, []byte(uuBegin)) {
		s.words = uuFiles
	}
	if err := s.prepare(); err != nil {
		return err
	}
	all := [searches]func() error{s.escapes, s.runs, s.lists, s.uuencoded, s.literals}
	for {
		if err := s.fill(); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("encoded: %w", err)
		}
		if s.kind != trust.KindText {
			s.words |= findWords(s.buf[:s.n])
		}
		for _, search := range all {
			if err := search(); err != nil {
				return err
			}
		}
		if s.end {
			return s.opaque()
		}
		if s.shift() {
			continue
		}
		// One search waits for the end of something that began early in the window, and the others are past it.
		first := 0
		for i, at := range s.next {
			if at < s.next[first] {
				first = i
			}
		}
		s.impatient = true
		err := all[first]()
		s.impatient = false
		if err != nil {
			return err
		}
		s.shift()
	}
}

// prepare spools a text that is longer than the window if it says at its beginning that it turns something around.
func (s *scanner) prepare() error {
	c := s.in.Content()
	if c.Size >= 0 && c.Size < int64(s.window) || s.kind == trust.KindText || findWords(c.Head)&reverses == 0 {
		return nil
	}
	var err error
	s.spool, _, err = s.in.Spool()
	return err //nolint:wrapcheck // as the interface demands
}

// What besides runs that cannot be read a program may hold for them to be what it is about: at most this many bytes, or
// three times as many as the runs have. Bundles of a whole application hold fonts and images too, and somewhere words
// that run something.
const (
	smallProgram = 16 << 10
	darkShare    = 3
)

// opaque is an error if a program is about a long run that it feeds to an interpreter, and the run could not be read.
func (s *scanner) opaque() error {
	rest := s.base + int64(s.n) - s.darkBytes
	about := rest <= smallProgram || rest <= darkShare*s.darkBytes
	if s.dark >= 0 && about && s.words&runsDecoded == runsDecoded && s.kind != trust.KindText {
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
				return nil
			}
			if err != nil {
				return err //nolint:wrapcheck // as the interface demands
			}
		}
		if len(s.buf) >= s.window {
			return nil
		}
		more := min(len(s.buf), s.window-len(s.buf))
		if refused := s.in.Hold(int64(more)); refused != nil {
			s.window = len(s.buf) // what does not fit is read as a stream
			return nil            //nolint:nilerr // as it says
		}
		s.buf = append(s.buf, make([]byte, more)...)
	}
}

// shift drops what no search needs any more, and reports whether that makes room.
func (s *scanner) shift() bool {
	keep := s.base + int64(s.n)
	for _, at := range s.next {
		keep = min(keep, at)
	}
	drop := keep - contextBytes - s.base
	if drop < int64(s.n)/4 && drop < int64(s.n)-2*contextBytes {
		return s.n < len(s.buf)
	}
	drop = max(drop, 0)
	s.n = copy(s.buf, s.buf[drop:s.n])
	s.base += drop
	return true
}

// from is where a search goes on in the window, and whether it does at all.
func (s *scanner) from(search int) (int, bool) {
	at := s.next[search] - s.base
	return int(min(at, int64(s.n))), at < int64(s.n)
}

// wait makes a search go on at i of the window, after the next fill if it reports true. It reports false if there is no
// point in waiting: the text ends here, or what begins at i is longer than the window can hold.
func (s *scanner) wait(search, i int) bool {
	s.next[search] = s.base + int64(i)
	return !s.end && (!s.impatient || i > len(s.buf)/2)
}

// coded is a part of the text that is decoded. What fits into the window is read from there; what does not is read as a
// stream, once.
type coded struct {
	s *scanner
	// from is where it begins in the window.
	from int
	// decode makes the reader that knows where the part ends.
	decode func(*bufio.Reader) io.Reader

	r        io.Reader
	buffered *bufio.Reader
	sample   []byte
	at       int   // how far the window was read
	beyond   int64 // bytes read behind the window
	err      error // of the text itself, which must not pass for the end of the part
}

// begin decodes the beginning into room.
func (c *coded) begin(room []byte) (int, error) {
	n, err := readFull(c.open(), room)
	if c.beyond > 0 {
		c.sample = bytes.Clone(room[:n])
	}
	return n, err
}

// open gives the decoded part from its beginning. After something behind the window was read only the beginning, if it was
// decoded with begin, and the rest are left.
func (c *coded) open() io.Reader {
	if c.beyond > 0 && c.sample != nil {
		return io.MultiReader(bytes.NewReader(c.sample), c.r)
	}
	if c.beyond == 0 {
		c.at = c.from
		c.buffered = bufio.NewReaderSize(readerFunc(c.read), sampleBytes)
		c.r = c.decode(c.buffered)
	}
	return c.r
}

func (c *coded) read(p []byte) (int, error) {
	if c.at < c.s.n {
		n := copy(p, c.s.buf[c.at:c.s.n])
		c.at += n
		return n, nil
	}
	if c.s.end {
		return 0, io.EOF
	}
	n, err := c.s.r.Read(p)
	c.beyond += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
		c.err = err
	}
	return n, err //nolint:wrapcheck // as the interface demands
}

// close reads the part to its end and returns the offset behind it. If that is behind the window, the window begins there.
func (c *coded) close() (int64, error) {
	c.sample = nil
	_, err := io.Copy(io.Discard, c.open())
	if c.err != nil {
		return 0, c.err
	}
	if err != nil {
		return 0, err //nolint:wrapcheck // as the interface demands
	}
	s, left := c.s, c.buffered.Buffered()
	end := s.base + int64(c.at) + c.beyond - int64(left)
	if c.beyond > 0 {
		rest, _ := c.buffered.Peek(left)
		if keep := int64(left) - c.beyond; keep >= 0 { // it ends in the window all the same
			s.extend(rest[keep:])
			return end, nil
		}
		s.base, s.n = end, copy(s.buf, rest)
		for i := range s.next {
			s.next[i] = max(s.next[i], end)
		}
	}
	return end, nil
}

// done is for a part that was not shown: what was read of it behind the window is not lost.
func (c *coded) done() error {
	if c.beyond > 0 {
		_, err := c.close()
		return err
	}
	return c.err
}

// extend puts bytes that were read ahead behind the window.
func (s *scanner) extend(b []byte) {
	if room := len(s.buf) - s.n; room < len(b) {
		s.buf = append(s.buf, make([]byte, len(b)-room)...)
	}
	s.n += copy(s.buf[s.n:], b)
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
	return nil
}

const (
	// tryCost is charged for each look at something that may be encoded.
	tryCost = 1000
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
