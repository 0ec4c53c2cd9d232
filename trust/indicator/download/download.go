// Package download finds scripts and build steps that fetch a miner: from the release pages of the known projects, by
// the names of their archives wherever these lie, by the set-up scripts of pools, or as a package. A link alone is
// nothing: something must fetch it.
package download

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "download"
	version = 6

	// reach is how far from a link, in bytes to each side, what fetches it may stand in a script: a URL is often
	// assigned first and fetched lines later.
	reach = 1 << 10
	// fetchSpan is more than what fetches is long, in bytes.
	fetchSpan = 256
)

// Rules are the data of this indicator.
type Rules struct {
	// Repositories are "owner/name" of mining projects; hosting is where they lie.
	Hosting      []string `yaml:"hosting"`
	Repositories []string `yaml:"repositories"`
	// Assets are beginnings of archive names, before a version; Archives their suffixes.
	Assets   []string `yaml:"assets"`
	Archives []string `yaml:"archives"`
	// Setups are parts of URLs of set-up scripts.
	Setups []string `yaml:"setups"`
	// Packages are names of packages that are miners.
	Packages []string `yaml:"packages"`
	// Fetch, Install, Run and Unpack are patterns of what a script does with a link (RE2).
	Fetch   []string `yaml:"fetch"`
	Install []string `yaml:"install"`
	Run     []string `yaml:"run"`
	Unpack  []string `yaml:"unpack"`
	// Fetchers are literals of commands and functions that fetch; Pastes are hosts, or host/path, where anybody may put
	// something. Piped and Evaluated are patterns (RE2) of lines that hand what is fetched to an interpreter.
	Fetchers  []string `yaml:"fetchers"`
	Pastes    []string `yaml:"pastes"`
	Piped     []string `yaml:"piped"`
	Evaluated []string `yaml:"evaluated"`
	// Evaluators are patterns (RE2) of what runs a text, or memory, that is in a variable; they are looked for behind a fetch.
	Evaluators []string `yaml:"evaluators"`
	// Builds are patterns (RE2) of what runs or builds a folder of sources.
	Builds []string `yaml:"builds"`
	// Pipes are literals of pipes into a shell. Channels are programs that let whoever is at the other end say what comes
	// out of them, Records those that ask the domain name system.
	Pipes    []string `yaml:"pipes"`
	Channels []string `yaml:"channels"`
	Records  []string `yaml:"records"`
	// Addresses are literals of URLs whose host is a bare address.
	Addresses []string `yaml:"addresses"`
	// Interpreters and Starters are programs and functions whose argument is run.
	Interpreters []string `yaml:"interpreters"`
	Starters     []string `yaml:"starters"`
	// Installers are literals of package managers that take what anybody publishes.
	Installers []string `yaml:"installers"`
}

type class int

const (
	repository class = iota
	asset
	setup
	pkg
	fetcher
	pipe
	address
	installer
)

// Indicator implements indicator.Indicator.
type Indicator struct {
	literals []indicator.Literal
	classes  []class
	archive  *regexp.Regexp
	fetch    *regexp.Regexp
	install  *regexp.Regexp
	run      *regexp.Regexp
	unpack   *regexp.Regexp

	piped, evaluated, evaluators   *regexp.Regexp
	builds                         *regexp.Regexp
	pastes, interpreters, starters []string
	channels, records              []string
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Hosting) == 0 || len(r.Repositories) == 0 || len(r.Assets) == 0 || len(r.Archives) == 0 || len(r.Setups) == 0 {
		return nil, errors.New("download rules: hosting, repositories, assets, archives and setups must not be empty")
	}
	ind := &Indicator{pastes: r.Pastes, interpreters: r.Interpreters, starters: r.Starters, channels: r.Channels, records: r.Records}
	for _, h := range r.Hosting {
		for _, repo := range r.Repositories {
			ind.add(h+repo, repository)
		}
	}
	for _, a := range r.Assets {
		ind.add(a, asset)
	}
	for _, s := range r.Setups {
		ind.add(s, setup)
	}
	for c, texts := range [][]string{fetcher: r.Fetchers, installer: r.Installers, pipe: r.Pipes, address: r.Addresses} {
		for _, f := range texts {
			ind.literals, ind.classes = append(ind.literals, indicator.Literal{Text: f}), append(ind.classes, class(c))
		}
	}
	for _, l := range ind.literals {
		if len(l.Text) < 6 {
			return nil, fmt.Errorf("download rules: %q is shorter than 6 bytes", l.Text)
		}
	}
	quoted := make([]string, len(r.Archives))
	for i, a := range r.Archives {
		quoted[i] = regexp.QuoteMeta(a)
	}
	install := make([]string, len(r.Install))
	names := make([]string, len(r.Packages))
	for i, p := range r.Packages {
		names[i] = regexp.QuoteMeta(p)
	}
	for i, p := range r.Install {
		install[i] = p + `[^\n;|&]*[\s"',](?:` + strings.Join(names, "|") + `)(?:[\s"',;&|=@]|$)`
	}
	for _, c := range []struct {
		into     **regexp.Regexp
		patterns []string
		what     string
	}{
		{&ind.archive, []string{`^v?[0-9][\w.+-]*?(?:` + strings.Join(quoted, "|") + `)`, `^[\w.-]*\$?[{(]?\w+[})]?[\w.${}-]*?(?:` + strings.Join(quoted, "|") + `)`}, "archives"},
		{&ind.fetch, r.Fetch, "fetch"}, {&ind.install, install, "install"}, {&ind.run, r.Run, "run"}, {&ind.unpack, r.Unpack, "unpack"},
		{&ind.piped, r.Piped, "piped"}, {&ind.evaluated, r.Evaluated, "evaluated"}, {&ind.evaluators, r.Evaluators, "evaluators"}, {&ind.builds, r.Builds, "builds"},
	} {
		if len(c.patterns) == 0 {
			return nil, fmt.Errorf("download rules: %s must not be empty", c.what)
		}
		re, err := regexp.Compile(`(?i:` + strings.Join(c.patterns, "|") + `)`)
		if err != nil {
			return nil, fmt.Errorf("download rules: %s: %w", c.what, err)
		}
		*c.into = re
	}
	for _, p := range r.Packages {
		// What stands before a name in a list of packages makes it long enough to be a literal.
		for _, before := range []string{" ", `"`, "'"} {
			if len(before+p) < 6 {
				return nil, fmt.Errorf("download rules: package %q is shorter than 5 bytes", p)
			}
			ind.literals, ind.classes = append(ind.literals, indicator.Literal{Text: before + p}), append(ind.classes, pkg)
		}
	}
	return ind, nil
}

func (ind *Indicator) add(literal string, c class) {
	ind.literals = append(ind.literals, indicator.Literal{Text: literal, Fold: true})
	ind.classes = append(ind.classes, c)
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
	return &watch{ind: ind, file: f, out: report.New(f), names: map[int]bool{}}
}

type watch struct {
	ind     *Indicator
	file    indicator.File
	out     *report.Report
	read    report.Budget
	chained int64 // fetches before this were read with the one before them
	chains  int64 // fetches of unknown programs that were read
	// addressed is chained for URLs of bare addresses.
	addressed int64
	// links are held back until the whole file is known not to be a list.
	links []fetch
	names map[int]bool // literals of miners
	// fetchAt and fetchEnd are where the last thing that fetches stands, looked up to where there is none.
	fetchAt, fetchEnd, looked int64
}

// fetch is a link to a miner and what is done with it.
type fetch struct {
	offset   int64
	strength trust.Strength
	excerpt  []byte
	why      string
}

const (
	// manyNames is how many miners a file must name to be a list of what there is, or of what to look for.
	manyNames = 6
	// maxLinks bounds what is held back.
	maxLinks = 64
)

// hold keeps a link, and forgets the weakest where there are too many.
func (w *watch) hold(f fetch) {
	f.excerpt = bytes.Clone(f.excerpt)
	if len(w.links) < maxLinks {
		w.links = append(w.links, f)
	} else if i := slices.IndexFunc(w.links, func(o fetch) bool { return o.strength < f.strength }); i >= 0 {
		w.links[i] = f
	}
}

// Hit implements indicator.Watch.
func (w *watch) Hit(h indicator.Hit) {
	if c := w.ind.classes[h.Literal]; (c <= pkg || c == installer) && (w.file.Kind == trust.KindScript || w.file.Kind == trust.KindConfig) && !w.read.Spend(w.out, h.Offset) {
		return // elsewhere a line is read for every hit, and the engine bounds their number
	}
	window, at := text.Clip(h)
	size := len(w.ind.literals[h.Literal].Text)
	rest := window[at+size:]
	switch w.ind.classes[h.Literal] {
	case pkg:
		w.installed(window, at+1, h.Offset+1)
		return
	case fetcher:
		w.chain(window, at, h.Offset)
		return
	case installer:
		w.entryInstall(window, at, h.Offset)
		return
	case pipe:
		w.pipe(window, at, h.Offset)
		return
	case address:
		w.address(window, at, h.Offset)
		return
	case repository:
		if len(rest) > 0 && (isName(rest[0]) || rest[0] == '-') {
			return // another repository whose name begins the same
		}
	case asset:
		if at > 0 && (isName(window[at-1]) || window[at-1] == '-') || !w.ind.archive.Match(rest[:min(len(rest), 120)]) {
			return
		}
	}
	w.names[h.Literal] = true
	w.link(window, at, h.Offset)
}

// link weighs a link to a miner by what is done with it.
func (w *watch) link(window []byte, at int, offset int64) {
	line, start := text.Line(window, at, 400)
	near := line
	if w.file.Kind == trust.KindScript || w.file.Kind == trust.KindConfig {
		start = max(0, at-reach)
		near = window[start:min(len(window), at+2*reach)]
	}
	switch {
	case !w.fetches(near, offset+int64(start-at)):
		w.hold(fetch{offset, trust.Context, line, "names where a mining program can be had"})
	case w.ind.run.Match(near):
		strength := trust.Proof
		if report.Built(w.file) || w.file.Kind == trust.KindExecutable {
			strength = trust.Strong
		}
		w.hold(fetch{offset, strength, line, "fetches a mining program and runs it"})
	case w.ind.unpack.Match(near) && report.Starts(w.file):
		w.hold(fetch{offset, trust.Proof, line, "fetches a mining program and unpacks or builds it when the image starts"})
	case w.ind.unpack.Match(near):
		w.hold(fetch{offset, trust.Strong, line, "fetches a mining program and unpacks or builds it"})
	default:
		w.hold(fetch{offset, trust.Strong, line, "fetches a mining program"})
	}
}

// fetches reports whether something fetches in a text that begins at an offset. Texts overlap and follow each other, and
// what is known of a place is not looked for again.
func (w *watch) fetches(near []byte, base int64) bool {
	if w.fetchEnd > 0 && w.fetchAt >= base && w.fetchEnd <= base+int64(len(near)) {
		return true
	}
	from := min(max(0, w.looked-base-fetchSpan), int64(len(near)))
	for from > 0 && (isName(near[from-1]) || near[from-1] == '-' || near[from-1] == '.') {
		from-- // not in the middle of a word
	}
	m := w.ind.fetch.FindIndex(near[from:])
	if m == nil {
		w.looked = base + int64(len(near))
		return false
	}
	w.fetchAt, w.fetchEnd = base+from+int64(m[0]), base+from+int64(m[1])
	return true
}

// installed finds a package manager that is told to install a miner.
func (w *watch) installed(window []byte, at int, offset int64) {
	if w.file.Kind != trust.KindScript && w.file.Kind != trust.KindConfig && w.out.Role() != report.Runs {
		return
	}
	for _, c := range text.Commands(window) {
		last := c[len(c)-1]
		end := last.At + len(last.Text)
		if c[0].At > at || at >= end {
			continue
		}
		// One space between words, so that the patterns need not know about quoting and continued lines.
		var words bytes.Buffer
		for _, word := range c {
			words.WriteString(word.Text + " ")
		}
		if !w.read.Weigh(w.out, offset, words.Len()) {
			return
		}
		if w.ind.install.Match(words.Bytes()) {
			w.out.Add(offset, trust.Strong, words.Bytes(), "installs a mining program as a package")
		}
		return
	}
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	for _, l := range w.links {
		if len(w.names) >= manyNames {
			w.out.AddWeighed(l.offset, trust.Context, l.strength, l.excerpt, "names a mining program among many, as lists do")
			continue
		}
		w.out.Add(l.offset, l.strength, l.excerpt, l.why)
	}
	return w.out.Findings()
}

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
