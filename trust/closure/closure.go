// Package closure says what an image runs. It reads the image's configuration only: which files its entrypoint,
// command and health check name. A file that is run weighs more than one that merely lies in a layer.
package closure

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// maxWords bounds the words of a configuration that are looked at, so that a huge command costs no more than that. A
// configuration with more words than that names every file, which is the safe side.
const maxWords = 4096

// maxText bounds the text in which a name is looked for that is no word, in bytes; a longer one names all such files.
const maxText = 16 << 10

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
	modules map[string]bool     // Python modules, run from wherever they are
	folders map[string]bool     // all of whose files are named: "/opt/conf/*"
	bases   map[string]bool     // of paths that a variable or a pattern begins, which may lead anywhere
	links   map[string][]string // paths to targets
	reached map[string]bool     // where links lead from what is named
	kept    int                 // how many targets links has
	steps   int                 // taken along links
	held    int                 // bytes of paths that links led to
	// text is all that names files, for those whose names are no words.
	text string
	all  bool // too much to know
}

// Of reads the files that the configuration names.
func Of(c inspect.Config) Closure {
	cl := Closure{
		paths: map[string]bool{}, names: map[string]bool{}, dirs: searchPath(c.Env), modules: map[string]bool{},
		links: map[string][]string{}, reached: map[string]bool{}, folders: map[string]bool{}, bases: map[string]bool{}, text: strings.Join(commandTexts(c), "\n"),
	}
	workdir := c.WorkingDir
	if workdir == "" {
		workdir = "/"
	}
	if cl.all = len(cl.dirs) > maxWords || len(workdir) > maxPath; cl.all {
		return cl
	}
	words := 0
	for _, text := range commandTexts(c) {
		previous := ""
		for _, at := range wordPattern.FindAllStringIndex(text, maxWords-words+1) {
			words++
			word := text[at[0]:at[1]]
			cl.add(word, previous, workdir)
			cl.addOpen(word, text[:at[0]], text[at[1]:], workdir)
			previous = word
		}
		cl.all = cl.all || words > maxWords
		if cl.all {
			break
		}
	}
	return cl
}

func (cl *Closure) add(word, previous, workdir string) {
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

// addOpen adds what a shell makes of a word that is only a part of a path: a folder of which it takes the files, or the
// end of a path that begins with a variable.
func (cl *Closure) addOpen(word, before, after, workdir string) {
	folder := strings.HasSuffix(word, "/")
	if after != "" && strings.IndexByte("*?[", after[0]) >= 0 {
		word, folder = word[:strings.LastIndexByte(word, '/')+1], true
	}
	if folder {
		if !path.IsAbs(word) {
			word = path.Join(workdir, word)
		}
		cl.folders[rel(word)] = true
	}
	if before != "" && strings.IndexByte("}$*?])`", before[len(before)-1]) >= 0 && strings.Contains(word, "/") {
		cl.bases[path.Base(word)] = true
	}
}

// What following links may cost: maxHops from one path, as in a kernel; maxLinks of all layers together; paths of at most
// maxPath bytes, which is what a kernel takes; maxSteps looks at a path or a folder above it, and maxHeld bytes of paths
// that were reached, since links that lead below themselves double the paths with every hop. Beyond, every file is named.
const (
	maxHops  = 40
	maxLinks = 1 << 16
	maxPath  = 4096
	maxSteps = 1 << 22
	maxHeld  = 16 << 20
)

// Follow adds the links of a layer, path to target: what a configuration names may lead elsewhere. It is told when links
// were left out, because then every file may be meant. A closure of nothing stays one.
func (cl *Closure) Follow(links map[string]string, cut bool) {
	if cl.links == nil {
		return
	}
	for from, to := range links {
		if !slices.Contains(cl.links[from], to) && cl.kept <= maxLinks {
			cl.links[from] = append(cl.links[from], to)
			cl.kept++
		}
	}
	if cl.all = cl.all || cut || cl.kept > maxLinks; cl.all {
		return
	}
	for _, step := range []struct{ from, into map[string]bool }{
		{cl.dirs, cl.dirs}, {cl.folders, cl.folders}, {cl.paths, cl.reached}, {cl.reached, cl.reached},
	} {
		cl.reach(slices.Collect(maps.Keys(step.from)), step.into)
	}
	// A link of an earlier layer may stand in a folder that only this one leads to.
	var named []string
	for from := range cl.links {
		if cl.Names(from) {
			named = append(named, from)
		}
	}
	cl.reach(named, cl.reached)
}

// reach follows the links on the way to each path: the path itself may be one, and every folder above it. What is fewer
// hops away comes first, so that no path is given up that another way leads to.
func (cl *Closure) reach(from []string, into map[string]bool) {
	for hops := 0; hops < maxHops && len(from) > 0 && !cl.all; hops++ {
		var next []string
		for _, p := range from {
			next = append(next, cl.hop(p, into)...)
		}
		from = next
	}
}

// hop adds where one link leads from a path, and returns what is new.
func (cl *Closure) hop(p string, into map[string]bool) (next []string) {
	if len(p) > 2*maxPath {
		return nil // a word that is no path: what a kernel may be asked for is a path below a working directory
	}
	for end := len(p); end > 0; end = strings.LastIndexByte(p[:end], '/') {
		targets := cl.links[p[:end]]
		cl.steps += 1 + len(targets)
		for _, to := range targets {
			target := rel(to + p[end:])
			if !into[target] {
				into[target] = true
				cl.held += len(target)
				next = append(next, target)
			}
			if cl.all = cl.all || len(target) > maxPath || cl.steps > maxSteps || cl.held > maxHeld; cl.all {
				return nil
			}
		}
	}
	return next
}

// Names reports whether the configuration names the file at this path of a layer (no leading slash). An engine unpacks a
// file to where the links above it lead, so that it may be named by any path on the way.
func (cl *Closure) Names(file string) bool {
	file = rel("/" + file)
	cl.steps++
	if cl.all || cl.steps > maxSteps && len(cl.links) > 0 || cl.named(file) {
		return true
	}
	if len(cl.links) == 0 {
		return false
	}
	held := cl.held
	leads := map[string]bool{}
	cl.reach([]string{file}, leads)
	cl.held = held // what is not kept costs no memory
	return cl.all || slices.ContainsFunc(slices.Collect(maps.Keys(leads)), cl.named)
}

// named is Names for where a file is in the end.
func (cl *Closure) named(file string) bool {
	if cl.reached[file] || cl.folders[path.Dir(file)] || cl.bases[path.Base(file)] || cl.namesOdd(file) {
		return true
	}
	if cl.paths[file] || cl.names[path.Base(file)] && cl.dirs[path.Dir(file)] {
		return true
	}
	if module, ok := strings.CutSuffix(file, ".py"); ok {
		module = strings.TrimSuffix(module, "/__main__")
		for more := true; more; _, module, more = strings.Cut(module, "/") {
			if cl.modules[module] {
				return true
			}
		}
	}
	return false
}

// namesOdd looks for a name that is more than one word, such as one with a blank or an umlaut in it.
func (cl *Closure) namesOdd(file string) bool {
	base := path.Base(file)
	return wordPattern.FindString(base) != base && (len(cl.text) > maxText || strings.Contains(cl.text, base))
}

// Weigh is the finding with the reach and the strength that it has in this image: a file that is named to be run weighs
// what its indicator says that it weighs when run.
func (cl *Closure) Weigh(f trust.Finding) trust.Finding {
	file, _, _ := strings.Cut(f.Path, trust.Nested)
	switch {
	case f.Kind == trust.KindConfig || strings.HasPrefix(f.Path, "config:") || strings.HasPrefix(f.Path, "manifest:"):
		f.Reach = trust.ReachRuns
	case !cl.Names(file):
		f.Reach = trust.ReachPresent
	default:
		f.Reach = trust.ReachRuns
		f.Strength = max(f.Strength, f.IfRun)
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
