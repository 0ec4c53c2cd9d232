package lz4_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lz4"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// A frame has a header of 3 bytes: flags, the size of blocks, and a checksum.
const (
	single = lz4.FrameMagic + "\x60\x40\x82" // blocks by themselves
	linked = lz4.FrameMagic + "\x40\x40\x82"
	sums   = lz4.FrameMagic + "\x74\x40\x82"
	sized  = lz4.FrameMagic + "\x68\x40\x08\x00\x00\x00\x00\x00\x00\x00\x82"
	end    = "\x00\x00\x00\x00"
	abab   = "\x05\x00\x00\x00" + "\x22ab\x02\x00" // ab, then six bytes from two before
)

func TestReader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		packed, want string
		err          error
	}{
		"plain block":       {single + "\x05\x00\x00\x80plain" + end, "plain", nil},
		"match":             {single + abab + end, "abababab", nil},
		"linked":            {linked + abab + "\x04\x00\x00\x00\x10x\x08\x00" + end, "ababababxbaba", nil},
		"not linked":        {single + abab + "\x04\x00\x00\x00\x10x\x08\x00" + end, "ababababx", trust.ErrMalformed},
		"checksums":         {sums + abab + "sum." + end + "sum.", "abababab", nil},
		"sized":             {sized + abab + end, "abababab", nil},
		"two frames":        {single + abab + end + "\x51\x2a\x4d\x18\x02\x00\x00\x00hi" + single + abab + end, "abababababababab", nil},
		"before":            {lz4.LegacyMagic + abab + abab, "abababababababab", nil},
		"long":              {single + "\x08\x00\x00\x00\x1fx\x01\x00\xff\xff\x00\x00" + end, strings.Repeat("x", 1+15+255+255+4), nil},
		"bytes behind":      {single + abab + end + "garbage", "abababab", trust.ErrMalformed},
		"dictionary":        {lz4.FrameMagic + "\x61\x40\x82", "", trust.ErrUnsupported},
		"version":           {lz4.FrameMagic + "\xa0\x40\x82", "", trust.ErrMalformed},
		"size of blocks":    {lz4.FrameMagic + "\x60\x30\x82", "", trust.ErrMalformed},
		"large block":       {single + "\xff\xff\xff\x00", "", trust.ErrMalformed},
		"more than a block": {single + "\x07\x01\x00\x00\x1fx\x01\x00" + strings.Repeat("\xff", 258) + "\x00" + end, "x", trust.ErrMalformed},
		"no end":            {single + abab, "abababab", trust.ErrMalformed},
		"cut":               {single + abab[:6], "", trust.ErrMalformed},
		"no distance":       {single + "\x03\x00\x00\x00\x10a\x00", "a", trust.ErrMalformed},
		"zero distance":     {single + "\x04\x00\x00\x00\x10a\x00\x00", "a", trust.ErrMalformed},
		"no length":         {single + "\x02\x00\x00\x00\xf0\xff", "", trust.ErrMalformed},
	} {
		for _, chunk := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			got, err := io.ReadAll(chunk(lz4.NewReader(chunk(strings.NewReader(c.packed)), unwraptest.Plenty{})))
			if string(got) != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s: %q, %v; want %q, %v", name, got, err, c.want, c.err)
			}
		}
	}
}

// TestAgainstLz4 compares with the program lz4 where it is installed.
func TestAgainstLz4(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("lz4")
	if err != nil {
		t.Skip("lz4 is not installed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-1"}, {"-9", "-BD", "-B4"}, {"-BX", "--content-size"}, {"-l"}} {
		cmd := exec.CommandContext(t.Context(), program, append(args, "-c", exe)...)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(packed), unwraptest.Plenty{}))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%v: %d bytes, %v; want %d", args, len(got), err, len(content))
		}
	}
}

func FuzzLz4(f *testing.F) {
	f.Add([]byte(single + abab + end))
	f.Add([]byte(linked + abab + "\x04\x00\x00\x00\x10x\x08\x00" + end))
	f.Add([]byte(lz4.LegacyMagic + abab))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := io.Copy(io.Discard, io.LimitReader(lz4.NewReader(bytes.NewReader(b), unwraptest.Plenty{}), 4<<20))
		if err != nil && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) {
			t.Error(err)
		}
	})
}
