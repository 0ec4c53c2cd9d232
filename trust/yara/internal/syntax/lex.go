package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// Pos is a place in a rule file; both count from 1, columns in bytes. The zero value is no place.
type Pos struct{ Line, Column int }

// Error is what is wrong or not supported, and where.
type Error struct {
	File string
	Pos
	What string
}

// Error is "file:line:column: what".
func (e *Error) Error() string { return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.What) }

type kind uint8

const (
	tokEnd kind = iota
	tokName
	tokWord // a keyword
	tokInt
	tokFloat
	tokText
	tokString // $name, also $ and $name*
	tokCount  // #name
	tokOffset // @name
	tokLength // !name
	tokMark   // punctuation and operators
	tokHex    // { … } with its braces cut off
	tokRegex  // /…/flags
)

type token struct {
	kind  kind
	pos   Pos
	text  string // name without its sigil, the mark itself, or unescaped text
	flags string // of a regular expression
	// at is where the text of a hex string or of a regular expression begins.
	at  Pos
	num int64
	f   float64
}

// words are the reserved words; none of them may name anything.
const words = " all and any ascii at base64 base64wide condition contains defined endswith entrypoint false filesize for" +
	" fullword global icontains iendswith iequals import in include int16 int16be int32 int32be int8 int8be istartswith" +
	" matches meta nocase none not of or private rule startswith strings them true uint16 uint16be uint32 uint32be uint8" +
	" uint8be wide xor "

func isWord(s string) bool { return strings.Contains(words, " "+s+" ") }

type lexer struct {
	file string
	src  string
	i    int
	line int
	bol  int // index of the line's first byte
}

func (l *lexer) pos() Pos { return Pos{l.line, l.i - l.bol + 1} }

func (l *lexer) errorf(at Pos, format string, args ...any) error {
	return &Error{File: l.file, Pos: at, What: fmt.Sprintf(format, args...)}
}

// newline is called when src[i-1] is a line feed.
func (l *lexer) newline() { l.line, l.bol = l.line+1, l.i }

// space skips white space and comments.
func (l *lexer) space() error {
	for l.i < len(l.src) {
		rest := l.src[l.i:]
		switch c := rest[0]; {
		case c == '\n':
			l.i++
			l.newline()
		case c == ' ' || c == '\t' || c == '\r':
			l.i++
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.i += n
		case strings.HasPrefix(rest, "/*"):
			at := l.pos()
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.errorf(at, "the comment has no end")
			}
			l.skip(n + 4)
		default:
			return nil
		}
	}
	return nil
}

// skip goes n bytes on, over line ends.
func (l *lexer) skip(n int) {
	for end := l.i + n; l.i < end; {
		l.i++
		if l.src[l.i-1] == '\n' {
			l.newline()
		}
	}
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// next is the next token, where neither a hex string nor a regular expression may stand.
func (l *lexer) next() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	t := token{pos: l.pos()}
	if l.i == len(l.src) {
		return t, nil
	}
	switch c := l.src[l.i]; {
	case letter(c):
		t.kind, t.text = tokName, l.name()
		if isWord(t.text) {
			t.kind = tokWord
		}
	case digit(c):
		return l.number(t)
	case c == '"':
		return l.quoted(t)
	case c == '$' || c == '#' || c == '@' || c == '!' && !strings.HasPrefix(l.src[l.i:], "!="):
		l.i++
		t.kind = map[byte]kind{'$': tokString, '#': tokCount, '@': tokOffset, '!': tokLength}[c]
		t.text = l.name()
		if c == '$' && l.i < len(l.src) && l.src[l.i] == '*' {
			l.i++
			t.text += "*"
		}
	default:
		return l.mark(t)
	}
	if len(t.text) > maxName {
		return t, l.errorf(t.pos, "the name is longer than %d bytes", maxName)
	}
	return t, nil
}

func (l *lexer) name() string {
	from := l.i
	for l.i < len(l.src) && (letter(l.src[l.i]) || digit(l.src[l.i])) {
		l.i++
	}
	return l.src[from:l.i]
}

func (l *lexer) mark(t token) (token, error) {
	for _, m := range []string{"==", "!=", "<=", ">=", "<<", ">>", ".."} {
		if strings.HasPrefix(l.src[l.i:], m) {
			l.i += 2
			t.kind, t.text = tokMark, m
			return t, nil
		}
	}
	c := l.src[l.i]
	if !strings.ContainsRune("{}()[]:=,<>+-*\\%&|^~.", rune(c)) {
		return t, l.errorf(t.pos, "unexpected character %q", rune(c))
	}
	l.i++
	t.kind, t.text = tokMark, string(c)
	return t, nil
}

func (l *lexer) number(t token) (token, error) {
	from := l.i
	text := l.name() // digits and letters
	if l.i+1 < len(l.src) && l.src[l.i] == '.' && digit(l.src[l.i+1]) {
		l.i++
		l.name()
		text = l.src[from:l.i]
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || strings.ContainsAny(text, "xXeEpP_") {
			return t, l.errorf(t.pos, "%q is no number", text)
		}
		t.kind, t.f = tokFloat, f
		return t, nil
	}
	digits, unit := text, int64(1)
	if d, ok := strings.CutSuffix(text, "KB"); ok {
		digits, unit = d, 1<<10
	} else if d, ok := strings.CutSuffix(text, "MB"); ok {
		digits, unit = d, 1<<20
	}
	base, bare := 10, digits
	if d, ok := strings.CutPrefix(digits, "0x"); ok {
		base, bare = 16, d
	} else if d, ok := strings.CutPrefix(digits, "0o"); ok {
		base, bare = 8, d
	}
	n, err := strconv.ParseInt(bare, base, 64)
	if err != nil {
		return t, l.errorf(t.pos, "%q is no number below 2^63", text)
	}
	if n > (1<<63-1)/unit {
		return t, l.errorf(t.pos, "%q is no number below 2^63", text)
	}
	t.kind, t.num = tokInt, n*unit
	return t, nil
}

// quoted reads a text with its escapes.
func (l *lexer) quoted(t token) (token, error) {
	t.kind = tokText
	var b strings.Builder
	for l.i++; l.i < len(l.src); {
		c := l.src[l.i]
		switch c {
		case '"':
			l.i++
			t.text = b.String()
			return t, nil
		case '\n':
			return t, l.errorf(t.pos, "the text has no end on its line")
		case '\\':
			c, err := l.escape()
			if err != nil {
				return t, err
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
			l.i++
		}
		if b.Len() > maxText {
			return t, l.errorf(t.pos, "the text is longer than %d bytes", maxText)
		}
	}
	return t, l.errorf(t.pos, "the text has no end on its line")
}

func (l *lexer) escape() (byte, error) {
	at := l.pos()
	rest := l.src[l.i+1:]
	if rest != "" {
		if n := strings.IndexByte(`\"tnr`, rest[0]); n >= 0 {
			l.i += 2
			return "\\\"\t\n\r"[n], nil
		}
	}
	if len(rest) >= 3 && rest[0] == 'x' {
		if n, err := strconv.ParseUint(rest[1:3], 16, 8); err == nil {
			l.i += 4
			return byte(n), nil
		}
	}
	return 0, l.errorf(at, `unknown escape: use \\ \" \t \n \r or \xNN`)
}

// value is the next token where a hex string or a regular expression may stand.
func (l *lexer) value() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	t := token{pos: l.pos()}
	switch rest := l.src[l.i:]; {
	case strings.HasPrefix(rest, "{"):
		n := hexEnd(rest)
		if n < 0 {
			return t, l.errorf(t.pos, "the hex string has no end")
		}
		l.i++
		t.kind, t.at, t.text = tokHex, l.pos(), rest[1:n]
		if len(t.text) > maxSource {
			return t, l.errorf(t.pos, "the hex string is longer than %d bytes of text", maxSource)
		}
		l.skip(n)
		return t, nil
	case strings.HasPrefix(rest, "/"):
		return l.regex(t)
	}
	return l.next()
}

// hexEnd is the index of the brace that ends a hex string, over comments, or -1.
func hexEnd(s string) int {
	for i := 0; i < len(s); i++ {
		switch rest := s[i:]; {
		case rest[0] == '}':
			return i
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				return -1
			}
			i += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return -1
			}
			i += n + 3
		}
	}
	return -1
}

func (l *lexer) regex(t token) (token, error) {
	rest := l.src[l.i+1:]
	end := -1
	for i := 0; i < len(rest) && rest[i] != '\n' && end < 0; i++ {
		switch rest[i] {
		case '\\':
			if !strings.HasPrefix(rest[i+1:], "\n") { // which ends the line even so
				i++
			}
		case '/':
			end = i
		}
	}
	if end < 0 {
		return t, l.errorf(t.pos, "the regular expression has no end on its line")
	}
	if end > maxSource {
		return t, l.errorf(t.pos, "the regular expression is longer than %d bytes", maxSource)
	}
	l.i++
	t.kind, t.at, t.text = tokRegex, l.pos(), rest[:end]
	l.i += end + 1
	from := l.i
	for l.i < len(l.src) && (l.src[l.i] == 'i' || l.src[l.i] == 's') {
		l.i++
	}
	t.flags = l.src[from:l.i]
	return t, nil
}
