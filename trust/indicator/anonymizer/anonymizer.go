// Package anonymizer finds programs that are started through Tor, ProxyChains or a local SOCKS proxy. The tools are
// honest, and installing them or fetching a page through them is nothing; what is wrapped decides.
package anonymizer

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
	name    = "anonymizer"
	version = 4
)

// Rules are the data of this indicator.
type Rules struct {
	// Wrappers are programs that start another one through an anonymising network.
	Wrappers []string `yaml:"wrappers"`
	// Variables are environment variables that do the same, Proxies the beginnings of values that make them do it.
	Variables []string `yaml:"variables"`
	Proxies   []string `yaml:"proxies"`
	// Keys are settings, in lower case, whose value is a command: "command=torsocks …".
	Keys []string `yaml:"keys"`
	// Prefixes are programs that start another one and change nothing that matters here.
	Prefixes []string `yaml:"prefixes"`
	// Ordinary are programs that people use through these networks.
	Ordinary []string `yaml:"ordinary"`
	// Miners are names of mining programs, Options what only they are given, Schemes beginnings of pool URLs.
	Miners  []string `yaml:"miners"`
	Options []string `yaml:"options"`
	Schemes []string `yaml:"schemes"`
	// Fetchers are commands and functions that download.
	Fetchers []string `yaml:"fetchers"`
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	rules    Rules
	literals []indicator.Literal
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Wrappers) == 0 || len(r.Variables) == 0 || len(r.Proxies) == 0 || len(r.Miners) == 0 || len(r.Options) == 0 {
		return nil, errors.New("anonymizer rules: wrappers, variables, proxies, miners and options must not be empty")
	}
	ind := &Indicator{rules: r}
	for _, t := range slices.Concat(r.Wrappers, r.Proxies) {
		if len(t) < 6 {
			return nil, fmt.Errorf("anonymizer rules: %q is shorter than 6 bytes", t)
		}
		ind.literals = append(ind.literals, indicator.Literal{Text: t})
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
	if report.MayBeText(f) {
		return &watch{ind: ind, out: report.New(f)}
	}
	return nil
}

type watch struct {
	ind  *Indicator
	out  *report.Report
	read report.Budget
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	window, at := text.Clip(h)
	if h.Literal >= len(w.ind.rules.Wrappers) && !isAssigned(window[:at]) || !w.read.Spend(w.out, h.Offset) {
		return // the address of a proxy that nothing is told to use, as in a list of proxies
	}
	if line, _ := logicalLine(window, at); !w.read.Weigh(w.out, h.Offset, len(line)) {
		return
	}
	for _, c := range calls(window, at) {
		for i := range c {
			if at < c[i].At || at >= c[i].At+len(c[i].Text) {
				continue
			}
			if rest, ok := w.ind.wrapped(c, i); ok {
				w.weigh(c, i, rest, window, h.Offset+int64(c[i].At-at))
			}
		}
	}
}

// isAssigned: an equals sign stands before, and at most a quote between.
func isAssigned(before []byte) bool {
	return bytes.HasSuffix(bytes.TrimRight(before, "\"'\\"), []byte("="))
}

// wrapped reports whether the word at i puts an anonymiser in front of the words that it returns.
func (ind *Indicator) wrapped(c text.Command, i int) (rest text.Command, ok bool) {
	r := &ind.rules
	rest = c[i+1:]
	switch variable, value, has := strings.Cut(c[i].Text, "="); {
	case slices.Contains(r.Wrappers, text.Base(c[i].Text)):
	case has && slices.Contains(r.Keys, strings.ToLower(variable)) && slices.Contains(r.Wrappers, text.Base(value)):
		return rest, i == 0 || c[i].Opens
	case has && slices.Contains(r.Variables, strings.ToLower(variable)) && slices.ContainsFunc(r.Proxies, func(p string) bool { return strings.HasPrefix(value, p) }):
	default:
		return nil, false
	}
	return rest, ind.atCommand(c, i)
}

// atCommand: nothing stands before the word but assignments and programs that start another one.
func (ind *Indicator) atCommand(c text.Command, i int) bool {
	for ; i > 0 && !c[i].Opens; i-- {
		before := c[i-1].Text
		if strings.HasPrefix(before, "-") && !strings.HasPrefix(before, "--") && strings.HasSuffix(before, "c") {
			return true // sh -c "…", in a list
		}
		if i > 1 && takesUser(c[i-2].Text) {
			continue
		}
		if !ind.isPrefix(before) {
			return false
		}
	}
	// The first string of a call is a command only if the call runs something; the words before it say so or the
	// string is the beginning of all.
	return i == 0 || !slices.Contains([]string{"echo", "print", "printf", "which", "command"}, strings.TrimRight(c[i-1].Text, "(")) && !isInstall(c[:i])
}

// takesUser: the word behind is the name of a user or a group, as whom another program is started.
func takesUser(word string) bool {
	switch text.Base(word) {
	case "-u", "-g", "su-exec", "gosu":
		return true
	}
	return false
}

// isInstall: the words before belong to a package manager, whose lists are quoted in many ways.
func isInstall(before text.Command) bool {
	return slices.ContainsFunc(before, func(w text.Word) bool {
		return w.Text == "install" || w.Text == "add" || w.Text == "remove" || w.Text == "purge"
	})
}

// isPrefix: an assignment, an option or a number of a prefix program, the program itself, another wrapper, or shell
// grammar.
func (ind *Indicator) isPrefix(word string) bool {
	name, _, assigns := strings.Cut(word, "=")
	return assigns && name != "" && !strings.ContainsAny(name, "/-.:") ||
		strings.HasPrefix(word, "-") || strings.Trim(word, "0123456789smh%") == "" ||
		slices.Contains(ind.rules.Prefixes, text.Base(word)) || slices.Contains(ind.rules.Wrappers, text.Base(word))
}

// weigh looks at what is wrapped.
func (w *watch) weigh(c text.Command, i int, rest text.Command, window []byte, offset int64) {
	r := &w.ind.rules
	program, options := w.ind.program(rest)
	end := len(window)
	if last := c[len(c)-1]; last.At+len(last.Text) < end {
		end = last.At + len(last.Text)
	}
	excerpt := window[c[i].At:end]
	base := text.Base(program)
	tool := c[i].Text
	if cut, _, ok := strings.Cut(tool, "="); ok {
		tool = cut
	}
	tool = trust.Sanitise(text.Base(tool), 40)
	strength, why := trust.Context, "has "+tool+" to start programs with"
	switch {
	case program == "":
	case slices.Contains(r.Miners, strings.ToLower(base)):
		strength, why = trust.Strong, "starts a mining program through "+tool
	case w.ind.mines(options):
		strength, why = trust.Strong, "starts a program with a miner's options through "+tool
	case slices.Contains(r.Ordinary, base):
		why = "starts an ordinary program through " + tool
	case w.ind.fetched(program, window):
		strength, why = trust.Strong, "starts what was just downloaded through "+tool
		if isTemporary(program) {
			strength, why = trust.Proof, "starts what was just downloaded, from a temporary folder, through "+tool
		}
	case strings.ContainsRune(program, '/'):
		w.out.AddIfRun(offset, trust.Weak, trust.Strong, excerpt, "starts a program that nobody knows through "+tool)
		return
	}
	w.out.Add(offset, strength, excerpt, why)
}

func isTemporary(program string) bool {
	return slices.ContainsFunc([]string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/"}, func(p string) bool { return strings.HasPrefix(program, p) })
}

// program is the first word that is no option of the wrapper, no assignment and no prefix program.
func (ind *Indicator) program(rest text.Command) (string, text.Command) {
	for i := 0; i < len(rest); i++ {
		word := rest[i].Text
		switch {
		case word == "-f" || word == "-a" || word == "-P" || word == "-p" || word == "-u" || word == "-n":
			i++
		case ind.isPrefix(word):
		case i+1 < len(rest) && strings.HasPrefix(rest[i+1].Text, "/") && !strings.ContainsAny(word, "/.-") && !slices.Contains(ind.rules.Ordinary, word):
			// folder + "/program", in a language that adds strings
		default:
			return word, rest[i+1:]
		}
	}
	return "", nil
}

// mines: the options are a miner's, or name a pool by URL, or a host with port and an account.
func (ind *Indicator) mines(options text.Command) bool {
	endpoint, user := false, false
	for i, o := range options {
		flag, value, joined := strings.Cut(o.Text, "=")
		if !joined && i+1 < len(options) {
			value = options[i+1].Text
		}
		e, isHost := text.ParseEndpoint(value)
		switch {
		case slices.Contains(ind.rules.Options, flag):
			return true
		case slices.ContainsFunc(ind.rules.Schemes, func(s string) bool { return strings.HasPrefix(strings.ToLower(o.Text), s) }):
			return true
		case flag == "-o" || flag == "--url":
			endpoint = endpoint || isHost && e.Port > 0 && e.Scheme == ""
		case flag == "-u" || flag == "--user":
			user = true
		}
	}
	return endpoint && user
}

// fetched: what is read before names the program as something downloaded or made executable.
func (ind *Indicator) fetched(program string, window []byte) bool {
	base := text.Base(program)
	if len(base) < 1 {
		return false
	}
	for line := range bytes.Lines(window) {
		if !mentions(line, base) {
			continue
		}
		for _, f := range ind.rules.Fetchers {
			if mentions(line, f) {
				return true
			}
		}
	}
	return false
}

// mentions finds a whole word.
func mentions(line []byte, word string) bool {
	for i := 0; ; {
		n := bytes.Index(line[i:], []byte(word))
		if n < 0 {
			return false
		}
		i += n
		end := i + len(word)
		if (i == 0 || !isName(line[i-1])) && (end >= len(line) || !isName(line[end])) {
			return true
		}
		i = end
	}
}

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding { return w.out.Findings() }

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }
