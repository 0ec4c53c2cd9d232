// Package filter undoes what packers do to machine code and samples so that they compress better. Formats with different
// names for the same filters use it.
package filter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

// convert turns absolute addresses of branches back into relative ones, in place. At is where b is in the content. It
// returns how many bytes are done; the rest is given again with what follows.
type convert func(b []byte, at uint32) int

// filter applies a convert to a stream.
type filter struct {
	r io.Reader
	convert
	buf []byte
	// from is where done bytes begin that may be read; held bytes behind them wait.
	from, done, held int
	at               uint32
	err              error
}

const filterBytes = 16 << 10

func (f *filter) Read(p []byte) (int, error) {
	for f.done == 0 {
		if f.err != nil {
			return 0, f.err
		}
		f.fill()
	}
	n := copy(p, f.buf[f.from:f.from+f.done])
	f.from += n
	f.done -= n
	return n, nil
}

// fill reads on until something is done.
func (f *filter) fill() {
	copy(f.buf, f.buf[f.from:f.from+f.held])
	f.from = 0
	n, err := io.ReadAtLeast(f.r, f.buf[f.held:], 1)
	f.held += n
	f.err = err
	f.done = f.convert(f.buf[:f.held], f.at)
	if err != nil {
		f.done = f.held // what is left at the end has no branch
	}
	f.held -= f.done
	f.at += uint32(f.done)
}

// Kind is what a filter was made for.
type Kind int

// The filters for machine code.
const (
	X86 Kind = iota + 1
	ARM
	Thumb
	ARM64
	PPC
	SPARC
)

// New undoes a filter for machine code. Start is the address of the first byte.
func New(r io.Reader, kind Kind, start uint32) io.Reader {
	return &filter{r: r, convert: kind.convert(), buf: make([]byte, filterBytes), at: start}
}

func (k Kind) convert() convert {
	switch k {
	case X86:
		return new(x86).convert
	case ARM:
		return arm
	case Thumb:
		return thumb
	case ARM64:
		return arm64
	case PPC:
		return ppc
	case SPARC:
		return sparc
	}
	return func(b []byte, _ uint32) int { return len(b) }
}

// each calls f for every aligned word.
func each(b []byte, at uint32, order binary.ByteOrder, f func(word, at uint32) uint32) int {
	n := len(b) &^ 3
	for i := 0; i < n; i += 4 {
		order.PutUint32(b[i:], f(order.Uint32(b[i:]), at+uint32(i)))
	}
	return n
}

func arm(b []byte, at uint32) int {
	return each(b, at, binary.LittleEndian, func(w, at uint32) uint32 {
		if w>>24 != 0xeb {
			return w
		}
		return w&0xff000000 | (w-(at+8)>>2)&0xffffff
	})
}

func ppc(b []byte, at uint32) int {
	return each(b, at, binary.BigEndian, func(w, at uint32) uint32 {
		if w&0xfc000003 != 0x48000001 {
			return w
		}
		return 0x48000001 | (w-at)&0x03fffffc
	})
}

func sparc(b []byte, at uint32) int {
	return each(b, at, binary.BigEndian, func(w, at uint32) uint32 {
		if w>>22 != 0x100 && w>>22 != 0x1ff {
			return w
		}
		v := (w<<2 - at) >> 2
		return (0-(v>>22&1))<<22&0x3fffffff | v&0x3fffff | 0x40000000
	})
}

func arm64(b []byte, at uint32) int {
	return each(b, at, binary.LittleEndian, func(w, at uint32) uint32 {
		if w>>26 == 0x25 { // bl
			return 0x94000000 | (w-at>>2)&0x03ffffff
		}
		if w&0x9f000000 != 0x90000000 { // adrp
			return w
		}
		page := w>>29&3 | w>>3&0x1ffffc
		if (page+0x20000)&0x1c0000 != 0 {
			return w
		}
		page -= at >> 12
		return w&0x9000001f | page&3<<29 | page&0x3fffc<<3 | (0-page&0x20000)&0xe00000
	})
}

func thumb(b []byte, at uint32) int {
	i := 0
	for ; i+4 <= len(b); i += 2 {
		high, low := uint32(binary.LittleEndian.Uint16(b[i:])), uint32(binary.LittleEndian.Uint16(b[i+2:]))
		if high&0xf800 != 0xf000 || low&0xf800 != 0xf800 {
			continue
		}
		v := ((high&0x7ff<<11|low&0x7ff)<<1 - (at + uint32(i) + 4)) >> 1
		binary.LittleEndian.PutUint16(b[i:], uint16(0xf000|v>>11&0x7ff))
		binary.LittleEndian.PutUint16(b[i+2:], uint16(0xf800|v&0x7ff))
		i += 2
	}
	return i
}

// x86 is the filter for calls and jumps, which may stand anywhere. Recent has a bit for each of the last bytes that
// looked like an instruction and was none.
type x86 struct{ recent uint32 }

// filled are the highest bytes that the addresses of near branches have.
func filled(b byte) bool { return b == 0 || b == 0xff }

func (x *x86) convert(b []byte, at uint32) int {
	last := -1 // the last opcode
	i := 0
	for ; i+5 <= len(b); i++ {
		if b[i]&0xfe != 0xe8 {
			continue
		}
		x.age(i - last)
		last = i
		if !filled(b[i+4]) || !x.fits(b[i:]) {
			x.recent = x.recent<<1&7 | 1
			continue
		}
		binary.LittleEndian.PutUint32(b[i+1:], x.relative(binary.LittleEndian.Uint32(b[i+1:]), at+uint32(i)+5))
		i += 4
		x.recent = 0
		last = i
	}
	x.age(i - last)
	return i
}

// age forgets what is more than three bytes ago.
func (x *x86) age(bytes int) {
	if bytes > 3 {
		x.recent = 0
	} else {
		x.recent = x.recent << (bytes - 1) & 7
	}
}

// overlap is in which byte of the address the most recent one of those bytes began.
func (x *x86) overlap() int {
	switch {
	case x.recent >= 4:
		return 3
	case x.recent >= 2:
		return 2
	}
	return int(x.recent)
}

// fits reports whether the encoder changed the instruction in spite of those before it.
func (x *x86) fits(b []byte) bool {
	switch x.recent {
	case 0:
		return true
	case 1, 2, 4:
		return !filled(b[4-x.overlap()])
	}
	return false
}

func (x *x86) relative(v, next uint32) uint32 {
	for {
		v -= next
		if x.recent == 0 {
			break
		}
		shift := 8 * x.overlap()
		if !filled(byte(v >> (24 - shift))) {
			break
		}
		v = v ^ (1<<(32-shift) - 1)
	}
	return v&0x01ffffff | (0 - v&0x01000000)
}

// delta adds to each byte the one that is a distance before it.
type delta struct {
	r        io.Reader
	distance int
	history  [256]byte
	at       byte
}

// NewDelta undoes differences between bytes that are one more than props apart.
func NewDelta(r io.Reader, props []byte) io.Reader {
	d := &delta{r: r, distance: 1}
	if len(props) > 0 {
		d.distance = int(props[0]) + 1
	}
	return d
}

func (d *delta) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	for i := range p[:n] {
		p[i] += d.history[d.at-byte(d.distance)]
		d.history[d.at] = p[i]
		d.at++
	}
	return n, err
}

// bcj2 joins code whose branches were taken out: calls and jumps are streams of their own, and a fourth one says which
// of what looks like a branch is one.
type bcj2 struct {
	main, call, jump, code *bufio.Reader
	rng, value             uint32
	probs                  [258]uint16
	last                   byte
	at                     uint32
	began                  bool
	// ready is what is left of an address.
	ready []byte
	buf   [4]byte
	err   error
}

// NewBCJ2 joins the four streams.
func NewBCJ2(main, call, jump, code io.Reader) io.Reader {
	b := &bcj2{main: bufio.NewReader(main), call: bufio.NewReader(call), jump: bufio.NewReader(jump), code: bufio.NewReader(code)}
	for i := range b.probs {
		b.probs[i] = 1 << 10
	}
	return b
}

func (b *bcj2) Read(p []byte) (n int, err error) {
	if !b.began {
		b.began = true
		b.rng = 0xffffffff
		for range 5 {
			b.value = b.value<<8 | uint32(b.byte(b.code))
		}
	}
	for n < len(p) && b.err == nil {
		if len(b.ready) > 0 {
			k := copy(p[n:], b.ready)
			n, b.ready = n+k, b.ready[k:]
			continue
		}
		c, err := b.main.ReadByte()
		if err != nil {
			b.err = err
			break
		}
		p[n] = c
		n++
		b.at++
		if c&0xfe == 0xe8 || b.last == 0x0f && c&0xf0 == 0x80 {
			b.branch(c)
		} else {
			b.last = c
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

// branch asks whether an opcode has an address elsewhere.
func (b *bcj2) branch(opcode byte) {
	model, from := &b.probs[257], b.jump
	switch opcode {
	case 0xe8:
		model, from = &b.probs[b.last], b.call
	case 0xe9:
		model = &b.probs[256]
	}
	b.last = opcode
	if b.err != nil || b.bit(model) == 0 {
		return
	}
	for i := range b.buf {
		b.buf[i] = b.byte(from)
	}
	if b.err != nil {
		return
	}
	b.at += 4
	v := binary.BigEndian.Uint32(b.buf[:]) - b.at
	binary.LittleEndian.PutUint32(b.buf[:], v)
	b.ready, b.last = b.buf[:], byte(v>>24)
}

func (b *bcj2) bit(p *uint16) int {
	bound := b.rng >> 11 * uint32(*p)
	bit := 0
	if b.value < bound {
		b.rng = bound
		*p += (1<<11 - *p) >> 5
	} else {
		b.rng -= bound
		b.value -= bound
		*p -= *p >> 5
		bit = 1
	}
	if b.rng < 1<<24 && b.err == nil {
		// The last byte is not there if it is not needed.
		c, err := b.code.ReadByte()
		if err != nil && err != io.EOF { //nolint:errorlint // bufio returns the reader's value
			b.err = err
		}
		b.rng <<= 8
		b.value = b.value<<8 | uint32(c)
	}
	return bit
}

func (b *bcj2) byte(r *bufio.Reader) byte {
	c, err := r.ReadByte()
	if err != nil && b.err == nil {
		b.err = err
		if err == io.EOF { //nolint:errorlint // bufio returns the reader's value
			b.err = fmt.Errorf("%w: %s", trust.ErrMalformed, "7z branches end too early")
		}
	}
	return c
}
