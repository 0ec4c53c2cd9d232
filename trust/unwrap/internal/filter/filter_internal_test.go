package filter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
)

// noise is n bytes that repeat nothing, with instructions planted in it.
func noise(n int, planted ...[]byte) []byte {
	b := make([]byte, n)
	x := uint32(7)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	for i := 0; len(planted) > 0 && i+16 < n; i += 16 {
		copy(b[i:], planted[i/16%len(planted)])
	}
	return b
}

// words changes every aligned word, as an encoder does.
func words(order binary.ByteOrder, f func(w, at uint32) uint32) func([]byte) {
	return func(b []byte) {
		for i := 0; i+4 <= len(b); i += 4 {
			order.PutUint32(b[i:], f(order.Uint32(b[i:]), uint32(i)))
		}
	}
}

func encodeARM(w, at uint32) uint32 {
	if w>>24 == 0xeb {
		return w&0xff000000 | ((w<<2+at+8)>>2)&0xffffff
	}
	return w
}

func encodePPC(w, at uint32) uint32 {
	if w>>26 == 0x12 && w&3 == 1 {
		return 0x48000001 | (w+at)&0x03fffffc
	}
	return w
}

func encodeARM64(w, at uint32) uint32 {
	if w>>26 == 0x25 {
		return 0x94000000 | (w+at>>2)&0x03ffffff
	}
	return w
}

func encodeSPARC(w, at uint32) uint32 {
	if w>>22 == 0x100 || w>>22 == 0x1ff {
		v := (w<<2 + at) >> 2
		return (0-v>>22&1)<<22&0x3fffffff | v&0x3fffff | 0x40000000
	}
	return w
}

// encodeThumb changes pairs of half words.
func encodeThumb(b []byte) {
	for i := 0; i+4 <= len(b); i += 2 {
		high, low := uint32(binary.LittleEndian.Uint16(b[i:])), uint32(binary.LittleEndian.Uint16(b[i+2:]))
		if high>>11 != 0x1e || low>>11 != 0x1f {
			continue
		}
		v := ((high&0x7ff<<11|low&0x7ff)<<1 + uint32(i) + 4) >> 1
		binary.LittleEndian.PutUint16(b[i:], uint16(0xf000|v>>11&0x7ff))
		binary.LittleEndian.PutUint16(b[i+2:], uint16(0xf800|v&0x7ff))
		i += 2
	}
}

// encodeCalls changes calls that nothing before them disturbs, which is what the filter for x86 does with most code.
func encodeCalls(b []byte) {
	for i := 0; i+5 <= len(b); i++ {
		if b[i] == 0xe8 {
			binary.LittleEndian.PutUint32(b[i+1:], binary.LittleEndian.Uint32(b[i+1:])+uint32(i)+5)
			i += 4
		}
	}
}

func TestFiltersUndoWhatEncodersDo(t *testing.T) {
	t.Parallel()
	call := func(n byte) []byte { return []byte{0xe8, n, 0x10, 0, 0, 1, 1, 1} }
	quiet := bytes.Repeat([]byte{1}, 40000)
	for i := 0; i+16 < len(quiet); i += 16 {
		copy(quiet[i:], call(byte(i>>4)))
	}
	for name, c := range map[string]struct {
		id     Kind
		plain  []byte
		encode func([]byte)
	}{
		"x86":       {X86, quiet, encodeCalls},
		"arm":       {ARM, noise(40001, []byte{1, 2, 3, 0xeb}, []byte{0xff, 0xff, 0xff, 0xeb}), words(binary.LittleEndian, encodeARM)},
		"thumb":     {Thumb, noise(40003, []byte{0x12, 0xf0, 0x34, 0xf8}), encodeThumb},
		"arm64":     {ARM64, noise(40000, []byte{1, 2, 3, 0x94}, []byte{0xff, 0xff, 0xff, 0x97}), words(binary.LittleEndian, encodeARM64)},
		"ppc":       {PPC, noise(40002, []byte{0x48, 1, 2, 1}), words(binary.BigEndian, encodePPC)},
		"sparc":     {SPARC, noise(40000, []byte{0x40, 0, 1, 2}), words(binary.BigEndian, encodeSPARC)},
		"too short": {ARM, []byte{1, 2, 3}, func([]byte) {}},
	} {
		if name == "arm64" { // addresses of pages are another story, which 7-Zip tells
			for i := 3; i < len(c.plain); i += 4 {
				if c.plain[i]&0x9f == 0x90 {
					c.plain[i] = 0
				}
			}
		}
		packed := bytes.Clone(c.plain)
		c.encode(packed)
		if len(packed) > 3 && bytes.Equal(packed, c.plain) {
			t.Errorf("%s: the encoder did nothing", name)
		}
		for _, chunk := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			got, err := io.ReadAll(New(chunk(bytes.NewReader(packed)), c.id, 0))
			if err != nil || !bytes.Equal(got, c.plain) {
				t.Errorf("%s: %d bytes of %d, %v, the first difference at %d", name, len(got), len(c.plain), err, difference(got, c.plain))
			}
		}
	}
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// TestX86LeavesDataAlone: what cannot be the address of a near branch is data.
func TestX86LeavesDataAlone(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"\xe8\x01\x02\x03\x04more", "\xe9\x00\x00\x00\x01", "\xe8\x00\x00\x00", "text only"} {
		got, err := io.ReadAll(New(bytes.NewReader([]byte(s)), X86, 0))
		if err != nil || string(got) != s {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	}
}

func TestFilterPassesErrorsOn(t *testing.T) {
	t.Parallel()
	broke := errors.New("broke")
	r := io.MultiReader(bytes.NewReader(noise(1001)), iotest.ErrReader(broke))
	got, err := io.ReadAll(New(r, PPC, 0))
	if len(got) != 1001 || !errors.Is(err, broke) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestDelta(t *testing.T) {
	t.Parallel()
	plain := noise(5000)
	for _, distance := range []int{1, 2, 4, 255, 256} {
		packed := bytes.Clone(plain)
		for i := len(packed) - 1; i >= distance; i-- {
			packed[i] -= packed[i-distance]
		}
		got, err := io.ReadAll(NewDelta(iotest.HalfReader(bytes.NewReader(packed)), []byte{byte(distance - 1)}))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d: %v, the first difference at %d", distance, err, difference(got, plain))
		}
	}
}

// splitter is an encoder of BCJ2.
type splitter struct {
	main, call, jump, code bytes.Buffer
	low                    uint64
	rng                    uint32
	cache                  byte
	pending                int
	probs                  [258]uint16
}

func newSplitter() *splitter {
	s := &splitter{rng: 0xffffffff, pending: 1}
	for i := range s.probs {
		s.probs[i] = 1 << 10
	}
	return s
}

func (s *splitter) shift() {
	if s.low < 0xff000000 || s.low >= 1<<32 {
		for c := s.cache; s.pending > 0; s.pending-- {
			s.code.WriteByte(c + byte(s.low>>32))
			c = 0xff
		}
		s.cache = byte(s.low >> 24)
	}
	s.pending++
	s.low = s.low & 0xffffff << 8
}

func (s *splitter) bit(p *uint16, bit bool) {
	bound := s.rng >> 11 * uint32(*p)
	if bit {
		s.low += uint64(bound)
		s.rng -= bound
		*p -= *p >> 5
	} else {
		s.rng = bound
		*p += (1<<11 - *p) >> 5
	}
	for s.rng < 1<<24 {
		s.rng <<= 8
		s.shift()
	}
}

// split takes every branch out that take says.
func (s *splitter) split(b []byte, take func(i int) bool) {
	var last byte
	for i := 0; i < len(b); i++ {
		c := b[i]
		s.main.WriteByte(c)
		if c&0xfe != 0xe8 && (last != 0x0f || c&0xf0 != 0x80) {
			last = c
			continue
		}
		p, to := &s.probs[257], &s.jump
		switch c {
		case 0xe8:
			p, to = &s.probs[last], &s.call
		case 0xe9:
			p = &s.probs[256]
		}
		taken := i+5 <= len(b) && take(i)
		s.bit(p, taken)
		last = c
		if taken {
			address := binary.LittleEndian.Uint32(b[i+1:]) + uint32(i) + 5
			to.Write(binary.BigEndian.AppendUint32(nil, address))
			i += 4
			last = b[i]
		}
	}
	for range 5 {
		s.shift()
	}
}

func TestBCJ2(t *testing.T) {
	t.Parallel()
	plain := noise(20000, []byte{0xe8, 1, 2, 0, 0}, []byte{0x0f, 0x84, 9, 0, 0, 0}, []byte{0xe9, 1, 2, 3, 0xff}, []byte{0xe8, 0xe8, 0xe8, 0, 0, 0})
	for name, take := range map[string]func(int) bool{
		"all":  func(int) bool { return true },
		"none": func(int) bool { return false },
		"some": func(i int) bool { return i%3 == 0 },
	} {
		s := newSplitter()
		s.split(plain, take)
		for _, chunk := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			r := NewBCJ2(chunk(bytes.NewReader(s.main.Bytes())), bytes.NewReader(s.call.Bytes()), bytes.NewReader(s.jump.Bytes()), bytes.NewReader(s.code.Bytes()))
			got, err := io.ReadAll(chunk(r))
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s: %d bytes, %v, the first difference at %d", name, len(got), err, difference(got, plain))
			}
		}
	}
	s := newSplitter()
	s.split(plain, func(int) bool { return true })
	r := NewBCJ2(&s.main, bytes.NewReader(s.call.Bytes()[:100]), &s.jump, &s.code)
	if got, err := io.ReadAll(r); !errors.Is(err, trust.ErrMalformed) || !bytes.HasPrefix(plain, got) {
		t.Errorf("calls that end too early: %d bytes, %v", len(got), err)
	}
}
