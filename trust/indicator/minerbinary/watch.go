package minerbinary

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

type watch struct {
	ind  *Indicator
	file indicator.File
	out  *report.Report
	// seen has a bit for every text of a family, first where the first one stands. Both are nil until a text is found.
	seen  []uint64
	first []place

	words     uint64 // a bit for every word of the vocabulary
	firstWord place
	own       []goPackage // packages that the program names
	named     uint64      // a bit for every one of them
}

type place struct {
	offset  int64
	excerpt []byte
}

type goPackage struct {
	place
	id    int
	miner bool
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	for _, l := range w.ind.meaning[h.Literal] {
		switch l.class {
		case text:
			w.text(h, l)
		case word:
			w.word(h, l.text)
		default:
			w.goPackage(h, l.text)
		}
	}
}

func (w *watch) text(h indicator.Hit, l literal) {
	if w.seen == nil {
		w.seen, w.first = make([]uint64, len(w.ind.rules.Families)), make([]place, len(w.ind.rules.Families))
	}
	if w.seen[l.family] == 0 {
		w.first[l.family] = placeOf(h, h.At)
	}
	w.seen[l.family] |= 1 << l.text
}

// placeOf takes the text from a place in the window on for evidence.
func placeOf(h indicator.Hit, at int) place {
	s := h.Window[at:min(len(h.Window), h.At+100)]
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return place{h.Offset, bytes.Clone(s)}
}

// word counts a name that stands by itself.
func (w *watch) word(h indicator.Hit, id int) {
	end := h.At + len(w.ind.rules.Vocabulary[id])
	if h.At > 0 && continues(h.Window[h.At-1]) || end < len(h.Window) && continues(h.Window[end]) {
		return
	}
	if w.words == 0 {
		w.firstWord = placeOf(h, h.At)
	}
	w.words |= 1 << id
}

func continues(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '-' || c == '_' || c == '.'
}

// goPackage looks at how a program names a package: a line of its build information, or the name of a function, which
// stripping leaves because stack traces need it.
func (w *watch) goPackage(h indicator.Hit, id int) {
	if w.named>>id&1 != 0 && !w.ind.rules.Packages[id].Miner {
		return
	}
	before, behind := h.Window[:h.At], h.Window[h.At+len(w.ind.rules.Packages[id].Path):]
	found := goPackage{id: id}
	switch {
	case bytes.HasSuffix(before, []byte("path\t")), bytes.HasSuffix(before, []byte("mod\t")):
		found.place, found.miner = placeOf(h, h.At), w.ind.rules.Packages[id].Miner
	case bytes.HasSuffix(before, []byte("dep\t")), bytes.HasSuffix(before, []byte("=>\t")), isFunction(behind):
		found.place = placeOf(h, h.At)
	default:
		return
	}
	if i := bytes.IndexByte(found.excerpt, '\n'); i >= 0 {
		found.excerpt = found.excerpt[:i]
	}
	for i := range w.own {
		if w.own[i].id == id {
			if found.miner && !w.own[i].miner {
				w.own[i] = found
			}
			return
		}
	}
	w.named |= 1 << id
	w.own = append(w.own, found)
}

// isFunction: behind a package's path stands a function or a package below it.
func isFunction(behind []byte) bool {
	if len(behind) < 2 || behind[0] != '.' && behind[0] != '/' {
		return false
	}
	c := behind[1]
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '(' || c == '_'
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	families := 0
	for _, seen := range w.seen {
		if bits.OnesCount64(seen) >= minStrong {
			families++
		}
	}
	for f, seen := range w.seen {
		if n := bits.OnesCount64(seen); n >= minStrong {
			w.family(f, n, families)
		}
	}
	if n := bits.OnesCount64(w.words); n > 0 && n >= w.ind.rules.MinVocabulary {
		w.out.AddWeighed(w.firstWord.offset, trust.Strong, trust.Context, w.firstWord.excerpt, fmt.Sprintf("knows %d mining algorithms by the names that miners take for options", n))
	}
	for _, p := range w.own {
		pack := w.ind.rules.Packages[p.id]
		if p.miner {
			w.add(p.place, trust.Proof, fmt.Sprintf("is the Go program %s, which mines", pack.Name))
		} else {
			w.add(p.place, trust.Strong, fmt.Sprintf("is built with the Go package of %s", pack.Name))
		}
	}
	return w.out.Findings()
}

func (w *watch) family(f, n, families int) {
	strength := trust.Strong
	if n >= minProof {
		strength = trust.Proof
	}
	why := fmt.Sprintf("holds %d texts of the mining program %s", n, w.ind.rules.Families[f].Name)
	if families < manyFamilies {
		w.add(w.first[f], strength, why)
		return
	}
	// Other families' texts are easily put into a miner: a program never goes without a warning.
	now, ifRun := trust.Weak, strength
	if w.file.Kind == trust.KindExecutable {
		now = trust.Strong
	}
	if ifRun == now {
		ifRun = trust.Context
	}
	w.out.AddWeighed(w.first[f].offset, now, ifRun, w.first[f].excerpt, why+" beside those of other miners, as signature databases do")
}

// add weighs a sign by what the file is.
func (w *watch) add(at place, s trust.Strength, why string) {
	now, ifRun := s, trust.Context
	if w.file.Kind != trust.KindExecutable && s == trust.Proof {
		now, ifRun = trust.Strong, trust.Proof
	}
	w.out.AddWeighed(at.offset, now, ifRun, at.excerpt, why)
}
