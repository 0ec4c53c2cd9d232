// Package behaviour finds what a script does by habits that stand together: each is a line that means little by
// itself, several of one kind in one file mean something. An indicator gives it the habits, and how many make a sign.
package behaviour

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	// reach bounds the line around a habit, in bytes to each side.
	reach = 400
	// maxHabits bounds the habits of one indicator: they are bits of a word.
	maxHabits = 64
)

// Rules are the data of an indicator made of habits.
type Rules struct {
	Habits []Habit `yaml:"habits"`
	// Grades say what habits that stand together weigh; the weightiest that a file reaches counts.
	Grades []Grade `yaml:"grades"`
}

// Habit is one thing that a script does.
type Habit struct {
	// Name is what a person reads: "scans for open Docker ports".
	Name string `yaml:"name"`
	// Wake are texts that begin an inspection, at least 6 bytes each. Fold finds them in any case.
	Wake []string `yaml:"wake"`
	Fold bool     `yaml:"fold"`
	// Line are patterns (RE2) of which one must match the line; without any, a text of Wake is enough.
	Line []string `yaml:"line"`
	// Points is what the habit adds, 1 if it is left out.
	Points int `yaml:"points"`
	// Core marks habits that have hardly another purpose; see Grade.
	Core bool `yaml:"core"`
}

// Grade says what a number of points weighs.
type Grade struct {
	Points int `yaml:"points"`
	// Core is how many of the habits must be core ones.
	Core int `yaml:"core"`
	// Strength is what they weigh where they stand, IfRun in what the image is known to run.
	Strength trust.Strength `yaml:"strength"`
	IfRun    trust.Strength `yaml:"ifRun"`
}

// Indicator implements indicator.Indicator, but for the name of its package.
type Indicator struct {
	name     string
	version  int
	what     string
	pages    bool
	rules    Rules
	lines    []*regexp.Regexp
	literals []indicator.Literal
	habit    [][]int // those that each literal wakes
}

// Option changes how files are looked at.
type Option int

// Pages takes web pages for programs, which they are to a browser, and not for documents.
const Pages Option = 1

// New checks the rules. what begins the sentence that people read: "prepares the machine for mining".
func New(name string, version int, what string, r Rules, options ...Option) (*Indicator, error) {
	if len(r.Habits) == 0 || len(r.Habits) > maxHabits || len(r.Grades) == 0 {
		return nil, fmt.Errorf("%s rules: want 1 to %d habits and at least one grade", name, maxHabits)
	}
	ind := &Indicator{name: name, version: version, what: what, rules: r, pages: slices.Contains(options, Pages)}
	for i, h := range r.Habits {
		if h.Name == "" || len(h.Wake) == 0 || h.Points < 0 {
			return nil, fmt.Errorf("%s rules: habit %q: name and wake must not be empty, points not negative", name, h.Name)
		}
		for _, w := range h.Wake {
			if len(w) < 6 {
				return nil, fmt.Errorf("%s rules: %q is shorter than 6 bytes", name, w)
			}
			ind.wake(indicator.Literal{Text: w, Fold: h.Fold}, i)
		}
		var line *regexp.Regexp
		if len(h.Line) > 0 {
			var err error
			if line, err = regexp.Compile("(?:" + strings.Join(h.Line, "|") + ")"); err != nil {
				return nil, fmt.Errorf("%s rules: habit %q: %w", name, h.Name, err)
			}
		}
		ind.lines = append(ind.lines, line)
	}
	for _, g := range r.Grades {
		if g.Points < 1 || g.Strength == trust.Context && g.IfRun == trust.Context {
			return nil, fmt.Errorf("%s rules: a grade needs points and a strength", name)
		}
	}
	return ind, nil
}

// wake makes the literal wake habit i, besides others.
func (ind *Indicator) wake(l indicator.Literal, i int) {
	at := slices.Index(ind.literals, l)
	if at < 0 {
		at = len(ind.literals)
		ind.literals, ind.habit = append(ind.literals, l), append(ind.habit, nil)
	}
	ind.habit[at] = append(ind.habit[at], i)
}

// Name implements indicator.Indicator.
func (ind *Indicator) Name() string { return ind.name }

// Version implements indicator.Indicator.
func (ind *Indicator) Version() int { return ind.version }

// Literals implements indicator.Indicator.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Idle implements indicator.Idler.
func (*Indicator) Idle(indicator.File) bool { return true }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	if !report.MayBeText(f) {
		return nil
	}
	if ext := path.Ext(strings.ToLower(f.Path)); ind.pages && (ext == ".html" || ext == ".htm") {
		f.Kind, f.Path = trust.KindScript, f.Path+".js"
	}
	return &watch{ind: ind, out: report.New(f)}
}

type watch struct {
	ind   *Indicator
	out   *report.Report
	read  report.Budget
	seen  uint64 // habits
	order []place
}

type place struct {
	habit   int
	offset  int64
	excerpt []byte
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	habits := slices.DeleteFunc(slices.Clone(w.ind.habit[h.Literal]), func(i int) bool { return w.seen&(1<<i) != 0 })
	if len(habits) == 0 || !w.read.Spend(w.out, h.Offset) {
		return
	}
	window, at := text.Clip(h)
	line, _ := text.Line(window, at, reach)
	if IsComment(line) {
		return
	}
	for _, i := range habits {
		if re := w.ind.lines[i]; re == nil || re.Match(line) {
			w.seen |= 1 << i
			w.order = append(w.order, place{i, h.Offset, bytes.Clone(bytes.TrimSpace(line))})
		}
	}
}

// IsComment reports whether a line is one that no interpreter runs.
func IsComment(line []byte) bool {
	line = bytes.TrimLeft(line, " \t")
	return bytes.HasPrefix(line, []byte("#")) && !bytes.HasPrefix(line, []byte("#!")) || bytes.HasPrefix(line, []byte("//"))
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	points, core := 0, 0
	names := make([]string, 0, len(w.order))
	for _, p := range w.order {
		h := w.ind.rules.Habits[p.habit]
		points += max(1, h.Points)
		if h.Core {
			core++
		}
		names = append(names, h.Name)
	}
	var best Grade
	for _, g := range w.ind.rules.Grades {
		if points >= g.Points && core >= g.Core && (g.Strength > best.Strength || g.Strength == best.Strength && g.IfRun > best.IfRun) {
			best = g
		}
	}
	if best.Points > 0 {
		why := w.ind.what + ": " + strings.Join(names, ", ")
		w.out.AddIfRun(w.order[0].offset, best.Strength, best.IfRun, w.order[0].excerpt, trust.Sanitise(why, maxWhy))
	}
	return w.out.Findings()
}

// maxWhy bounds the sentence, in bytes.
const maxWhy = 300

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }
