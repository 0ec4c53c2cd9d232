package closure

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"github.com/safepull/safepull/trust/rootfs"
)

const (
	// maxShell bounds the text that is parsed; what is longer is read word by word. The parser recurses: maxMarksOfNest
	// bounds how deep it can, since each level takes a character or word that opens one.
	maxShell = 256 << 10
	maxOpens = 1 << 15
	// maxTexts bounds scripts in strings of scripts.
	maxTexts = 16
	// maxValues bounds the values that a variable may have at one time, and the ways that one command is read.
	maxValues = 16
	// maxFunctions bounds the functions of a script that are known, maxCalls the calls that are followed, and maxInside
	// those within another. Of other calls the arguments are followed.
	maxFunctions, maxCalls, maxInside = 256, 128, 4
	// maxLine bounds one command line, and maxScript the command lines of one script, in bytes.
	maxLine = 8 << 10
	// maxValue bounds a value, in bytes: a script in a string.
	maxValue  = 64 << 10
	maxScript = 64 << 10
)

// script is one script while it is read.
type script struct {
	x     *explorer
	file  *rootfs.File
	place string
	dirs  []string // that the script may be in while it runs
	args  [][]string
	vars  map[string][]string
	level int
	texts int // scripts in strings of scripts that this one is in
	lines map[string]bool
	out   strings.Builder
	// recent are the last command lines that say nothing beyond the text; follow counts those that are still kept.
	recent []string
	follow int
	// between are the values of IFS beside blanks, for the commands that follow.
	between []string
	// composed is set while a program is read whose strings were put together.
	composed bool
	// sourced are the files that were read into this script.
	sourced map[*rootfs.File]bool
	// functions are the bodies of those that were defined so far.
	functions     map[string]*syntax.Stmt
	calls, inside int
}

func (x *explorer) script(f *rootfs.File, place string, args []string, level int) *script {
	st := &script{
		x: x, file: f, place: place, dirs: []string{x.workd}, args: [][]string{args}, vars: map[string][]string{}, level: level,
		lines: map[string]bool{}, sourced: map[*rootfs.File]bool{}, functions: map[string]*syntax.Stmt{},
	}
	for name, values := range x.env {
		st.vars[name] = values
	}
	return st
}

// finish files the command lines.
func (st *script) finish() {
	if st.out.Len() > 0 {
		st.x.out.Commands = append(st.x.out.Commands, Command{File: st.file, Part: st.x.current.part, Text: st.out.String()})
	}
}

// maxPrograms bounds the programs in the configuration that are inspected by themselves.
const maxPrograms = 64

// program notes a program that the configuration itself holds, or puts together: a file's is inspected with the file.
func (st *script) program(language, text string) {
	if st.file != nil || len(st.x.out.Commands) >= maxPrograms || len(text) > maxShell || strings.TrimSpace(text) == "" {
		return
	}
	st.x.out.Commands = append(st.x.out.Commands, Command{Part: st.x.current.part, Suffix: suffixOf[language], Text: text})
}

// suffixOf are suffixes of files with programs in a language.
var suffixOf = map[string]string{shellScript: ".sh", python: ".py", node: ".js", perl: ".pl", ruby: ".rb", php: ".php"}

// text reads a text as shell.
func (st *script) text(body string) {
	if st.texts++; st.texts > maxTexts || !st.x.spend(1+len(body)/16) {
		st.x.giveUp("scripts in scripts are nested too deep")
		return
	}
	defer func() { st.texts-- }()
	if len(body) > maxShell || opens(body) > maxOpens {
		st.loose(body)
		return
	}
	parsed, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(body), "")
	if err != nil {
		st.loose(body)
		return
	}
	syntax.Walk(parsed, st.node)
}

// opens counts what a parser may recurse for.
func opens(body string) int {
	n := 0
	for i := range len(body) {
		switch body[i] {
		case '|', '&', '(', '{', '!', '?', '~', '`', '*', '=', '+', '[', '<':
			n++
		case 'i', 'w', 'u', 'f', 'c', 's': // if, while, until, for, function, case, select
			if (i == 0 || strings.IndexByte(" \t\n;", body[i-1]) >= 0) && i+1 < len(body) {
				n++
			}
		}
	}
	return n
}

// loose reads a text that cannot be parsed: every line, and every part of it, may be a command.
func (st *script) loose(body string) {
	for line := range strings.FieldsFuncSeq(body, func(r rune) bool { return strings.ContainsRune("\n;|&(){}`", r) }) {
		argv := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\"'", r) })
		if len(argv) == 0 || strings.HasPrefix(argv[0], "#") {
			continue
		}
		if !st.x.spend(1 + len(argv)) {
			return
		}
		if len(argv) > 256 {
			argv = argv[:256]
		}
		st.x.runCommand(st, argv)
	}
}

// node is called for every node of the syntax tree, in the order of the text.
func (st *script) node(n syntax.Node) bool {
	if n == nil || !st.x.spend(1) {
		return n != nil && st.x.out.all == ""
	}
	switch n := n.(type) {
	case *syntax.Stmt:
		st.redirects(n)
	case *syntax.BinaryCmd:
		if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
			st.pipe(n)
		}
	case *syntax.FuncDecl:
		if n.Name != nil && len(st.functions) < maxFunctions {
			st.functions[n.Name.Value] = n.Body
		}
	case *syntax.DeclClause:
		for _, a := range n.Args {
			st.assign(a)
			if n.Variant.Value == "export" || n.Variant.Value == "declare" || n.Variant.Value == "typeset" {
				st.export(a.Name)
			}
		}
	case *syntax.WhileClause:
		st.loopArguments(n.Do)
	case *syntax.ForClause:
		st.loopArguments(n.Do)
		if loop, ok := n.Loop.(*syntax.WordIter); ok {
			st.loop(loop)
		}
	case *syntax.CallExpr:
		for _, a := range n.Assigns {
			st.assign(a)
			if len(n.Args) > 0 {
				st.export(a.Name)
			} else if a.Name != nil && a.Name.Value == "IFS" {
				st.between = st.vars["IFS"][:1]
			}
		}
		if len(n.Args) > 0 {
			st.call(n)
		}
	}
	return true
}

// assign notes the values of a variable; where it had others, it may still have them.
func (st *script) assign(a *syntax.Assign) {
	if a.Name == nil || a.Naked {
		return
	}
	var values []string
	switch {
	case a.Value != nil:
		for _, v := range st.expand(a.Value) {
			values = append(values, strings.ReplaceAll(v, string(splitMark), " "))
		}
	case a.Array != nil:
		var all []string
		for _, e := range a.Array.Elems {
			if e.Value != nil && len(all) < 256 {
				all = append(all, st.expand(e.Value)...)
			}
		}
		values = []string{strings.Join(all, string(splitMark))}
	default:
		values = []string{""}
	}
	old := st.vars[a.Name.Value]
	if a.Append {
		between := ""
		if a.Array != nil {
			between = string(splitMark)
		}
		if len(old) == 0 {
			old = []string{""}
		}
		values = combined(old, combined([]string{between}, values))
		old = nil
	}
	st.set(a.Name.Value, values, old)
}

// set gives a variable values, and those that it had.
func (st *script) set(name string, values, old []string) {
	var now []string
	for _, v := range append(slices.Clone(values), old...) {
		now = appendValue(now, v)
	}
	if len(st.vars) < 4096 {
		st.vars[name] = now
	}
	if loads[name] {
		for _, v := range now {
			for word := range strings.FieldsFuncSeq(shownText(v), func(r rune) bool { return strings.ContainsRune(" :;,=", r) }) {
				st.x.readArgument(word, "", st)
			}
		}
	}
}

// loads are variables that name what programs load or run before anything else.
var loads = wordSet("LD_PRELOAD LD_AUDIT BASH_ENV ENV PYTHONSTARTUP NODE_OPTIONS PERL5OPT RUBYOPT GIT_SSH GIT_SSH_COMMAND PROMPT_COMMAND PAGER EDITOR")

// export makes a variable known to the scripts that are started, which may also be started without it.
func (st *script) export(name *syntax.Lit) {
	if name == nil || len(st.x.env) >= 4096 {
		return
	}
	values := st.x.env[name.Value]
	if len(values) == 0 {
		values = []string{unknown("$" + name.Value)}
	}
	for _, v := range st.vars[name.Value] {
		values = appendValue(values, v)
	}
	st.x.env[name.Value] = values
}

// appendValue appends what is not there. What is too much becomes a value that is not known.
func appendValue(list []string, v string) []string {
	if len(v) > maxLine && len(list) > 0 || len(v) > maxValue {
		v = manyMore
	}
	switch {
	case slices.Contains(list, v):
		return list
	case len(list) >= maxValues:
		return append(slices.Clone(list[:maxValues-1]), manyMore)
	}
	return append(list, v)
}

// loop gives the variable of a loop its values. Files that a pattern matches may all be run.
func (st *script) loop(n *syntax.WordIter) {
	var values []string
	if !n.InPos.IsValid() { // for x; do
		for _, args := range st.args {
			values = append(values, args...)
		}
	}
	for _, w := range n.Items {
		for _, v := range st.expand(w) {
			for _, full := range absolute(strings.ReplaceAll(plainText(v), "\x00", ""), st.dirs) {
				if strings.ContainsAny(full, "*?[") {
					st.x.glob(full, st)
				}
			}
			if len(values) < 256 {
				values = append(values, splitFields(v)...)
			}
		}
	}
	for _, v := range values {
		st.vars[n.Name.Value] = appendValue(st.vars[n.Name.Value], v)
	}
}

// redirects follows what a statement reads and writes.
func (st *script) redirects(n *syntax.Stmt) {
	reader := sync.OnceValue(func() string { return st.reader(n) }) // there may be as many redirections as words
	for _, r := range n.Redirs {
		switch {
		case isOutput(r.Op):
			st.written(n.Cmd, r)
		case r.Op == syntax.RdrIn, r.Op == syntax.RdrInOut:
			st.read(n.Cmd, func() []string { return st.fileValue(r.Word) })
			for _, v := range st.expand(r.Word) {
				st.x.readArgument(v, reader(), st)
			}
		case r.Op == syntax.Hdoc, r.Op == syntax.DashHdoc, r.Op == syntax.WordHdoc:
			st.heredoc(n, r, reader)
		}
	}
}

// reader is the language that the command of a statement reads from its input, "" if it is no interpreter.
func (st *script) reader(n *syntax.Stmt) string {
	call, ok := n.Cmd.(*syntax.CallExpr)
	if !ok {
		return ""
	}
	for _, w := range call.Args {
		for _, v := range st.expand(w) {
			if l := languageOfProgram(v); l != "" {
				return l
			}
		}
	}
	if len(call.Args) == 0 {
		return ""
	}
	name := plainText(st.known(call.Args[0])) // a shell under another name
	return languageOfProgram(st.x.nameOf(path.Base(name), st.x.program(name, want{level: st.level, dirs: st.dirs})))
}

func (st *script) heredoc(n *syntax.Stmt, r *syntax.Redirect, reader func() string) {
	word := r.Hdoc
	if r.Op == syntax.WordHdoc {
		word = r.Word
	}
	if word == nil {
		return
	}
	st.read(n.Cmd, func() []string { return st.expand(word) })
	for _, v := range st.document(word) {
		st.readDocument(reader(), shownText(v))
	}
}

// readDocument reads a text that an interpreter gets, or that says itself what reads it.
func (st *script) readDocument(language, body string) {
	if first, ok := strings.CutPrefix(body, "#!"); ok && language == "" {
		line, _, _ := strings.Cut(first, "\n")
		for w := range strings.FieldsSeq(line) {
			language = cmp.Or(languageOfProgram(w), language)
		}
		language = cmp.Or(language, shellScript)
	}
	if language != "" {
		st.program(language, body)
		if st.texts++; st.texts <= maxTexts {
			st.x.readAs(language, body, st)
		}
		st.texts--
	}
}

// document are the values of a text, which may be longer than those of variables are.
func (st *script) document(w *syntax.Word) []string {
	var b strings.Builder
	for _, part := range w.Parts {
		b.WriteString(st.part(part, true)[0])
	}
	if b.Len() > maxLine {
		return []string{b.String()}
	}
	return st.expand(w)
}

// written follows what becomes of the output: "cat a b > c" makes c of a and b.
func (st *script) written(cmd syntax.Command, r *syntax.Redirect) {
	for _, v := range st.expand(r.Word) {
		for _, target := range absolute(plainText(v), st.dirs) {
			if !strings.HasPrefix(target, "/dev/") && !strings.ContainsRune(target, 0) {
				st.join(cmd, target, r.Op == syntax.AppOut || r.Op == syntax.AppAll)
			}
		}
	}
}

func isOutput(op syntax.RedirOperator) bool {
	switch op {
	case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
		return true
	}
	return false
}

// isAllArguments: "$@" or $*.
func isAllArguments(w *syntax.Word) bool {
	if len(w.Parts) != 1 {
		return false
	}
	part := w.Parts[0]
	if q, ok := part.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
		part = q.Parts[0]
	}
	p, ok := part.(*syntax.ParamExp)
	return ok && p.Param != nil && (p.Param.Value == "@" || p.Param.Value == "*")
}

// literal reports whether a word has nothing to fill in.
func literal(w *syntax.Word) bool {
	known := true
	syntax.Walk(w, func(n syntax.Node) bool {
		switch n.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst, *syntax.ArithmExp, *syntax.ProcSubst:
			known = false
		}
		return known
	})
	return known
}

// self is the folder of the script.
func (st *script) self() string { return path.Dir(st.place) }
