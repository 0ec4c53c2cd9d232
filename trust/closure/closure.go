// Package closure says what an image runs. It reads the image's configuration only: which files its entrypoint,
// command and health check name. A file that is run weighs more than one that merely lies in a layer.
package closure

import (
	"path"
	"regexp"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// maxWords bounds the words of a configuration that are looked at, so that a huge command costs no more than that. A
// configuration with more words than that names every file, which is the safe side.
const maxWords = 4096

// defaultPath is what engines search when an image sets no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// wordPattern splits command lines wherever no file name that a person would choose goes on. Quoting need not be
// understood: a word too many names a file too many, and naming more is the safe side.
var wordPattern = regexp.MustCompile(`[A-Za-z0-9_./@%+~-]+`)

// Closure is the set of files that a configuration names to be run.
type Closure struct {
	paths   map[string]bool // relative to the root, clean
	names   map[string]bool // looked up in dirs
	dirs    map[string]bool
	modules map[string]bool // Python modules, run from wherever they are
	all     bool            // too many words to know
}

// Of reads the files that the configuration names.
func Of(c inspect.Config) Closure {
	cl := Closure{paths: map[string]bool{}, names: map[string]bool{}, dirs: searchPath(c.Env), modules: map[string]bool{}}
	workdir := c.WorkingDir
	if workdir == "" {
		workdir = "/"
	}
	words := 0
	for _, text := range commandTexts(c) {
		previous := ""
		for _, word := range wordPattern.FindAllString(text, maxWords-words+1) {
			words++
			cl.add(word, previous, workdir)
			previous = word
		}
		cl.all = words > maxWords
		if cl.all {
			break
		}
	}
	return cl
}

func (cl Closure) add(word, previous, workdir string) {
	switch {
	case previous == "-m":
		cl.modules[strings.ReplaceAll(word, ".", "/")] = true
	case path.IsAbs(word):
		cl.paths[rel(word)] = true
	default:
		cl.paths[rel(path.Join(workdir, word))] = true
		if !strings.Contains(word, "/") {
			cl.names[word] = true
		}
	}
}

// Names reports whether the configuration names the file at this path of a layer (no leading slash).
func (cl Closure) Names(file string) bool {
	file = rel("/" + file)
	if cl.all || cl.paths[file] || cl.names[path.Base(file)] && cl.dirs[path.Dir(file)] {
		return true
	}
	if module, ok := strings.CutSuffix(file, ".py"); ok {
		module = strings.TrimSuffix(module, "/__main__")
		for m := range cl.modules {
			if module == m || strings.HasSuffix(module, "/"+m) {
				return true
			}
		}
	}
	return false
}

// Weigh is the finding with the strength that it has in this image: a file that is named to be run weighs what its
// indicator says that it weighs when run.
func (cl Closure) Weigh(f trust.Finding) trust.Finding {
	if f.IfRun > f.Strength && cl.Names(f.Path) {
		f.Strength = f.IfRun
	}
	return f
}

func commandTexts(c inspect.Config) []string {
	texts := []string{strings.Join(c.Entrypoint, " "), strings.Join(c.Cmd, " "), strings.Join(c.Healthcheck, " "), strings.Join(c.Shell, " ")}
	return append(texts, c.Env...)
}

func searchPath(env []string) map[string]bool {
	value := defaultPath
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			value = v
		}
	}
	dirs := map[string]bool{}
	for _, dir := range strings.Split(value, ":") {
		dirs[rel("/"+dir)] = true
	}
	return dirs
}

// rel is a clean path without its leading slash; the root itself is ".".
func rel(p string) string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		return "."
	}
	return p
}
