package closure

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// call runs a simple command, once for each way that its variables may be.
func (st *script) call(n *syntax.CallExpr) {
	words := make([][][]string, 0, len(n.Args)) // of each word the alternatives, which are words too
	ways, all, filled := 1, 1, false
	for _, w := range n.Args {
		var alternatives [][]string
		if isAllArguments(w) {
			alternatives = st.args
		} else {
			for _, v := range st.expand(w) {
				alternatives = append(alternatives, splitFields(v))
			}
		}
		words = append(words, alternatives)
		ways = max(ways, len(alternatives))
		all = min(all*len(alternatives), maxValues+1)
		filled = filled || !literal(w)
		if len(words) == 1024 {
			break
		}
	}
	if all <= maxValues {
		ways = all
	}
	for way := range ways {
		var argv []string
		size, rest := 0, way
		for _, alternatives := range words {
			i := min(way, len(alternatives)-1)
			if ways == all { // every alternative of a word with every one of another
				i, rest = rest%len(alternatives), rest/len(alternatives)
			}
			for _, f := range alternatives[i] {
				size += len(f)
			}
			if size > maxValue {
				break
			}
			argv = append(argv, alternatives[i]...)
		}
		if len(argv) == 0 {
			continue
		}
		st.line(argv, filled)
		st.simple(argv)
	}
	st.processes(n)
}

// simple runs a command whose words are values.
func (st *script) simple(argv []string) {
	name := plainText(argv[0])
	if st.arguments(name, argv[1:]) {
		return
	}
	st.function(name, argv[1:])
	switch {
	case strings.Trim(name, "\x00 ") == "" && len(argv) > 1: // it may be nothing, or a wrapper
		st.x.wrapped(st, argv[1:], 0)
		for _, a := range argv[1:] {
			st.x.readArgument(a, "", st)
		}
	case strings.ContainsAny(name, "*?[") && strings.Contains(name, "/") && !strings.ContainsRune(name, 0):
		for _, full := range absolute(name, st.dirs) {
			for _, f := range st.x.globbed(full) {
				st.x.runCommand(st, append([]string{f.place}, argv[1:]...))
			}
		}
	}
	for _, dir := range st.searched(name) {
		if full := path.Join(dir, name); st.x.view.Lookup(full) != nil {
			st.x.runCommand(st, append([]string{full}, argv[1:]...))
		}
	}
	st.x.runCommand(st, argv)
}

// searched are the folders that the script searches for a program beside those that the image does.
func (st *script) searched(name string) []string {
	if strings.ContainsAny(name, "/\x00") || name == "" {
		return nil
	}
	var dirs []string
	for _, value := range st.vars["PATH"] {
		for dir := range strings.SplitSeq(plainText(value), ":") {
			if path.IsAbs(dir) && !strings.ContainsRune(dir, 0) && !slices.Contains(st.x.path, path.Clean(dir)) {
				dirs = appendNew(dirs, path.Clean(dir))
			}
		}
	}
	return dirs
}

// arguments follows commands that change $1 and its like. It reports whether this is one.
func (st *script) arguments(name string, args []string) bool {
	switch name {
	case "set":
		for i, a := range args {
			switch {
			case a == "--":
				st.addArguments(args[i+1:])
				return true
			case !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "+") && a != "pipefail":
				st.addArguments(args[i:])
				return true
			}
		}
		return true
	case "shift":
		n := 1
		if len(args) > 0 && len(args[0]) == 1 && args[0][0] > '0' && args[0][0] <= '9' {
			n = int(args[0][0] - '0')
		}
		for _, before := range slices.Clone(st.args) {
			st.addArguments(before[min(n, len(before)):])
		}
		return true
	}
	return false
}

// loopArguments adds what a loop that shifts leaves of the arguments, each time that it goes round.
func (st *script) loopArguments(body []*syntax.Stmt) {
	shifts := false
	for _, s := range body {
		syntax.Walk(s, func(n syntax.Node) bool {
			call, ok := n.(*syntax.CallExpr)
			shifts = shifts || ok && len(call.Args) > 0 && call.Args[0].Lit() == "shift"
			return n != nil && !shifts && st.x.spend(1)
		})
	}
	for _, before := range slices.Clone(st.args) {
		for i := 1; shifts && i <= len(before) && len(st.args) < maxValues; i++ {
			st.addArguments(before[i:])
		}
	}
}

func (st *script) addArguments(args []string) {
	if slices.ContainsFunc(st.args, func(old []string) bool { return slices.Equal(old, args) }) {
		return
	}
	if st.args = append(slices.Clone(st.args), bounded(args)); len(st.args) > maxValues {
		st.args = st.args[1:]
	}
}

// function runs the body of a function with the arguments of a call.
func (st *script) function(name string, args []string) {
	body := st.functions[name]
	if body == nil || st.calls >= maxCalls || st.inside >= maxInside {
		return
	}
	st.calls++
	st.inside++
	outer := st.args
	st.args = [][]string{bounded(args)}
	syntax.Walk(body, st.node)
	st.args = outer
	st.inside--
}

// processes reads what ". <(command)" and "sh <(command)" read.
func (st *script) processes(n *syntax.CallExpr) {
	name := n.Args[0].Lit()
	language := languageOfProgram(name)
	if name == "." || name == "source" {
		language = shellScript
	}
	if language == "" {
		return
	}
	for _, w := range n.Args[1:] {
		for _, part := range w.Parts {
			if p, ok := part.(*syntax.ProcSubst); ok && len(p.Stmts) > 0 {
				st.fed(language, p.Stmts[len(p.Stmts)-1])
			}
		}
	}
}

// fed reads what a command says to an interpreter.
func (st *script) fed(language string, stmt *syntax.Stmt) {
	for _, v := range st.output(stmt) {
		if !strings.ContainsRune(v, unknownMark) && v != "" {
			st.program(language, shownText(v))
			if st.texts++; st.texts <= maxTexts {
				st.x.readAs(language, shownText(v), st)
			}
			st.texts--
		}
	}
}

// read gives variables of "read X" within a command what its input says, a line at a time.
func (st *script) read(cmd syntax.Command, input func() []string) {
	var names [][]string
	syntax.Walk(cmd, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() == "read" {
			var some []string
			for _, w := range call.Args[1:] {
				if name := w.Lit(); name != "" && !strings.HasPrefix(name, "-") {
					some = append(some, name)
				}
			}
			if len(some) == 0 {
				some = []string{"REPLY"}
			}
			names = append(names, some)
		}
		return n != nil && st.x.spend(1)
	})
	if len(names) == 0 {
		return
	}
	lines := 0
	for _, value := range input() {
		for line := range strings.SplitSeq(shownText(value), "\n") {
			if lines++; lines > maxArgs || !st.x.spend(1) {
				return
			}
			for _, some := range names {
				st.readLine(some, strings.TrimSpace(line))
			}
		}
	}
}

// readLine gives each variable a word, and the last one the rest.
func (st *script) readLine(names []string, line string) {
	for i, name := range names {
		word := line
		if i+1 < len(names) {
			word, line, _ = strings.Cut(line, " ")
			line = strings.TrimLeft(line, " \t")
		}
		if word != "" {
			st.set(name, []string{word}, st.vars[name])
		}
	}
}

// into follows commands that take what they run, or where, in options of their own. Others follow the rest.
func (st *script) into(name string, args []string) {
	for i, a := range args {
		plain, next := plainText(a), ""
		if i+1 < len(args) {
			next = plainText(args[i+1])
		}
		switch name {
		case "su", "runuser":
			if plain == "-c" || plain == "--command" || plain == "--session-command" {
				st.text(shownText(args[min(i+1, len(args)-1)]))
			}
		case "chroot":
			if strings.HasPrefix(plain, "/") && plain != "/" && strings.HasPrefix(next, "/") {
				st.x.runCommand(st, append([]string{path.Join(plain, next)}, args[i+2:]...))
			}
		case "make", "gmake":
			var named []string
			switch plain {
			case "-f", "--file", "--makefile":
				named = []string{next}
			case "-C", "--directory":
				named = []string{path.Join(next, "Makefile"), path.Join(next, "makefile"), path.Join(next, "GNUmakefile")}
			}
			for _, file := range named {
				for _, f := range st.x.matching(file, st) {
					st.x.enqueue(f, want{level: st.level, as: makefile, dirs: appendNew([]string{path.Dir(f.place)}, st.dirs...)})
				}
			}
		case "sh", "bash", "dash", "ash", "zsh", "ksh":
			if strings.HasPrefix(plain, "-") && strings.HasSuffix(plain, "c") && i+2 < len(args) {
				st.x.readArgument(args[i+2], "", st) // its $0
				return
			}
		case "alias":
			if _, value, ok := strings.Cut(shownText(a), "="); ok {
				st.text(value)
			}
		case "printf":
			if plain == "-v" && i+2 < len(args) && i == 0 {
				st.set(next, []string{formatted(cEscapes(args[2]), args[3:])}, st.vars[next])
			}
		}
	}
}
