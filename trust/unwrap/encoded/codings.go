package encoded

import (
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// coding is one alphabet whose characters stand for a fixed number of bits each.
type coding struct {
	name  string
	bits  uint
	value *[256]int8 // -1 for characters that are not of the alphabet
	// alignments are how many places a decoder may begin at, when text before the run ran into it.
	alignments int
}

// The alphabets. base64 is that of RFC 4648 sections 4 and 5 at once, base32 that of section 6.
func alphabets() (base64, base32, hex coding) {
	return coding{"base64", 6, &base64Values, 4}, coding{"base32", 5, &base32Values, 1}, coding{"hex", 4, &hexValues, 2}
}

var (
	base64Values = values("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "-_", 62)
	base32Values = values("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "", 0)
	hexValues    = values("0123456789abcdef", "ABCDEF", 10)
)

func values(alphabet, also string, from int) (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i, c := range []byte(alphabet) {
		v[c] = int8(i)
	}
	for i, c := range []byte(also) {
		v[c] = int8(from + i)
	}
	return v
}

// decodeHead decodes as much of coded as fits into out, and stops at the first character of another alphabet.
func (c coding) decodeHead(out, coded []byte) int {
	n, acc, have := 0, uint32(0), uint(0)
	for _, ch := range coded {
		v := c.value[ch]
		if v < 0 || n == len(out) {
			break
		}
		acc, have = acc<<c.bits|uint32(v), have+c.bits
		if have >= 8 {
			have -= 8
			out[n] = byte(acc >> have)
			n++
		}
	}
	return n
}

// decode decodes the beginning of coded, at most sampleBytes.
func (c coding) decode(coded []byte) []byte {
	out := make([]byte, min(sampleBytes, len(coded)*int(c.bits)/8))
	return out[:c.decodeHead(out, coded)]
}

// reader decodes all of r, passing over characters of no meaning.
func (c coding) reader(r io.Reader) io.Reader { return &bitReader{coding: c, r: r} }

type bitReader struct {
	coding
	r    io.Reader
	in   [512]byte
	left []byte
	acc  uint32
	have uint
	err  error
}

func (b *bitReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(b.left) == 0 {
			if n > 0 || b.err != nil {
				break
			}
			var k int
			k, b.err = b.r.Read(b.in[:])
			b.left = b.in[:k]
			continue
		}
		v := b.value[b.left[0]]
		b.left = b.left[1:]
		if v < 0 {
			continue
		}
		b.acc, b.have = b.acc<<b.bits|uint32(v), b.have+b.bits
		if b.have >= 8 {
			b.have -= 8
			p[n] = byte(b.acc >> b.have)
			n++
		}
	}
	if n == 0 && len(b.left) == 0 {
		return 0, b.err
	}
	return n, nil
}

// xorReader takes a mask of one byte off.
type xorReader struct {
	r   io.Reader
	key byte
}

func (x xorReader) Read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	for i := range p[:n] {
		p[i] ^= x.key
	}
	return n, err //nolint:wrapcheck // a reader passes on errors as they are
}

func littleEndian(a, b byte) rune { return rune(b)<<8 | rune(a) }

func bigEndian(a, b byte) rune { return rune(a)<<8 | rune(b) }

// utf16Reader makes UTF-8 of UTF-16. Halves of pairs that stand alone become U+FFFD.
type utf16Reader struct {
	r     io.Reader
	order func(a, b byte) rune
	in    [512]byte
	kept  int
	high  rune
	out   []byte
	err   error
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		k, err := u.r.Read(u.in[u.kept:])
		k += u.kept
		u.err = err
		for i := 0; i+1 < k; i += 2 {
			u.put(u.order(u.in[i], u.in[i+1]))
		}
		u.kept = k & 1
		if u.kept == 1 {
			u.in[0] = u.in[k-1]
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	if len(u.out) == 0 {
		u.out = nil
	}
	return n, nil
}

func (u *utf16Reader) put(c rune) {
	switch {
	case u.high != 0:
		c, u.high = utf16.DecodeRune(u.high, c), 0
	case c >= 0xd800 && c < 0xdc00:
		u.high = c
		return
	case c == 0xfeff:
		return
	}
	u.out = utf8.AppendRune(u.out, c)
}
