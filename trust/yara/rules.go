// Package yara reads a subset of YARA and finds what rules describe in files that are seen once, from the first byte to
// the last, with a bounded amount of memory. Whatever a rule says that is not in the subset is an error with file, line
// and column, and then no rule of the file is loaded. README.md lists the subset.
package yara

import (
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust/yara/internal/atom"
	"github.com/safepull/safepull/trust/yara/internal/pattern"
	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// Limits of what Compile accepts. They protect the start of a program against a wrong or hostile file.
const (
	MaxFileSize      = syntax.MaxFile // bytes of a source
	MaxSources       = 256
	MaxRules         = 20_000 // of all sources; a single one has at most syntax.MaxRules
	MaxStringsOfRule = syntax.MaxStrings
	MaxStrings       = 65_536  // of all sources
	MaxSteps         = 1 << 21 // of the automata of all sources, 56 bytes each
)

// Source is a rule file. Rules of different sources do not see each other, and may have the same names.
type Source struct {
	// Name begins every error about the source.
	Name string
	Text []byte
}

// Meta is one key of a rule's meta section; Value is a string, an int64 or a bool. A key may stand there twice.
type Meta struct {
	Key   string
	Value any
}

// Info describes a rule.
type Info struct {
	// Source, Line and Column say where the rule's name stands.
	Source       string
	Line, Column int
	Name         string
	Tags         []string
	Meta         []Meta
	// Private rules are never reported. A Global rule must match for any other rule of its source to match.
	Private, Global bool
	// Strings are the names of its strings, with their "$".
	Strings []string
}

// Rules are compiled rules. They do not change, and any number of goroutines may use them.
type Rules struct {
	rules   []rule
	strings []stringRule
	digest  digest.Digest

	finder *atom.Finder
	// wakes[l] are the branches that literal l of finder stands for.
	wakes [][]wake
	// always are the rules that may match without any string, so that they are asked about every file.
	always []int
	// before and after are how many bytes around a literal must be at hand; maxLen is the longest literal's length.
	before, after int
	headBytes     int // of each file that are kept for reads
	hashes        wants
	scans         sync.Pool
}

type rule struct {
	info      Info
	source    int
	condition eval
	strings   []int // in Rules.strings
	globals   []int // rules of its source that are global; nil unless there are any
}

// stringRule is one string of a rule.
type stringRule struct {
	name    string
	rule    int
	private bool
	pattern *pattern.Pattern
	// places is true when the condition asks where or how often the string stands, not only whether.
	places bool
}

type wake struct{ str, branch int }

// Compile compiles one rule file. An error is one sentence, "name:line:column: what"; nothing is loaded then.
func Compile(name string, src []byte) (*Rules, error) {
	return CompileAll(Source{Name: name, Text: src})
}

// CompileAll compiles several rule files as one set. Errors are those of Compile.
func CompileAll(sources ...Source) (*Rules, error) {
	if len(sources) > MaxSources {
		return nil, fmt.Errorf("%d rule files are more than %d", len(sources), MaxSources)
	}
	c := &compiler{r: &Rules{}, literals: map[string]int{}}
	hash := digest.SHA256.Digester()
	for i, src := range sources {
		if err := c.source(i, src); err != nil {
			return nil, err
		}
		// Lengths first, so that no two sets of sources are the same text.
		fmt.Fprintf(hash.Hash(), "%d %d %s%s", len(src.Name), len(src.Text), src.Name, src.Text)
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	r := c.r
	r.digest = hash.Digest()
	r.scans.New = func() any { return r.newScan() }
	return r, nil
}

// Names are the names of all rules, in the order of the sources.
func (r *Rules) Names() []string {
	names := make([]string, len(r.rules))
	for i := range r.rules {
		names[i] = r.rules[i].info.Name
	}
	return names
}

// Info describes all rules, in the order of Names. What it points to is shared: do not change it.
func (r *Rules) Info() []*Info {
	infos := make([]*Info, len(r.rules))
	for i := range r.rules {
		infos[i] = &r.rules[i].info
	}
	return infos
}

// Digest changes whenever a source or its name does.
func (r *Rules) Digest() digest.Digest { return r.digest }
