package packed

import (
	"bytes"
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

// A script that decrypts a program and runs it hides what it does as well as a packed one.

const (
	// before and after are how much is read around what decrypts, in bytes: the result is run soon, or elsewhere.
	before, after = 300, 1 << 10
	// maxResults bounds the variables that are followed from one place.
	maxResults = 4
)

func (ind *Indicator) addDecrypts() error {
	for _, d := range ind.rules.Decrypts {
		if len(d) < 6 {
			return fmt.Errorf("packed rules: %q is shorter than 6 bytes", d)
		}
		ind.literals = append(ind.literals, indicator.Literal{Text: d, Fold: true})
	}
	for _, c := range []struct {
		into     **regexp.Regexp
		patterns []string
		groups   int
	}{{&ind.runs, ind.rules.Runs, 0}, {&ind.results, ind.rules.Results, 1}} {
		if len(ind.literals) == 0 {
			continue
		}
		re, err := regexp.Compile("(?:" + strings.Join(c.patterns, "|") + ")")
		if err != nil {
			return fmt.Errorf("packed rules: %w", err)
		}
		if len(c.patterns) == 0 || re.NumSubexp() < c.groups {
			return fmt.Errorf("packed rules: runs and results must not be empty beside decrypts, and results need a group")
		}
		*c.into = re
	}
	return nil
}

// watchScript begins a text that may be run.
func (ind *Indicator) watchScript(f indicator.File) indicator.Watch {
	if !report.MayBeText(f) || len(ind.literals) == 0 {
		return nil
	}
	return &scriptWatch{ind: ind, out: report.New(f)}
}

type scriptWatch struct {
	ind  *Indicator
	out  *report.Report
	read report.Budget
	next int64 // hits before this stand in text that was read
}

// Hit implements indicator.Watch.
func (w *scriptWatch) Hit(h indicator.Hit) {
	if h.Offset < w.next || !w.read.Spend(w.out, h.Offset) {
		return
	}
	w.next = h.Offset + after
	window, at := text.Clip(h)
	line, _ := text.Line(window, at, before)
	near := window[max(0, at-before):min(len(window), at+after)]
	if behaviour.IsComment(line) || !w.ind.runs.Match(near) && !w.givesOn(near) {
		return
	}
	w.out.AddClassed(trust.ClassOpaque, h.Offset, trust.Context, trust.Strong, bytes.TrimSpace(line), "decrypts a program and runs it, so that nobody can see what it is")
}

// givesOn: the result is in a variable that is given to what runs a program.
func (w *scriptWatch) givesOn(near []byte) bool {
	for _, m := range w.ind.results.FindAllSubmatch(near, maxResults) {
		for _, name := range m[1:] {
			if len(name) > 0 && slices.ContainsFunc(w.ind.rules.Runners, func(r string) bool { return bytes.Contains(near, []byte(r+string(name))) }) {
				return true
			}
		}
	}
	return false
}

// Close implements indicator.Watch.
func (w *scriptWatch) Close() []trust.Finding { return w.out.Findings() }

// Unread implements indicator.Bounded.
func (w *scriptWatch) Unread() string { return w.out.Unread() }
