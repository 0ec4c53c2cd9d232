// Package gpu finds programs for graphics processors that mine: the names of their kernels, which stand in OpenCL
// and CUDA sources, in programs that carry such sources, and in the symbols of compiled ones.
package gpu

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"regexp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "gpu"
	version = 1

	// minStrong is how many kernels of one algorithm a file must name. If one of them is declared there, the file holds
	// the program itself, which verifying has no use for. One of them is enough to be worth a look in a
	// program that carries compiled code for graphics processors, whose own names may be compressed.
	minStrong = 3
	// maxKernels bounds the kernels of one algorithm: each has a bit.
	maxKernels = 64
	// minLiteral is the engine's shortest literal, in bytes.
	minLiteral = 6
)

// Rules are the data of this indicator.
type Rules struct {
	Algorithms []Algorithm `yaml:"algorithms"`
	// Sections are the names of sections that hold compiled code for graphics processors.
	Sections []string `yaml:"sections"`
}

// Algorithm is one mining algorithm and the names of its kernels.
type Algorithm struct {
	Name    string   `yaml:"name"`
	Kernels []string `yaml:"kernels"`
}

// literal is a kernel, or a section if algorithm is negative.
type literal struct{ algorithm, kernel int }

// Indicator implements indicator.Indicator.
type Indicator struct {
	rules    Rules
	literals []indicator.Literal
	meaning  [][]literal
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Algorithms) == 0 || len(r.Sections) == 0 {
		return nil, errors.New("gpu rules: algorithms and sections must not be empty")
	}
	ind := &Indicator{rules: r}
	index := map[string]int{}
	add := func(s string, l literal) error {
		if len(s) < minLiteral {
			return fmt.Errorf("gpu rules: %q is shorter than %d bytes", s, minLiteral)
		}
		i, ok := index[s]
		if !ok {
			i = len(ind.literals)
			index[s] = i
			ind.literals = append(ind.literals, indicator.Literal{Text: s})
			ind.meaning = append(ind.meaning, nil)
		}
		ind.meaning[i] = append(ind.meaning[i], l)
		return nil
	}
	for a, algorithm := range r.Algorithms {
		if algorithm.Name == "" || len(algorithm.Kernels) < minStrong || len(algorithm.Kernels) > maxKernels {
			return nil, fmt.Errorf("gpu rules: algorithm %q: want a name and %d to %d kernels", algorithm.Name, minStrong, maxKernels)
		}
		for k, s := range algorithm.Kernels {
			if err := add(s, literal{a, k}); err != nil {
				return nil, err
			}
		}
	}
	for _, s := range r.Sections {
		if err := add(s, literal{-1, 0}); err != nil {
			return nil, err
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

// Idle implements indicator.Idler: nothing happens before the first hit.
func (*Indicator) Idle(indicator.File) bool { return true }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	return &watch{ind: ind, file: f}
}

type watch struct {
	ind     *Indicator
	file    indicator.File
	seen    []uint64 // per algorithm, a bit a kernel; nil until one is found
	first   []place
	section bool
}

type place struct {
	offset  int64
	excerpt []byte
	// declared: a kernel is not only named, but begins here.
	declared bool
}

// before is how far before its name a declaration begins, in bytes.
const before = 64

// declares are the words that kernels begin with in OpenCL and CUDA.
var declares = regexp.MustCompile(`(?:__kernel|__global__)\s[^;{}()]*(?:\([^)]*\)\s*[^;{}()]*)*$`)

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	for _, l := range w.ind.meaning[h.Literal] {
		if l.algorithm < 0 {
			w.section = true
			continue
		}
		if w.seen == nil {
			w.seen, w.first = make([]uint64, len(w.ind.rules.Algorithms)), make([]place, len(w.ind.rules.Algorithms))
		}
		if w.seen[l.algorithm] == 0 {
			line, _ := text.Line(h.Window, h.At, 100)
			if i := bytes.IndexByte(h.Window[h.At:min(len(h.Window), h.At+100)], 0); i >= 0 {
				line = h.Window[h.At : h.At+i]
			}
			w.first[l.algorithm] = place{offset: h.Offset, excerpt: bytes.Clone(line)}
		}
		first := &w.first[l.algorithm]
		first.declared = first.declared || bytes.HasPrefix(h.Window[h.At:], []byte("__kernel")) || declares.Match(h.Window[max(0, h.At-before):h.At])
		w.seen[l.algorithm] |= 1 << l.kernel
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	if w.seen == nil {
		return nil
	}
	out := report.New(w.file)
	for a, seen := range w.seen {
		n := bits.OnesCount64(seen)
		var strength trust.Strength
		switch {
		case n >= minStrong && w.first[a].declared:
			strength = trust.Proof
		case n >= minStrong:
			strength = trust.Strong
		case n > 0 && w.section:
			strength = trust.Weak
		default:
			continue
		}
		why := fmt.Sprintf("names %d kernels that mine with %s on graphics processors", n, w.ind.rules.Algorithms[a].Name)
		switch {
		case w.file.Kind == trust.KindData && strength == trust.Proof:
			out.AddWeighed(w.first[a].offset, trust.Strong, trust.Proof, w.first[a].excerpt, why)
		case w.file.Kind == trust.KindExecutable, w.file.Kind == trust.KindData:
			out.AddWeighed(w.first[a].offset, strength, trust.Context, w.first[a].excerpt, why)
		default:
			out.Add(w.first[a].offset, strength, w.first[a].excerpt, why)
		}
	}
	return out.Findings()
}
