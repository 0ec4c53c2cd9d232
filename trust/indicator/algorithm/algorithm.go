// Package algorithm finds the constants of mining algorithms. They survive stripping, renaming, static linking and
// optimisation. Those of RandomX, the proof-of-work function of Monero and its relatives, are Blake2b hashes of fixed
// labels, which nothing else has; families of other algorithms are told by constants that stand together in one file.
// Labels and constants come from the rules, so that our own binary holds neither.
package algorithm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

const (
	name    = "algorithm"
	version = 3

	// span is how close together constants of RandomX must stand, in bytes.
	span = 4 << 10
	// minProof and minStrong are how many different words must stand together. One word is in every 30 MB of noise by
	// chance; six within span never are.
	minProof, minStrong = 6, 4
	// minWide is how many different 64-bit constants are as good as minProof words.
	minWide = 3
	// minWritten and provenWritten are how many constants a source text must spell.
	minWritten, provenWritten = 3, 6
	// minNode is how many words of node software make a verifier, if it has no word that only miners have; minLibrary
	// how many functions of the reference library make it of a shared library.
	minNode, minLibrary = 4, 4
	// maxWords bounds the constants of RandomX that rules may name, maxConstants and maxFamilies the others.
	maxWords     = 1024
	maxConstants = 64 // a bit each
	maxFamilies  = 64
)

// Rules are the data of this indicator.
type Rules struct {
	// Labels are hashed with Blake2b to give the 32-bit constants of RandomX.
	Labels []Label `yaml:"labels"`
	// Words are further constants of RandomX as hexadecimal bytes, four bytes each word, as they stand in a
	// little-endian file.
	Words []string `yaml:"words"`
	// Wide are its 64-bit constants as hexadecimal bytes, as they stand in a little-endian file.
	Wide []string `yaml:"wide"`
	// Salt is the family whose constants are RandomX's salts.
	Salt string `yaml:"salt"`
	// Constants are those of other algorithms, Families what they make together.
	Constants []Constant `yaml:"constants"`
	Families  []Family   `yaml:"families"`
	// Library are names of functions that the reference library of RandomX exports; nodes share it.
	Library []string `yaml:"library"`
	// Node are words of software that verifies blocks; Mining are words that a mere verifier does not have.
	Node   []string `yaml:"node"`
	Mining []string `yaml:"mining"`
}

// Label is a text and the size of its hash in bytes: 32 or 64.
type Label struct {
	Text string `yaml:"text"`
	Size int    `yaml:"size"`
}

// class says what a literal is.
type class int

const (
	window   class = iota // a word of RandomX: others may stand around it
	written               // a constant of RandomX as source text spells it
	wide                  // a 64-bit constant of RandomX
	moved                 // a constant of RandomX in two instructions
	constant              // a constant of a family, as bytes
	spelled               // the same in source text
	phrase                // the same as a text that only programs hold
	sizes                 // a table of sizes as text: the second follows the first
	library
	node
	mining
)

type literal struct {
	class class
	id    int
	next  string // sizes: what follows
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	table    *table
	families []compiled
	salts    uint64
	literals []indicator.Literal
	meaning  [][]literal
	index    map[indicator.Literal]int
	// randomx counts the constants of RandomX.
	randomx int
}

// New derives the constants and checks the rules.
func New(r Rules) (*Indicator, error) {
	words, err := r.words()
	if err != nil {
		return nil, fmt.Errorf("algorithm rules: %w", err)
	}
	if len(words) < minProof || len(words) > maxWords || len(r.Wide) < minWide || len(r.Wide) > maxWords || len(r.Node) < minNode || len(r.Mining) == 0 {
		return nil, errors.New("algorithm rules: too few or too many constants, or node and mining words are missing")
	}
	ind := &Indicator{table: newTable(), index: map[indicator.Literal]int{}}
	for i, w := range words {
		ind.word(w, i)
	}
	for _, text := range r.Wide {
		if err := ind.wide(text); err != nil {
			return nil, fmt.Errorf("algorithm rules: %w", err)
		}
	}
	if len(r.Node) > maxConstants || len(r.Mining) > maxConstants || len(r.Library) > maxConstants {
		return nil, fmt.Errorf("algorithm rules: more than %d node, mining or library words", maxConstants)
	}
	for _, t := range slices.Concat(r.Node, r.Mining, r.Library) {
		if len(t) < minLiteral {
			return nil, fmt.Errorf("algorithm rules: %q is shorter than %d bytes", t, minLiteral)
		}
	}
	for i, t := range r.Node {
		ind.literal(indicator.Literal{Text: t}, literal{class: node, id: i})
	}
	for i, t := range r.Library {
		ind.literal(indicator.Literal{Text: t}, literal{class: library, id: i})
	}
	for i, t := range r.Mining {
		ind.literal(indicator.Literal{Text: t}, literal{class: mining, id: i})
	}
	if err := ind.compile(r); err != nil {
		return nil, fmt.Errorf("algorithm rules: %w", err)
	}
	return ind, nil
}

// literal registers one meaning of a literal; several may share one.
func (ind *Indicator) literal(key indicator.Literal, l literal) {
	i, ok := ind.index[key]
	if !ok {
		i = len(ind.literals)
		ind.index[key] = i
		ind.literals = append(ind.literals, key)
		ind.meaning = append(ind.meaning, nil)
	}
	if !slices.Contains(ind.meaning[i], l) {
		ind.meaning[i] = append(ind.meaning[i], l)
	}
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Idle implements indicator.Idler: nothing happens before the first hit.
func (*Indicator) Idle(indicator.File) bool { return true }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	return &watch{
		ind: ind, file: f, out: report.New(f),
		words: cluster{enough: minProof}, wide: cluster{enough: minWide}, moved: cluster{enough: minProof},
	}
}

func isText(k trust.Kind) bool {
	return k == trust.KindConfig || k == trust.KindScript || k == trust.KindText
}
