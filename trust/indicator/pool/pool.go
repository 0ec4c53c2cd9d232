// Package pool finds the hosts of known mining pools where a program connects to them: with a port, in a Stratum URL,
// behind an option or in a setting that takes a pool. A pool's web pages, and many pools in one file, are what people
// read and block.
package pool

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/behaviour"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "pool"
	version = 3

	// A file that names so many operators is a list of pools, not a miner's choice: programs are given a few to fall
	// back on, data are less likely to be a choice at all.
	manyPools, manyInSettings, manyInText = 8, 4, 3
	// So many names without a port are a list too.
	manyNames = 3
	// maxHosts bounds what is held back until the file's end.
	maxHosts = 64
	// reach is how far before a host what takes it may stand, in bytes.
	reach = 300
)

// Rules are the data of this indicator.
type Rules struct {
	// Pools are registrable domains of pool operators, or hosts where the domain is known for something else.
	Pools []string `yaml:"pools"`
	// Options and Settings are patterns (RE2) that end right before a host.
	Options  []string `yaml:"options"`
	Settings []string `yaml:"settings"`
	// Schemes are beginnings of URL schemes that are no web page's.
	Schemes []string `yaml:"schemes"`
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	literals          []indicator.Literal
	options, settings *regexp.Regexp
	schemes           []string
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Pools) == 0 || len(r.Options) == 0 || len(r.Settings) == 0 || len(r.Schemes) == 0 {
		return nil, errors.New("pool rules: pools, options, settings and schemes must not be empty")
	}
	ind := &Indicator{schemes: r.Schemes}
	for _, p := range r.Pools {
		if len(p) < 6 || !strings.Contains(p, ".") || p != strings.ToLower(p) {
			return nil, fmt.Errorf("pool rules: %q is no domain of at least 6 bytes in lower case", p)
		}
		ind.literals = append(ind.literals, indicator.Literal{Text: p, Fold: true})
	}
	for _, c := range []struct {
		into     **regexp.Regexp
		patterns []string
		what     string
	}{{&ind.options, r.Options, "options"}, {&ind.settings, r.Settings, "settings"}} {
		re, err := regexp.Compile("(?:" + strings.Join(c.patterns, "|") + ")")
		if err != nil {
			return nil, fmt.Errorf("pool rules: %s: %w", c.what, err)
		}
		*c.into = re
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
	return &watch{ind: ind, file: f, out: report.New(f), pools: map[int]bool{}}
}

type watch struct {
	ind   *Indicator
	file  indicator.File
	out   *report.Report
	pools map[int]bool
	hosts []host
}

// host is a place that is held back until the whole file is known not to be a list.
type host struct {
	offset   int64
	excerpt  []byte
	strength trust.Strength
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	window, at := text.Clip(h)
	end := at + len(w.ind.literals[h.Literal].Text)
	if end < len(window) && (isName(window[end]) || window[end] == '-' || window[end] == '.' && end+1 < len(window) && isName(window[end+1])) {
		return // a longer domain
	}
	start := at
	for start > 0 && at-start < 253 && (isName(window[start-1]) || window[start-1] == '-' || window[start-1] == '.') {
		start--
	}
	if start < at && window[at-1] != '.' {
		return // another domain that ends the same
	}
	w.pools[h.Literal] = true
	if line, _ := text.Line(window, at, reach); w.file.Kind == trust.KindScript && behaviour.IsComment(line) {
		return
	}
	if s := w.weigh(window, start, end); s > trust.Context {
		excerpt := bytes.Clone(window[start:min(len(window), end+12)])
		if i := bytes.IndexFunc(excerpt, func(r rune) bool { return r <= ' ' || strings.ContainsRune("\"'`\\,;|<>", r) }); i >= 0 {
			excerpt = excerpt[:i]
		}
		w.hold(host{h.Offset - int64(at-start), excerpt, s})
	}
}

// weigh looks at what stands around a host: window[start:end].
func (w *watch) weigh(window []byte, start, end int) trust.Strength {
	before, after := window[max(0, start-reach):start], window[end:]
	scheme := schemeBefore(before)
	isMiners := slices.ContainsFunc(w.ind.schemes, func(s string) bool { return scheme != "" && strings.HasPrefix(scheme, s) })
	if scheme != "" && !isMiners {
		return trust.Context // a web page
	}
	runs := w.file.Kind == trust.KindConfig || w.file.Kind == trust.KindScript
	switch {
	case isMiners, hasPort(after):
		return trust.Strong
	case w.file.Kind == trust.KindExecutable, len(after) > 0 && after[0] == '/', !w.isWord(before, after):
		return trust.Context
	case w.ind.options.Match(before):
		return trust.Strong
	case w.file.Kind == trust.KindConfig && !report.Built(w.file) && w.ind.settings.Match(before):
		return trust.Strong
	case runs, w.ind.settings.Match(before):
		return trust.Weak
	}
	return trust.Context
}

// isWord: the host is a value by itself, not a word of a sentence.
func (w *watch) isWord(before, after []byte) bool {
	if len(before) == 0 || len(after) == 0 {
		return true
	}
	first, last := before[len(before)-1], after[0]
	switch first {
	case '"', '\'', '`':
		return last == first
	case '=', '@':
		return true
	}
	return w.ind.options.Match(before) || w.ind.settings.Match(before) || w.file.Kind == trust.KindConfig && !report.Built(w.file)
}

func (w *watch) hold(h host) {
	if len(w.hosts) < maxHosts {
		w.hosts = append(w.hosts, h)
		return
	}
	// Mentions must not crowd out what weighs more.
	if i := slices.IndexFunc(w.hosts, func(o host) bool { return o.strength < h.strength }); i >= 0 {
		w.hosts[i] = h
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	many := manyInText
	switch w.out.Role() {
	case report.Runs:
		many = manyPools
	case report.Settings:
		many = manyInSettings
	}
	for _, h := range w.hosts {
		if h.strength == trust.Weak && len(w.pools) >= manyNames {
			w.out.AddWeighed(h.offset, trust.Context, h.strength, h.excerpt, "names a known mining pool among several")
			continue
		}
		if len(w.pools) >= many {
			w.out.AddWeighed(h.offset, trust.Context, h.strength, h.excerpt, "names a known mining pool among many, as block lists do")
			continue
		}
		w.out.Add(h.offset, h.strength, h.excerpt, "connects to a known mining pool")
	}
	return w.out.Findings()
}

// hasPort: ":3333", or a port as the next argument of a call.
func hasPort(rest []byte) bool {
	rest = bytes.TrimPrefix(rest[:min(len(rest), 24)], []byte("."))
	digits := func(b []byte) bool {
		n := 0
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		return n >= 2 && n <= 5
	}
	switch {
	case len(rest) < 2:
	case rest[0] == ':':
		return digits(rest[1:]) || bytes.IndexByte([]byte("$%{"), rest[1]) >= 0
	case (rest[0] == '"' || rest[0] == '\'') && rest[1] == ',':
		rest = bytes.TrimLeft(rest[2:], " \"'")
		return digits(rest) || bytes.Contains(bytes.ToLower(rest[:min(len(rest), 10)]), []byte("port"))
	case rest[0] == '/' && digits(rest[1:]) || rest[0] == ' ' && digits(rest[1:]):
		return true // /dev/tcp/host/3333, nc host 3333
	}
	return false
}

// schemeBefore is the scheme that ends right before a host, past user information.
func schemeBefore(before []byte) string {
	if i := bytes.LastIndexAny(before, " \t\r\n\"'`<>"); i >= 0 {
		before = before[i+1:]
	}
	i := bytes.LastIndex(before, []byte("://"))
	if i < 0 {
		return ""
	}
	start := i
	for start > 0 && (isName(before[start-1]) || bytes.IndexByte([]byte("+-."), before[start-1]) >= 0) {
		start--
	}
	return strings.ToLower(string(before[start:i]))
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
