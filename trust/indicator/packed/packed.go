// Package packed finds programs that hide what they hold: packed or encrypted ELF files. Their structure gives them
// away: no sections, code that is written before it runs, and a segment that holds next to nothing but noise.
// Being packed is no sign of mining by itself. A finding only weighs where the image runs the program, because then
// something runs that nobody could look at.
package packed

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

const (
	name    = "packed"
	version = 2

	// headBytes is how far from the beginning program headers are read. Linkers put them right behind the header.
	headBytes = 64 << 10
	// markBytes behind the program headers, and as many at the file's end, are searched for the mark of a packer.
	markBytes = 64
	// sampleBytes of the segment are measured at most, leastSample at least: less says nothing about entropy.
	sampleBytes, leastSample = 1 << 20, 4 << 10
	// fewSegments is how many segments a packer makes at most.
	fewSegments = 4
	// muchGrowth is how many times its size in the file a segment takes in memory where something is unpacked into it,
	// and leastGrowth how many bytes more.
	muchGrowth, leastGrowth = 4, 64 << 10
)

// Rules are the data of this indicator.
type Rules struct {
	// Entropy, in bits a byte, is what machine code stays below and compressed or encrypted content reaches.
	Entropy float64 `yaml:"entropy"`
	// Marks are what known packers write behind the program headers and at the end.
	Marks []Mark `yaml:"marks"`
	// Decrypts are literals of what decrypts, Runs patterns (RE2) of what runs the result at once, and Results those whose
	// first group is a variable that takes it. Runners are what such a variable is given to.
	Decrypts []string `yaml:"decrypts"`
	Runs     []string `yaml:"runs"`
	Results  []string `yaml:"results"`
	Runners  []string `yaml:"runners"`
}

// Mark is the mark of one packer.
type Mark struct {
	Name string `yaml:"name"`
	Text string `yaml:"text"`
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	rules    Rules
	literals []indicator.Literal
	runs     *regexp.Regexp
	results  *regexp.Regexp
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if math.IsNaN(r.Entropy) || r.Entropy < 6.5 || r.Entropy > 8 {
		return nil, errors.New("packed rules: entropy must be 6.5 to 8 bits")
	}
	for _, m := range r.Marks {
		if m.Name == "" || len(m.Text) < 4 || len(m.Text) > markBytes {
			return nil, fmt.Errorf("packed rules: mark %q: want a name and 4 to %d bytes", m.Name, markBytes)
		}
	}
	ind := &Indicator{rules: r}
	return ind, ind.addDecrypts()
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator: structure has none, what scripts do has.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	if f.Kind != trust.KindExecutable {
		return ind.watchScript(f)
	}
	return &watch{ind: ind, file: f, out: report.New(f), need: header64}
}

// watch reads the headers, and measures the segment that the program starts in only if those look packed.
type watch struct {
	ind  *Indicator
	file indicator.File
	out  *report.Report

	head  []byte // until the headers are read
	need  int    // how many bytes that takes
	size  int64  // seen so far
	state state

	header  header
	shape   shape
	marked  string // the packer whose mark stands behind the program headers
	from    int64  // the sample
	to      int64
	count   [256]uint32
	sampled int64
	tail    []byte
}

type state int

const (
	heading   state = iota // reads the headers
	measuring              // takes the sample
	quiet                  // nothing more is of interest
)

// Hit implements indicator.Watch.
func (*watch) Hit(indicator.Hit) {}

// Bytes implements indicator.ByteWatch.
func (w *watch) Bytes(chunk []byte) {
	for w.state == heading && len(chunk) > 0 {
		n := min(len(chunk), w.need-len(w.head))
		w.head = append(w.head, chunk[:n]...)
		chunk = chunk[n:]
		w.size += int64(n)
		if len(w.head) == w.need {
			w.decide()
		}
	}
	if w.state != measuring {
		return
	}
	w.measure(chunk, w.size)
	w.size += int64(len(chunk))
	if len(chunk) >= markBytes {
		w.tail = append(w.tail[:0], chunk[len(chunk)-markBytes:]...)
		return
	}
	w.tail = append(w.tail, chunk...)
	w.tail = append(w.tail[:0], w.tail[max(0, len(w.tail)-markBytes):]...)
}

// decide reads what head holds, and asks for more bytes or says what comes next.
func (w *watch) decide() {
	if w.need == header64 {
		h, ok := readHeader(w.head)
		if !ok {
			w.state = quiet
			return
		}
		w.header = h
		if h.end() > headBytes-markBytes {
			w.far()
			return
		}
		w.need = max(header64, int(h.end())) + markBytes //nolint:gosec // at most headBytes
		return
	}
	w.look()
}

// look decides by the headers, all of which are in head, whether to measure.
func (w *watch) look() {
	w.shape = shapeOf(w.header, w.header.segments(w.head), w.file.Size)
	if !w.shape.suspicious() {
		w.state, w.head = quiet, nil
		return
	}
	for _, m := range w.ind.rules.Marks {
		if strings.Contains(string(w.head[w.header.end():]), m.Text) {
			w.marked = m.Name
		}
	}
	s := w.shape.entry
	if s.offset > 1<<62 {
		w.state, w.head = quiet, nil
		return
	}
	w.from = int64(s.offset)                             //nolint:gosec // checked above
	w.to = w.from + int64(min(s.fileBytes, sampleBytes)) //nolint:gosec // at most sampleBytes
	w.state, w.tail = measuring, append(w.tail, w.head[max(0, len(w.head)-markBytes):]...)
	w.measure(w.head, 0)
	w.head = nil
}

// far: program headers where no linker puts them, in a file that hides its sections too.
func (w *watch) far() {
	w.state, w.head = quiet, nil
	if w.header.sectionless(w.file.Size) {
		w.out.AddClassed(trust.ClassOpaque, 0, trust.Context, trust.Weak, nil, "is a program without sections whose program headers stand far from its beginning")
	}
}

// measure counts the bytes of p, which begins at offset at, that are in the sample.
func (w *watch) measure(p []byte, at int64) {
	from, to := max(w.from-at, 0), min(w.to-at, int64(len(p)))
	if from >= to {
		return
	}
	for _, b := range p[from:to] {
		w.count[b]++
	}
	w.sampled += to - from
}

// entropy is in bits a byte.
func (w *watch) entropy() float64 {
	if w.sampled < leastSample {
		return 0
	}
	sum := 0.0
	for _, n := range w.count {
		if n > 0 {
			p := float64(n) / float64(w.sampled)
			sum -= p * math.Log2(p)
		}
	}
	return sum
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	if w.state == heading && w.need > header64 && uint64(len(w.head)) >= w.header.end() {
		w.look() // the file ends right behind its headers
	}
	if w.state != measuring {
		return w.out.Findings()
	}
	e, at := w.entropy(), min(w.from, max(w.size-1, 0))
	ended := ""
	for _, m := range w.ind.rules.Marks {
		if strings.Contains(string(w.tail), m.Text) {
			ended = m.Name
		}
	}
	switch why := w.shape.String(); {
	case w.marked != "" && w.marked == ended:
		// What is inside is looked at by unpacking; where that fails, the blob is unanswered.
		w.out.AddWeighed(at, trust.Context, trust.Weak, nil, "is packed with "+w.marked)
	case e >= w.ind.rules.Entropy:
		w.out.AddClassed(trust.ClassOpaque, at, trust.Context, trust.Strong, nil, fmt.Sprintf("is a packed or encrypted program of an unknown kind: %s, %.1f bits of entropy a byte", why, e))
	case w.shape.bare():
		w.out.AddClassed(trust.ClassOpaque, at, trust.Context, trust.Weak, nil, "is built like a loader of something else: "+why)
	}
	return w.out.Findings()
}
