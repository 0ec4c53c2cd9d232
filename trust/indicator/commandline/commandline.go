// Package commandline finds commands that start a miner, by the grammar of the miner families' options: in shell,
// in argument lists of any language, in the image's own configuration. What the program is called does not matter.
package commandline

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "commandline"
	version = 4

	// before and after are how much is read around an option that is too short to be a literal.
	before, after = 1 << 10, 3 << 10
)

// Rules are the data of this indicator.
type Rules struct {
	// Only are options that no other kind of program has.
	Only []string `yaml:"only"`
	// Endpoint, User, Pass and Algorithm are options that take the pool, the account, its password and the algorithm.
	Endpoint  []string `yaml:"endpoint"`
	User      []string `yaml:"user"`
	Pass      []string `yaml:"pass"`
	Algorithm []string `yaml:"algorithm"`
	// Habits are options that miners are often given and that mean little elsewhere.
	Habits []string `yaml:"habits"`
	// Algorithms are names of proof-of-work functions.
	Algorithms []string `yaml:"algorithms"`
	// Schemes are beginnings of pool URLs.
	Schemes []string `yaml:"schemes"`
	// Programs are names of miners. Others are programs whose -o, -u and -p mean something else.
	Programs []string `yaml:"programs"`
	Others   []string `yaml:"others"`
	// Prefixes are programs and words that start another program.
	Prefixes []string `yaml:"prefixes"`
	// Describes are words of the languages in which security tools describe commands.
	Describes []string `yaml:"describes"`
	// Starters are options that make node software mine, Nodes its names.
	Starters []string `yaml:"starters"`
	Nodes    []string `yaml:"nodes"`
	// Works are commands that mine, farm or prove by what they are.
	Works []Work `yaml:"works"`
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	rules    Rules
	literals []indicator.Literal
	short    [][]byte // endpoint options that are no literals
	// works is the number of the literal from which on they are those of Works.
	works int
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Only) < 2 || len(r.Endpoint) == 0 || len(r.User) == 0 || len(r.Pass) == 0 || len(r.Algorithm) == 0 || len(r.Schemes) == 0 || len(r.Programs) == 0 {
		return nil, errors.New("commandline rules: only, endpoint, user, pass, algorithm, schemes and programs must not be empty")
	}
	ind := &Indicator{rules: r}
	for _, t := range slices.Concat(r.Only, r.Starters) {
		if len(t) < 3 || t[0] != '-' {
			return nil, fmt.Errorf("commandline rules: %q is no option of at least 3 bytes", t)
		}
		if len(t) < 6 {
			continue // counts beside an option that is found by itself
		}
		ind.literals = append(ind.literals, indicator.Literal{Text: t})
	}
	for _, t := range r.Programs {
		if t += " -"; len(t) >= 6 {
			ind.literals = append(ind.literals, indicator.Literal{Text: t, Fold: true})
		}
	}
	if err := ind.addWorks(); err != nil {
		return nil, err
	}
	for _, t := range r.Endpoint {
		if len(t) < 2 || t[0] != '-' {
			return nil, fmt.Errorf("commandline rules: endpoint: %q is no option", t)
		}
		ind.short = append(ind.short, []byte(t))
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
func (*Indicator) Idle(f indicator.File) bool { return !report.MayBeText(f) }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	w := &watch{ind: ind, file: f, out: report.New(f)}
	if report.MayBeText(f) {
		return &textWatch{watch: w, seam: text.Seam{Keep: before + after + 64}, judged: map[int]int64{}}
	}
	return w
}

type watch struct {
	ind  *Indicator
	file indicator.File
	out  *report.Report
	read report.Budget // of literals
	done map[int]bool  // works that were seen
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	if !w.read.Spend(w.out, h.Offset) {
		return
	}
	window, at := text.Clip(h)
	if h.Literal >= w.ind.works {
		w.work(h.Literal-w.ind.works, window, at, h.Offset)
		return
	}
	w.judge(window, at, h.Offset)
}

// describes reports whether the line is one of a rule.
func (ind *Indicator) describes(window []byte, at int) bool {
	line, _ := text.Line(window, at, 200)
	return slices.ContainsFunc(ind.rules.Describes, func(d string) bool { return bytes.Contains(line, []byte(d)) })
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding { return w.out.Findings() }

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }

// judge looks at the command around window[at], which stands at offset in the file.
func (w *watch) judge(window []byte, at int, offset int64) {
	commands := text.Commands(window)
	command := text.CommandAt(commands, at)
	if command == nil {
		return
	}
	command = gather(commands, command)
	last := command[len(command)-1]
	if !w.read.Weigh(w.out, offset, last.At+len(last.Text)-command[0].At) {
		return
	}
	s := w.ind.read(command, window)
	strength, why := s.weigh()
	if strength < trust.Proof && (s.bare || len(s.only) > 0) && w.runs() && isCut(command, window, at) {
		w.out.GiveUp("has a command that may start a miner and is longer than what is read of it")
	}
	if strength == trust.Context {
		return
	}
	// The place is that of the first telling option: the window may begin in the middle of the command.
	excerpt := window[command[0].At:min(len(window), command[len(command)-1].At+len(command[len(command)-1].Text))]
	if first := s.first; first >= 0 {
		offset += int64(first - at)
		excerpt = excerpt[max(0, min(first-command[0].At-60, len(excerpt))):]
	}
	runs := w.out.Role() == report.Runs || w.out.Role() == report.Samples
	switch {
	case s.listed():
		w.out.AddIfRun(offset, min(strength, trust.Weak), trust.Context, excerpt, why)
	case !runs && w.ind.describes(window, at):
		// A rule of a security tool: it says what such a command looks like.
		w.out.AddWeighed(offset, trust.Context, strength, excerpt, why)
	case strength == trust.Strong && !s.endpoint && !runs:
		// Names of options without a pool are what rules and lists are made of.
		now, _ := report.Weigh(w.out.Role(), trust.Weak)
		w.out.AddWeighed(offset, now, strength, excerpt, why)
	default:
		w.out.Add(offset, strength, excerpt, why)
	}
}

func (w *watch) runs() bool {
	return w.file.Kind == trust.KindConfig || w.file.Kind == trust.KindScript
}

// isCut reports whether nothing but blanks and continued lines lies between a command and an end of the window that is
// not an end of the file: padding that pushes the telling options out of sight.
func isCut(c text.Command, window []byte, at int) bool {
	last := c[len(c)-1]
	return at >= before && isPadding(window[:c[0].At]) && c[0].At > minPadding ||
		len(window)-at >= after && isPadding(window[last.At+len(last.Text):]) && len(window)-last.At-len(last.Text) > minPadding
}

// minPadding is more blanks than anybody puts into a command for looks.
const minPadding = 512

func isPadding(p []byte) bool {
	for i, c := range p {
		switch {
		case c == ' ', c == '\t', c == '\r', c == '\\', c == '"', c == '\'', c == ',':
		case c == '\n' && (i == 0 || p[i-1] == '\\' || p[i-1] == '\r' || p[i-1] == ','):
		default:
			return false
		}
	}
	return true
}

// textWatch sees every byte, since the shortest grammar (-o host:port -u name) has no literal.
type textWatch struct {
	*watch
	seam text.Seam
	// head is the beginning of a configuration string, in which a program's name alone counts.
	head []byte
	// read is the budget of short options, judged how far each was looked for: a piece may show a place again.
	read   report.Budget
	judged map[int]int64
}

// maxHead bounds head.
const maxHead = 64 << 10

// Bytes implements indicator.ByteWatch.
func (w *textWatch) Bytes(chunk []byte) {
	if w.file.Kind == trust.KindConfig {
		w.head = append(w.head, chunk[:min(len(chunk), maxHead-len(w.head))]...)
	}
	w.seam.Next(chunk, func(p []byte, at int64) { w.piece(p, at, false) })
}

// Close implements indicator.Watch.
func (w *textWatch) Close() []trust.Finding {
	w.seam.Close(func(p []byte, at int64) { w.piece(p, at, true) })
	w.program(w.head)
	return w.watch.Close()
}

func (w *textWatch) piece(p []byte, at int64, last bool) {
	from, to := before, len(p)-after
	if at == 0 {
		from = 0
	}
	if last {
		to = len(p)
	}
	// Options begin with a dash behind a border, which most bytes of a text are not: one pass finds them all.
	users := &users{options: w.ind.rules.User, text: p}
	for i := from; i < to; i++ {
		n := bytes.IndexByte(p[i:to], '-')
		if n < 0 {
			return
		}
		if i += n; i > 0 && !isBorder(p[i-1]) {
			continue
		}
		for o, option := range w.ind.short {
			if bytes.HasPrefix(p[i:to], option) {
				w.option(p, i, o, at, users)
			}
		}
	}
}

// option judges the option with number o at p[i:], once.
func (w *textWatch) option(p []byte, i, o int, at int64, users *users) {
	if at+int64(i) < w.judged[o] {
		return
	}
	w.judged[o] = at + int64(i) + 1
	start, end := max(0, i-before), min(len(p), i+after)
	padded := end-i >= after && isPadding(p[end-minPadding:end])
	if w.ind.takesEndpoint(p[i+len(w.ind.short[o]):]) && (padded || users.within(start, end)) && w.read.Spend(w.out, at+int64(i)) {
		w.judge(p[start:end], i-start, at+int64(i))
	}
}

// takesEndpoint is a quick look at what follows an option: white space, quotes or "=", then a host or a variable.
func (ind *Indicator) takesEndpoint(rest []byte) bool {
	rest = bytes.TrimLeft(rest[:min(len(rest), 320)], " \t\r\n\"'`,=\\+-.")
	if len(rest) > 2 && bytes.IndexByte([]byte("fbru"), rest[0]) >= 0 && (rest[1] == '"' || rest[1] == '\'') {
		rest = rest[2:] // a string of Python
	}
	end := bytes.IndexAny(rest, " \t\r\n\"'`,\\")
	if end < 0 {
		end = len(rest)
	}
	word := rest[:end]
	return bytes.IndexAny(word, ":.") > 0 || len(word) > 1 && (word[0] == '$' || word[0] == '{' || word[0] == '%') || isIdentifier(word)
}

// users is a quick look for an account, without which a short option says nothing: "-o" alone names the output of
// every compiler. It goes through the text once, however often it is asked about parts that follow each other.
type users struct {
	options []string
	text    []byte
	// next is where each option stands next; len(text) if nowhere.
	next []int
}

// within reports whether an option begins in a part of the text, behind its first byte. Parts may not begin before earlier ones.
func (u *users) within(start, end int) bool {
	if u.next == nil {
		u.next = make([]int, len(u.options))
	}
	found := false
	for k, option := range u.options {
		if u.next[k] <= start {
			u.next[k] = u.after(start, option)
		}
		found = found || u.next[k] < end
	}
	return found
}

func (u *users) after(at int, option string) int {
	for at++; at < len(u.text); at++ {
		n := bytes.Index(u.text[at:], []byte(option))
		if n < 0 {
			break
		}
		if at += n; isBorder(u.text[at-1]) {
			return at
		}
	}
	return len(u.text)
}

// program finds an image that does nothing but start a known miner.
func (w *textWatch) program(p []byte) {
	for _, c := range text.Commands(p) {
		if report.Built(w.file) {
			return // what was done with a miner at build time lies in a layer
		}
		if slices.Contains(w.ind.rules.Programs, strings.ToLower(text.Base(c[0].Text))) {
			w.out.Add(int64(c[0].At), trust.Weak, p[c[0].At:], "starts a program with the name of a miner")
		}
	}
}

func isBorder(c byte) bool { return bytes.IndexByte([]byte(" \t\r\n\x00\"'`,=[("), c) >= 0 }

func isIdentifier(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9') {
			return false
		}
	}
	return len(b) > 2
}
