package closure

import (
	"path"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
)

// isBuiltin reports whether builtin reads a command.
func (st *script) isBuiltin(name string) bool {
	switch name {
	case ".", "source", "eval", "exec", "command", "cd", "trap":
		return true
	}
	return false
}

// builtin follows commands that the shell does itself, and those that move files about. It reports whether nothing else
// is to be done.
func (st *script) builtin(name string, args []string, nest int) bool {
	switch name {
	case ".", "source":
		if len(args) > 0 {
			st.source(args[0], args[1:])
		}
	case "eval":
		var all []string
		for _, a := range args {
			all = append(all, shownText(a))
		}
		st.text(strings.Join(all, " "))
	case "trap":
		for len(args) > 0 && strings.HasPrefix(args[0], "-") {
			args = args[1:]
		}
		if len(args) > 0 {
			st.text(shownText(args[0]))
		}
	case "exec", "command", "builtin", "time", "!", "if", "then", "else", "do", "while", "until":
		for len(args) > 0 && strings.HasPrefix(args[0], "-") {
			skip := 1
			if name == "exec" && args[0] == "-a" { // a name for the program
				skip = 2
			}
			args = args[min(skip, len(args)):]
		}
		if len(args) > 0 {
			st.x.runNested(st, args, nest+1)
		}
	case "cd", "pushd":
		for _, a := range args {
			for _, dir := range absolute(plainText(a), st.dirs[max(len(st.dirs)-maxValues, 0):]) {
				others := slices.DeleteFunc(slices.Clone(st.dirs), func(d string) bool { return d == dir })
				st.dirs = appendNew(others, dir) // the last one is where the script most likely is
			}
		}
	case "cp", "mv", "ln", "install", "rsync", "link":
		st.copies(args)
	case "dd":
		st.dd(args)
	case "chmod":
		st.chmod(args)
	case "find":
		st.find(args, nest)
	case "run-parts":
		for _, a := range args {
			for _, dir := range absolute(plainText(a), st.dirs) {
				st.x.folder(dir, false, want{level: st.level, dirs: st.dirs})
			}
		}
	default:
		st.into(name, args)
		return false
	}
	return true
}

// source reads a file into the script.
func (st *script) source(word string, args []string) {
	x := st.x
	files := x.matching(plainText(word), st)
	if plain := plainText(word); !strings.Contains(plain, "/") {
		files = append(files, x.program(plain, want{level: st.level, dirs: st.dirs})...)
		for _, dir := range st.searched(plain) {
			files = append(files, x.find(path.Join(dir, plain), want{level: st.level, dirs: st.dirs})...)
		}
	}
	for _, f := range files {
		x.mark(f.file, f.place)
		if st.sourced[f.file] || x.out.all != "" || f.file.Kind == trust.KindExecutable {
			continue
		}
		if st.sourced[f.file] = true; len(st.sourced) > maxVisits || st.texts >= maxTexts {
			x.giveUp("scripts read scripts too deep")
			return
		}
		if x.visits++; x.visits > maxVisits {
			x.giveUp("the image runs too many scripts")
			return
		}
		if len(args) > 0 {
			st.args = append(st.args[:min(len(st.args), maxValues-1)], args)
		}
		st.text(x.content(f.file, true))
	}
}

// copies notes what scripts copy, move and link, so that what later runs there is known.
func (st *script) copies(args []string) {
	var paths []string
	into := ""
	for i, a := range args[:min(len(args), 256)] {
		switch plain := plainText(a); {
		case plain == "-t" && i+1 < len(args):
			into = plainText(args[i+1])
		case strings.HasPrefix(plain, "-") || plain == "" || plain == into:
		default:
			paths = append(paths, plain)
		}
	}
	if into != "" {
		paths = append(paths, into)
	}
	if len(paths) < 2 {
		return
	}
	st.x.rename(paths[0], paths[len(paths)-1])
	for _, target := range absolute(paths[len(paths)-1], st.dirs) {
		for _, p := range paths[:len(paths)-1] {
			for _, source := range absolute(p, st.dirs) {
				if strings.ContainsAny(source, "*?[") {
					for _, f := range st.x.globbed(source) {
						st.x.alias(f.place, path.Join(target, path.Base(f.place)))
					}
					continue
				}
				st.x.alias(source, target)
				st.x.alias(source, path.Join(target, path.Base(source)))
			}
		}
	}
}

// chmod that makes something executable means to run it.
func (st *script) chmod(args []string) {
	makes := false
	for _, a := range args {
		plain := plainText(a)
		switch {
		case strings.HasPrefix(plain, "-") && !strings.Contains(plain, "x"):
		case !makes && (strings.Contains(plain, "+") && strings.Contains(plain, "x") || strings.Trim(plain, "01234567") == "" && strings.ContainsAny(plain, "1357")):
			makes = true
		case makes:
			for _, f := range st.x.matching(plain, st) {
				if isCode(f.file) {
					st.x.enqueue(f, want{level: st.level, dirs: st.dirs})
				} else {
					st.x.mark(f.file, f.place)
				}
			}
		}
	}
}

// find hands the files of a folder to a command, or to the loop behind it.
func (st *script) find(args []string, nest int) {
	names := ""
	for i, a := range args {
		plain := plainText(a)
		if (plain == "-exec" || plain == "-execdir" || plain == "-ok") && i+1 < len(args) {
			st.x.runNested(st, args[i+1:], nest+1)
		}
		if plain == "-delete" || plain == "-user" {
			return
		}
		if (plain == "-name" || plain == "-iname") && i+1 < len(args) {
			names = plainText(args[i+1])
		}
	}
	for _, a := range args {
		plain := plainText(a)
		if strings.HasPrefix(plain, "-") {
			return
		}
		for _, dir := range absolute(plain, st.dirs) {
			if systemFolders[dir] || strings.Count(dir, "/") < 2 && !strings.Contains(dir, "entrypoint") && names == "" {
				continue
			}
			for _, p := range st.x.view.Below(dir, maxVisits) {
				if !st.x.spend(1) {
					return
				}
				if fit, err := path.Match(names, path.Base(p)); names != "" && !fit && err == nil {
					continue
				}
				if f := st.x.view.Lookup(p); f != nil && isCode(f) && isStarter(p) {
					st.x.enqueue(found{f, "/" + p}, want{level: st.level, dirs: st.dirs})
				}
			}
		}
	}
}

// isStarter is false for code that only other code runs: libraries have much of it.
func isStarter(p string) bool {
	return !strings.Contains(p, "node_modules/") && !strings.Contains(p, "-packages/") && !strings.Contains(p, "lib/python")
}
