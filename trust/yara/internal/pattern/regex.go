package pattern

import (
	"strconv"
	"strings"

	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// regex reads YARA's dialect of regular expressions: bytes, no groups to remember, no look-around.
type regex struct {
	source
	fold, dotAll bool
	depth        int
	// greedy and lazy are set by quantifiers; YARA has no string with both.
	greedy, lazy bool
}

// source is text that is read byte by byte, with its place in the rule file.
type source struct {
	file string
	text string
	i    int
	pos  syntax.Pos
}

func (s *source) errorf(at int, format string, args ...any) error {
	line := strings.Count(s.text[:at], "\n")
	pos := syntax.Pos{Line: s.pos.Line + line, Column: s.pos.Column + at}
	if line > 0 {
		pos.Column = at - strings.LastIndexByte(s.text[:at], '\n')
	}
	return newError(s.file, pos, format, args...)
}

func (s *source) more() bool { return s.i < len(s.text) }

func (s *source) at(c byte) bool { return s.more() && s.text[s.i] == c }

func (s *source) accept(c byte) bool {
	if !s.at(c) {
		return false
	}
	s.i++
	return true
}

func (r *regex) parse() (*node, error) {
	n, err := r.alternatives()
	if err != nil {
		return nil, err
	}
	if r.more() {
		return nil, r.errorf(r.i, "a ) without its (")
	}
	if r.greedy && r.lazy {
		return nil, r.errorf(0, "greedy and lazy quantifiers in one regular expression are not supported")
	}
	return n, nil
}

func (r *regex) alternatives() (*node, error) {
	if r.depth++; r.depth > maxNesting+1 { // the whole is no group
		return nil, r.errorf(r.i, "groups nest deeper than %d", maxNesting)
	}
	defer func() { r.depth-- }()
	var all []*node
	for {
		n, err := r.sequence()
		if err != nil {
			return nil, err
		}
		all = append(all, n)
		if !r.accept('|') {
			break
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return &node{op: opAlt, subs: all}, nil
}

func (r *regex) sequence() (*node, error) {
	n := cat()
	for r.more() && !r.at('|') && !r.at(')') {
		from := r.i
		item, err := r.item()
		if err != nil {
			return nil, err
		}
		if item, err = r.quantified(item, from); err != nil {
			return nil, err
		}
		n.subs = append(n.subs, item)
	}
	return n, nil
}

func (r *regex) item() (*node, error) {
	at := r.i
	c := r.text[r.i]
	r.i++
	switch {
	case c == '(':
		if r.at('?') {
			return nil, r.errorf(at, "groups that begin with (? are not supported")
		}
		n, err := r.alternatives()
		if err != nil {
			return nil, err
		}
		if !r.accept(')') {
			return nil, r.errorf(at, "a ( without its )")
		}
		return n, nil
	case c == '[':
		return r.class(at)
	case c == '.':
		if r.dotAll {
			return bytesNode(anyByte()), nil
		}
		return bytesNode(one('\n').negated()), nil
	case c == '^':
		return &node{op: opAssert, place: fileStart}, nil
	case c == '$':
		return &node{op: opAssert, place: fileEnd}, nil
	case c == '*' || c == '+' || c == '?':
		return nil, r.errorf(at, "a %q that follows nothing to repeat", c)
	case c == '\\' && r.at('b'), c == '\\' && r.at('B'):
		r.i++
		where := wordEdge
		if r.text[r.i-1] == 'B' {
			where = noWordEdge
		}
		return &node{op: opAssert, place: where}, nil
	case c == '\\':
		s, err := r.escape(at)
		return bytesNode(r.folded(s)), err
	case c < ' ' || c > '~':
		return nil, r.notPrintable(at, c)
	}
	return bytesNode(r.folded(one(c))), nil
}

func (r *regex) folded(s set) set {
	if r.fold {
		return s.folded()
	}
	return s
}

// quantified reads the quantifier after an item that begins at from.
func (r *regex) quantified(item *node, from int) (*node, error) {
	if !r.more() {
		return item, nil
	}
	at := r.i
	low, high := 0, infinite
	switch r.text[r.i] {
	case '*':
		r.i++
	case '+':
		r.i++
		low = 1
	case '?':
		r.i++
		high = 1
	case '{':
		var ok bool
		var err error
		if low, high, ok, err = r.counts(); err != nil || !ok {
			return item, err
		}
	default:
		return item, nil
	}
	if item.op == opAssert {
		return nil, r.errorf(from, "a place cannot be repeated")
	}
	lazy := r.accept('?')
	if lazy {
		r.lazy = true
	} else {
		r.greedy = true
	}
	if r.at('*') || r.at('+') || r.at('?') {
		return nil, r.errorf(at, "two quantifiers follow each other")
	}
	if r.at('{') {
		if _, _, ok, err := r.counts(); ok || err != nil {
			return nil, r.errorf(at, "two quantifiers follow each other")
		}
	}
	return &node{op: opRep, subs: []*node{item}, min: low, max: high, lazy: lazy}, nil
}

// counts reads {n}, {n,}, {,m} or {n,m}. A brace that begins none of these stands for itself.
func (r *regex) counts() (low, high int, ok bool, err error) {
	at := r.i
	body, _, found := strings.Cut(r.text[r.i+1:], "}")
	first, second, comma := strings.Cut(body, ",")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if !found || !digits(first) || !digits(second) || !comma && first == "" {
		return 0, 0, false, nil
	}
	r.i += len(body) + 2
	number := func(s string, missing int) int {
		if s == "" {
			return missing
		}
		n, convErr := strconv.Atoi(s)
		if convErr != nil || n > maxRepeat {
			err = r.errorf(at, "a repetition is at most %d times", maxRepeat)
		}
		return n
	}
	low = number(first, 0)
	high = low
	if comma {
		high = number(second, infinite)
	}
	if err == nil && high != infinite && high < low {
		err = r.errorf(at, "a repetition of %d to %d times", low, high)
	}
	return low, high, true, err
}

// escape reads what follows a backslash.
func (r *regex) escape(at int) (set, error) {
	if !r.more() {
		return set{}, r.errorf(at, "a backslash that escapes nothing")
	}
	c := r.text[r.i]
	r.i++
	if s, ok := named(c); ok {
		return s, nil
	}
	if n := strings.IndexByte("ntrfav", c); n >= 0 {
		return one("\n\t\r\f\a\v"[n]), nil
	}
	switch {
	case c == 'x':
		if r.i+2 <= len(r.text) {
			if n, err := strconv.ParseUint(r.text[r.i:r.i+2], 16, 8); err == nil {
				r.i += 2
				return one(byte(n)), nil
			}
		}
		return set{}, r.errorf(at, `\x needs two hexadecimal digits`)
	case c < ' ' || c > '~':
		return set{}, r.notPrintable(at, c)
	case isWordByte(c) && c != '_':
		return set{}, r.errorf(at, `the escape \%c is not supported`, rune(c))
	}
	return one(c), nil
}

func (r *regex) notPrintable(at int, c byte) error {
	return r.errorf(at, "only printable ASCII characters stand in a regular expression: write \\x%02x", c)
}

// named are the classes of one letter.
func named(c byte) (set, bool) {
	var s set
	switch c | 0x20 {
	case 'w':
		for b := range 256 {
			if isWordByte(byte(b)) {
				s.add(byte(b))
			}
		}
	case 'd':
		s.addRange('0', '9')
	case 's':
		for _, b := range []byte(" \t\n\v\f\r") {
			s.add(b)
		}
	default:
		return s, false
	}
	if c < 'a' {
		s = s.negated()
	}
	return s, true
}

func isWordByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// class reads what follows [.
func (r *regex) class(at int) (*node, error) {
	negate := r.accept('^')
	var s set
	for first := true; ; first = false {
		if !r.more() {
			return nil, r.errorf(at, "a [ without its ]")
		}
		if r.at(']') && !first {
			r.i++
			break
		}
		low, err := r.classMember()
		if err != nil {
			return nil, err
		}
		if !r.at('-') || r.i+1 >= len(r.text) || r.text[r.i+1] == ']' {
			s.addSet(low)
			continue
		}
		from := r.i
		r.i++
		high, err := r.classMember()
		if err != nil {
			return nil, err
		}
		if low.size() != 1 || high.size() != 1 || low.members()[0] > high.members()[0] {
			return nil, r.errorf(from, "a range that runs from no byte to a higher one")
		}
		s.addRange(low.members()[0], high.members()[0])
	}
	s = r.folded(s)
	if negate {
		s = s.negated()
	}
	if s.size() == 0 {
		return nil, r.errorf(at, "a class that no byte is in")
	}
	return bytesNode(s), nil
}

func (r *regex) classMember() (set, error) {
	at := r.i
	c := r.text[r.i]
	r.i++
	switch {
	case c == '\\':
		return r.escape(at)
	case c < ' ' || c > '~':
		return set{}, r.notPrintable(at, c)
	}
	return one(c), nil
}
