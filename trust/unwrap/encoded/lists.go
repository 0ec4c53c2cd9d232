package encoded

import (
	"bufio"
	"bytes"
	"io"
)

const (
	// minItems is how many numbers a list has that is worth a look.
	minItems = 16
	// maxItem bounds one number of a list and what stands before it.
	maxItem = 64
)

// lists looks at lists of small numbers: 0x7f, 0x45, … anywhere, and 127, 69, … in programs that make bytes of such.
func (s *scanner) lists() error {
	i, ok := s.from(listSearch)
	if s.words&(numbers|hexNumbers) == 0 {
		i = s.n
	}
	for ok && i < s.n {
		at, decimal := s.nextList(i)
		if at < 0 {
			i = max(i, s.n-1)
			break
		}
		if at+minItems*maxItem > s.n && s.wait(listSearch, at) {
			return nil
		}
		was := s.base
		end, err := s.list(at, decimal)
		if err != nil || end < 0 {
			return err
		}
		if end >= s.base+int64(s.n) {
			s.next[listSearch] = end
			return nil
		}
		i = s.after(at, end, was)
	}
	if ok {
		s.next[listSearch] = s.base + int64(min(i, s.n))
	}
	return nil
}

// nextList finds the next place at which a list may begin, -1 if there is none.
func (s *scanner) nextList(i int) (at int, decimal bool) {
	b := s.buf[i:s.n]
	at = -1
	if s.words&hexNumbers != 0 {
		at = bytes.Index(b, []byte("0x"))
	}
	if s.words&numbers != 0 {
		stop := len(b)
		if at >= 0 {
			stop = at
		}
		for k := 0; k+1 < stop; k++ {
			if (b[k] == '(' || b[k] == '[' || b[k] == '{' || b[k] == ']') && isDigit(b[k+1]) {
				return i + k + 1, true
			}
		}
	}
	if at < 0 {
		return -1, false
	}
	return i + at, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// list looks at the list at i of the window and returns the offset to go on at, -1 to wait.
func (s *scanner) list(i int, decimal bool) (int64, error) {
	at := s.base + int64(i)
	l := listReader{r: bufio.NewReaderSize(bytes.NewReader(s.buf[i:s.n]), sampleBytes), decimal: decimal}
	n, err := readFull(&l, make([]byte, minItems))
	if err != nil {
		return 0, err
	}
	if n < minItems {
		return at + l.passed, nil
	}
	if _, err := io.Copy(io.Discard, &l); err != nil {
		return 0, err //nolint:wrapcheck // as the interface demands
	}
	cut := i+int(l.passed)+maxItem > s.n && !s.end
	if cut && s.wait(listSearch, i) {
		return -1, nil
	}
	end, _, err := s.decoded("numbers", i, l.passed, cut, func(b *bufio.Reader) io.Reader { return &listReader{r: b, decimal: decimal} })
	return end, err
}

// listReader makes bytes of numbers, up to the first that is none or too large.
type listReader struct {
	r       *bufio.Reader
	decimal bool
	passed  int64
}

func (l *listReader) Read(p []byte) (int, error) {
	for n := range p {
		b, err := l.r.Peek(maxItem)
		if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
			return n, err //nolint:wrapcheck // a reader passes on errors as they are
		}
		value, size := l.item(b)
		if size == 0 {
			if n > 0 {
				return n, nil
			}
			return 0, io.EOF
		}
		_, _ = l.r.Discard(size) // it was peeked at
		l.passed += int64(size)
		p[n] = value
	}
	return len(p), nil
}

// item reads one number with what stands before it; size is 0 if there is none.
func (l *listReader) item(b []byte) (value byte, size int) {
	i := 0
	if l.decimal {
		for i < len(b) && bytes.IndexByte([]byte(" \t\r\n,+.&()[]charCHRbyteSing"), b[i]) >= 0 {
			i++
		}
	} else {
		for i < len(b) && bytes.IndexByte([]byte(" \t\r\n,;|(){}[]byteu8"), b[i]) >= 0 {
			i++
		}
		if i+2 >= len(b) || b[i] != '0' || b[i+1] != 'x' && b[i+1] != 'X' {
			return 0, 0
		}
		i += 2
	}
	number, from := 0, i
	for i < len(b) && i < from+4 {
		switch v := int(hexValues[b[i]]); {
		case l.decimal && isDigit(b[i]):
			number = number*10 + int(b[i]-'0')
		case !l.decimal && v >= 0:
			number = number<<4 | v
		default:
			if i == from || number > 255 {
				return 0, 0
			}
			return byte(number), i
		}
		i++
	}
	if i == from || number > 255 {
		return 0, 0
	}
	return byte(number), i
}
