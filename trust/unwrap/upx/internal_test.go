package upx

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

func TestUnfilter(t *testing.T) {
	t.Parallel()
	nops := strings.Repeat("\x90", 8)
	for name, tt := range map[string]struct {
		filter   byte
		in, want string
	}{
		"call":              {0x49, "\xe8\x7f\x00\x00\x05" + nops, "\xe8\x04\x00\x00\x00" + nops},
		"jump":              {0x49, "\xe9\x7f\x00\x01\x00" + nops, "\xe9\xff\x00\x00\x00" + nops},
		"conditional":       {0x49, "\x0f\x84\x7f\x00\x00\x12" + nops, "\x0f\x84\x10\x00\x00\x00" + nops},
		"conditional-in-46": {0x46, "\x0f\x84\x7f\x00\x00\x12" + nops, "\x0f\x84\x7f\x00\x00\x12" + nops},
		"without-the-mark":  {0x49, "\xe8\x7e\x00\x00\x05" + nops, "\xe8\x7e\x00\x00\x05" + nops},
		"backwards":         {0x49, nops + "\xe8\x7f\x00\x00\x00", nops + "\xe8\xf7\xff\xff\xff"},
		"at-the-end":        {0x49, nops + "\xe8\x7f\x00", nops + "\xe8\x7f\x00"},
		"another-filter":    {0x52, "\xe8\x7f\x00\x00\x05" + nops, "\xe8\x7f\x00\x00\x05" + nops},
		"none":              {0, "\xe8\x7f\x00\x00\x05" + nops, "\xe8\x7f\x00\x00\x05" + nops},
	} {
		got := []byte(tt.in)
		unfilter(got, tt.filter, 0x7f)
		if string(got) != tt.want {
			t.Errorf("%s: %x, want %x", name, got, tt.want)
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method byte
		body   string
		size   int
	}{
		"stored-cut":           {8, "abc", 3},
		"nrv-empty":            {8, "", 100},
		"nrv-cut":              {8, "\xff\xff\xff\xffabcdef", 100},
		"nrv-too-much":         {9, "\xffabcdefgh\xffabcdefgh", 10},
		"nrv-before-the-start": {3, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 100},
		"nrv-zeros":            {6, strings.Repeat("\x00", 60), 100},
		"nrv-zeros-in-16-bits": {10, strings.Repeat("\x00", 60), 100},
		"lzma-empty":           {14, "", 100},
		"lzma-properties":      {14, "\x1a\x04" + strings.Repeat("\x00", 20), 100},
		"lzma-cut":             {14, "\x1a\x03\x00\x11\x22\x33\x44\x55", 100},
		"deflate-cut":          {15, "\x03", 100},
	} {
		b := block{size: int64(tt.size), packed: int64(len(tt.body)), method: tt.method}
		if strings.HasPrefix(name, "stored") {
			b.size, b.packed, tt.body = 3, 3, tt.body[:2]
		}
		if err := decode(make([]byte, b.size), bytes.NewReader([]byte(tt.body)), b); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestSane(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		b    block
		want bool
	}{
		"usual":          {block{size: 100, packed: 50, method: 8}, true},
		"stored":         {block{size: 100, packed: 100, method: 8}, true},
		"lzma":           {block{size: 100, packed: 50, method: 14}, true},
		"grown":          {block{size: 100, packed: 101, method: 8}, false},
		"empty":          {block{size: 0, packed: 0, method: 8}, false},
		"nothing-packed": {block{size: 100, packed: 0, method: 8}, false},
		"no-method":      {block{size: 100, packed: 50, method: 0}, false},
		"unknown-method": {block{size: 100, packed: 50, method: 99}, false},
	} {
		if got := tt.b.sane(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
