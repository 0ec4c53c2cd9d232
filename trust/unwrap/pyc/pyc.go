// Package pyc reads compiled Python: what an interpreter's cache holds, and code objects by themselves, as marshal writes
// them. Nothing is run and nothing is decompiled: the constants and names of the code are shown in their order as text,
// and long byte strings as content of their own.
package pyc

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

// New makes the wrapper.
func New() unwrap.Wrapper { return wrapper{} }

type wrapper struct{}

func (wrapper) Name() string { return "pyc" }

func (wrapper) Wraps(c unwrap.Content) bool { return headerSize(c.Head) >= 0 }

func (wrapper) Unwrap(ctx context.Context, in unwrap.Input, show unwrap.Show) error {
	size := headerSize(in.Content().Head)
	if size < 0 {
		return fmt.Errorf("%w: no compiled Python", trust.ErrMalformed)
	}
	if err := in.Hold(heldBytes); err != nil {
		return err //nolint:wrapcheck // as the interface demands
	}
	r := &reader{ctx: ctx, in: in, python2: isPython2(in.Content().Head), r: bufio.NewReaderSize(in, 4<<10), show: show}
	err := r.skip(int64(size))
	if err == nil {
		err = r.object(field{}, 0)
	}
	_ = r.flush() // its error is kept in stop
	if r.stop != nil {
		return r.stop
	}
	return err
}

// heldBytes is about what a reader keeps: text, and what is referred to.
const heldBytes = 2 << 20

// Magic numbers of compiled files, and from which on their headers are longer (CPython, Lib/importlib/_bootstrap_external.py).
const (
	magicFirst3, magicLast3 = 3000, 3999
	magicFirst2, magicLast2 = 62011, 62219
	magicWithSize           = 3190 // 3.3
	magicWithFlags          = 3390 // 3.7
)

// headerSize is the length of what stands before the code object: 0 for one that stands alone, -1 if there is none.
func headerSize(head []byte) int {
	size := 0
	if len(head) > 16 && head[2] == '\r' && head[3] == '\n' {
		switch magic := int(binary.LittleEndian.Uint16(head)); {
		case magic >= magicWithFlags && magic <= magicLast3:
			size = 16
		case magic >= magicWithSize && magic <= magicLast3:
			size = 12
		case magic >= magicFirst3 && magic <= magicLast3, magic >= magicFirst2 && magic <= magicLast2:
			size = 8
		default:
			return -1
		}
	}
	if code := head[size:]; len(code) > 30 && code[0]&^refFlag == 'c' && counts(code[1:], isPython2(head)) > 0 {
		return size
	}
	return -1
}

// isPython2 reports whether a file of Python 2 begins so. What stands alone is taken for Python 3.
func isPython2(head []byte) bool {
	return len(head) > 4 && head[2] == '\r' && head[1] >= magicFirst2>>8
}

// counts is how many numbers a code object begins with, which differs among versions: the byte code behind them is a
// string of less than 16 MiB. It is 0 if this is no code object.
func counts(b []byte, python2 bool) int {
	for _, n := range []int{5, 6, 4} { // no code object fits both the first and another one
		if python2 != (n == 4) || len(b) < 4*n+5 || b[4*n]&^refFlag != 's' || b[4*n+4] != 0 {
			continue
		}
		small := true
		for i := range n - 1 { // the last one is flags
			small = small && b[4*i+2]|b[4*i+3] == 0
		}
		if small {
			return n
		}
	}
	return 0
}
