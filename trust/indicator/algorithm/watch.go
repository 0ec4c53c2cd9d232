package algorithm

import (
	"bytes"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// textWatch counts constants that source text spells, and the words that tell nodes from miners.
type textWatch struct {
	ind     *Indicator
	file    indicator.File
	out     *report.Report
	written map[int]bool
	node    map[int]bool
	mining  bool
	first   int64
	excerpt []byte
}

func newTextWatch(ind *Indicator, f indicator.File) *textWatch {
	return &textWatch{ind: ind, file: f, out: report.New(f), written: map[int]bool{}, node: map[int]bool{}}
}

// Hit implements indicator.Watch.
func (w *textWatch) Hit(h indicator.Hit) {
	switch l := w.ind.meaning[h.Literal]; l.class {
	case node:
		w.node[l.id] = true
	case mining:
		w.mining = true
	case written:
		if len(w.written) == 0 {
			line, _ := text.Line(h.Window, h.At, 100)
			w.first, w.excerpt = h.Offset, bytes.Clone(line)
		}
		w.written[l.id] = true
	}
}

// Close implements indicator.Watch.
func (w *textWatch) Close() []trust.Finding {
	if n := len(w.written); n >= minWritten {
		strength := trust.Strong
		if n >= provenWritten {
			strength = trust.Proof
		}
		w.add(w.first, strength, w.excerpt, fmt.Sprintf("spells %d constants of the RandomX mining algorithm", n))
	}
	return w.out.Findings()
}

// add weighs a sign: a program that only verifies blocks has the algorithm too.
func (w *textWatch) add(offset int64, s trust.Strength, excerpt []byte, why string) {
	switch {
	case len(w.node) >= minNode && !w.mining:
		// The words are easily put into a miner: a program is never worth less than a warning, whoever starts it.
		now, ifRun := trust.Weak, min(s, trust.Strong)
		if w.file.Kind == trust.KindExecutable {
			now, ifRun = ifRun, trust.Context
		}
		w.out.AddWeighed(offset, now, ifRun, excerpt, why+", but looks like node software, which verifies blocks and mines only when told to")
	case w.file.Kind == trust.KindScript || w.file.Kind == trust.KindText || w.file.Kind == trust.KindConfig:
		w.out.Add(offset, s, excerpt, why)
	case w.file.Kind == trust.KindExecutable:
		w.out.AddWeighed(offset, s, trust.Context, excerpt, why)
	case s == trust.Proof:
		w.out.AddWeighed(offset, trust.Strong, trust.Proof, excerpt, why)
	default:
		w.out.AddWeighed(offset, s, trust.Context, excerpt, why)
	}
}

// byteWatch sees every byte of what is no text.
type byteWatch struct {
	*textWatch
	tail []byte // the last three bytes seen
	seen int64

	near     []sight // constants within span, oldest first, from near[gone] on
	gone     int
	counts   map[int]int // constant → how often it is in near
	words    int         // different words in near
	wide     int         // different wide constants in near
	heads    [4]head     // first halves of wide constants seen last
	nextHead int

	best      trust.Strength
	bestAt    int64
	bestWords int
	bestWide  int
}

type sight struct {
	at int64
	id int
	// wide says which counter the constant is in.
	wide bool
}

type head struct {
	at   int64
	mark mark
}

func newByteWatch(t *textWatch) *byteWatch {
	w := &byteWatch{textWatch: t, counts: map[int]int{}}
	for i := range w.heads {
		w.heads[i].at = -100
	}
	return w
}

// Bytes implements indicator.ByteWatch.
func (w *byteWatch) Bytes(chunk []byte) {
	if w.best == trust.Proof {
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
	if w.best == trust.Proof {
		return
	}
	for _, m := range marks {
		switch {
		case m.wide && !m.tail:
			w.heads[w.nextHead] = head{at, m}
			w.nextHead = (w.nextHead + 1) % len(w.heads)
		case !m.wide || w.follows(at, m):
			w.count(sight{at, m.id, m.wide})
		}
	}
}

// follows: the other half of a wide constant stands right before.
func (w *byteWatch) follows(at int64, m mark) bool {
	for _, h := range w.heads {
		if h.at == at-4 && h.mark.id == m.id && h.mark.big == m.big {
			return true
		}
	}
	return false
}

func (w *byteWatch) count(s sight) {
	for ; w.gone < len(w.near) && w.near[w.gone].at <= s.at-span; w.gone++ {
		w.change(w.near[w.gone], -1)
	}
	if w.gone > len(w.near)/2 { // seldom, so that a file full of constants costs no more than its length
		w.near, w.gone = append(w.near[:0], w.near[w.gone:]...), 0
	}
	w.near = append(w.near, s)
	w.change(s, 1)
	strength := trust.Context
	switch {
	case w.words >= minProof || w.wide >= minWide:
		strength = trust.Proof
	case w.words >= minStrong:
		strength = trust.Strong
	}
	if strength > w.best {
		w.best, w.bestAt, w.bestWords, w.bestWide = strength, w.near[w.gone].at, w.words, w.wide
	}
}

// change keeps the numbers of different constants in near.
func (w *byteWatch) change(s sight, by int) {
	was := w.counts[s.id]
	w.counts[s.id] = was + by
	step := 0
	switch {
	case was == 0:
		step = 1
	case was+by == 0:
		step = -1
	}
	if s.wide {
		w.wide += step
	} else {
		w.words += step
	}
}

// Close implements indicator.Watch.
func (w *byteWatch) Close() []trust.Finding {
	if w.best > trust.Context {
		w.add(w.bestAt, w.best, nil, fmt.Sprintf("holds %d constants of the RandomX mining algorithm close together", w.bestWords+w.bestWide))
	}
	return w.textWatch.Close()
}
