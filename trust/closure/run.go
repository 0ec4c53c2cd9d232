package closure

import (
	"path"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/rootfs"
)

// inert are commands whose arguments are not run and not read as settings: what they name proves nothing.
var inert = wordSet("echo printf test [ [[ true false : ls rm rmdir mkdir touch chown chgrp find grep egrep fgrep sed awk gawk tr cut sort uniq wc head tail stat " +
	"du df cat tee sleep kill pkill killall wait read export unset local declare typeset set shift return exit break continue umask ulimit hostname whoami id " +
	"date basename dirname readlink realpath mktemp pwd cd pushd popd sysctl mount umount apt apt-get apk yum dnf microdnf pip pip3 dpkg rpm adduser useradd " +
	"addgroup groupadd usermod userdel diff cmp md5sum sha1sum sha256sum file strings type hash alias let seq expr")

// wrappers run the command that stands in their arguments, behind options that are not told apart here: every argument
// that is a program may be it.
var wrappers = wordSet("sudo doas env nohup nice ionice tini tini-static dumb-init catatonit gosu su-exec setpriv timeout proxychains proxychains4 proxychains-ng torsocks torify tsocks " +
	"exec command builtin time stdbuf setsid setarch linux32 linux64 taskset chrt numactl cpulimit unshare nsenter chroot xargs watch flock start-stop-daemon busybox toybox s6-setuidgid " +
	"s6-envuidgid s6-env chpst runuser su script parallel unbuffer screen tmux faketime eatmydata strace ltrace gdb valgrind bwrap firejail fakeroot capsh daemonize daemon " +
	"supervise with-contenv execlineb exec-wrapper trap coproc if then else while until do ! redirfd foreground background " +
	"s6-softlimit softlimit setlock multilog cronolog ld.so find entr nodemon forever pm2 concurrently xvfb-run dbus-run-session dbus-launch aa-exec prlimit")

func wordSet(words string) map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}

// maxNest bounds wrappers in front of wrappers.
const maxNest = 16

// runCommand follows one command. Its words are values, see expand.go.
func (x *explorer) runCommand(st *script, argv []string) { x.runNested(st, argv, 0) }

func (x *explorer) runNested(st *script, argv []string, nest int) {
	for len(argv) > 0 && isAssignment(argv[0]) {
		argv = argv[1:]
	}
	if len(argv) == 0 || !x.spend(len(argv)) {
		return
	}
	if nest > maxNest {
		x.giveUp("commands are wrapped too deep")
		return
	}
	name, args := plainText(argv[0]), argv[1:]
	if strings.Trim(name, "\x00 ") == "" {
		x.runSiblings(st)
		return
	}
	programs := x.program(name, want{level: st.level, args: bounded(args), dirs: st.dirs})
	base := x.nameOf(path.Base(name), programs)
	language := languageOfProgram(base)
	known := true
	for _, f := range programs {
		known = x.enqueue(f, want{level: st.level, args: bounded(args), dirs: st.dirs}) && known
	}
	if !known {
		x.wrapped(st, args, nest)
	}
	if st.builtin(base, args, nest) {
		return
	}
	x.daemon(base, args, len(programs) > 0, st)
	st.passwords(base, args)
	switch {
	case wrappers[base] || language == execline:
		x.wrapped(st, args, nest)
	case language == shellScript:
		x.shell(st, args, nest)
	case language != "":
		x.interpret(language, args, st)
	case inert[base]:
		return
	default:
		x.told(name, args, programs, st)
	}
}

// told follows the arguments of a program that nobody knows. One from a folder of its own may be a shell: what it is told
// to do in words is read as one would.
func (x *explorer) told(name string, args []string, programs []found, st *script) {
	for i, a := range args {
		x.readArgument(a, "", st)
		if i+1 < len(args) && plainText(a) == "-c" && len(programs) > 0 && !systemFolders[path.Dir(name)] && strings.Contains(name, "/") && strings.ContainsAny(args[i+1], " ;|&") {
			st.text(shownText(args[i+1]))
		}
	}
}

// nameOf is what a command is, by its name or by that of the program that it leads to: a shell may be linked or copied
// under any other name. A program that is many looks at the name that it is called by.
func (x *explorer) nameOf(base string, programs []found) string {
	if knownProgram(base) {
		return base
	}
	for _, f := range programs {
		if f.file.Kind != trust.KindExecutable {
			continue
		}
		names := []string{path.Base(f.file.Path)}
		for _, p := range x.view.Places(f.file) {
			names = append(names, path.Base(p))
		}
		names = append(append(names, f.file.Program), x.view.Alike(f.file)...)
		if slices.ContainsFunc(names, isMany) {
			if strings.HasPrefix(base, "busybox") || strings.HasPrefix(base, "toybox") {
				return "busybox"
			}
			continue
		}
		if i := slices.IndexFunc(names, knownProgram); i >= 0 {
			return names[i]
		}
	}
	return base
}

// isMany: programs that are many, and look at the name that they are called by.
func isMany(name string) bool { return name == "busybox" || name == "toybox" }

// knownProgram reports whether a program of this name runs what its arguments say.
func knownProgram(base string) bool { return wrappers[base] || languageOfProgram(base) != "" }

// maxArgs bounds the arguments that a script is known to be started with.
const maxArgs = 256

func bounded(argv []string) []string { return argv[:min(len(argv), maxArgs)] }

// isAssignment: NAME=value in front of a command.
func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	if !ok || name == "" {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// program finds what a command name runs: in the search path unless it is a path.
func (x *explorer) program(name string, w want) []found {
	if strings.Contains(name, "\x00") {
		return x.openEnded(name, w)
	}
	if strings.Contains(name, "/") {
		return x.find(name, w)
	}
	for _, dir := range x.path {
		if f := x.find(path.Join(dir, name), w); len(f) > 0 {
			return f
		}
	}
	return nil
}

// command marks a program and what it leads to.
func (x *explorer) command(name string, dirs []string, level int) {
	for _, f := range x.program(name, want{level: level, dirs: dirs}) {
		x.enqueue(f, want{level: level, dirs: dirs})
	}
}

// wrapped runs every argument that is a program with what follows it. What opens archives need not be installed yet.
func (x *explorer) wrapped(st *script, args []string, nest int) {
	for i, a := range args[:min(len(args), 64)] {
		plain := plainText(a)
		switch {
		case plain == "" || isAssignment(plain):
		case strings.HasPrefix(plain, "-"):
			if i+1 < len(args) && (plain == "-c" || plain == "-lc" || plain == "--command") {
				st.text(shownText(args[i+1]))
			}
			x.readArgument(a, "", st)
		case len(x.program(plain, want{level: st.level, dirs: st.dirs})) > 0 || st.isBuiltin(plain) || opensArchives[plain] || languageOfProgram(plain) == shellScript:
			x.runNested(st, args[i:], nest+1)
			return
		case strings.ContainsAny(plain, " \x00"):
			st.text(shownText(a)) // screen 'cmd', timeout 5 "$CMD"
		}
	}
}

// shell is sh, bash and the like: a script in an argument, in a file, or a person at the prompt.
func (x *explorer) shell(st *script, args []string, nest int) {
	prompt := true
	for i, a := range args {
		plain := plainText(a)
		switch {
		case plain == "--" || plain == "":
		case strings.HasPrefix(plain, "--"), strings.HasPrefix(plain, "+"):
			if plain == "--login" || plain == "--interactive" {
				x.profile(st)
			}
			if plain == "--rcfile" || plain == "--init-file" {
				continue
			}
		case strings.HasPrefix(plain, "-"):
			if strings.ContainsAny(plain, "li") {
				x.profile(st)
			}
			if strings.Contains(plain, "c") && i+1 < len(args) {
				outer := st.args
				st.args = [][]string{args[min(i+3, len(args)):]}
				st.text(shownText(args[i+1]))
				st.args = outer
				return
			}
		default:
			for _, f := range x.matching(plain, st) {
				x.enqueue(f, want{level: st.level, args: bounded(args[i+1:]), as: shellScript, dirs: st.dirs})
			}
			prompt = false
		}
		if !prompt {
			for _, rest := range args[i+1:] {
				x.readArgument(rest, "", st)
			}
			return
		}
	}
	if st.file == nil || nest > 0 {
		x.profile(st)
	}
}

// runSiblings starts what a command that cannot be known may be: scripts and programs beside the script.
func (x *explorer) runSiblings(st *script) {
	if st.file == nil || systemFolders[st.self()] || x.siblings[st.self()] {
		return
	}
	x.siblings[st.self()] = true
	for _, name := range x.view.Names(st.self()) {
		if !x.spend(1) {
			return
		}
		if f := x.view.Lookup(st.self() + "/" + name); f != nil && (f.Kind == trust.KindScript || f.Kind == trust.KindExecutable) {
			x.enqueue(found{f, st.self() + "/" + name}, want{level: st.level, dirs: st.dirs})
		}
	}
}

// readArgument follows an argument that a command may run or read: "PATH", "--option=PATH", "-oPATH", "@PATH".
func (x *explorer) readArgument(a, as string, st *script) {
	plain := plainText(a)
	candidates := []string{plain}
	if _, value, ok := strings.Cut(plain, "="); ok {
		candidates = append(candidates, value)
	}
	if len(plain) > 2 && plain[0] == '-' {
		candidates = append(candidates, plain[2:])
	}
	candidates = append(candidates, strings.TrimPrefix(strings.TrimPrefix(plain, "@"), "file://"))
	slices.Sort(candidates)
	for _, c := range slices.Compact(candidates) {
		if c == "" || len(c) > maxPath || strings.HasPrefix(c, "-") {
			continue
		}
		for _, f := range x.matching(c, st) {
			x.enqueue(f, want{level: st.level, as: as, dirs: st.dirs})
		}
		if x.view.IsFolder(c) && path.IsAbs(c) && c != "/" {
			for _, entry := range []string{"__main__.py", "index.js", "package.json", "main.py"} {
				x.startIn(c, entry, st)
			}
		}
	}
}

func (x *explorer) startIn(dir, name string, st *script) {
	for _, f := range x.find(path.Join(dir, name), want{level: st.level, dirs: st.dirs}) {
		x.enqueue(f, want{level: st.level, dirs: appendNew([]string{dir}, st.dirs...)})
	}
}

// matching are the files that a plain word may mean.
func (x *explorer) matching(word string, st *script) []found {
	w := want{level: st.level, dirs: st.dirs}
	if strings.ContainsRune(word, 0) {
		return x.openEnded(word, w)
	}
	if strings.ContainsAny(word, "*?[") {
		var out []found
		for _, full := range absolute(word, st.dirs) {
			out = append(out, x.globbed(full)...)
		}
		return out
	}
	return x.find(word, w)
}

// glob starts every file that a pattern fits.
func (x *explorer) glob(full string, st *script) {
	for _, f := range x.globbed(full) {
		x.enqueue(f, want{level: st.level, dirs: st.dirs})
	}
}

// globbed are the files that a pattern fits. A pattern in a folder's name fits any number of folders there.
func (x *explorer) globbed(full string) []found {
	type place struct {
		dir  string
		rest []string
	}
	todo := []place{{"/", strings.Split(strings.Trim(full, "/"), "/")}}
	var out []found
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		name, rest := at.rest[0], at.rest[1:]
		names := []string{name}
		if strings.ContainsAny(name, "*?[") {
			names = nil
			all := x.view.Names(at.dir)
			if !x.spend(len(all)) {
				return out
			}
			for _, n := range all {
				if fit, err := path.Match(name, n); fit || err != nil {
					names = append(names, n)
				}
			}
		}
		if !x.spend(1 + len(names)) {
			return out
		}
		for _, n := range names {
			next := path.Join(at.dir, n)
			if len(rest) > 0 {
				todo = append(todo, place{next, rest})
				continue
			}
			if f := x.view.Lookup(next); f != nil && f.Type == trust.TypeFile {
				out = append(out, found{f, next})
			}
		}
	}
	return out
}

// folder starts every file in a folder and, if deep is set, below it.
func (x *explorer) folder(dir string, deep bool, w want) {
	var places []string
	if deep {
		for _, p := range x.view.Below(dir, maxVisits) {
			places = append(places, "/"+p)
		}
	} else {
		for _, name := range x.view.Names(dir) {
			if !x.spend(1) {
				return
			}
			places = append(places, path.Join("/", dir, name))
		}
	}
	for _, p := range places {
		if !x.spend(1) {
			return
		}
		if f := x.view.Lookup(p); f != nil && f.Type == trust.TypeFile {
			x.enqueue(found{f, p}, w)
		}
	}
}

// isCode is false for what nobody runs.
func isCode(f *rootfs.File) bool { return f.Kind == trust.KindScript || f.Kind == trust.KindExecutable }
