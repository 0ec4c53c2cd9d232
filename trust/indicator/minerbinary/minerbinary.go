// Package minerbinary finds the programs of known miner families by what they say: help texts, messages, hosts of
// their authors, the names of the algorithms that they can be told to mine, and the packages that a Go program names.
// One sentence alone is nothing; it takes several of one family in one file.
package minerbinary

import (
	"errors"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

const (
	name    = "minerbinary"
	version = 3

	// minStrong and minProof are how many different texts of one family a file must hold.
	minStrong, minProof = 3, 6
	// manyFamilies is how many families make a signature database rather than a miner.
	manyFamilies = 3
	// maxTexts bounds the texts of a family, the words of the vocabulary and the packages: each has a bit.
	maxTexts = 64
	// minLiteral is the engine's shortest literal, in bytes.
	minLiteral = 6
)

// Rules are the data of this indicator.
type Rules struct {
	Families []Family `yaml:"families"`
	// Vocabulary are names of algorithms as miners take them for options. MinVocabulary different ones in one file
	// make a miner, whatever it is called.
	Vocabulary    []string `yaml:"vocabulary"`
	MinVocabulary int      `yaml:"minVocabulary"`
	// Packages are those of mining programs written in Go.
	Packages []Package `yaml:"packages"`
}

// Family is one lineage of mining programs.
type Family struct {
	Name  string   `yaml:"name"`
	Texts []string `yaml:"texts"`
}

// Package is a Go package or module.
type Package struct {
	Name string `yaml:"name"`
	Path string `yaml:"path"`
	// Miner says that a program whose own package it is mines; else it is a library, which others use too.
	Miner bool `yaml:"miner"`
}

type class int

const (
	text class = iota
	word
	pack
)

type literal struct {
	class class
	// family and text are indexes; text alone for words and packages.
	family, text int
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	rules    Rules
	literals []indicator.Literal
	meaning  [][]literal
	index    map[string]int
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Families) == 0 {
		return nil, errors.New("minerbinary rules: no families")
	}
	ind := &Indicator{rules: r, index: map[string]int{}}
	for f, family := range r.Families {
		if family.Name == "" || len(family.Texts) < minProof || len(family.Texts) > maxTexts {
			return nil, fmt.Errorf("minerbinary rules: family %q: want a name and %d to %d texts", family.Name, minProof, maxTexts)
		}
		for t, s := range family.Texts {
			if err := ind.literal(s, literal{text, f, t}); err != nil {
				return nil, err
			}
		}
	}
	if n := len(r.Vocabulary); n > maxTexts || n > 0 && (r.MinVocabulary < minStrong || r.MinVocabulary > n) || len(r.Packages) > maxTexts {
		return nil, fmt.Errorf("minerbinary rules: want at most %d words and packages, and %d words or more of them for a miner", maxTexts, minStrong)
	}
	for i, s := range r.Vocabulary {
		if err := ind.literal(s, literal{word, 0, i}); err != nil {
			return nil, err
		}
	}
	for i, p := range r.Packages {
		if p.Name == "" {
			return nil, fmt.Errorf("minerbinary rules: package %q has no name", p.Path)
		}
		if err := ind.literal(p.Path, literal{pack, 0, i}); err != nil {
			return nil, err
		}
	}
	return ind, nil
}

func (ind *Indicator) literal(s string, l literal) error {
	if len(s) < minLiteral {
		return fmt.Errorf("minerbinary rules: %q is shorter than %d bytes", s, minLiteral)
	}
	i, ok := ind.index[s]
	if !ok {
		i = len(ind.literals)
		ind.index[s] = i
		ind.literals = append(ind.literals, indicator.Literal{Text: s})
		ind.meaning = append(ind.meaning, nil)
	}
	ind.meaning[i] = append(ind.meaning[i], l)
	return nil
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Idle implements indicator.Idler: nothing happens before the first hit.
func (*Indicator) Idle(indicator.File) bool { return true }

// Watch implements indicator.Indicator. Text is no concern of it: sources and lists of signatures hold the sentences
// as well.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	switch f.Kind {
	case trust.KindConfig, trust.KindScript, trust.KindText:
		return nil
	}
	return &watch{ind: ind, file: f, out: report.New(f)}
}
