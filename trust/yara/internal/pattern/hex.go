package pattern

import (
	"strconv"
	"strings"
)

// hex reads a hex string: bytes, nibbles, ~, jumps and alternatives.
type hex struct {
	source
	depth int
}

func (h *hex) parse() (*node, error) {
	n, err := h.sequence()
	if err != nil {
		return nil, err
	}
	if err := h.space(); err != nil {
		return nil, err
	}
	if h.more() {
		return nil, h.errorf(h.i, "unexpected %q in a hex string", h.text[h.i])
	}
	switch low, high := n.length(); {
	case low == 0:
		return nil, h.errorf(0, "the hex string is empty")
	case high > Reach:
		return nil, h.errorf(0, "the hex string can be longer than %d bytes", Reach)
	}
	return n, nil
}

// space skips white space and comments.
func (h *hex) space() error {
	for h.more() {
		rest := h.text[h.i:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			h.i++
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			h.i += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return h.errorf(h.i, "the comment has no end")
			}
			h.i += n + 4
		default:
			return nil
		}
	}
	return nil
}

// sequence reads bytes until something that is none: it neither begins nor ends with a jump.
func (h *hex) sequence() (*node, error) {
	n := cat()
	jump := -1
	for {
		if err := h.space(); err != nil {
			return nil, err
		}
		if !h.more() || h.at('|') || h.at(')') {
			break
		}
		at := h.i
		item, err := h.item()
		if err != nil {
			return nil, err
		}
		if item.op == opRep {
			jump = at
			if len(n.subs) == 0 {
				return nil, h.errorf(at, "a hex string does not begin with a jump")
			}
		} else {
			jump = -1
		}
		n.subs = append(n.subs, item)
	}
	if jump >= 0 {
		return nil, h.errorf(jump, "a hex string does not end with a jump")
	}
	return n, nil
}

func (h *hex) item() (*node, error) {
	switch at := h.i; h.text[at] {
	case '(':
		return h.alternatives()
	case '[':
		return h.jump()
	case '~':
		h.i++
		s, err := h.byte()
		if err == nil && s.size() == 256 {
			err = h.errorf(at, "~?? stands for no byte")
		}
		return bytesNode(s.negated()), err
	}
	s, err := h.byte()
	return bytesNode(s), err
}

func (h *hex) byte() (set, error) {
	var s set
	if h.i+2 > len(h.text) {
		return s, h.errorf(min(h.i, len(h.text)), "a byte is two hexadecimal digits or ?")
	}
	high, low := h.text[h.i], h.text[h.i+1]
	for c := range 256 {
		if nibble(high, c>>4) && nibble(low, c&15) {
			s.add(byte(c))
		}
	}
	if s.size() == 0 {
		return s, h.errorf(h.i, "a byte is two hexadecimal digits or ?")
	}
	h.i += 2
	return s, nil
}

func nibble(c byte, n int) bool {
	if c == '?' {
		return true
	}
	return strings.IndexByte("0123456789abcdef", lowerByte(c)) == n
}

func (h *hex) alternatives() (*node, error) {
	at := h.i
	if h.depth++; h.depth > maxNesting {
		return nil, h.errorf(at, "alternatives nest deeper than %d", maxNesting)
	}
	defer func() { h.depth-- }()
	alt := &node{op: opAlt}
	for h.i++; ; h.i++ {
		from := h.i
		n, err := h.sequence()
		if err != nil {
			return nil, err
		}
		if len(n.subs) == 0 {
			return nil, h.errorf(from, "an empty alternative")
		}
		alt.subs = append(alt.subs, n)
		switch {
		case h.accept(')'):
			return alt, nil
		case !h.at('|'):
			return nil, h.errorf(at, "a ( without its )")
		}
	}
}

// jump reads [n] or [n-m]. Jumps without an upper bound are refused, since nothing bounds what they cost.
func (h *hex) jump() (*node, error) {
	at := h.i
	body, _, ok := strings.Cut(h.text[h.i+1:], "]")
	if !ok {
		return nil, h.errorf(at, "a [ without its ]")
	}
	h.i += len(body) + 2
	first, second, dash := strings.Cut(body, "-")
	first, second = strings.TrimSpace(first), strings.TrimSpace(second)
	if !dash {
		second = first
	} else if second == "" {
		return nil, h.errorf(at, "a jump without an upper bound is not supported: write [n-m] with m up to %d", maxRepeat)
	} else if first == "" {
		first = "0"
	}
	low, err := strconv.ParseUint(first, 10, 31)
	if err != nil {
		return nil, h.errorf(at, "a jump is [n] or [n-m]")
	}
	high, err := strconv.ParseUint(second, 10, 31)
	switch {
	case err != nil:
		return nil, h.errorf(at, "a jump is [n] or [n-m]")
	case high < low || high == 0:
		return nil, h.errorf(at, "a jump of %d to %d bytes", low, high)
	case high > maxRepeat:
		return nil, h.errorf(at, "a jump is at most %d bytes", maxRepeat)
	}
	return &node{op: opRep, subs: []*node{bytesNode(anyByte())}, min: int(low), max: int(high), lazy: true}, nil
}
