// Package stratum finds the protocol between miners and pools: its URLs, its method names, and the messages
// with which miners log in to Monero pools and hand in what they found.
package stratum

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "stratum"
	version = 4

	// minVerbs is how many different methods one file must name: one alone is a word in a protocol analyser.
	minVerbs = 3
	// maxURL bounds how far an address is read.
	maxURL = 300
	// loginSpan is how far behind the method the parameters of a login are looked for.
	loginSpan = 600
)

// Rules are the data of this indicator.
type Rules struct {
	// Schemes are beginnings of Stratum URLs.
	Schemes []string `yaml:"schemes"`
	// Verbs are method names of the protocol.
	Verbs []string `yaml:"verbs"`
	// Logins are spellings of the login method; LoginFields the parameters of which two must follow.
	Logins      []string `yaml:"logins"`
	LoginFields []string `yaml:"loginFields"`
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
	fields   []string
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Schemes) == 0 || len(r.Verbs) < minVerbs || len(r.Logins) == 0 || len(r.LoginFields) < 2 {
		return nil, errors.New("stratum rules: schemes, verbs, logins and loginFields must not be empty")
	}
	ind := &Indicator{fields: r.LoginFields}
	for _, group := range []struct {
		texts []string
		class class
		fold  bool
	}{{r.Schemes, scheme, true}, {r.Verbs, verb, false}, {r.Logins, login, false}} {
		for _, t := range group.texts {
			if len(t) < 6 {
				return nil, fmt.Errorf("stratum rules: %q is shorter than 6 bytes", t)
			}
			ind.literals = append(ind.literals, indicator.Literal{Text: t, Fold: group.fold})
			ind.classes = append(ind.classes, group.class)
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

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	return &watch{ind: ind, file: f, out: report.New(f), verbs: map[int]int64{}}
}

type watch struct {
	ind   *Indicator
	file  indicator.File
	out   *report.Report
	verbs map[int]int64 // literal → first offset
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
		}
	case login:
		w.login(window[at:], h.Offset)
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

// login looks behind the login method for the parameters that miners send.
func (w *watch) login(rest []byte, offset int64) {
	rest = rest[:min(len(rest), loginSpan)]
	fields := 0
	for _, f := range w.ind.fields {
		for _, quote := range []string{`"`, `'`} {
			if bytes.Contains(rest, []byte(quote+f+quote)) || bytes.Contains(rest, []byte(quote+f+`\`+quote)) {
				fields++
				break
			}
		}
	}
	if fields >= 2 {
		w.out.Add(offset, trust.Strong, rest, "sends the login message of a Monero mining pool")
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
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
	switch w.file.Kind {
	case trust.KindExecutable, trust.KindScript, trust.KindConfig:
		w.out.Add(first, trust.Strong, excerpt, why)
	default:
		// Protocol analysers and signature lists hold the words as data.
		w.out.AddWeighed(first, trust.Context, trust.Strong, excerpt, why)
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
