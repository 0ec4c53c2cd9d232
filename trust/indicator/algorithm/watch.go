package algorithm

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// apart is how far behind the first size of a table its second may stand in source text, in bytes.
const apart = 40

// textWatch counts constants that hits show: those that source text spells, long ones, and the words that tell nodes
// from miners.
type textWatch struct {
	ind     *Indicator
	file    indicator.File
	out     *report.Report
	written map[int]bool
	// node and mining have a bit for every word of theirs.
	node, mining uint64
	first        int64
	excerpt      []byte
	wide         cluster
	moved        cluster
	// held has a bit for every constant of families, at the first offset of each.
	held uint64
	at   map[int]int64
}

func newTextWatch(ind *Indicator, f indicator.File) *textWatch {
	return &textWatch{
		ind: ind, file: f, out: report.New(f), wide: cluster{enough: minWide}, moved: cluster{enough: minProof},
	}
}

// Hit implements indicator.Watch.
func (w *textWatch) Hit(h indicator.Hit) {
	for _, l := range w.ind.meaning[h.Literal] {
		switch l.class {
		case node:
			w.node |= 1 << l.id
		case mining:
			w.mining |= 1 << l.id
		case written:
			if w.written == nil {
				w.written = map[int]bool{}
				line, _ := text.Line(h.Window, h.At, 100)
				w.first, w.excerpt = h.Offset, bytes.Clone(line)
			}
			w.written[l.id] = true
		case wide:
			w.wide.add(h.Offset, l.id)
		case moved:
			w.moved.add(h.Offset, l.id)
		case phrase:
			if !isText(w.file.Kind) {
				w.hold(l.id, h.Offset)
			}
		case sizes:
			from := h.At + len(l.next)
			if bytes.Contains(h.Window[min(from, len(h.Window)):min(from+apart, len(h.Window))], []byte(l.next)) {
				w.hold(l.id, h.Offset)
			}
		case constant, spelled:
			w.hold(l.id, h.Offset)
		}
	}
}

func (w *textWatch) hold(id int, offset int64) {
	if w.held>>id&1 == 0 {
		if w.at == nil {
			w.at = map[int]int64{}
		}
		w.held |= 1 << id
		w.at[id] = offset
	}
}

// Close implements indicator.Watch.
func (w *textWatch) Close() []trust.Finding {
	if n := len(w.written); n >= minWritten {
		strength := trust.Strong
		if n >= provenWritten {
			strength = trust.Proof
		}
		w.add(w.first, strength, trust.Context, w.excerpt, fmt.Sprintf("spells %d constants of the RandomX mining algorithm", n))
	}
	w.closeWide()
	for _, f := range w.ind.families {
		if now, ifRun, there := f.weigh(w.held, w.mining != 0); there {
			why := "holds the constants of the " + f.name + " mining algorithm"
			switch {
			case w.mining != 0:
				why += " and words that only miners have"
			case now < ifRun:
				why += ", beside those of other software that uses them"
			}
			w.add(w.earliest(f.all|f.any), now, ifRun, nil, why)
		}
	}
	return w.out.Findings()
}

// earliest is where the first of some constants stands.
func (w *textWatch) earliest(of uint64) int64 {
	first := int64(-1)
	for left := of & w.held; left != 0; left &= left - 1 {
		if at := w.at[bits.TrailingZeros64(left)]; first < 0 || at < first {
			first = at
		}
	}
	return max(first, 0)
}

func (w *textWatch) closeWide() {
	switch n := w.wide.best; {
	case isText(w.file.Kind):
	case n >= minWide:
		w.add(w.wide.at, trust.Proof, trust.Context, nil, fmt.Sprintf("holds %d 64-bit constants of the RandomX mining algorithm close together", n))
	case n > 0 && w.held&w.ind.salts != 0:
		w.add(w.wide.at, trust.Strong, trust.Context, nil, "holds a salt and a 64-bit constant of the RandomX mining algorithm")
	}
	if n := w.moved.best; n >= minStrong && !isText(w.file.Kind) {
		w.add(w.moved.at, strengthOf(n), trust.Context, nil, fmt.Sprintf("has instructions that load %d constants of the RandomX mining algorithm", n))
	}
}

func strengthOf(words int) trust.Strength {
	if words >= minProof {
		return trust.Proof
	}
	return trust.Strong
}

// add weighs a sign. A program that only verifies blocks has the algorithm too: its findings have a class, and what
// that is worth is for the policy to say. The class takes several words of node software and none that only miners
// have; whoever plants the first into a miner still has to take all of the others out.
func (w *textWatch) add(offset int64, s, ifRun trust.Strength, excerpt []byte, why string) {
	var class trust.Class
	if bits.OnesCount64(w.node) >= minNode && w.mining == 0 {
		class = trust.ClassNode
		why += ", but looks like node software, which verifies blocks and mines only when told to"
	}
	now := s
	switch {
	case isText(w.file.Kind):
		var run trust.Strength
		now, run = report.Weigh(w.out.Role(), s)
		ifRun = max(ifRun, run)
	case w.file.Kind != trust.KindExecutable && s == trust.Proof:
		now, ifRun = trust.Strong, trust.Proof
	}
	w.out.AddClassed(class, offset, now, ifRun, excerpt, why)
}

// byteWatch sees every byte of what is no text.
type byteWatch struct {
	*textWatch
	tail  []byte // the last three bytes seen
	seen  int64
	words cluster
}

// Bytes implements indicator.ByteWatch.
func (w *byteWatch) Bytes(chunk []byte) {
	if w.words.full() {
		return
	}
	if n := len(w.tail); n > 0 {
		var buf [6]byte
		joined := append(append(buf[:0], w.tail...), chunk[:min(3, len(chunk))]...)
		start := w.seen - int64(n)
		w.ind.table.scan(joined, func(at int, marks []mark) { w.see(start+int64(at), marks) })
	}
	w.ind.table.scan(chunk, func(at int, marks []mark) { w.see(w.seen+int64(at), marks) })
	w.seen += int64(len(chunk))
	if len(chunk) >= 3 {
		w.tail = append(w.tail[:0], chunk[len(chunk)-3:]...)
		return
	}
	w.tail = append(w.tail, chunk...)
	w.tail = append(w.tail[:0], w.tail[max(0, len(w.tail)-3):]...)
}

func (w *byteWatch) see(at int64, marks []mark) {
	for _, m := range marks {
		w.words.add(at, m.id)
	}
}

// Close implements indicator.Watch.
func (w *byteWatch) Close() []trust.Finding {
	if n := w.words.best; n >= minStrong {
		w.add(w.words.at, strengthOf(n), trust.Context, nil, fmt.Sprintf("holds %d constants of the RandomX mining algorithm close together", n))
	}
	return w.textWatch.Close()
}
