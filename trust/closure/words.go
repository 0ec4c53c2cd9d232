package closure

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

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

// words is the floor of a closure: the files that words of a configuration may mean, without knowing what is where. It
// names too many rather than too few.
type words struct {
	paths   map[string]bool // relative to the root, clean
	names   map[string]bool // looked up in dirs
	dirs    map[string]bool
	modules map[string]bool     // Python modules, run from wherever they are
	folders map[string]bool     // all of whose files are named: "/opt/conf/*"
	bases   map[string]bool     // of paths that a variable or a pattern begins, which may lead anywhere
	links   map[string][]string // paths to targets; many share them
	reached map[string]bool     // where links lead from what is named
	steps   int                 // taken along links
	held    int                 // bytes of paths that links led to
	// text is all that names files, for those whose names are no words.
	text string
	all  bool // too much to know
}

// wordsOf reads the files that the configuration names.
func wordsOf(c inspect.Config) words {
	cl := words{
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
	seen := 0
	for _, text := range commandTexts(c) {
		previous := ""
		for _, at := range wordPattern.FindAllStringIndex(text, maxWords-seen+1) {
			seen++
			word := text[at[0]:at[1]]
			cl.add(word, previous, workdir)
			cl.addOpen(word, text[:at[0]], text[at[1]:], workdir)
			previous = word
		}
		cl.all = cl.all || seen > maxWords
		if cl.all {
			break
		}
	}
	return cl
}

func (cl *words) add(word, previous, workdir string) {
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
func (cl *words) addOpen(word, before, after, workdir string) {
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
	maxLinks = 1 << 18
	maxPath  = 4096
	maxSteps = 1 << 22
	maxHeld  = 16 << 20
)

// follow adds links. The words of nothing stay so.
func (cl *words) follow(links *Links, cut bool) {
	if cl.links == nil {
		return
	}
	cl.links = links.targets
	if cl.all = cl.all || cut || links.kept > maxLinks; cl.all {
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
		if cl.means(from) {
			named = append(named, from)
		}
	}
	cl.reach(named, cl.reached)
}

// reach follows the links on the way to each path: the path itself may be one, and every folder above it. What is fewer
// hops away comes first, so that no path is given up that another way leads to.
func (cl *words) reach(from []string, into map[string]bool) {
	for hops := 0; hops < maxHops && len(from) > 0 && !cl.all; hops++ {
		var next []string
		for _, p := range from {
			next = append(next, cl.hop(p, into)...)
		}
		from = next
	}
}

// hop adds where one link leads from a path, and returns what is new.
func (cl *words) hop(p string, into map[string]bool) (next []string) {
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

// means reports whether the configuration names the file at this path of a layer (no leading slash). An engine unpacks a
// file to where the links above it lead, so that it may be named by any path on the way.
func (cl *words) means(file string) bool {
	file = rel(file)
	cl.steps++
	if cl.all || cl.steps > maxSteps && len(cl.links) > 0 || cl.named(file) {
		return true
	}
	if len(cl.links) == 0 {
		return false
	}
	if named, known := cl.quickly(file); known {
		return named
	}
	held := cl.held
	leads := map[string]bool{}
	cl.reach([]string{file}, leads)
	cl.held = held // what is not kept costs no memory
	return cl.all || slices.ContainsFunc(slices.Collect(maps.Keys(leads)), cl.named)
}

// quickHops is how far links are followed before that needs memory.
const quickHops = 4

// quickly is what means finds out where links lead to one place and then no further, as most do.
func (cl *words) quickly(file string) (named, known bool) {
	for range quickHops {
		target, ways := "", 0
		for end := len(file); end > 0 && len(file) <= 2*maxPath; end = strings.LastIndexByte(file[:end], '/') {
			targets := cl.links[file[:end]]
			if cl.steps += 1 + len(targets); len(targets) > 0 {
				ways += len(targets)
				target = rel(targets[0] + file[end:])
			}
		}
		if ways == 0 {
			return false, true
		}
		if ways > 1 || len(target) > maxPath || cl.steps > maxSteps {
			return false, false
		}
		if cl.named(target) {
			return true, true
		}
		file = target
	}
	return false, false
}

// named is means for where a file is in the end.
func (cl *words) named(file string) bool {
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
func (cl *words) namesOdd(file string) bool {
	base := path.Base(file)
	return !isWord(base) && (len(cl.text) > maxText || strings.Contains(cl.text, base))
}

// isWord reports whether wordPattern fits all of a text.
func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("_./@%+~-", c) < 0 {
			return false
		}
	}
	return true
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
	if isRel(p) {
		return p
	}
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		return "."
	}
	return p
}

// isRel is true for most paths that are clean and have no leading slash.
func isRel(p string) bool {
	begin := true // of an element
	for i := range len(p) {
		switch c := p[i]; {
		case begin && (c == '/' || c == '.'):
			return false
		default:
			begin = c == '/'
		}
	}
	return !begin
}
