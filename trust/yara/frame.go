package yara

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// frame is the evaluation of one condition.
type frame struct {
	*Scan
	// current is the string, or the rule, that a loop is at.
	current   int
	variables [maxVariables]value
	steps     int
	// why is the first reason for which something is unread.
	why string
}

// rule is the answer of a rule before this one.
func (f *frame) rule(k int) value {
	if f.answers[k] == unsure {
		f.because("it depends on rule %s", f.rules.rules[k].info.Name)
	}
	return f.answers[k].value()
}

func (f *frame) because(format string, args ...any) {
	if f.why == "" {
		f.why = fmt.Sprintf(format, args...)
	}
}

// spend counts one step. It is false when there are too many; then the condition is unread.
func (f *frame) spend() bool {
	f.steps++
	if f.steps > stepsOfCondition {
		f.because("its condition takes more than %d steps", stepsOfCondition)
		return false
	}
	return true
}

// bytes are size bytes at an offset. ok is false when the file has no such place, or when it was not kept.
func (f *frame) bytes(offset int64, size int) (p []byte, gap value, ok bool) {
	switch end := offset + int64(size); {
	case offset < 0 || offset > f.total || end > f.total:
		return nil, value{state: undefined}, false
	case end <= int64(len(f.head)):
		return f.head[offset:end], value{}, true
	case offset >= f.total-tailBytes:
		return f.buf[offset-f.base : end-f.base], value{}, true
	}
	f.because("it reads byte %d, and only the first %d and the last %d bytes of a file are kept", offset, HeadBytes, TailBytes)
	return nil, value{state: unread}, false
}

// wantHead makes scans keep the beginning of files.
func (c *compiler) wantHead() { c.r.headBytes = HeadBytes }

// read compiles uint16(offset) and its like.
func (c *compiler) read(e *syntax.Expr) (typed, error) {
	at, err := c.integer(e.Args[0])
	if err != nil {
		return at, err
	}
	name, big := strings.CutSuffix(e.Text, "be")
	name, unsigned := strings.CutPrefix(name, "u")
	size := map[string]int{"int8": 1, "int16": 2, "int32": 4}[name]
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	c.wantHead()
	return typed{typ: typInt, needs: at.needs, eval: func(f *frame) value {
		v := at.eval(f)
		if w, ok := gap(v, v); ok {
			return w
		}
		p, missing, ok := f.bytes(v.i, size)
		if !ok {
			return missing
		}
		return whole(number64(p, order, unsigned))
	}}, nil
}

func number64(p []byte, order binary.ByteOrder, unsigned bool) int64 {
	switch len(p) {
	case 1:
		if unsigned {
			return int64(p[0])
		}
		return int64(int8(p[0]))
	case 2:
		n := order.Uint16(p)
		if unsigned {
			return int64(n)
		}
		return int64(int16(n))
	}
	n := order.Uint32(p)
	if unsigned {
		return int64(n)
	}
	return int64(int32(n))
}
