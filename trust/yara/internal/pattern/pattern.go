package pattern

import (
	"bytes"
	"fmt"

	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// Pattern is one string of a rule. It does not change.
type Pattern struct {
	Branches []Branch
	// Greedy says that of several matches that begin at one place the longest counts, else the shortest.
	Greedy bool
}

// Atom is a literal of which every match of a branch has one at a fixed part of the string.
type Atom struct {
	Bytes []byte
	// Fold finds the literal whatever the case of its ASCII letters.
	Fold bool
}

// MinAtom is the shortest atom, in bytes: shorter ones would stop at too many places.
const MinAtom = 2

// maxVaried bounds a text with xor or base64, which stands for many texts.
const maxVaried = 256

// maxAtom is the longest atom that is looked for, in bytes.
const maxAtom = 64

// Branch is one way to match: either a text, or what stands before an atom and what begins with it.
type Branch struct {
	Atoms []Atom

	text     []byte // nil unless the branch is a text
	fold     bool
	fullWord bool
	stride   int
	// at is how many bytes of text stand before the atom.
	at            int
	before, after *program
}

func newError(file string, pos syntax.Pos, format string, args ...any) error {
	return &syntax.Error{File: file, Pos: pos, What: fmt.Sprintf(format, args...)}
}

// New compiles a string. Its errors are of type *syntax.Error.
func New(file string, s *syntax.String) (*Pattern, error) {
	if s.Form == syntax.Text {
		return newText(file, s)
	}
	src := source{file: file, text: s.Body, pos: s.BodyPos}
	p := &Pattern{}
	var root *node
	var err error
	if s.Form == syntax.Hex {
		root, err = (&hex{source: src}).parse()
	} else {
		r := &regex{source: src, fold: s.Fold || s.NoCase, dotAll: s.DotAll}
		root, err = r.parse()
		p.Greedy = r.greedy
	}
	if err != nil {
		return nil, err
	}
	parts, ok := split(flatten(root))
	if !ok {
		return nil, newError(file, s.Pos, "the string $%s has no run of at least %d fixed bytes to look for: add some, or split its alternatives", s.Name, MinAtom)
	}
	steps := 0
	for _, stride := range strides(s) {
		for _, part := range parts {
			b := Branch{Atoms: part.atoms(stride), stride: stride, fullWord: s.FullWord}
			b.before = newProgram(cat(part.items[:part.from]...), true, stride)
			b.after = newProgram(cat(part.items[part.from:]...), false, stride)
			if b.before == nil || b.after == nil {
				return nil, newError(file, s.Pos, "the string $%s is too complex: its repetitions make more than %d steps", s.Name, maxInsts)
			}
			p.Branches = append(p.Branches, b)
			if steps += len(b.before.insts) + len(b.after.insts); steps > maxSteps {
				return nil, newError(file, s.Pos, "the string $%s is too complex: its alternatives make more than %d steps", s.Name, maxSteps)
			}
		}
	}
	return p, nil
}

// strides are the widths of a string's characters, in bytes.
func strides(s *syntax.String) []int {
	switch {
	case !s.Wide:
		return []int{1}
	case s.ASCII:
		return []int{1, 2}
	}
	return []int{2}
}

func newText(file string, s *syntax.String) (*Pattern, error) {
	p := &Pattern{}
	if (s.XOR || s.Base64 || s.Base64Wide) && len(s.Body) > maxVaried {
		return nil, newError(file, s.Pos, "the string $%s is longer than %d bytes, which are allowed with xor and base64", s.Name, maxVaried)
	}
	for _, stride := range strides(s) {
		text := widened([]byte(s.Body), stride)
		for _, variant := range variants(s, text, stride) {
			if len(variant.text) < MinAtom {
				return nil, newError(file, s.Pos, "the string $%s is shorter than %d bytes: too much would match", s.Name, MinAtom)
			}
			if len(variant.text) > Reach {
				return nil, newError(file, s.Pos, "the string $%s is longer than %d bytes", s.Name, Reach)
			}
			variant.fold, variant.fullWord = s.NoCase, s.FullWord
			variant.Atoms = []Atom{{variant.text[:min(len(variant.text), maxAtom)], s.NoCase}}
			p.Branches = append(p.Branches, variant)
		}
	}
	return p, nil
}

func widened(text []byte, stride int) []byte {
	if stride == 1 {
		return text
	}
	out := make([]byte, 0, stride*len(text))
	for _, c := range text {
		out = append(out, c, 0)
	}
	return out
}

// variants are the texts that a text with modifiers stands for.
func variants(s *syntax.String, text []byte, stride int) []Branch {
	switch {
	case s.XOR:
		var out []Branch
		for key := s.XORMin; key <= s.XORMax; key++ {
			other := bytes.Clone(text)
			for i := range other {
				other[i] ^= byte(key)
			}
			out = append(out, Branch{text: other, stride: stride})
		}
		return out
	case s.Base64 || s.Base64Wide:
		var out []Branch
		for shift := range 3 {
			encoded := encode(text, shift, s.Alphabet)
			if s.Base64 {
				out = append(out, Branch{text: encoded, stride: 1})
			}
			if s.Base64Wide {
				out = append(out, Branch{text: widened(encoded, 2), stride: 2})
			}
		}
		return out
	}
	return []Branch{{text: text, stride: stride}}
}

// encode is the part of a base64 text that is certain when text stands shift bytes after a multiple of three.
func encode(text []byte, shift int, alphabet string) []byte {
	if alphabet == "" {
		alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	}
	var out []byte
	// Of the characters, six bits each, those that lie wholly within the text.
	for bit := (8*shift + 5) / 6 * 6; bit+6 <= 8*(shift+len(text)); bit += 6 {
		v := 0
		for k := bit; k < bit+6; k++ {
			v = v<<1 | int(text[k/8-shift]>>(7-k%8)&1)
		}
		out = append(out, alphabet[v])
	}
	return out
}

// Steps is the size of all automata together.
func (p *Pattern) Steps() int {
	n := 0
	for i := range p.Branches {
		if b := &p.Branches[i]; b.text == nil {
			n += len(b.before.insts) + len(b.after.insts)
		}
	}
	return n
}

// Reaches is how many bytes around an atom a confirmation looks at, at most.
func (p *Pattern) Reaches() (before, after int) {
	for i := range p.Branches {
		b := &p.Branches[i]
		if b.text != nil {
			before, after = max(before, b.at+2), max(after, len(b.text)+2)
		} else {
			before, after = max(before, b.before.reach+2), max(after, b.after.reach+2)
		}
	}
	return before, after
}

// Confirm calls found for every match of the branch whose atom stands at index at of the window.
func (b *Branch) Confirm(m *Machine, w Window, at int, found func(start, end int)) {
	if b.text != nil {
		start := at - b.at
		end := start + len(b.text)
		m.Steps++
		if start >= 0 && end <= len(w.Bytes) && b.same(w.Bytes[start:end]) && b.isWord(w, start, end) {
			found(start, end)
		}
		return
	}
	end := -1
	m.run(b.after, w, at, func(i int) { end = i })
	if end < 0 {
		return
	}
	m.run(b.before, w, at, func(start int) {
		if b.isWord(w, start, end) {
			found(start, end)
		}
	})
}

func (b *Branch) same(p []byte) bool {
	if !b.fold {
		return bytes.Equal(p, b.text)
	}
	for i, c := range b.text {
		if lowerByte(c) != lowerByte(p[i]) {
			return false
		}
	}
	return true
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 32
	}
	return c
}

// isWord is true when neither a letter nor a digit touches the match, if that matters.
func (b *Branch) isWord(w Window, start, end int) bool {
	if !b.fullWord {
		return true
	}
	touches := func(i int) bool { return w.wordAt(i, b.stride) && w.Bytes[i] != '_' }
	return !touches(start-b.stride) && !touches(end)
}

// Matcher finds a regular expression anywhere in a short text.
type Matcher struct{ p *program }

// NewMatcher compiles the regular expression of an expression.
func NewMatcher(file string, e *syntax.Expr) (*Matcher, error) {
	r := &regex{source: source{file: file, text: e.Text, pos: e.BodyPos}, fold: e.Fold, dotAll: e.DotAll}
	root, err := r.parse()
	if err != nil {
		return nil, err
	}
	p := newProgram(root, false, 1)
	if p == nil {
		return nil, newError(file, e.Pos, "the regular expression is too complex: its repetitions make more than %d steps", maxInsts)
	}
	return &Matcher{p}, nil
}

// Match reports whether text holds a match.
func (x *Matcher) Match(m *Machine, text string) bool {
	w, found := Window{Bytes: []byte(text)}, false
	for i := 0; i <= len(text) && !found; i++ {
		m.run(x.p, w, i, func(int) { found = true })
	}
	return found
}
