// Package minerbinary finds the programs of known miner families by what they say: help texts, messages, hosts of
// their authors. One sentence alone is nothing; it takes several of one family in one file.
package minerbinary

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

const (
	name    = "minerbinary"
	version = 2

	// minStrong and minProof are how many different texts of one family a file must hold.
	minStrong, minProof = 3, 6
	// manyFamilies is how many families make a signature database rather than a miner.
	manyFamilies = 3
	// maxTexts bounds the texts of a family.
	maxTexts = 64
)

// Rules are the data of this indicator.
type Rules struct {
	Families []Family `yaml:"families"`
}

// Family is one lineage of mining programs.
type Family struct {
	Name  string   `yaml:"name"`
	Texts []string `yaml:"texts"`
}

type literal struct{ family, text int }

// Indicator implements indicator.Indicator.
type Indicator struct {
	families []Family
	literals []indicator.Literal
	meaning  [][]literal
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Families) == 0 {
		return nil, fmt.Errorf("minerbinary rules: no families")
	}
	ind := &Indicator{families: r.Families}
	index := map[string]int{}
	for f, family := range r.Families {
		if family.Name == "" || len(family.Texts) < minProof || len(family.Texts) > maxTexts {
			return nil, fmt.Errorf("minerbinary rules: family %q: want a name and %d to %d texts", family.Name, minProof, maxTexts)
		}
		for t, text := range family.Texts {
			if len(text) < 6 {
				return nil, fmt.Errorf("minerbinary rules: %q is shorter than 6 bytes", text)
			}
			i, ok := index[text]
			if !ok {
				i = len(ind.literals)
				index[text] = i
				ind.literals = append(ind.literals, indicator.Literal{Text: text})
				ind.meaning = append(ind.meaning, nil)
			}
			ind.meaning[i] = append(ind.meaning[i], literal{f, t})
		}
	}
	return ind, nil
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Watch implements indicator.Indicator. Text is no concern of it: sources and lists of signatures hold the sentences
// as well.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	switch f.Kind {
	case trust.KindConfig, trust.KindScript, trust.KindText:
		return nil
	}
	return &watch{ind: ind, file: f, seen: make([]uint64, len(ind.families)), first: make([]first, len(ind.families))}
}

type watch struct {
	ind   *Indicator
	file  indicator.File
	seen  []uint64 // per family, a bit a text
	first []first
}

type first struct {
	offset  int64
	excerpt []byte
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	for _, l := range w.ind.meaning[h.Literal] {
		if w.seen[l.family] == 0 {
			end := min(len(h.Window), h.At+100)
			text := h.Window[h.At:end]
			if i := bytes.IndexByte(text, 0); i >= 0 {
				text = text[:i]
			}
			w.first[l.family] = first{h.Offset, bytes.Clone(text)}
		}
		w.seen[l.family] |= 1 << l.text
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	out := report.New(w.file)
	families := 0
	for _, seen := range w.seen {
		if bits.OnesCount64(seen) >= minStrong {
			families++
		}
	}
	for f, seen := range w.seen {
		n := bits.OnesCount64(seen)
		if n < minStrong {
			continue
		}
		strength := trust.Strong
		if n >= minProof {
			strength = trust.Proof
		}
		why := fmt.Sprintf("holds %d texts of the mining program %s", n, w.ind.families[f].Name)
		now, ifRun := strength, trust.Context
		switch {
		case families >= manyFamilies:
			// Other families' texts are easily put into a miner: a program never goes without a warning.
			now, ifRun, why = trust.Weak, strength, why+" beside those of other miners, as signature databases do"
			if w.file.Kind == trust.KindExecutable {
				now = trust.Strong
			}
			if ifRun == now {
				ifRun = trust.Context
			}
		case w.file.Kind != trust.KindExecutable && strength == trust.Proof:
			now, ifRun = trust.Strong, trust.Proof
		}
		w.add(out, f, now, ifRun, why)
	}
	return out.Findings()
}

func (w *watch) add(out *report.Report, family int, now, ifRun trust.Strength, why string) {
	out.AddWeighed(w.first[family].offset, now, ifRun, w.first[family].excerpt, why)
}
