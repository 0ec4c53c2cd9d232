package lzma_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzma"
)

// encoder is a plain encoder of LZMA, so that the decoder meets every kind of symbol in any order.
type encoder struct {
	out     bytes.Buffer
	low     uint64
	rng     uint32
	cache   byte
	pending int

	lc, lp, pb int
	probs      map[[4]int]*uint16
	state      int
	reps       [4]int
	content    []byte
}

func newEncoder(lc, lp, pb int) *encoder {
	return &encoder{rng: 0xffffffff, pending: 1, lc: lc, lp: lp, pb: pb, probs: map[[4]int]*uint16{}}
}

func (e *encoder) shift() {
	if e.low < 0xff000000 || e.low >= 1<<32 {
		for c := e.cache; e.pending > 0; e.pending-- {
			e.out.WriteByte(c + byte(e.low>>32))
			c = 0xff
		}
		e.cache = byte(e.low >> 24)
	}
	e.pending++
	e.low = e.low & 0xffffff << 8
}

// bit encodes one with the probability of a name.
func (e *encoder) bit(name [4]int, bit int) {
	p := e.probs[name]
	if p == nil {
		p = new(uint16)
		*p = 1 << 10
		e.probs[name] = p
	}
	bound := e.rng >> 11 * uint32(*p)
	if bit == 1 {
		e.low += uint64(bound)
		e.rng -= bound
		*p -= *p >> 5
	} else {
		e.rng = bound
		*p += (1<<11 - *p) >> 5
	}
	e.normalise()
}

func (e *encoder) normalise() {
	for e.rng < 1<<24 {
		e.rng <<= 8
		e.shift()
	}
}

// Names of models.
const (
	isMatch = iota
	isRep
	isRep0
	isRep1
	isRep2
	isLong
	literalModel
	lengthModel
	repLengthModel
	slotModel
	specialModel
	alignModel
)

func (e *encoder) tree(model, context, n, v int) {
	node := 1
	for i := n - 1; i >= 0; i-- {
		b := v >> i & 1
		e.bit([4]int{model, context, node}, b)
		node = node<<1 | b
	}
}

func (e *encoder) reverse(model, context, n, v int) {
	node := 1
	for range n {
		e.bit([4]int{model, context, node}, v&1)
		node = node<<1 | v&1
		v >>= 1
	}
}

func (e *encoder) pos() int { return len(e.content) & (1<<e.pb - 1) }

func (e *encoder) literal(c byte) {
	e.bit([4]int{isMatch, e.state, e.pos()}, 0)
	last := 0
	if n := len(e.content); n > 0 {
		last = int(e.content[n-1])
	}
	context := len(e.content)&(1<<e.lp-1)<<e.lc + last>>(8-e.lc)
	node, matched := 1, e.state >= 7
	var match byte
	if matched {
		match = e.content[len(e.content)-e.reps[0]-1]
	}
	for i := 7; i >= 0; i-- {
		b, branch := int(c>>i&1), 0
		if matched {
			branch = 1 + int(match>>i&1)
			matched = int(match>>i&1) == b
		}
		e.bit([4]int{literalModel, context, node, branch}, b)
		node = node<<1 | b
	}
	e.content = append(e.content, c)
	switch {
	case e.state < 4:
		e.state = 0
	case e.state < 10:
		e.state -= 3
	default:
		e.state -= 6
	}
}

func (e *encoder) length(model, n int) {
	pos := e.pos()
	switch n -= 2; {
	case n < 8:
		e.bit([4]int{model, -1}, 0)
		e.tree(model, pos, 3, n)
	case n < 16:
		e.bit([4]int{model, -1}, 1)
		e.bit([4]int{model, -2}, 0)
		e.tree(model, 100+pos, 3, n-8)
	default:
		e.bit([4]int{model, -1}, 1)
		e.bit([4]int{model, -2}, 1)
		e.tree(model, 1000, 8, n-16)
	}
}

func (e *encoder) distance(distance uint32, length int) {
	slot := int(distance)
	if distance >= 4 {
		bits := 31
		for distance>>bits == 0 {
			bits--
		}
		slot = bits<<1 | int(distance>>(bits-1)&1)
	}
	e.tree(slotModel, min(length-2, 3), 6, slot)
	if slot < 4 {
		return
	}
	n := slot>>1 - 1
	rest := int(distance) & (1<<n - 1)
	if slot < 14 {
		e.reverse(specialModel, slot, n, rest)
		return
	}
	for i := n - 1; i >= 4; i-- {
		e.rng >>= 1
		if rest>>i&1 == 1 {
			e.low += uint64(e.rng)
		}
		e.normalise()
	}
	e.reverse(alignModel, 0, 4, rest&15)
}

func (e *encoder) copy(n int) {
	for range n {
		e.content = append(e.content, e.content[len(e.content)-e.reps[0]-1])
	}
}

func (e *encoder) match(distance, n int) {
	e.bit([4]int{isMatch, e.state, e.pos()}, 1)
	e.bit([4]int{isRep, e.state}, 0)
	e.length(lengthModel, n)
	e.distance(uint32(distance), n)
	e.reps = [4]int{distance, e.reps[0], e.reps[1], e.reps[2]}
	e.copy(n)
	e.state = next(e.state, 7, 10)
}

// rep repeats the distance of one of the last matches.
func (e *encoder) rep(i, n int) {
	e.bit([4]int{isMatch, e.state, e.pos()}, 1)
	e.bit([4]int{isRep, e.state}, 1)
	if i == 0 {
		e.bit([4]int{isRep0, e.state}, 0)
		if n == 1 {
			e.bit([4]int{isLong, e.state, e.pos()}, 0)
			e.copy(1)
			e.state = next(e.state, 9, 11)
			return
		}
		e.bit([4]int{isLong, e.state, e.pos()}, 1)
	} else {
		e.bit([4]int{isRep0, e.state}, 1)
		if i == 1 {
			e.bit([4]int{isRep1, e.state}, 0)
		} else {
			e.bit([4]int{isRep1, e.state}, 1)
			e.bit([4]int{isRep2, e.state}, i-2)
		}
	}
	distance := e.reps[i]
	copy(e.reps[1:i+1], e.reps[:i])
	e.reps[0] = distance
	e.length(repLengthModel, n)
	e.copy(n)
	e.state = next(e.state, 8, 11)
}

func next(state, literal, match int) int {
	if state < 7 {
		return literal
	}
	return match
}

// finish ends the data, with a mark or without.
func (e *encoder) finish(mark bool) []byte {
	if mark {
		e.bit([4]int{isMatch, e.state, e.pos()}, 1)
		e.bit([4]int{isRep, e.state}, 0)
		e.length(lengthModel, 2)
		e.distance(0xffffffff, 2)
	}
	for range 5 {
		e.shift()
	}
	return e.out.Bytes()
}

// play encodes what a script says: two bytes for each symbol.
func (e *encoder) play(script []byte) {
	for ; len(script) >= 2; script = script[2:] {
		a, b := int(script[0]), int(script[1])
		have := len(e.content)
		switch {
		case a < 64 || have < 8:
			e.literal(byte(b))
		case a < 160:
			e.match((a*b*b+b)%have, 2+(a*7+b)%272)
		default:
			i := a % 4
			if e.reps[i] >= have {
				e.literal(byte(b))
				continue
			}
			n := 1 + b
			if i > 0 {
				n++
			}
			e.rep(i, n)
		}
	}
}

func props(lc, lp, pb int, history uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{byte(lc + 9*(lp+5*pb))}, history)
}

// roundTrip decodes what a script encodes.
func roundTrip(t *testing.T, script []byte, lc, lp, pb int, mark bool) {
	t.Helper()
	e := newEncoder(lc, lp, pb)
	e.play(script)
	packed := e.finish(mark)
	size := int64(len(e.content))
	if mark {
		size = -1
	}
	for _, chunk := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.HalfReader} {
		r, err := lzma.Bounds{Limit: 64 << 20}.NewReader(chunk(bytes.NewReader(packed)), props(lc, lp, pb, 1<<24), size)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(chunk(r))
		if err != nil || !bytes.Equal(got, e.content) {
			t.Fatalf("lc=%d lp=%d pb=%d mark=%v: %d bytes of %d, %v", lc, lp, pb, mark, len(got), len(e.content), err)
		}
	}
}

func script(n int, seed uint32) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return b
}

func TestEverySymbol(t *testing.T) {
	t.Parallel()
	for seed := range uint32(4) {
		for _, p := range [][3]int{{3, 0, 2}, {0, 0, 0}, {8, 0, 4}, {0, 4, 1}, {4, 2, 3}} {
			roundTrip(t, script(2000, seed), p[0], p[1], p[2], seed%2 == 0)
		}
	}
	roundTrip(t, nil, 3, 0, 2, true)
	roundTrip(t, nil, 3, 0, 2, false)
}

// TestHistoryIsForgotten: a match that goes back further than the history is none, as soon as the history is full.
func TestHistoryIsForgotten(t *testing.T) {
	t.Parallel()
	for back, want := range map[int]error{4095: nil, 4096: trust.ErrMalformed} {
		e := newEncoder(3, 0, 2)
		for i := range 5000 {
			e.literal(byte(i * i >> 3))
		}
		e.match(back, 10)
		packed := e.finish(true)
		r, err := lzma.Bounds{Limit: 1 << 20}.NewReader(bytes.NewReader(packed), props(3, 0, 2, 4096), -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if !errors.Is(err, want) || !bytes.HasPrefix(e.content, got) || len(got) < 5000 {
			t.Errorf("%d back: %d bytes, %v", back, len(got), err)
		}
	}
}

func FuzzEverySymbol(f *testing.F) {
	f.Add(script(200, 1), byte(0x5d), true)
	f.Add(script(200, 2), byte(0), false)
	f.Fuzz(func(t *testing.T, script []byte, props byte, mark bool) {
		if len(script) < 4096 && props < 225 {
			roundTrip(t, script, int(props%9), int(props/9%5), int(props/45), mark)
		}
	})
}
