package yara

import "strings"

// value is what an expression is worth. Truth is a number, 1 or 0.
type value struct {
	state state
	i     int64
	f     float64
	s     string
}

type state uint8

const (
	// number, decimal and text are worth i, f and s.
	number state = iota
	decimal
	text
	// atLeast is a number that is i or more.
	atLeast
	// undefined is YARA's own: a byte behind the end of the file, the third of two matches. It makes a condition false.
	undefined
	// unread is a value that exists but was not kept: it makes a rule unanswered unless the rest decides.
	unread
)

func whole(i int64) value { return value{i: i} }

func truth(b bool) value {
	if b {
		return value{i: 1}
	}
	return value{}
}

// holds reports what v is as a condition; known is false when that was not read.
func (v value) holds() (yes, known bool) {
	switch v.state {
	case number:
		return v.i != 0, true
	case decimal:
		return v.f != 0, true
	case text:
		return v.s != "", true
	case atLeast:
		return v.i > 0, v.i > 0
	case undefined:
		return false, true
	case unread:
	}
	return false, false
}

// gap is what an operation on a and b is when one of them is no plain value: unread wins over undefined.
func gap(a, b value) (value, bool) {
	for _, st := range []state{unread, atLeast} {
		if a.state == st || b.state == st {
			return value{state: unread}, true
		}
	}
	if a.state == undefined || b.state == undefined {
		return value{state: undefined}, true
	}
	return value{}, false
}

// compare is a op b.
func compare(op string, a, b value) value {
	if a.state == atLeast && b.state == number {
		return compareAtLeast(op, a.i, b.i)
	}
	if b.state == atLeast && a.state == number {
		mirror := map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
		return compareAtLeast(mirror[op], b.i, a.i)
	}
	if v, ok := gap(a, b); ok {
		return v
	}
	c := 0
	switch {
	case a.state == text:
		c = strings.Compare(a.s, b.s)
	case a.state == decimal || b.state == decimal:
		x, y := a.float(), b.float()
		if x < y {
			c = -1
		} else if x > y {
			c = 1
		}
	case a.i < b.i:
		c = -1
	case a.i > b.i:
		c = 1
	}
	switch op {
	case "<":
		return truth(c < 0)
	case "<=":
		return truth(c <= 0)
	case ">":
		return truth(c > 0)
	case ">=":
		return truth(c >= 0)
	case "!=":
		return truth(c != 0)
	}
	return truth(c == 0)
}

// compareAtLeast compares a number that is low or more with n.
func compareAtLeast(op string, low, n int64) value {
	switch {
	case (op == ">" || op == "!=") && low > n, op == ">=" && low >= n:
		return truth(true)
	case (op == "<=" || op == "==") && low > n, op == "<" && low >= n:
		return truth(false)
	}
	return value{state: unread}
}

func (v value) float() float64 {
	if v.state == decimal {
		return v.f
	}
	return float64(v.i)
}

// arith is a op b.
func arith(op string, a, b value) value {
	if v, ok := gap(a, b); ok {
		return v
	}
	if a.state == decimal || b.state == decimal {
		return arithFloat(op, a.float(), b.float())
	}
	x, y := a.i, b.i
	switch op {
	case "+":
		return whole(x + y)
	case "-":
		return whole(x - y)
	case "*":
		return whole(x * y)
	case "&":
		return whole(x & y)
	case "|":
		return whole(x | y)
	case "^":
		return whole(x ^ y)
	case "\\", "%":
		if y == 0 || x == -1<<63 && y == -1 {
			return value{state: undefined}
		}
		if op == "%" {
			return whole(x % y)
		}
		return whole(x / y)
	}
	switch { // << and >>
	case y < 0:
		return value{state: undefined}
	case y >= 64:
		return whole(0)
	case op == "<<":
		return whole(x << y)
	}
	return whole(x >> y)
}

func arithFloat(op string, x, y float64) value {
	switch op {
	case "+":
		x += y
	case "-":
		x -= y
	case "*":
		x *= y
	default: // the compiler lets no other through
		x /= y
	}
	return value{state: decimal, f: x}
}

// lower folds the case of ASCII letters, byte by byte.
func lower(s string) string {
	out := []byte(s)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 32
		}
	}
	return string(out)
}

// contains is "a word b" for the words that look into texts.
func contains(word string, a, b value) value {
	if v, ok := gap(a, b); ok {
		return v
	}
	x, y := a.s, b.s
	if rest, ok := strings.CutPrefix(word, "i"); ok {
		word, x, y = rest, lower(x), lower(y)
	}
	switch word {
	case "contains":
		return truth(strings.Contains(x, y))
	case "startswith":
		return truth(strings.HasPrefix(x, y))
	case "endswith":
		return truth(strings.HasSuffix(x, y))
	}
	return truth(x == y)
}
