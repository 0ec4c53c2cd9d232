// Package algorithm finds the constants of RandomX, the proof-of-work function of Monero and its relatives. They
// survive stripping, renaming, static linking and optimisation, and nothing else has them: they are Blake2b hashes
// of fixed labels. The labels come from the rules, so that our own binary holds neither them nor the constants.
package algorithm

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/blake2b"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

const (
	name    = "algorithm"
	version = 2

	// span is how close together constants must stand, in bytes.
	span = 4 << 10
	// minProof and minStrong are how many different words must stand together. One word is in every 30 MB of noise by
	// chance; six within span never are.
	minProof, minStrong = 6, 4
	// minWide is how many different 64-bit constants are as good as minProof words.
	minWide = 3
	// minWritten and provenWritten are how many constants a source text must spell.
	minWritten, provenWritten = 3, 6
	// minNode is how many words of node software make a verifier.
	minNode = 4
	// maxWords bounds the constants that rules may name.
	maxWords = 1024
)

// Rules are the data of this indicator.
type Rules struct {
	// Labels are hashed with Blake2b to give the constants.
	Labels []Label `yaml:"labels"`
	// Words are further constants as hexadecimal bytes, four bytes each word, as they stand in a little-endian file.
	Words []string `yaml:"words"`
	// Wide are 64-bit constants as hexadecimal bytes, as they stand in a little-endian file.
	Wide []string `yaml:"wide"`
	// Node are words of software that verifies blocks; Mining are words that a mere verifier does not have.
	Node   []string `yaml:"node"`
	Mining []string `yaml:"mining"`
}

// Label is a text and the size of its hash in bytes: 32 or 64.
type Label struct {
	Text string `yaml:"text"`
	Size int    `yaml:"size"`
}

type class int

const (
	written class = iota
	node
	mining
)

type literal struct {
	class class
	id    int
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	table     *table
	literals  []indicator.Literal
	meaning   []literal
	constants int
}

// New derives the constants and checks the rules.
func New(r Rules) (*Indicator, error) {
	words, err := r.words()
	if err != nil {
		return nil, fmt.Errorf("algorithm rules: %w", err)
	}
	if len(words) < minProof || len(words) > maxWords || len(r.Wide) < minWide || len(r.Node) < minNode || len(r.Mining) == 0 {
		return nil, errors.New("algorithm rules: too few or too many constants, or node and mining words are missing")
	}
	ind := &Indicator{table: newTable()}
	for _, w := range words {
		ind.word(w)
	}
	for _, text := range r.Wide {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != 8 {
			return nil, fmt.Errorf("algorithm rules: wide: %q is not eight hexadecimal bytes", text)
		}
		ind.wide([8]byte(b))
	}
	for _, t := range slices.Concat(r.Node, r.Mining) {
		if len(t) < 6 {
			return nil, fmt.Errorf("algorithm rules: %q is shorter than 6 bytes", t)
		}
	}
	for i, t := range r.Node {
		ind.literal(t, literal{node, i})
	}
	for i, t := range r.Mining {
		ind.literal(t, literal{mining, i})
	}
	return ind, nil
}

// words are all 32-bit constants in file order.
func (r Rules) words() ([][4]byte, error) {
	var all []byte
	for _, l := range r.Labels {
		switch l.Size {
		case blake2b.Size:
			h := blake2b.Sum512([]byte(l.Text))
			all = append(all, h[:]...)
		case blake2b.Size256:
			h := blake2b.Sum256([]byte(l.Text))
			all = append(all, h[:]...)
		default:
			return nil, fmt.Errorf("label %q: size %d, want 32 or 64", l.Text, l.Size)
		}
	}
	for _, w := range r.Words {
		b, err := hex.DecodeString(w)
		if err != nil || len(b)%4 != 0 {
			return nil, fmt.Errorf("words: %q is not hexadecimal bytes, four a word", w)
		}
		all = append(all, b...)
	}
	var out [][4]byte
	for b := range slices.Chunk(all, 4) {
		out = append(out, [4]byte(b))
	}
	return out, nil
}

// word registers a 32-bit constant in both byte orders, as WebAssembly encodes it, and as source text spells it.
func (ind *Indicator) word(le [4]byte) {
	id := ind.constants
	ind.constants++
	value := binary.LittleEndian.Uint32(le[:])
	ind.table.add(le, mark{id: id})
	ind.table.add([4]byte{le[3], le[2], le[1], le[0]}, mark{id: id, big: true})
	// The first four of the five bytes of signed LEB128 hold 28 of the bits; every one continues.
	var leb [4]byte
	for i := range leb {
		leb[i] = byte(value>>(7*i))&0x7f | 0x80
	}
	ind.table.add(leb, mark{id: id})
	ind.literal(fmt.Sprintf("0x%08x", value), literal{written, id})
}

func (ind *Indicator) wide(le [8]byte) {
	id := ind.constants
	ind.constants++
	be := le
	slices.Reverse(be[:])
	for _, order := range []struct {
		b   [8]byte
		big bool
	}{{le, false}, {be, true}} {
		ind.table.add([4]byte(order.b[:4]), mark{id: id, wide: true, big: order.big})
		ind.table.add([4]byte(order.b[4:]), mark{id: id, wide: true, tail: true, big: order.big})
	}
	value := binary.LittleEndian.Uint64(le[:])
	ind.literal(fmt.Sprintf("0x%016x", value), literal{written, id})
	ind.literal(fmt.Sprintf("%d", value), literal{written, id})
}

func (ind *Indicator) literal(text string, l literal) {
	ind.literals = append(ind.literals, indicator.Literal{Text: text, Fold: l.class == written})
	ind.meaning = append(ind.meaning, l)
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	text := newTextWatch(ind, f)
	switch f.Kind {
	case trust.KindConfig, trust.KindScript, trust.KindText:
		return text
	}
	return newByteWatch(text)
}
