package arch

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A statute says what the packages of some folders may import of the house. Patterns are folders; a last element "*"
// stands for one folder, "**" for any folder below; "~" stands for the importing package's own folder, and "^" for
// its parent.
type statute struct {
	of     string
	may    []string
	except []string // wins over may
}

// words are the packages that everything above them may speak: pure, without adapters.
var words = []string{
	"trust", "trust/reference", "trust/ruleset", "trust/namespace", "trust/namespace/signed", "trust/lookalike", "trust/publisher",
	"trust/inspect", "trust/layer", "trust/layer/inflate", "trust/match", "trust/policy", "trust/flight",
}

// constitution is the import law. The first statute whose pattern fits decides; a package that none fits is itself a
// problem, so that a new room needs a line here.
var constitution = []statute{
	{of: "configs/**", may: []string{"configs/internal/**"}},
	{of: "trust"},

	{of: "trust/indicator/all", may: []string{"trust", "trust/indicator", "trust/indicator/*", "trust/ruleset"}},
	{of: "trust/indicator/indicatortest", may: append([]string{"trust/indicator", "trust/scan", "test/**"}, words...)},
	{of: "trust/indicator", may: []string{"trust"}},
	{of: "trust/indicator/yara", may: []string{"trust", "trust/indicator", "trust/indicator/internal/report", "trust/yara"}},
	{of: "trust/indicator/**", may: []string{"trust", "trust/indicator", "trust/indicator/internal/**", "~/**", "^"}},

	{of: "trust/store/storetest", may: []string{"trust", "trust/store", "trust/campaign", "trust/judge", "test/**"}},
	{of: "trust/store/**", may: []string{"trust", "trust/store", "trust/campaign", "~/**", "^"}},
	{of: "trust/publisher/**", may: []string{"trust", "trust/reference", "trust/publisher", "trust/publisher/internal/**", "trust/flight", "~/**", "^"}},

	{of: "trust/judge", may: []string{"trust", "trust/**"}, except: []string{"trust/indicator/**", "trust/store/**", "trust/publisher/*"}},
	{of: "trust/unwrap/all", may: []string{"trust", "trust/unwrap", "trust/unwrap/*"}},
	{of: "trust/unwrap/unwraptest", may: []string{"trust", "trust/unwrap", "test/**"}},
	{of: "trust/unwrap", may: []string{"trust"}},
	// Decompressors are read in one place: what a layer may be packed with, a file in it may be too.
	{of: "trust/unwrap/**", may: []string{"trust", "trust/unwrap", "trust/unwrap/internal/**", "trust/layer/**", "~/**", "^"}},
	{of: "trust/scan/**", may: append([]string{"trust/indicator", "trust/unwrap", "~/**", "^"}, words...)},
	{of: "trust/rootfs/**", may: append([]string{"trust/indicator", "~/**", "^"}, words...)},
	{of: "trust/closure/**", may: append([]string{"trust/indicator", "trust/rootfs", "~/**", "^"}, words...)},
	{of: "trust/signature/**", may: append([]string{"~/**", "^"}, words...)},
	{of: "trust/campaign/**", may: append([]string{"~/**", "^"}, words...)},
	{of: "trust/yara/**", may: []string{"trust", "trust/match", "trust/yara/internal/**"}},
	{of: "trust/**", may: []string{"trust", "trust/reference", "trust/ruleset", "~/**", "^"}},

	// One reader of manifests serves the judge and the door, so that the two cannot disagree about one.
	{of: "proxy/enforce", may: []string{"trust", "trust/inspect", "proxy/caller"}},
	{of: "proxy/enforce/**", may: []string{"trust", "trust/reference", "trust/inspect", "proxy/caller", "proxy/enforce", "~/**", "^"}},
	// Who asks is a word that every part of the proxy speaks.
	{of: "proxy/caller"},
	{of: "proxy", may: []string{"trust", "trust/reference", "proxy/**"}, except: []string{"proxy/upstream/**", "proxy/blobcache/**"}},
	{of: "proxy/**", may: []string{"trust", "trust/reference", "proxy/caller", "~/**", "^"}},

	{of: "plugin/render/**", may: append([]string{"plugin/render/internal/**", "trust/campaign", "~/**", "^"}, words...)},
	{of: "plugin/**", may: append([]string{"trust/campaign", "~/**", "^"}, words...)},

	{of: "cmd/internal/**", may: []string{"**"}, except: []string{"test/**"}},
	{of: "cmd/**", may: []string{"**"}, except: []string{"test/**"}},
	{of: "test/**", may: []string{"**"}, except: []string{"cmd/**"}},
}

// foreign are modules outside the house that packages may import besides the standard library; packages that none
// of the patterns fits may import any module of go.mod.
var foreign = []struct {
	of  string
	may []string
}{
	{of: "configs/**"},
	{of: "trust", may: []string{"github.com/opencontainers/go-digest", "github.com/opencontainers/image-spec"}},
	{of: "test/arch"},
}

// imports checks every import of the tree.
func (t *tree) imports() []problem {
	var out []problem
	for _, p := range t.sorted() {
		law, ok := find(p.dir)
		if !ok {
			out = append(out, problem{p.dir, "no statute of test/arch/law.go says what this folder may import"})
			continue
		}
		for _, f := range p.code {
			out = append(out, t.checkFile(p.dir, f, func(to string) string { return law.forbids(p.dir, to) })...)
		}
		for _, f := range p.tests {
			out = append(out, t.checkFile(p.dir, f, func(to string) string { return forbidsTest(p.dir, to) })...)
		}
	}
	return out
}

func (t *tree) checkFile(dir string, f *file, forbids func(string) string) []problem {
	var out []problem
	for _, spec := range f.syntax.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			out = append(out, problem{t.at(spec), "unreadable import"})
			continue
		}
		why := ""
		switch inside, ok := internalPath(to); {
		case ok:
			why = forbids(inside)
		case !strings.HasSuffix(f.name, "_test.go"):
			why = forbidsForeign(dir, to)
		}
		if why != "" {
			out = append(out, problem{t.at(spec), why})
		}
	}
	return out
}

// internalPath is the folder of an import inside the house.
func internalPath(importPath string) (string, bool) {
	if importPath == Module {
		return ".", true
	}
	return strings.CutPrefix(importPath, Module+"/")
}

func find(dir string) (statute, bool) {
	for _, s := range constitution {
		if fits(s.of, dir) {
			return s, true
		}
	}
	return statute{}, false
}

// forbids is empty when dir may import to.
func (s statute) forbids(dir, to string) string {
	if slices.ContainsFunc(s.may, func(p string) bool { return fits(own(p, dir), to) }) &&
		!slices.ContainsFunc(s.except, func(p string) bool { return fits(p, to) }) {
		return ""
	}
	return fmt.Sprintf("%s may not import %s (law.go: %q may import %q but %q)", dir, to, s.of, s.may, s.except)
}

// forbidsTest keeps the rooms apart in test files too. Within a room a test may import what it likes, and any kit.
func forbidsTest(dir, to string) string {
	room, other := top(dir), top(to)
	switch {
	case room == other, isTestKit(to), room == "test", room == "cmd", other == "trust", other == "configs":
		return ""
	}
	return fmt.Sprintf("tests of %s may not import %s: rooms stay apart in tests too", dir, to)
}

func forbidsForeign(dir, to string) string {
	for _, f := range foreign {
		if fits(f.of, dir) && !isStandard(to) && !slices.ContainsFunc(f.may, func(m string) bool { return fits(m+"/**", to) }) {
			return fmt.Sprintf("%s may not import %s: only the standard library and %q", dir, to, f.may)
		}
	}
	return ""
}

// isStandard: the standard library's first path element has no dot.
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func own(pattern, dir string) string {
	switch {
	case strings.HasPrefix(pattern, "~"):
		return dir + pattern[1:]
	case pattern == "^":
		return path.Dir(dir)
	}
	return pattern
}

// fits matches a folder against a pattern: "a/**" fits a and all below it, "a/*" one folder below, else equality.
func fits(pattern, dir string) bool {
	if pattern == "**" {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/**"); ok {
		return dir == base || strings.HasPrefix(dir, base+"/")
	}
	if base, ok := strings.CutSuffix(pattern, "/*"); ok {
		rest, below := strings.CutPrefix(dir, base+"/")
		return below && !strings.Contains(rest, "/")
	}
	return pattern == dir
}

func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// chain is the longest chain of imports inside the house that begins at dir, in code, not in tests.
func (t *tree) chain(dir string, known map[string][]string) []string {
	if c, ok := known[dir]; ok {
		return c
	}
	known[dir] = nil // cuts a cycle, which the compiler refuses anyway
	var longest []string
	for _, to := range t.uses(dir) {
		if c := t.chain(to, known); len(c) > len(longest) {
			longest = c
		}
	}
	known[dir] = append([]string{dir}, longest...)
	return known[dir]
}

func (t *tree) uses(dir string) []string {
	p := t.packages[dir]
	if p == nil {
		return nil
	}
	var out []string
	for _, f := range p.code {
		for _, spec := range f.syntax.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if inside, ok := internalPath(to); err == nil && ok && !slices.Contains(out, inside) {
				out = append(out, inside)
			}
		}
	}
	slices.Sort(out)
	return out
}
