package algorithm

import (
	"bytes"
	"fmt"
	"math/bits"
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// apart is how far behind the first size of a table its second may stand in source text, in bytes.
const apart = 40

// watch counts constants, and the words that tell nodes from miners.
type watch struct {
	ind     *Indicator
	file    indicator.File
	out     *report.Report
	written map[int]bool
	// node, mining and library have a bit for every word of theirs.
	node, mining, library uint64

	first   int64
	excerpt []byte
	// words are searched in windows, up to next.
	words, wide, moved cluster
	next               int64
	// held has a bit for every constant of families, at the first offset of each.
	held uint64
	at   map[int]int64
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	for _, l := range w.ind.meaning[h.Literal] {
		switch l.class {
		case window:
			w.window(h)
		case node:
			w.node |= 1 << l.id
		case library:
			w.library |= 1 << l.id
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

// window looks for the words of RandomX around one of them. Windows overlap, and each place is looked at once.
func (w *watch) window(h indicator.Hit) {
	if isText(w.file.Kind) || w.words.full() {
		return
	}
	p, at := text.Clip(h)
	base := h.Offset - int64(at)
	if end := base + int64(len(p)) - 3; end > w.next {
		from := max(w.next-base, 0)
		w.next = end
		w.ind.table.scan(p[from:], func(at, id int) { w.words.add(base+from+int64(at), id) })
	}
}

func (w *watch) hold(id int, offset int64) {
	if w.held>>id&1 == 0 {
		if w.at == nil {
			w.at = map[int]int64{}
		}
		w.held |= 1 << id
		w.at[id] = offset
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	if n := len(w.written); n >= minWritten {
		strength := trust.Strong
		if n >= provenWritten {
			strength = trust.Proof
		}
		w.add(w.first, strength, trust.Context, w.excerpt, fmt.Sprintf("spells %d constants of the RandomX mining algorithm", n))
	}
	w.closeRandomX()
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
func (w *watch) earliest(of uint64) int64 {
	first := int64(-1)
	for left := of & w.held; left != 0; left &= left - 1 {
		if at := w.at[bits.TrailingZeros64(left)]; first < 0 || at < first {
			first = at
		}
	}
	return max(first, 0)
}

func (w *watch) closeRandomX() {
	if isText(w.file.Kind) {
		return
	}
	if n := w.words.best; n >= minStrong {
		w.add(w.words.at, strengthOf(n), trust.Context, nil, fmt.Sprintf("holds %d constants of the RandomX mining algorithm close together", n))
	}
	switch n := w.wide.best; {
	case n >= minWide:
		w.add(w.wide.at, trust.Proof, trust.Context, nil, fmt.Sprintf("holds %d 64-bit constants of the RandomX mining algorithm close together", n))
	case n > 0 && w.held&w.ind.salts != 0:
		w.add(w.wide.at, trust.Strong, trust.Context, nil, "holds a salt and a 64-bit constant of the RandomX mining algorithm")
	}
	if n := w.moved.best; n >= minStrong {
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
func (w *watch) add(offset int64, s, ifRun trust.Strength, excerpt []byte, why string) {
	var class trust.Class
	switch {
	case w.mining != 0:
	case bits.OnesCount64(w.node) >= minNode:
		class = trust.ClassNode
		why += ", but looks like node software, which verifies blocks and mines only when told to"
	case bits.OnesCount64(w.library) >= minLibrary && isShared(w.file.Path):
		class = trust.ClassNode
		why += ", but is the shared library that node software verifies blocks with"
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

// isShared reports whether a path is that of a shared library, which nothing starts by itself.
func isShared(p string) bool {
	base := path.Base(p)
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.")
}
