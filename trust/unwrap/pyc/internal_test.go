package pyc

import (
	"encoding/binary"
	"strings"
	"testing"
)

// numbers are n of what a code object begins with, and a byte code of four bytes.
func numbers(n int) string {
	return strings.Repeat("\x02\x00\x00\x00", n-1) + "\x43\x00\x00\x00" + "s\x04\x00\x00\x00code" + strings.Repeat("\x00", 16)
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		b       string
		python2 bool
		want    int
	}{
		"python-2":         {numbers(4), true, 4},
		"python-3.7":       {numbers(5), false, 5},
		"python-3.8":       {numbers(6), false, 6},
		"four-in-python-3": {numbers(4), false, 0},
		"five-in-python-2": {numbers(5), true, 0},
		"flagged":          {strings.Replace(numbers(6), "s\x04", "\xf3\x04", 1), false, 6},
		"huge-counts":      {strings.Replace(numbers(6), "\x02\x00\x00\x00", "\x02\x00\x01\x00", 1), false, 0},
		"huge-code":        {strings.Replace(numbers(6), "s\x04\x00\x00\x00", "s\x04\x00\x00\x01", 1), false, 0},
		"short":            {numbers(6)[:20], false, 0},
		"empty":            {"", false, 0},
	} {
		if got := counts([]byte(tt.b), tt.python2); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestHeaderSize(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		magic, header, numbers, want int
	}{
		"2.7":           {62211, 8, 4, 8},
		"3.2":           {3180, 8, 5, 8},
		"3.3":           {3230, 12, 5, 12},
		"3.6":           {3379, 12, 5, 12},
		"3.7":           {3394, 16, 5, 16},
		"3.10":          {3439, 16, 6, 16},
		"3.14":          {3627, 16, 5, 16},
		"before-2.5":    {50000, 8, 4, -1},
		"wrong-header":  {3439, 12, 6, -1},
		"no-such-magic": {1234, 16, 6, -1},
	} {
		head := binary.LittleEndian.AppendUint16(nil, uint16(tt.magic))
		head = append(head, "\r\n"+strings.Repeat("\x00", tt.header-4)+"\xe3"+numbers(tt.numbers)...)
		if got := headerSize(head); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	if got := headerSize([]byte("\xe3" + numbers(6))); got != 0 {
		t.Errorf("alone: %d", got)
	}
	if got := headerSize([]byte("\xe3short")); got != -1 {
		t.Errorf("short: %d", got)
	}
}
