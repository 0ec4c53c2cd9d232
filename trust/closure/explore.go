package closure

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// What following an image may cost; beyond, every file counts as running.
const (
	maxVisits   = 2000     // scripts that are read
	maxLevel    = 8        // scripts that start scripts
	maxRead     = 64 << 20 // bytes of scripts, those read again included
	maxWork     = 1 << 20  // words, look-ups and folder entries
	maxMarks    = 1 << 16  // files that run
	maxCommands = 1 << 20  // bytes of command lines of all scripts; what is longer is left out, as files are inspected too
	maxAliases  = 1 << 12
	maxWays     = 8       // in which one script is started; of others every argument that is a program is run
	maxWanted   = 1 << 17 // paths that scripts name
)

// explorer follows what an image starts.
type explorer struct {
	out    *Closure
	view   *rootfs.View
	bodies map[*rootfs.File]string
	// current is what is being followed.
	current starter
	env     map[string][]string
	path    []string
	home    string
	workd   string

	seen     map[string]starts
	jobs     []job
	visits   int
	read     int
	work     int
	commands int
	// aliases are copies that scripts make: target to sources, absolute. wanted are the paths that were asked for.
	aliases map[string][]string
	kept    int
	wanted  map[string]want
	unread  map[*rootfs.File]bool
	started map[string]bool
	// settings are folders whose settings count as read, siblings those whose code counts as run.
	settings, siblings map[string]bool
	named              map[string][]string
	// renamed are tools under other names.
	renamed map[string]string
	// unsealed counts the joins that programs decode.
	unsealed int
}

// want is a path that something was to run or to read.
type want struct {
	level int
	args  []string
	as    string
	dirs  []string
}

// job is a file to be read.
type job struct {
	file  *rootfs.File
	place string // absolute
	args  []string
	level int
	as    string // the interpreter, if it is known
	dirs  []string
}

func newExplorer(c *Closure, config inspect.Config, bodies map[*rootfs.File]string) *explorer {
	x := &explorer{
		out: c, view: c.view, bodies: bodies, env: map[string][]string{}, home: "/root", workd: path.Clean("/" + config.WorkingDir),
		seen: map[string]starts{}, aliases: map[string][]string{}, wanted: map[string]want{}, unread: map[*rootfs.File]bool{},
		started: map[string]bool{}, settings: map[string]bool{}, siblings: map[string]bool{}, named: map[string][]string{},
		renamed: map[string]string{},
	}
	for _, e := range config.Env {
		if name, value, ok := strings.Cut(e, "="); ok {
			x.env[name] = []string{value}
		}
	}
	search := defaultPath
	if p := x.env["PATH"]; len(p) > 0 {
		search = p[0]
	}
	for dir := range strings.SplitSeq(search, ":") {
		x.path = append(x.path, path.Clean("/"+dir))
	}
	if h := x.env["HOME"]; len(h) > 0 {
		x.home = path.Clean("/" + h[0])
	}
	x.start(config)
	return x
}

// start begins with all that a configuration starts.
func (x *explorer) start(c inspect.Config) {
	x.current = starter{part: "config:command"}
	st := x.script(nil, "config:command", nil, 0)
	if argv := append(append([]string{}, c.Entrypoint...), c.Cmd...); len(argv) > 0 {
		x.runCommand(st, argv)
	}
	if len(c.Entrypoint) > 0 && len(c.Cmd) > 0 {
		x.runCommand(st, c.Cmd) // what exec "$@" makes of it, whatever the entrypoint is
	}
	st.finish()
	st.out.Reset()
	x.current = starter{part: "config:healthcheck"}
	if h := c.Healthcheck; len(h) > 1 {
		if h[0] == "CMD-SHELL" {
			st.text(strings.Join(h[1:], " "))
		} else {
			x.runCommand(st, h[1:])
		}
	}
	st.finish()
	x.current = starter{part: "config:onbuild"}
	for _, line := range c.OnBuild {
		if _, rest, ok := strings.Cut(line, " "); ok {
			st.text(rest)
		}
	}
	x.current = starter{part: "config:shell"}
	if len(c.Shell) > 0 {
		x.command(c.Shell[0], st.dirs, 0)
	}
	x.current = starter{part: "config:env"}
	for _, name := range []string{"LD_PRELOAD", "BASH_ENV", "ENV", "PYTHONSTARTUP", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "GIT_SSH", "GIT_SSH_COMMAND", "PROMPT_COMMAND"} {
		for _, value := range x.env[name] {
			for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" :;,=", r) }) {
				x.readArgument(word, "", st)
			}
		}
	}
	x.current = starter{part: "config:start"}
	x.always()
}

// run reads one script after another.
func (x *explorer) run() {
	for len(x.jobs) > 0 && x.out.all == "" {
		j := x.jobs[0]
		x.jobs = x.jobs[1:]
		x.visit(j)
	}
	for f, shell := range x.unread {
		x.out.Unread = append(x.out.Unread, Unread{File: f, Shell: shell})
	}
	x.out.Joins = worthJoining(x.out.Joins)
	slices.SortFunc(x.out.Unread, func(a, b Unread) int {
		return cmp.Or(cmp.Compare(a.File.Layer, b.File.Layer), cmp.Compare(a.File.Path, b.File.Path))
	})
}

func (x *explorer) giveUp(why string) {
	if x.out.all == "" {
		x.out.all = why
	}
}

func (x *explorer) spend(n int) bool {
	if x.work += n; x.work > maxWork {
		x.giveUp("following what the image runs takes too long")
	}
	return x.out.all == ""
}

// mark notes that a file runs, and with a program its configuration, which programs look for beside them.
func (x *explorer) mark(f *rootfs.File, place string) {
	if x.out.reached[f] || x.out.all != "" {
		return
	}
	x.out.by[f] = x.current
	if x.out.reached[f] = true; len(x.out.reached) > maxMarks {
		x.giveUp("the image runs too many files")
	}
	if f.Kind != trust.KindExecutable {
		return
	}
	for _, dir := range []string{path.Dir(place), x.workd} {
		if systemFolders[dir] || x.settings[dir] {
			continue
		}
		x.settings[dir] = true
		for _, name := range x.view.Names(dir) {
			if !x.spend(1) {
				return
			}
			if isSettings(name) {
				if beside := x.view.Lookup(dir + "/" + name); beside != nil {
					x.out.reached[beside] = true
					if _, known := x.out.by[beside]; !known {
						x.out.by[beside] = starter{file: f}
					}
				}
			}
		}
	}
}

// systemFolders hold the programs and data of many packages, so that what lies beside a program there is not its own.
var systemFolders = map[string]bool{
	"/": true, "/bin": true, "/sbin": true, "/usr/bin": true, "/usr/sbin": true, "/usr/local/bin": true, "/usr/local/sbin": true,
	"/etc": true, "/lib": true, "/usr/lib": true, "/usr/share": true, "/usr/libexec": true,
}

func isSettings(name string) bool {
	switch path.Ext(strings.ToLower(name)) {
	case ".json", ".conf", ".cfg", ".ini", ".toml", ".yaml", ".yml":
		return true
	}
	switch strings.ToLower(name) {
	case "config.txt", "pools.txt", "cpu.txt", ".env":
		return true
	}
	return false
}

// find are the files at a path, which is relative to each of dirs, and what a script copied there. Somebody wants it.
func (x *explorer) find(p string, w want) []found {
	var out []found
	for _, full := range absolute(p, w.dirs) {
		if !x.spend(1) {
			return out
		}
		if _, known := x.wanted[full]; !known {
			if len(x.wanted) >= maxWanted {
				x.giveUp("scripts name too many files")
				return out
			}
			x.wanted[full] = w
		}
		out = append(out, x.at(full, 0)...)
	}
	return out
}

type found struct {
	file  *rootfs.File
	place string
}

func (x *explorer) at(full string, hops int) []found {
	var out []found
	if f := x.view.Lookup(full); f != nil && f.Type == trust.TypeFile {
		out = append(out, found{f, full})
	}
	if hops == maxLevel || len(x.aliases) == 0 {
		return out
	}
	for end := len(full); end > 0; end = strings.LastIndexByte(full[:end], '/') {
		for _, source := range x.aliases[full[:end]] {
			if !x.spend(1) {
				return out
			}
			out = append(out, x.at(path.Clean(source+full[end:]), hops+1)...)
		}
	}
	return out
}

// alias notes that a script makes target of source, and looks again for what was wanted before.
func (x *explorer) alias(source, target string) {
	if source == target || slices.Contains(x.aliases[target], source) {
		return
	}
	if x.kept++; x.kept > maxAliases {
		x.giveUp("scripts copy too many files")
		return
	}
	x.aliases[target] = append(x.aliases[target], source)
	var again []string
	for p := range x.wanted {
		if p == target || strings.HasPrefix(p, target+"/") {
			again = append(again, p)
		}
	}
	x.spend(len(x.wanted))
	slices.Sort(again)
	for _, p := range again {
		w := x.wanted[p]
		for _, f := range x.at(p, 0) {
			x.enqueue(f, w)
		}
	}
}

// enqueue marks a file and reads it later, if it says what it starts. A script may be started in several ways, each with
// arguments of its own; starting itself makes it no deeper. It returns false when there are too many ways to follow.
func (x *explorer) enqueue(f found, w want) bool {
	x.mark(f.file, f.place)
	if !readable(f.file, w.as) || x.out.all != "" {
		return true
	}
	way := strings.Join(append([]string{w.as}, w.args...), "\x00")
	s := x.seen[f.place]
	switch {
	case slices.Contains(s.ways, way):
		return true
	case len(s.ways) == 0:
		if s.level = w.level + 1; s.level > maxLevel {
			x.giveUp(fmt.Sprintf("scripts start scripts more than %d deep", maxLevel))
			return true
		}
	case len(s.ways) == maxWays:
		return false
	}
	s.ways = append(s.ways, way)
	x.seen[f.place] = s
	x.jobs = append(x.jobs, job{file: f.file, place: f.place, args: w.args, level: s.level, as: w.as, dirs: w.dirs})
	return true
}

// maxBinary bounds what looks like no text and is still read for an interpreter that is no shell, in bytes: those take
// compiled programs and archives too.
const maxBinary = 1 << 20

// readable reports whether a file may say what it starts. A shell reads whatever it is given.
func readable(f *rootfs.File, as string) bool {
	switch {
	case f.Size == 0 || f.Kind == trust.KindExecutable:
		return false
	case f.Kind != trust.KindData || as == shellScript:
		return true
	}
	switch path.Ext(f.Path) {
	case ".pyc", ".pyz", ".so", ".egg", ".whl", ".zip", ".phar", ".node":
		return false
	}
	return interprets[as] && f.Size <= maxBinary
}

// starts is how a script was started: as what and with which arguments.
type starts struct {
	level int
	ways  []string
}

// absolute is a path as it is seen from each of dirs.
func absolute(p string, dirs []string) []string {
	if p == "" || strings.ContainsRune(p, 0) || len(p) > maxPath {
		return nil
	}
	if path.IsAbs(p) {
		return []string{path.Clean(p)}
	}
	var out []string
	for _, dir := range dirs {
		if full := path.Join("/", dir, p); !slices.Contains(out, full) {
			out = append(out, full)
		}
	}
	return out
}

// content is the body of a file as far as it is known. What is missing is noted, to be read again.
func (x *explorer) content(f *rootfs.File, shell bool) string {
	body, again := x.bodies[f]
	switch {
	case again && int64(len(body)) < f.Size:
		x.giveUp("the script " + trust.Sanitise(f.Path, 100) + " is too long to be followed")
	case !again:
		if body = f.Body; !f.Whole() {
			x.unread[f] = x.unread[f] || shell
		}
	}
	if x.read += len(body); x.read > maxRead {
		x.giveUp("the scripts that the image runs are too long")
	}
	return body
}

// visit reads one script.
func (x *explorer) visit(j job) {
	if x.visits++; x.visits > maxVisits {
		x.giveUp("the image runs too many scripts")
		return
	}
	language := x.languageOf(j)
	if language == "" {
		return
	}
	body := x.content(j.file, readsAsShell[language])
	x.current = starter{file: j.file}
	st := x.script(j.file, j.place, j.args, j.level)
	st.dirs = appendNew(st.dirs, j.dirs...)
	x.readAs(language, body, st)
	st.finish()
}

// appendNew appends what is not there, up to a number of folders that scripts honestly change to.
func appendNew(list []string, more ...string) []string {
	for _, s := range more {
		if len(list) < 16 && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
