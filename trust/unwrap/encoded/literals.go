package encoded

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

// minLiteral is the length of a string literal that is worth decoding where the text names how.
const minLiteral = 12

// literals looks at what only makes sense because the text names how it is encoded: base85, turned around, rotated.
func (s *scanner) literals() error {
	i, ok := s.from(wordSearch)
	if !ok {
		return nil
	}
	if s.words&(base85s|reverses|rotates) == 0 {
		s.next[wordSearch] = s.base + int64(s.n)
		return nil
	}
	if s.words&rotates != 0 && s.kind != trust.KindText && !isRotated(s.within) {
		b := s.buf[i:s.n]
		if err := s.emit(fmt.Sprintf("%s@%d", rotated, s.base+int64(i)), rotReader{bytes.NewReader(b)}, nil); err != nil {
			return err
		}
	}
	for i < s.n {
		size := literalSize(s.buf[i:s.n])
		if i+size >= s.n && s.wait(wordSearch, i) {
			return nil
		}
		was := s.base
		end, err := s.literal(i, i+size)
		if err != nil {
			return err
		}
		if end >= s.base+int64(s.n) {
			s.next[wordSearch] = end
			return nil
		}
		i = s.after(i+size, end, was)
	}
	s.next[wordSearch] = s.base + int64(min(i, s.n))
	return nil
}

const rotated = "rot13"

// isRotated: what was rotated already is not rotated back, again and again.
func isRotated(name string) bool { return len(name) >= len(rotated) && name[:len(rotated)] == rotated }

// literalSize is the length of what stands before the next quote or line break.
func literalSize(b []byte) int {
	i := bytes.IndexAny(b, "\"'`\n")
	if i < 0 {
		return len(b)
	}
	return i
}

// literal looks at one string literal and returns the offset where it ends.
func (s *scanner) literal(from, to int) (int64, error) {
	at, end := s.base+int64(from), s.base+int64(to)
	b := s.buf[from:min(to, s.n)]
	if at < s.taken {
		return end, nil
	}
	if s.words&reverses != 0 && len(b) >= minLiteral {
		if n := reversedPairs.count(b); n > 1 && n > scriptPairs.count(b) {
			return end, s.emit(fmt.Sprintf("reversed@%d", at), bytes.NewReader(reversed(b)), nil)
		}
	}
	if s.words&base85s == 0 || from == 0 || !isQuote(s.buf[from-1]) {
		return end, nil
	}
	for _, a := range base85Alphabets {
		body := s.literalBody(from, to, a)
		if body == nil {
			continue
		}
		cut, quote := from+len(body) == s.n && !s.end, s.buf[from-1]
		part, shown, err := s.decoded(a.name, from, int64(len(body)), cut, func(b *bufio.Reader) io.Reader {
			return &base85Reader{r: b, base85: a, quote: quote}
		})
		if shown || err != nil {
			return part, err
		}
	}
	return end, nil
}

// literalBody is the literal in the alphabet that begins at from, nil if it has other characters. Quotes and line breaks
// are a part of it where the alphabet says so, up to the quote that the literal began with.
func (s *scanner) literalBody(from, to int, a *base85) []byte {
	quote := s.buf[from-1]
	end := from
	for end < s.n && (s.buf[end] != quote || s.buf[end-1] == '\\') {
		c := s.buf[end]
		if a.value[c] < 0 && !isSpace(c) && c != '\\' && c != '~' && c != 'z' {
			break
		}
		end++
	}
	if end < to || end-from < minLiteral {
		return nil
	}
	return s.buf[from:end]
}

// base85 is an alphabet in which five characters stand for four bytes.
type base85 struct {
	name  string
	value [256]int16
}

// base85Alphabets are that of git and Python, that of Adobe, and that of ZeroMQ.
var base85Alphabets = func() []*base85 {
	make85 := func(name, alphabet string) *base85 {
		a := &base85{name: name}
		for i := range a.value {
			a.value[i] = -1
		}
		for i, c := range []byte(alphabet) {
			a.value[c] = int16(i)
		}
		return a
	}
	ascii := make([]byte, 0, 85)
	for c := byte('!'); c <= 'u'; c++ {
		ascii = append(ascii, c)
	}
	letters := "abcdefghijklmnopqrstuvwxyz"
	upper := "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return []*base85{
		make85("base85", "0123456789"+upper+letters+"!#$%&()*+-;<=>?@^_`{|}~"),
		make85("ascii85", string(ascii)),
		make85("z85", "0123456789"+letters+upper+".-:+=^!/*?&<>()[]{}@%$#"),
	}
}()

// base85Reader decodes up to the first character that is neither of the alphabet nor white space. Adobe's brackets and
// its z for four zeros are known, and a backslash before another one or a quote is that of the literal.
type base85Reader struct {
	*base85
	r      *bufio.Reader
	quote  byte
	passed int64
	group  [5]int16
	have   int
	out    []byte
	room   [4]byte
	ended  bool
}

func (b *base85Reader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(b.out) == 0 {
			if b.ended {
				break
			}
			if err := b.next(); err != nil {
				return n, err
			}
			continue
		}
		k := copy(p[n:], b.out)
		b.out = b.out[k:]
		n += k
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (b *base85Reader) next() error {
	c, err := b.r.ReadByte()
	switch {
	case err == io.EOF || err == nil && c == b.quote: //nolint:errorlint // only the bare value means the end
		b.end()
		return nil
	case err != nil:
		return err //nolint:wrapcheck // a reader passes on errors as they are
	}
	adobe := b.name == "ascii85"
	if c == '\\' && adobe {
		if after, _ := b.r.Peek(1); len(after) == 1 && (after[0] == '\\' || isQuote(after[0])) {
			b.passed++
			c, _ = b.r.ReadByte() // it was peeked at
		}
	}
	switch {
	case adobe && b.passed == 0 && c == '<':
		if after, _ := b.r.Peek(1); string(after) == "~" {
			_, _ = b.r.Discard(1) // it was peeked at
			b.passed += 2
			return nil
		}
	case isSpace(c):
		b.passed++
		return nil
	case adobe && c == 'z' && b.have == 0:
		b.passed++
		b.room = [4]byte{}
		b.out = b.room[:]
		return nil
	}
	if b.value[c] < 0 {
		b.end()
		return nil
	}
	b.passed++
	b.group[b.have] = b.value[c]
	if b.have++; b.have == len(b.group) {
		b.flush()
	}
	return nil
}

// end decodes what is left.
func (b *base85Reader) end() {
	b.ended = true
	b.flush()
}

// flush decodes the group; a short one at the end is filled up with the highest digit.
func (b *base85Reader) flush() {
	if b.have < 2 {
		return
	}
	var v uint64
	for i := range b.group {
		digit := int16(84)
		if i < b.have {
			digit = b.group[i]
		}
		v = v*85 + uint64(digit)
	}
	b.room = [4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
	b.out = b.room[:b.have-1]
	b.have = 0
}

// rotReader rotates letters by 13.
type rotReader struct{ r io.Reader }

func (r rotReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	for i, c := range p[:n] {
		switch {
		case c >= 'a' && c <= 'z':
			p[i] = 'a' + (c-'a'+13)%26
		case c >= 'A' && c <= 'Z':
			p[i] = 'A' + (c-'A'+13)%26
		}
	}
	return n, err //nolint:wrapcheck // a reader passes on errors as they are
}
