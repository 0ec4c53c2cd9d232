// Package rivals finds scripts that kill other miners, because one machine has work for one only: several names of
// miners and of malware that mines, in lines or lists that kill, log out or delete. Those who clean machines up write
// the same lines, but bring no program of their own.
package rivals

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
	name    = "rivals"
	version = 1

	// minNames is how many rivals one file must kill: an administrator who was attacked kills one or two.
	minNames = 4
	// near is how far from a name, in bytes to each side, what kills the names of a list may stand.
	near = 512
)

// Rules are the data of this indicator.
type Rules struct {
	// Names are those of rivals, Short those that need a character before them to be literals.
	Names []string `yaml:"names"`
	Short []string `yaml:"short"`
	// Kill, Bring and Start are patterns of what kills, downloads and starts (RE2).
	Kill  []string `yaml:"kill"`
	Bring []string `yaml:"bring"`
	Start []string `yaml:"start"`
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	literals           []indicator.Literal
	names              []string // of each literal
	kill, bring, start *regexp.Regexp
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Names)+len(r.Short) < minNames {
		return nil, fmt.Errorf("rivals rules: want at least %d names", minNames)
	}
	ind := &Indicator{}
	add := func(before, name string) error {
		l := indicator.Literal{Text: before + name}
		if len(l.Text) < 6 {
			return fmt.Errorf("rivals rules: %q is shorter than 6 bytes", l.Text)
		}
		ind.literals, ind.names = append(ind.literals, l), append(ind.names, name)
		return nil
	}
	var errs []error
	for _, n := range r.Names {
		errs = append(errs, add("", n))
	}
	for _, n := range r.Short {
		for _, before := range []string{" ", "/", `"`, "'", "|", "-"} {
			errs = append(errs, add(before, n))
		}
	}
	for _, c := range []struct {
		into     **regexp.Regexp
		patterns []string
		what     string
	}{{&ind.kill, r.Kill, "kill"}, {&ind.bring, r.Bring, "bring"}, {&ind.start, r.Start, "start"}} {
		if len(c.patterns) == 0 {
			errs = append(errs, fmt.Errorf("rivals rules: %s must not be empty", c.what))
		}
		re, err := regexp.Compile("(?:" + strings.Join(c.patterns, "|") + ")")
		if err != nil {
			errs = append(errs, fmt.Errorf("rivals rules: %s: %w", c.what, err))
		}
		*c.into = re
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
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
	if !report.MayBeText(f) {
		return nil
	}
	return &watch{ind: ind, out: report.New(f), killed: map[string]bool{}}
}

type watch struct {
	ind    *Indicator
	out    *report.Report
	read   report.Budget
	killed map[string]bool
	// first is the first place that kills.
	first        int64
	excerpt      []byte
	bring, start bool
	// quiet is a part of the file that is known to hold nothing that kills.
	quiet struct{ from, to int64 }
}

// kills reports whether something in window[from:to] kills; offset is where the window stands in the file. What was looked
// at before is not looked at again, so that names without end cost their length.
func (w *watch) kills(window []byte, offset int64, from, to int) bool {
	if offset+int64(from) >= w.quiet.from && offset+int64(to) <= w.quiet.to {
		return false
	}
	if !w.ind.kill.Match(window) {
		w.quiet.from, w.quiet.to = offset, offset+int64(len(window))
		return false
	}
	return w.ind.kill.Match(window[from:to])
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	rival := w.ind.names[h.Literal]
	if w.killed[rival] || !w.read.Spend(w.out, h.Offset) {
		return
	}
	window, at := text.Clip(h)
	if end := at + len(w.ind.literals[h.Literal].Text); end < len(window) && isAlphanumeric(window[end]) {
		return // a longer word
	}
	line, start := text.Line(window, at, near)
	from, to := max(0, at-near), min(len(window), at+near)
	begin := h.Offset - int64(at)
	switch {
	case behaviour.IsComment(line):
		return
	case w.kills(window, begin, start, start+len(line)):
	case isList(window, at, start) && w.kills(window, begin, from, to):
	default:
		return
	}
	if len(w.killed) == 0 || h.Offset < w.first {
		w.first, w.excerpt = h.Offset, bytes.Clone(bytes.TrimSpace(line))
	}
	w.killed[rival] = true
	w.bring = w.bring || w.ind.bring.Match(window)
	w.start = w.start || w.ind.start.Match(window)
}

// isList: the name is one word of a list, in quotes or between blanks.
func isList(window []byte, at, lineStart int) bool {
	before := window[lineStart:at]
	return len(bytes.TrimSpace(before)) == 0 || bytes.ContainsAny(window[at:min(len(window), at+1)], `"' `) ||
		bytes.IndexByte([]byte(`"' |(,`), before[len(before)-1]) >= 0
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	if len(w.killed) >= minNames {
		names := make([]string, 0, len(w.killed))
		for n := range w.killed {
			names = append(names, n)
		}
		slices.Sort(names)
		why := trust.Sanitise(fmt.Sprintf("kills %d other miners and what protects them: %s", len(names), strings.Join(names, ", ")), 200)
		if w.bring && w.start {
			w.out.Add(w.first, trust.Strong, w.excerpt, why+"; and brings a program of its own")
		} else {
			w.out.AddIfRun(w.first, trust.Weak, trust.Strong, w.excerpt, why)
		}
	}
	return w.out.Findings()
}

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }
