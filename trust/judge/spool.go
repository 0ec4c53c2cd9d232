package judge

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/rootfs"
)

const (
	// maxPlaces bounds where a part that is cut out at an unknown place may begin: each is inspected.
	maxPlaces = 24
	// maxMarkLine bounds a line that may be a mark, in bytes.
	maxMarkLine = 64
	// maxCutLine bounds a line that a mark is looked for in, in bytes: memory.
	maxCutLine = 64 << 10
)

// spool holds the content of some files, one after another.
type spool struct {
	limit int64
	parts map[*rootfs.File]part
	file  *os.File
	size  int64
}

type part struct{ at, size int64 }

// take adds the content of a file; of several of one path the last one counts.
func (s *spool) take(f *rootfs.File, r io.Reader) error {
	if s.file == nil {
		made, err := os.CreateTemp("", "safepull-*")
		if err != nil {
			return err
		}
		s.file = made
		_ = os.Remove(made.Name()) // where the system allows it: nothing is left behind, whatever happens
	}
	p, err := s.store(r)
	s.parts[f] = p
	return err
}

// content is where the content of a file is.
func (s *spool) content(f *rootfs.File) (part, error) {
	p, ok := s.parts[f]
	if !ok && f.Size > 0 {
		return part{}, fmt.Errorf("%w: %q was not read", trust.ErrMalformed, trust.Sanitise(f.Path, 200))
	}
	return p, nil
}

func (s *spool) reader(parts ...part) io.Reader {
	var readers []io.Reader
	for _, p := range parts {
		if p.size > 0 {
			readers = append(readers, io.NewSectionReader(s.file, p.at, p.size))
		}
	}
	return io.MultiReader(readers...)
}

// joined is one thing that a join may make.
type joined struct {
	parts []part
	// cut is the offset in the only part, -1 if there are several or all of it is taken.
	cut int64
}

func (j joined) size() (n int64) {
	for _, p := range j.parts {
		n += p.size
	}
	return n
}

// join is what a join makes, in as many ways as there are places that it may begin at.
func (s *spool) join(j closure.Join) ([]joined, error) {
	ways := []joined{{cut: -1}}
	for _, f := range j.Parts {
		whole, err := s.content(f.File)
		if err != nil {
			return nil, err
		}
		cuts, err := s.steps([]part{whole}, f.Steps)
		if err != nil {
			return nil, err
		}
		var next []joined
		for _, w := range ways {
			for _, c := range cuts {
				made := joined{parts: append(w.parts[:len(w.parts):len(w.parts)], c), cut: -1}
				if len(j.Parts) == 1 && c != whole && c.at >= whole.at && c.at <= whole.at+whole.size {
					made.cut = c.at - whole.at
				}
				next = append(next, made)
			}
		}
		if ways = next; len(ways) > maxPlaces {
			return nil, fmt.Errorf("%w: scripts cut files at more than %d places that are not known", trust.ErrLimit, maxPlaces)
		}
	}
	if len(j.Steps) == 0 {
		return ways, nil
	}
	var out []joined
	for _, w := range ways {
		one, err := s.store(s.reader(w.parts...))
		if err != nil {
			return nil, err
		}
		cuts, err := s.steps([]part{one}, j.Steps)
		if err != nil {
			return nil, err
		}
		for _, c := range cuts {
			out = append(out, joined{parts: []part{c}, cut: -1})
		}
	}
	return out, nil
}

// store adds content behind the others.
func (s *spool) store(r io.Reader) (part, error) {
	p := part{at: s.size}
	n, err := io.Copy(s.file, io.LimitReader(r, s.limit-s.size+1))
	p.size = n
	if s.size += n; err == nil && s.size > s.limit {
		err = fmt.Errorf("%w: scripts join or open files of more than %d bytes", trust.ErrLimit, s.limit)
	}
	return p, err
}

// steps are what the steps leave of each of parts.
func (s *spool) steps(parts []part, steps []closure.Step) ([]part, error) {
	for _, step := range steps {
		var next []part
		for _, p := range parts {
			made, err := s.step(p, step)
			if err != nil {
				return nil, err
			}
			next = append(next, made...)
		}
		if parts = next; len(parts) > maxPlaces {
			return nil, fmt.Errorf("%w: a file is cut at more than %d places that are not known", trust.ErrLimit, maxPlaces)
		}
	}
	return parts, nil
}

func (s *spool) step(p part, step closure.Step) ([]part, error) {
	from := func(n int64) []part { n = min(max(n, 0), p.size); return []part{{p.at + n, p.size - n}} }
	to := func(n int64) []part { return []part{{p.at, min(max(n, 0), p.size)}} }
	switch step.Op {
	case closure.Decode:
		made, err := s.store(&lenient{r: base64.NewDecoder(base64.StdEncoding, s.reader(p))})
		return []part{made}, err
	case closure.Translate:
		made, err := s.store(&translated{r: s.reader(p), table: step.Text})
		return []part{made}, err
	case closure.Xor:
		made, err := s.store(&combined{r: s.reader(p), key: step.Text})
		return []part{made}, err
	case closure.Skip:
		return from(step.N), nil
	case closure.First:
		if step.N < 0 {
			return to(p.size + step.N), nil
		}
		return to(step.N), nil
	case closure.Last:
		return from(p.size - step.N), nil
	case closure.SkipLines, closure.FirstLines, closure.LastLines:
		return s.lines(p, step, from, to)
	case closure.Behind:
		at, err := s.behind(p, step.Text)
		return from(at), err
	case closure.Search:
		places, err := s.places(p)
		if err != nil {
			return nil, err
		}
		var made []part
		for _, at := range places {
			made = append(made, from(at)...)
		}
		return made, nil
	}
	return nil, fmt.Errorf("%w: step %q", trust.ErrUnsupported, step.Op)
}

// lines cuts at line ends. Lines are counted from the beginning, where that is needed twice: once for their number.
func (s *spool) lines(p part, step closure.Step, from, to func(int64) []part) ([]part, error) {
	n := step.N
	if step.Op == closure.LastLines || n < 0 {
		_, all, err := s.line(p, -1)
		if err != nil {
			return nil, err
		}
		if step.Op == closure.LastLines {
			n = -n
		}
		n = max(all+n, 0)
	}
	at, _, err := s.line(p, n)
	if step.Op == closure.FirstLines {
		return to(at), err
	}
	return from(at), err
}

// line is where the line of a number begins, the first one being 0, or the end, and how many lines stand before.
func (s *spool) line(p part, number int64) (at, lines int64, err error) {
	r := s.reader(p)
	buf := make([]byte, 64<<10)
	for lines != number {
		n, err := r.Read(buf)
		for i := 0; i < n; {
			j := bytes.IndexByte(buf[i:n], '\n')
			if j < 0 {
				at += int64(n - i)
				break
			}
			i, at = i+j+1, at+int64(j)+1
			if lines++; lines == number {
				return at, lines, nil
			}
		}
		if err == io.EOF { //nolint:errorlint // readers of sections return the bare value
			return at, lines, nil
		}
		if err != nil {
			return at, lines, err
		}
	}
	return at, lines, nil
}

// behind is where the line after the first one that fits begins, or the end.
func (s *spool) behind(p part, mark string) (int64, error) {
	fits, err := regexp.Compile(mark)
	if err != nil {
		return 0, fmt.Errorf("%w: mark: %w", trust.ErrUnsupported, err)
	}
	at, found := int64(0), false
	err = s.eachLine(p, func(line []byte, next int64) bool {
		at, found = next, fits.Match(line)
		return !found
	})
	if !found {
		at = p.size
	}
	return at, err
}

// eachLine calls f with each line, without its end, and where the next one begins, until f returns false. Of a line that
// is longer than maxCutLine its parts count as lines.
func (s *spool) eachLine(p part, f func(line []byte, next int64) bool) error {
	r := bufio.NewReaderSize(s.reader(p), maxCutLine)
	next := int64(0)
	for {
		line, err := r.ReadSlice('\n')
		if next += int64(len(line)); len(line) > 0 && !f(bytes.TrimRight(line, "\r\n"), next) {
			return nil
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// places are where a part may begin that is cut out at an unknown place: packed content, programs and scripts, and what
// follows a line that looks like a mark. The beginning is none: what stands there is inspected as it is.
func (s *spool) places(p part) ([]int64, error) {
	var out []int64
	add := func(at int64) error {
		if at == 0 || at >= p.size || slices.Contains(out, at) {
			return nil
		}
		if out = append(out, at); len(out) > maxPlaces {
			return fmt.Errorf("%w: a file is cut at an unknown place, and may be at more than %d", trust.ErrLimit, maxPlaces)
		}
		return nil
	}
	var full error
	if err := s.eachLine(p, func(line []byte, next int64) bool {
		if isMark(line) {
			full = add(next)
		}
		return full == nil
	}); err != nil || full != nil {
		return nil, cmp.Or(err, full)
	}
	const ahead = 512
	r := bufio.NewReaderSize(s.reader(p), maxCutLine)
	for at := int64(0); ; {
		b, err := r.Peek(maxCutLine)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		n := len(b)
		if n == maxCutLine {
			n -= ahead
		}
		for i := range n {
			if starts(b[i:], i > 0 && b[i-1] == '\n') {
				if err := add(at + int64(i)); err != nil {
					return nil, err
				}
			}
		}
		at += int64(n)
		if _, _ = r.Discard(n); len(b) < maxCutLine { // it was peeked at
			slices.Sort(out)
			return out, nil
		}
	}
}

// isMark reports whether a line says "what follows is something else" rather than anything of its own: __ARCHIVE__,
// #---PAYLOAD---, EOF_MARKER.
func isMark(line []byte) bool {
	if len(line) < 5 || len(line) > maxMarkLine {
		return false
	}
	letters, marks := 0, 0
	for _, c := range line {
		switch {
		case c >= 'A' && c <= 'Z':
			letters++
		case strings.IndexByte("_-=#:@", c) >= 0:
			marks++
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == ' ':
		default:
			return false
		}
	}
	return letters >= 3 && marks >= 2
}

// starts reports whether packed content, a program or, at the beginning of a line, a script stands there.
func starts(b []byte, line bool) bool {
	if len(b) < 8 {
		return false
	}
	switch b[0] {
	case 0x1f:
		return b[1] == 0x8b && b[2] == 8 && b[3]&0xe0 == 0
	case 0x7f:
		return bytes.HasPrefix(b, []byte("\x7fELF")) && (b[4] == 1 || b[4] == 2) && (b[5] == 1 || b[5] == 2)
	case 0xfd:
		return bytes.HasPrefix(b, []byte("\xfd7zXZ\x00"))
	case 0x28:
		return bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd"))
	case 'B':
		return len(b) >= 10 && bytes.HasPrefix(b, []byte("BZh")) && bytes.Equal(b[4:10], []byte("1AY&SY"))
	case 'P':
		return bytes.HasPrefix(b, []byte("PK\x03\x04"))
	case '7':
		return bytes.HasPrefix(b, []byte("7z\xbc\xaf\x27\x1c"))
	case 'R':
		return bytes.HasPrefix(b, []byte("Rar!\x1a\x07"))
	case 'h':
		return bytes.HasPrefix(b, []byte("hsqs"))
	case '#':
		return line && bytes.HasPrefix(b, []byte("#!/"))
	}
	return len(b) >= 262 && bytes.Equal(b[257:262], []byte("ustar"))
}

// joinName is how a joined file is called in findings: "opt/a+opt/b"; a part of one file stands in it.
func joinName(j closure.Join, way joined) string {
	var b strings.Builder
	for i, p := range j.Parts {
		if i > 0 {
			b.WriteByte('+')
		}
		if b.Len()+len(p.File.Path) > 1024 {
			b.WriteString("…")
			break
		}
		b.WriteString(p.File.Path)
	}
	if way.cut >= 0 {
		fmt.Fprintf(&b, "%scut@%d", trust.Nested, way.cut)
	}
	return b.String()
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
}

// lenient ends where its reader does not understand its input, as programs that decode do: what came before counts.
type lenient struct{ r io.Reader }

func (l *lenient) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// translated changes bytes by the table of a closure.Translate.
type translated struct {
	r     io.Reader
	table string
}

func (t *translated) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if len(t.table) < 512 {
		return 0, fmt.Errorf("%w: a table of %d bytes", trust.ErrUnsupported, len(t.table))
	}
	kept := 0
	for _, c := range p[:n] {
		if t.table[256+int(c)] == 0 {
			p[kept] = t.table[c]
			kept++
		}
	}
	return kept, err
}

// combined undoes a closure.Xor.
type combined struct {
	r   io.Reader
	key string
	at  int // in the key
}

func (c *combined) Read(p []byte) (int, error) {
	if c.key == "" {
		return 0, fmt.Errorf("%w: no key", trust.ErrUnsupported)
	}
	n, err := c.r.Read(p)
	for i := range p[:n] {
		p[i] ^= c.key[c.at]
		c.at = (c.at + 1) % len(c.key)
	}
	return n, err
}
