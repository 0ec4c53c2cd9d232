// Package stealth finds what hides processes: libraries that stand between programs and the listing of /proc, kernel
// modules that do the same, and the file that makes every program load such a library.
package stealth

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

const (
	name    = "stealth"
	version = 2

	// minTexts is how many texts of a hider a library must hold beside its functions, minModule how many names of a
	// kernel module a file.
	minTexts, minModule = 2, 3
	// preload is the file whose libraries every program loads, preloadBytes how much of it is read: a few paths.
	preload      = "etc/ld.so.preload"
	preloadBytes = 4 << 10
	// maxLibraries bounds how many paths of one list or command are looked at.
	maxLibraries = 256
	// minLiteral is the engine's shortest literal, in bytes, maxWords the longest list: each word has a bit.
	minLiteral, maxWords = 6, 32
)

// Rules are the data of this indicator.
type Rules struct {
	// Functions are those that a library must name, all of them, to hide processes by itself. Texts are what it then
	// reads, of which it holds some.
	Functions []string `yaml:"functions"`
	Texts     []string `yaml:"texts"`
	// Modules are names that kernel modules which hide things hold.
	Modules []string `yaml:"modules"`
	// Standard are libraries that people preload for ordinary reasons: what their names begin with. Folders are where
	// packages put libraries.
	Standard []string `yaml:"standard"`
	Folders  []string `yaml:"folders"`
}

type class int

const (
	function class = iota
	proc
	module
	file
)

type literal struct {
	class class
	id    int
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	rules    Rules
	literals []indicator.Literal
	meaning  []literal
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Functions) == 0 || len(r.Texts) < minTexts || len(r.Modules) < minModule || len(r.Folders) == 0 {
		return nil, errors.New("stealth rules: functions, texts, modules and folders must not be empty")
	}
	ind := &Indicator{rules: r}
	for _, list := range []struct {
		class class
		words []string
	}{{function, r.Functions}, {proc, r.Texts}, {module, r.Modules}, {file, []string{preload}}} {
		if len(list.words) > maxWords {
			return nil, fmt.Errorf("stealth rules: more than %d words in a list", maxWords)
		}
		for i, w := range list.words {
			if list.class == function {
				w += "\x00" // as the names of symbols end
			}
			if len(w) < minLiteral {
				return nil, fmt.Errorf("stealth rules: %q is shorter than %d bytes", w, minLiteral)
			}
			ind.literals = append(ind.literals, indicator.Literal{Text: w})
			ind.meaning = append(ind.meaning, literal{list.class, i})
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
	w := watch{ind: ind, file: f, out: report.New(f)}
	if isPreload(f.Path) {
		return &listWatch{watch: w}
	}
	return &w
}

// Idle implements indicator.Idler: nothing happens before the first hit, but in the one list.
func (*Indicator) Idle(f indicator.File) bool { return !isPreload(f.Path) }

// isPreload also knows the list in an archive.
func isPreload(p string) bool {
	if i := strings.LastIndex(p, trust.Nested); i >= 0 {
		p = p[i+len(trust.Nested):]
	}
	return strings.HasSuffix(p, preload) && strings.TrimPrefix(path.Clean("/"+p), "/") == preload
}

// library is a path of a library in a list or a command.
var library = regexp.MustCompile(`/?[\w.${}+@-]+(?:/[\w.${}+@ -]*[\w.${}+@-])*\.so(?:\.\d+)*\b`)

// entry is one of the list: the loader takes any name for a library.
var entry = regexp.MustCompile(`[^\s:\x00]+`)

// strange is the strangest library in text that nothing ordinary preloads, and where it stands: one where no package
// puts libraries is strong, another weak. name is what the name of a library looks like there.
func (ind *Indicator) strange(text []byte, name *regexp.Regexp) (lib []byte, at int, s trust.Strength) {
	for _, m := range name.FindAllIndex(text, maxLibraries) {
		if is := ind.strangeness(string(text[m[0]:m[1]])); is > s {
			lib, at, s = text[m[0]:m[1]], m[0], is
		}
	}
	return lib, at, s
}

// behindFolder is what may stand behind a folder of libraries: another architecture's has a number.
var behindFolder = regexp.MustCompile(`^(?:64|32|x32|exec)?/`)

func (ind *Indicator) strangeness(p string) trust.Strength {
	installed := !strings.Contains(p, "/")
	for _, folder := range ind.rules.Folders {
		rest, ok := strings.CutPrefix(p, folder)
		installed = installed || ok && (strings.HasSuffix(folder, "/") || behindFolder.MatchString(rest))
	}
	if !installed || strings.Contains(p, "/.") {
		return trust.Strong
	}
	for _, s := range ind.rules.Standard {
		if strings.HasPrefix(path.Base(p), s) {
			return trust.Context
		}
	}
	return trust.Weak
}
