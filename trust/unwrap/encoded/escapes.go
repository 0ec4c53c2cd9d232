package encoded

import (
	"bufio"
	"bytes"
	"io"
	"slices"
	"unicode/utf8"
)

const (
	// denseEscapes within denseBytes after one are more than names and regular expressions have.
	denseEscapes = 4
	denseBytes   = 64
	// maxEscape is the longest escape: U with eight digits behind two backslashes.
	maxEscape = 12
)

// escapes looks at every string literal that is mostly made of escapes: \x7f, \177, \u007f, in any language.
func (s *scanner) escapes() error {
	i, ok := s.from(escapeSearch)
	for ok && i < s.n {
		k := bytes.IndexByte(s.buf[i:s.n], '\\')
		if k < 0 {
			i = s.n
			break
		}
		at := i + k
		if at+denseBytes > s.n && s.wait(escapeSearch, at) {
			return nil
		}
		if !dense(s.buf[at:min(s.n, at+denseBytes)]) {
			i = at + 2
			continue
		}
		was := s.base
		end, err := s.escaped(at)
		if err != nil || end < 0 {
			return err
		}
		if end >= s.base+int64(s.n) {
			s.next[escapeSearch] = end
			return nil
		}
		i = s.after(at, end, was)
	}
	if ok {
		s.next[escapeSearch] = s.base + int64(min(i, s.n))
	}
	return nil
}

// dense reports whether b begins with an escape and has several.
func dense(b []byte) bool {
	n := 0
	for i := 0; i < len(b); {
		if _, size := escape(b[i:]); b[i] == '\\' && size > 2 {
			if n++; n >= denseEscapes {
				return true
			}
			i += size
			continue
		}
		if i == 0 {
			return false
		}
		i++
	}
	return false
}

// escaped looks at the literal around the escape at i of the window and returns the offset to go on at, -1 to wait.
func (s *scanner) escaped(i int) (int64, error) {
	start, quote := literalStart(s.buf[:i])
	at := s.base + int64(start)
	measured := newEscapeReader(bufio.NewReaderSize(bytes.NewReader(s.buf[start:s.n]), sampleBytes), quote)
	if _, err := io.Copy(io.Discard, measured); err != nil {
		return 0, err //nolint:wrapcheck // as the interface demands
	}
	cut := !measured.closed && !s.end
	if cut && s.wait(escapeSearch, i) {
		return -1, nil
	}
	end, shown, err := s.decoded("escapes", start, measured.passed, cut, func(b *bufio.Reader) io.Reader { return newEscapeReader(b, quote) })
	if shown {
		s.taken = max(s.taken, end)
	}
	return max(end, at+int64(i-start)+1), err
}

// decoded offers what decode makes of the length bytes of text at from in the window, of which cut says that they are not
// all. It returns the offset behind them, and whether something was shown.
func (s *scanner) decoded(name string, from int, length int64, cut bool, decode func(*bufio.Reader) io.Reader) (int64, bool, error) {
	if err := s.in.Spend(length); err != nil {
		return 0, false, err //nolint:wrapcheck // as the interface demands
	}
	part := &coded{s: s, from: from, decode: decode}
	at := s.base + int64(from)
	shown, err := s.offerStream(at, name, length, cut, part)
	if err != nil {
		return 0, false, err
	}
	if shown {
		end, err := part.close()
		return end, true, err
	}
	err = part.done()
	return max(at+length, s.base), false, err
}

// after is where in the window a search goes on that found something at i and is through with the text up to the offset end.
// was is the offset at which the window began before.
func (s *scanner) after(i int, end, was int64) int {
	return int(max(end, was+int64(i)+1, s.base) - s.base)
}

// offerStream offers what a part decodes to, of about length bytes of text, forwards and, where the text says so, backwards.
func (s *scanner) offerStream(at int64, name string, length int64, cut bool, part *coded) (bool, error) {
	var room [sampleBytes]byte
	n, err := part.begin(room[:])
	if err != nil {
		return false, err
	}
	var readings []attempt
	if _, ok := plainForm(room[:n]); ok || !isForeign(room[:n]) {
		readings = append(readings, attempt{name: name, head: room[:n], whole: n < len(room), open: part.open})
	}
	if s.words&reverses != 0 && !cut {
		all, err := io.ReadAll(part.open())
		if err != nil {
			return false, err //nolint:wrapcheck // as the interface demands
		}
		slices.Reverse(all)
		if _, ok := plainForm(all[:min(len(all), sampleBytes)]); ok || scriptPairs.count(all) > 1 {
			readings = slices.Insert(readings, 0, literal("reversed+"+name, all))
		}
	}
	shown, err := s.offer(at, readings)
	if !shown && err == nil && length >= longRun && n >= minMasked && varied(room[:64]) && !isKey(room[:n]) {
		if s.darkBytes += length; s.dark < 0 {
			s.dark = at
		}
	}
	return shown, err
}

// isForeign reports whether text is mostly of characters that no program is written in: a table of them, or a language.
func isForeign(text []byte) bool {
	foreign, broken := 0, 0
	for rest := text; len(rest) > 0; {
		c, size := utf8.DecodeRune(rest)
		switch {
		case c == utf8.RuneError && size == 1:
			broken++ // a few may be cut off
		case c >= utf8.RuneSelf:
			foreign += size
		}
		rest = rest[size:]
	}
	return foreign > len(text)/2 && broken < utf8.UTFMax
}

// literalStart finds where the literal begins that b ends in, and its quote; without one it begins at the end of b.
func literalStart(b []byte) (int, byte) {
	for i := len(b) - 1; i >= max(0, len(b)-contextBytes) && b[i] != '\n'; i-- {
		if isQuote(b[i]) && (i == 0 || b[i-1] != '\\') {
			return i + 1, b[i]
		}
	}
	return len(b), 0
}

// escapeReader decodes a string literal up to its quote, and those that are joined with it.
type escapeReader struct {
	r      *bufio.Reader
	quote  byte
	passed int64
	closed bool
	out    []byte
	room   [utf8.UTFMax]byte
}

func newEscapeReader(r *bufio.Reader, quote byte) *escapeReader {
	return &escapeReader{r: r, quote: quote}
}

func (e *escapeReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(e.out) == 0 {
			if err := e.next(); err != nil {
				if n > 0 && err == io.EOF { //nolint:errorlint // met again
					return n, nil
				}
				return n, err
			}
		}
		k := copy(p[n:], e.out)
		e.out = e.out[k:]
		n += k
	}
	return n, nil
}

// next decodes one character or escape into out.
func (e *escapeReader) next() error {
	if e.closed {
		return io.EOF
	}
	c, err := e.r.ReadByte()
	if err != nil {
		return err //nolint:wrapcheck // a reader passes on errors as they are
	}
	switch {
	case c == '\\':
		return e.unescape()
	case c == e.quote && e.quote != 0:
		_ = e.r.UnreadByte() // it was just read
		b, err := e.r.Peek(maxJoiner)
		if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
			return err //nolint:wrapcheck // a reader passes on errors as they are
		}
		k := nextLiteral(b)
		if e.closed = k == 0; e.closed {
			return io.EOF
		}
		e.quote = b[k-1]
		_, _ = e.r.Discard(k) // it was peeked at
		e.passed += int64(k)
		return nil
	case e.quote == 0 && (isSpace(c) || isQuote(c) || c == ';' || c == '|' || c == ')'):
		e.closed = true
		return io.EOF
	}
	e.passed++
	e.room[0] = c
	e.out = e.room[:1]
	return nil
}

func (e *escapeReader) unescape() error {
	_ = e.r.UnreadByte() // it was just read
	b, err := e.r.Peek(maxEscape)
	if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
		return err //nolint:wrapcheck // a reader passes on errors as they are
	}
	value, size := escape(b)
	switch {
	case value < 0: // the end of a line, which means nothing
	case value < 256:
		e.room[0] = byte(value)
		e.out = e.room[:1]
	default:
		e.out = utf8.AppendRune(e.room[:0], value)
	}
	_, _ = e.r.Discard(size) // it was peeked at
	e.passed += int64(size)
	return nil
}

// escape decodes the escape that b begins with, and returns its length; the value is -1 if it stands for nothing.
func escape(b []byte) (value rune, size int) {
	if len(b) < 2 {
		return '\\', len(b)
	}
	if b[1] == '\\' && len(b) > 2 && bytes.IndexByte([]byte("xXu01234567"), b[2]) >= 0 { // as a shell's word needs it
		if value, size := escape(b[1:]); size > 2 {
			return value, size + 1
		}
	}
	digits := 0
	switch b[1] {
	case 'x', 'X':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return octal(b)
	case 'n':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'r':
		return '\r', 2
	case 'a', 'b', 'f', 'v':
		return rune("\a\b\f\v"[bytes.IndexByte([]byte("abfv"), b[1])]), 2
	case 'e':
		return 0x1b, 2
	case '\n':
		return -1, 2
	default:
		return rune(b[1]), 2
	}
	value, size = 0, 2
	for size < len(b) && size < 2+digits && hexValues[b[size]] >= 0 {
		value = value<<4 | rune(hexValues[b[size]])
		size++
	}
	if size == 2 {
		return rune(b[1]), 2
	}
	if value > utf8.MaxRune {
		value = utf8.RuneError
	}
	return value, size
}

// octal reads up to three digits, or four where the first is 0, as a shell's echo does.
func octal(b []byte) (rune, int) {
	value, size, most := rune(0), 1, 4
	if b[1] == '0' {
		most = 5
	}
	for size < len(b) && size < most && b[size] >= '0' && b[size] <= '7' {
		value = value<<3 | rune(b[size]-'0')
		size++
	}
	return value & 0xff, size
}
