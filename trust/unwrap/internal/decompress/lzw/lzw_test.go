package lzw_test

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
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzw"
)

// encoder writes codes in groups of eight, as compress(1) does.
type encoder struct {
	out   bytes.Buffer
	width uint
	group []int
}

func (e *encoder) code(c int) {
	if e.group = append(e.group, c); len(e.group) == 8 {
		e.flush()
	}
}

// flush writes a group, filled up.
func (e *encoder) flush() {
	if len(e.group) == 0 {
		return
	}
	b := make([]byte, e.width)
	for i, c := range e.group {
		for bit := range int(e.width) {
			at := i*int(e.width) + bit
			b[at/8] |= byte(c>>bit&1) << (at % 8)
		}
	}
	e.out.Write(b)
	e.group = nil
}

// compress encodes with codes of up to most bits, and clears the table when it has as many entries as clear, if that is
// not 0.
func compress(content string, most uint, clear int) []byte {
	e := &encoder{width: 9}
	flags, next := byte(most), 256
	if clear > 0 {
		flags, next = flags|0x80, 257
	}
	e.out.Write([]byte{0x1f, 0x9d, flags})
	table := map[string]int{}
	code := func(s string) int {
		if len(s) == 1 {
			return int(s[0])
		}
		return table[s]
	}
	word := ""
	for i := range len(content) {
		c := content[i : i+1]
		if _, ok := table[word+c]; ok || word == "" {
			word += c
			continue
		}
		e.code(code(word))
		// The decoder is one entry behind, and so is the width.
		if next > 1<<e.width-1 && e.width < most {
			e.flush()
			e.width++
		}
		if next < 1<<most {
			table[word+c] = next
			next++
		}
		word = c
		if clear > 0 && next >= clear {
			e.code(256)
			e.flush()
			table, next, e.width = map[string]int{}, 257, 9
		}
	}
	if word != "" {
		e.code(code(word))
	}
	e.flush()
	return e.out.Bytes()
}

func text(n int) string {
	var b strings.Builder
	x := uint32(1)
	for b.Len() < n {
		x = x*1664525 + 1013904223
		b.WriteString([]string{"stone ", "river ", "aaaaaaa", "b", "house\n", string(rune('c' + x>>20%20))}[x>>24%6])
	}
	return b.String()[:n]
}

func TestReader(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 7, 300, 5000, 300000} {
		want := text(n)
		for most, clear := range map[uint]int{10: 0, 12: 4000, 16: 400} {
			for _, chunk := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader} {
				r, err := lzw.NewReader(chunk(bytes.NewReader(compress(want, most, clear))))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(chunk(r))
				// What fills the last group up is codes too, of the first entry.
				if err != nil || !strings.HasPrefix(string(got), want) || len(strings.Trim(string(got[n:]), "\x00")) > 0 {
					t.Errorf("%d bytes with %d bits: %d, %v", n, most, len(got), err)
				}
			}
		}
	}
}

// TestAgainstCompress compares with the program compress where it is installed.
func TestAgainstCompress(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("compress")
	if err != nil {
		t.Skip("compress is not installed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"text": text(500000), "binary": string(binary[:2<<20]), "both": text(200000) + string(binary[:1<<20]) + text(200000), "short": "aaa"} {
		for _, bits := range []string{"-b10", "-b13", "-b16"} {
			cmd := exec.CommandContext(t.Context(), program, "-f", "-c", bits)
			cmd.Stdin = strings.NewReader(want)
			packed, err := cmd.Output()
			if len(packed) == 0 {
				t.Fatal(err)
			}
			r, err := lzw.NewReader(bytes.NewReader(packed))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != want {
				t.Errorf("%s %s: %d bytes of %d, %v", name, bits, len(got), len(want), err)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ packed, want string }{
		"nothing":             {"", ""},
		"header cut":          {"\x1f\x9d", ""},
		"another magic":       {"\x1f\x9e\x90", ""},
		"too many bits":       {"\x1f\x9d\x91", ""},
		"too few bits":        {"\x1f\x9d\x88", ""},
		"begins with a match": {"\x1f\x9d\x90\x01\x01", ""},
		"code of nothing":     {"\x1f\x9d\x90a\xfe\x03", "a"},
	} {
		r, err := lzw.NewReader(strings.NewReader(c.packed))
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		if !errors.Is(err, trust.ErrMalformed) || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	broke := errors.New("broke")
	if _, err := lzw.NewReader(iotest.ErrReader(broke)); !errors.Is(err, broke) {
		t.Error(err)
	}
}

func FuzzLzw(f *testing.F) {
	f.Add(compress(text(300), 16, 0))
	f.Add([]byte("\x1f\x9d\x90a\xfe\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := lzw.NewReader(bytes.NewReader(b))
		if err == nil {
			_, err = io.Copy(io.Discard, io.LimitReader(r, 4<<20))
		}
		if err != nil && !errors.Is(err, trust.ErrMalformed) {
			t.Error(err)
		}
	})
}
