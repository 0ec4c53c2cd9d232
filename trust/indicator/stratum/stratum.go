// Package stratum finds the protocol between miners and pools: its URLs, its method names, and the messages
// with which miners log in to Monero pools and hand in what they found.
package stratum

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "stratum"
	version = 5

	// minVerbs is how many different methods one file must name: one alone is a word in a protocol analyser.
	minVerbs = 3
	// maxURL bounds how far an address is read.
	maxURL = 300
	// messageSpan is how far from one of its words the others of a message are looked for, in bytes to each side.
	messageSpan = 400
	// socketSpan is more than what opens a connection is long, in bytes.
	socketSpan = 256
)

// Rules are the data of this indicator.
type Rules struct {
	// Schemes are beginnings of Stratum URLs.
	Schemes []string `yaml:"schemes"`
	// Verbs are method names of the protocol.
	Verbs []string `yaml:"verbs"`
	// Wake are words of messages, Messages what must stand together. Sockets are patterns (RE2) of what connects.
	Wake     []string  `yaml:"wake"`
	Messages []Message `yaml:"messages"`
	Sockets  []string  `yaml:"sockets"`
}

// Message is one that miners send. Min of its fields must stand together, as keys of an object of any language.
type Message struct {
	Why    string   `yaml:"why"`
	Fields []string `yaml:"fields"`
	Min    int      `yaml:"min"`
}

type class int

const (
	scheme class = iota
	verb
	login
)

// Indicator implements indicator.Indicator.
type Indicator struct {
	literals []indicator.Literal
	classes  []class
	messages []message
	sockets  *regexp.Regexp
}

type message struct {
	why    string
	names  [][]byte
	fields []*regexp.Regexp // of names
	min    int
}

// holds reports whether enough of the fields stand in a text.
func (m *message) holds(near []byte) bool {
	// Names alone are found much faster, and without them there are no fields.
	for _, count := range []func(i int) bool{
		func(i int) bool { return bytes.Contains(near, m.names[i]) },
		func(i int) bool { return m.fields[i].Match(near) },
	} {
		n := 0
		for i := range m.fields {
			if count(i) {
				n++
			}
		}
		if n < m.min {
			return false
		}
	}
	return true
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Schemes) == 0 || len(r.Verbs) < minVerbs || len(r.Wake) == 0 || len(r.Messages) == 0 || len(r.Sockets) == 0 {
		return nil, errors.New("stratum rules: schemes, verbs, wake, messages and sockets must not be empty")
	}
	ind := &Indicator{}
	for _, group := range []struct {
		texts []string
		class class
		fold  bool
	}{{r.Schemes, scheme, true}, {r.Verbs, verb, false}, {r.Wake, login, false}} {
		for _, t := range group.texts {
			if len(t) < 6 {
				return nil, fmt.Errorf("stratum rules: %q is shorter than 6 bytes", t)
			}
			ind.literals = append(ind.literals, indicator.Literal{Text: t, Fold: group.fold})
			ind.classes = append(ind.classes, group.class)
		}
	}
	for _, m := range r.Messages {
		if m.Why == "" || m.Min < 2 || m.Min > len(m.Fields) {
			return nil, fmt.Errorf("stratum rules: message %q: want a sentence and at least 2 fields", m.Why)
		}
		out := message{why: m.Why, min: m.Min}
		for _, f := range m.Fields {
			out.names = append(out.names, []byte(f))
			out.fields = append(out.fields, regexp.MustCompile(`\b`+regexp.QuoteMeta(f)+`\\?["']?\s*(?::|=>)`))
		}
		ind.messages = append(ind.messages, out)
	}
	var err error
	if ind.sockets, err = regexp.Compile(strings.Join(r.Sockets, "|")); err != nil {
		return nil, fmt.Errorf("stratum rules: sockets: %w", err)
	}
	return ind, nil
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Idle implements indicator.Idler.
func (*Indicator) Idle(indicator.File) bool { return true }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	return &watch{ind: ind, file: f, out: report.New(f), verbs: map[int]int64{}, said: map[int]said{}}
}

type watch struct {
	ind   *Indicator
	file  indicator.File
	out   *report.Report
	verbs map[int]int64 // literal → first offset
	said  map[int]said  // message → first place
	// sockets: something connects near words of the protocol.
	sockets bool
	looked  int64 // up to where sockets were looked for
}

type said struct {
	offset  int64
	excerpt []byte
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	window, at := text.Clip(h)
	switch w.ind.classes[h.Literal] {
	case scheme:
		w.url(window, at, h.Offset)
	case verb:
		if _, ok := w.verbs[h.Literal]; !ok && standsAlone(window, at, len(w.ind.literals[h.Literal].Text)) {
			w.verbs[h.Literal] = h.Offset
			w.connects(window, h.Offset-int64(at))
		}
	case login:
		w.message(window, at, h.Offset)
	}
}

// url looks at what begins like a Stratum URL.
func (w *watch) url(window []byte, at int, offset int64) {
	if at > 0 && isName(window[at-1]) {
		return // the tail of another scheme, whose own beginning is a hit too
	}
	raw := address(window[at:])
	if i := bytes.Index(raw, []byte("://")); i < 0 || i > 24 {
		return
	}
	e, ok := text.ParseEndpoint(string(raw))
	switch {
	case !ok:
		// A variable in the host's place: a URL that is put together at run time.
		rest := raw[bytes.Index(raw, []byte("://"))+3:]
		if len(rest) > 1 && bytes.IndexByte([]byte("${%"), rest[0]) >= 0 && w.file.Kind != trust.KindExecutable {
			w.out.Add(offset, trust.Weak, raw, "puts together the address of a mining pool from variables")
		}
	case e.Placeholder(), !e.Dotted() && e.Port == 0:
		w.out.Add(offset, trust.Weak, raw, "shows a Stratum URL with a placeholder for the mining pool")
	default:
		w.out.Add(offset, trust.Strong, raw, "names a mining pool by a Stratum URL")
	}
}

// message looks around a word of the login or of a result for what stands beside it.
func (w *watch) message(window []byte, at int, offset int64) {
	near := window[max(0, at-messageSpan):min(len(window), at+messageSpan)]
	for i := range w.ind.messages {
		if _, ok := w.said[i]; !ok && w.ind.messages[i].holds(near) {
			w.said[i] = said{offset, bytes.Clone(window[at:min(len(window), at+200)])}
		}
	}
	w.connects(window, offset-int64(at))
}

// connects looks for what opens a connection in a window that begins at an offset. Windows overlap, and each place is
// looked at about once.
func (w *watch) connects(window []byte, base int64) {
	if w.sockets {
		return
	}
	from := min(max(0, w.looked-base-socketSpan), int64(len(window)))
	for from > 0 && isName(window[from-1]) {
		from-- // not in the middle of a word
	}
	w.sockets = w.ind.sockets.Match(window[from:])
	w.looked = max(w.looked, base+int64(len(window)))
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	for i, m := range w.ind.messages {
		s, ok := w.said[i]
		switch {
		case !ok:
		case len(w.said) == len(w.ind.messages) && w.sockets && w.file.Kind == trust.KindScript:
			w.out.Add(s.offset, trust.Proof, s.excerpt, m.why+" and all the others, over a connection of its own")
		default:
			w.speaks(s.offset, s.excerpt, m.why)
		}
	}
	if len(w.verbs) >= minVerbs {
		w.closeVerbs()
	}
	return w.out.Findings()
}

func (w *watch) closeVerbs() {
	first := int64(-1)
	var names []string
	for i := range w.ind.literals {
		if at, ok := w.verbs[i]; ok {
			names = append(names, w.ind.literals[i].Text)
			if first < 0 || at < first {
				first = at
			}
		}
	}
	why := fmt.Sprintf("speaks the Stratum protocol: %d of its methods stand together", len(names))
	excerpt := []byte(strings.Join(names, " "))
	w.speaks(first, excerpt, why)
}

// speaks reports words of the protocol. Programs and scripts that open connections use them; protocol analysers and
// signature lists hold them as data.
func (w *watch) speaks(offset int64, excerpt []byte, why string) {
	switch k := w.file.Kind; {
	case k == trust.KindExecutable, k == trust.KindConfig, k == trust.KindScript && w.sockets:
		w.out.Add(offset, trust.Strong, excerpt, why)
	case k == trust.KindScript:
		w.out.AddIfRun(offset, trust.Weak, trust.Strong, excerpt, why)
	default:
		w.out.AddWeighed(offset, trust.Context, trust.Strong, excerpt, why)
	}
}

// address cuts what is no part of a URL.
func address(b []byte) []byte {
	b = b[:min(len(b), maxURL)]
	if i := bytes.IndexFunc(b, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("\"'`\\,;|<>", r) }); i >= 0 {
		// "<pool>" is a placeholder, not the end.
		if b[i] == '<' && i > 2 && b[i-1] == '/' {
			return b[:min(len(b), i+1)]
		}
		b = b[:i]
	}
	return b
}

func standsAlone(window []byte, at, size int) bool {
	return (at == 0 || !isName(window[at-1]) && window[at-1] != '.') &&
		(at+size >= len(window) || !isName(window[at+size]))
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
