package encoded

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"slices"

	"github.com/safepull/safepull/trust"
)

const (
	// aloneRun is the length of a run of one alphabet's characters that is worth a look by itself; in a program that
	// decodes something, minRun is, and shortRun if it is joined with others to minJoined.
	aloneRun  = 40
	minRun    = 20
	shortRun  = 4
	minJoined = 24
	// maxJoiner bounds what may stand between two parts of a run.
	maxJoiner = 128
	// longRun characters that decode to nothing known, where something decoded is run, are opaque: 1 KiB decoded.
	longRun = 1366
	// longForReverse is the length of a run that is read backwards too. Shorter ones read as something by chance, and are
	// read so only if the text says that it turns something around.
	longForReverse = 64
)

// wordBytes are the characters of all alphabets whose characters stand for bits.
var wordBytes = func() (t [256]bool) {
	for c, v := range base64Values {
		t[c] = v >= 0
	}
	return t
}()

// runs looks at every run of the alphabets' characters that is long enough.
func (s *scanner) runs() error {
	i, ok := s.from(runSearch)
	if !ok {
		return nil
	}
	stride := aloneRun
	switch s.kind {
	case trust.KindText:
		stride = longForReverse
	case trust.KindConfig:
		stride = minRun
	}
	if s.words&decodes != 0 {
		stride = shortRun
	}
	for i+stride <= s.n {
		probe := i + stride - 1
		if !wordBytes[s.buf[probe]] {
			i = probe + 1
			continue
		}
		from, to := probe, probe+1
		for from > i && wordBytes[s.buf[from-1]] {
			from--
		}
		for to < s.n && wordBytes[s.buf[to]] {
			to++
		}
		switch {
		case s.base+int64(from) < s.taken, to < s.n && (to-from < stride || to-from < minRun && (s.base+int64(from) < s.group.to || !s.quoted(from, to))):
			i = to
			continue
		case to+maxJoiner > s.n && s.wait(runSearch, from):
			return nil
		}
		end, err := s.run1(from, to)
		if err != nil || end < 0 {
			return err
		}
		if s.next[runSearch] = end; end >= s.base+int64(s.n) {
			return nil
		}
		i = int(end - s.base)
	}
	s.next[runSearch] = s.base + int64(i)
	if !s.end {
		s.next[runSearch] = s.base + int64(min(i, s.n)) // a run may have begun in the last bytes
	}
	return nil
}

// quoted reports whether a short run stands alone between quotes, as parts of a string do that is put together.
func (s *scanner) quoted(from, to int) bool {
	return from > 0 && to < s.n && isQuote(s.buf[from-1]) && isQuote(s.buf[to])
}

// run1 looks at the run whose first part is from:to and returns the offset to go on at, -1 to wait for more of the text.
func (s *scanner) run1(from, to int) (int64, error) {
	at := s.base + int64(from)
	first := at >= s.group.to // not a later part of a run that made no sense from its beginning
	if first {
		end, cut := s.measure(from)
		if cut && s.wait(runSearch, from) {
			return -1, nil
		}
		s.group, s.cut = span{at, end}, cut
	}
	next := s.base + int64(to)
	if n := s.glance(from, to, first); n < minRun || n < minJoined && to-from < minRun {
		return next, s.in.Spend(glanceCost) //nolint:wrapcheck // as the interface demands
	}
	run := &coded{s: s, from: from, decode: func(b *bufio.Reader) io.Reader { return &joined{r: b} }}
	shown, err := s.look(at, first, run)
	switch {
	case err != nil:
		return 0, err
	case shown:
		return run.close()
	}
	err = run.done()
	return max(next, s.base), err
}

// look decodes the run that begins at the offset at in every way, and shows what makes sense.
func (s *scanner) look(at int64, first bool, run *coded) (bool, error) {
	var room [sampleBytes]byte
	n, err := run.begin(room[:])
	if err != nil {
		return false, err
	}
	readings := codings(room[:n], run.open, s.group.to-at)
	if first && s.mayReverse(s.group.to-at) {
		back, err := s.backwards(room[:n], run.open)
		if err != nil {
			return false, err
		}
		readings = append(readings, back...)
	}
	shown, err := s.offer(at, readings)
	if !shown && first {
		s.noteDark(at, room[:n])
	}
	return shown, err
}

// measure finds the end of the run that begins at i of the window, and whether the window cuts it.
func (s *scanner) measure(i int) (end int64, cut bool) {
	for {
		for i < s.n && wordBytes[s.buf[i]] {
			i++
		}
		if i+maxJoiner > s.n && !s.end {
			return s.base + int64(s.n), true
		}
		next := joiner(s.buf[i:min(s.n, i+maxJoiner)])
		if next == 0 {
			return s.base + int64(i), false
		}
		i += next
	}
}

// joined reads the parts of a run that begins where r does, and ends where the run does.
type joined struct {
	r      *bufio.Reader
	passed int64 // bytes of the text so far
}

func (j *joined) Read(p []byte) (int, error) {
	for {
		b, err := j.r.Peek(max(1, j.r.Buffered()))
		if len(b) == 0 {
			return 0, err //nolint:wrapcheck // a reader passes on errors as they are
		}
		n := 0
		for n < min(len(b), len(p)) && wordBytes[b[n]] {
			p[n] = b[n]
			n++
		}
		if n > 0 {
			j.skip(n)
			return n, nil
		}
		b, err = j.r.Peek(maxJoiner)
		if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
			return 0, err //nolint:wrapcheck // a reader passes on errors as they are
		}
		next := joiner(b)
		if next == 0 {
			return 0, io.EOF
		}
		j.skip(next)
	}
}

func (j *joined) skip(n int) {
	_, _ = j.r.Discard(n) // they were peeked at
	j.passed += int64(n)
}

// joiner is the length of what may stand between two parts of one run, 0 if the run ends here: a line break with
// indentation, an escaped one, or the end of one string literal and the beginning of the next.
func joiner(b []byte) int {
	i := 0
	switch {
	case len(b) < 2:
		return 0
	case isQuote(b[0]):
		i = nextLiteral(b)
	case b[0] == '\\' && b[1] == 'n':
		i = 2
	case b[0] == '\\' && b[1] == 'r' && len(b) > 3 && b[2] == '\\' && b[3] == 'n':
		i = 4
	default:
		if b[0] == '\\' {
			i = 1
		}
		breaks := false
		for ; i < len(b) && isSpace(b[i]); i++ {
			breaks = breaks || b[i] == '\n' || b[i] == '\r'
		}
		for breaks && i < len(b) && (b[i] == '#' || b[i] == '*' || b[i] == ' ') { // a block of comments
			i++
		}
		if !breaks {
			return 0
		}
	}
	if i > 0 && i < len(b) && wordBytes[b[i]] {
		return i
	}
	return 0
}

// nextLiteral is the length of a quote, an operator or so, and the quote that begins the next literal; 0 if there is none.
func nextLiteral(b []byte) int {
	i := 1
	for i < len(b) && bytes.IndexByte([]byte(" \t\r\n+.,&\\()"), b[i]) >= 0 {
		i++
	}
	if i < len(b) && bytes.IndexByte([]byte("brufBRUF@$"), b[i]) >= 0 { // b"…", r'…'
		i++
	}
	if i >= len(b) || !isQuote(b[i]) {
		return 0
	}
	return i + 1
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// codings are the readings of a run that begins like sample, the most special alphabet first.
func codings(sample []byte, open func() io.Reader, length int64) []attempt {
	var out []attempt
	for _, c := range fitting(sample) {
		for skip := range min(c.alignments, len(sample)) {
			head := c.decode(sample[skip:])
			out = append(out, attempt{
				name: c.name, head: head, whole: length <= int64(len(sample)),
				open: func() io.Reader { return c.reader(skipped(open(), skip)) },
			})
		}
	}
	return out
}

func skipped(r io.Reader, n int) io.Reader {
	_, _ = io.CopyN(io.Discard, r, int64(n)) // an error is met again by who reads on
	return r
}

// fitting are the alphabets that a run may be of.
func fitting(sample []byte) []coding {
	base64, base32, hex := alphabets()
	switch {
	case only(sample, hex):
		return []coding{hex, base64}
	case only(sample, base32):
		return []coding{base32, base64}
	}
	return []coding{base64}
}

// only reports whether all of a run is of the alphabet.
func only(run []byte, c coding) bool {
	return !slices.ContainsFunc(run, func(ch byte) bool { return c.value[ch] < 0 })
}

// mayReverse reports whether a run of that length is read backwards too.
func (s *scanner) mayReverse(length int64) bool {
	return length >= longForReverse || length >= minJoined && s.words&reverses != 0
}

// backwards are the readings of the last group from its end.
func (s *scanner) backwards(sample []byte, run func() io.Reader) ([]attempt, error) {
	var whole func() io.Reader
	switch {
	case !s.cut:
		b, err := io.ReadAll(run())
		if err != nil {
			return nil, err //nolint:wrapcheck // as the interface demands
		}
		slices.Reverse(b)
		whole = func() io.Reader { return bytes.NewReader(b) }
	case s.spool != nil:
		// Too long to turn around in memory: what is no character of the alphabet is passed over.
		measured := &joined{r: bufio.NewReaderSize(io.NewSectionReader(s.spool, s.group.from, math.MaxInt64-s.group.from), 32<<10)}
		if _, err := io.Copy(io.Discard, measured); err != nil {
			return nil, err //nolint:wrapcheck // as the interface demands
		}
		if err := s.in.Spend(measured.passed); err != nil {
			return nil, err //nolint:wrapcheck // as the interface demands
		}
		whole = func() io.Reader {
			return &backReader{r: s.spool, from: s.group.from, at: s.group.from + measured.passed}
		}
	default:
		return nil, nil
	}
	var room [sampleBytes]byte
	n, err := readFull(whole(), room[:])
	if err != nil {
		return nil, err
	}
	var out []attempt
	for _, c := range fitting(sample) {
		out = append(out, attempt{
			name: c.name + "+reversed", head: c.decode(room[:n]), whole: n < sampleBytes,
			open: func() io.Reader { return c.reader(whole()) },
		})
		if s.words&reverses != 0 && !s.cut {
			out = append(out, c.turned(run)...)
		}
	}
	return out, nil
}

// turned is the reading in which the decoded bytes are turned around.
func (c coding) turned(run func() io.Reader) []attempt {
	b, err := io.ReadAll(c.reader(run()))
	if err != nil {
		return nil // it is met again by who reads on
	}
	slices.Reverse(b)
	return []attempt{literal("reversed+"+c.name, b)}
}

// literal is the reading of bytes that are decoded already.
func literal(name string, b []byte) attempt {
	return attempt{
		name: name, head: b[:min(len(b), sampleBytes)], whole: len(b) <= sampleBytes,
		open: func() io.Reader { return bytes.NewReader(b) },
	}
}

// backReader reads the bytes between two offsets from the last to the first, but those of no alphabet.
type backReader struct {
	r        io.ReaderAt
	from, at int64
	buf      [4 << 10]byte
	left     []byte
}

func (b *backReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(b.left) == 0 {
			k := min(b.at-b.from, int64(len(b.buf)))
			if k == 0 {
				break
			}
			if _, err := b.r.ReadAt(b.buf[:k], b.at-k); err != nil && err != io.EOF { //nolint:errorlint // the bare value
				return n, err //nolint:wrapcheck // a reader passes on errors as they are
			}
			b.at -= k
			b.left = b.buf[:k]
		}
		c := b.left[len(b.left)-1]
		b.left = b.left[:len(b.left)-1]
		if wordBytes[c] {
			p[n] = c
			n++
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// readFull is io.ReadFull without an error where r ends.
func readFull(r io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // only the bare values mean the end
		return n, nil
	}
	return n, err //nolint:wrapcheck // as the interface demands
}

// noteDark remembers a long run that decodes to nothing known and is no key or certificate.
func (s *scanner) noteDark(at int64, sample []byte) {
	length := s.group.to - s.group.from
	if length < longRun {
		return
	}
	head := fitting(sample)[0].decode(sample)
	if mixed(sample) && !isKey(head) && varied(head[:min(64, len(head))]) {
		if s.darkBytes += length; s.dark < 0 {
			s.dark = at
		}
	}
}
