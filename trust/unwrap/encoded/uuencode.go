package encoded

import (
	"bufio"
	"bytes"
	"io"
)

const (
	uuBegin = "begin "
	// uuHead bounds the line that a uuencoded file begins with: a mode and a name.
	uuHead = 300
	// uuLine is the longest line: a length of 63 and its characters.
	uuLine = 96
)

// uuencoded looks at every file that stands uuencoded in the text (POSIX, uuencode).
func (s *scanner) uuencoded() error {
	i, ok := s.from(uuSearch)
	if s.words&uuFiles == 0 {
		i = s.n
	}
	for ok && i < s.n {
		k := bytes.Index(s.buf[i:s.n], []byte(uuBegin))
		if k < 0 {
			i = max(i, s.n-len(uuBegin))
			break
		}
		at := i + k
		if at+uuHead+uuLine > s.n && s.wait(uuSearch, at) {
			return nil
		}
		i = at + len(uuBegin)
		line := bytes.IndexByte(s.buf[at:min(s.n, at+uuHead)], '\n')
		if line < 0 || at > 0 && s.buf[at-1] != '\n' || !isDigit(s.buf[min(i, s.n-1)]) {
			continue
		}
		from := at + line + 1
		u := &uuReader{r: bufio.NewReaderSize(bytes.NewReader(s.buf[from:s.n]), sampleBytes)}
		if _, err := io.Copy(io.Discard, u); err != nil {
			return err //nolint:wrapcheck // as the interface demands
		}
		cut := !u.ended && !s.end
		if cut && s.wait(uuSearch, at) {
			return nil
		}
		was := s.base
		end, _, err := s.decoded("uuencode", from, u.passed, cut, func(b *bufio.Reader) io.Reader { return &uuReader{r: b} })
		if err != nil {
			return err
		}
		if end >= s.base+int64(s.n) {
			s.next[uuSearch] = end
			return nil
		}
		i = s.after(at, end, was)
	}
	if ok {
		s.next[uuSearch] = s.base + int64(min(i, s.n))
	}
	return nil
}

// uuReader decodes lines up to one of no length.
type uuReader struct {
	r      *bufio.Reader
	passed int64
	ended  bool
	out    []byte
	room   [64]byte
}

func (u *uuReader) Read(p []byte) (int, error) {
	if len(u.out) == 0 {
		if u.ended {
			return 0, io.EOF
		}
		if err := u.line(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *uuReader) line() error {
	b, err := u.r.Peek(uuLine)
	if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
		return err //nolint:wrapcheck // a reader passes on errors as they are
	}
	size := bytes.IndexByte(b, '\n') + 1
	if size == 0 {
		size = len(b)
		u.ended = err == nil // a line that is too long; at the end of what is here there may be more
	}
	if size == 0 {
		return io.EOF
	}
	n, body := int(b[0]-' ')&63, bytes.TrimRight(b[1:size], "\r\n")
	if n == 0 || b[0] < ' ' || b[0] > '`' || len(body) < (n*4+2)/3 {
		u.ended = true
		return io.EOF
	}
	out := u.room[:0]
	for i := 0; i+1 < len(body); i += 4 {
		var group [4]byte
		for k := range group {
			if i+k < len(body) {
				group[k] = (body[i+k] - ' ') & 63
			}
		}
		out = append(out, group[0]<<2|group[1]>>4, group[1]<<4|group[2]>>2, group[2]<<6|group[3])
		if len(out) >= n {
			break
		}
	}
	u.out = out[:min(n, len(out))]
	_, _ = u.r.Discard(size) // it was peeked at
	u.passed += int64(size)
	return nil
}
