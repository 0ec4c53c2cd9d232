package closure

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/safepull/safepull/trust/inspect"
)

// What a script does is shown to indicators as its commands are when they run: variables filled in, tools that the script
// renamed under their own names, one command or pipe a line. Only what says more than the text is shown, with the commands
// around it, because what is fetched in one is run in another.

const (
	// before and after are how many commands around one that was filled in are shown.
	before, after = 6, 12
	// maxShown bounds what is shown of a command whose output is not known, in bytes.
	maxShown = 512
	// maxStages bounds the commands of one pipe that are shown, maxRenamed the tools under other names.
	maxStages, maxRenamed = 16, 64
)

// line keeps a command line. It is told whether that says more than its text in the script does.
func (st *script) line(argv []string, filled bool) {
	if len(argv) == 0 { // a call of nothing but spaces
		return
	}
	clean := make([]string, len(argv))
	for i, a := range argv {
		clean[i] = shownText(a)
	}
	if own := st.x.renamed[path.Base(clean[0])]; own != "" {
		clean[0], filled = own, true
	}
	text := inspect.CommandLine(clean)
	if len(text) > maxLine || filled && len(argv) < 2 {
		return
	}
	st.show(text, filled)
}

// show keeps a line, or notes it as one before the next that is kept.
func (st *script) show(text string, filled bool) {
	switch {
	case filled:
		for _, earlier := range st.recent {
			st.write(earlier)
		}
		st.recent, st.follow = nil, after
	case st.follow > 0:
		st.follow--
	default:
		if st.recent = append(st.recent, text); len(st.recent) > before {
			st.recent = slices.Delete(st.recent, 0, 1)
		}
		return
	}
	st.write(text)
}

func (st *script) write(text string) {
	if st.out.Len()+len(text) > maxScript || st.lines[text] {
		return
	}
	if st.x.commands += len(text) + 1; st.x.commands > maxCommands {
		return
	}
	st.lines[text] = true
	st.out.WriteString(text + "\n")
}

// showPipe keeps a pipe as a whole where something is filled in, and where what comes out of it is run by a shell: then the
// shell is written in the same way whatever the script calls it.
func (st *script) showPipe(n *syntax.BinaryCmd, language string) {
	stages, filled, ok := st.stages(&syntax.Stmt{Cmd: n}, nil)
	if !ok || len(stages) < 2 {
		return
	}
	// A shell that is told what to do reads data.
	isShell := func(word string) bool { return languageOfProgram(word) == shellScript }
	if language == shellScript && slices.ContainsFunc(strings.Fields(stages[len(stages)-1]), isShell) {
		switch name := stages[0]; {
		case strings.HasPrefix(name, "echo "), strings.HasPrefix(name, "printf "), strings.HasPrefix(name, "cat "):
		default:
			filled = true
		}
		stages[len(stages)-1] = "sh -"
	}
	if text := strings.Join(stages, " | "); filled && len(text) <= maxLine {
		st.show(text, true)
	}
}

// stages are the commands of a pipe, in their order, and whether something in them was filled in.
func (st *script) stages(stmt *syntax.Stmt, before []string) (all []string, filled, ok bool) {
	if stmt == nil || len(before) >= maxStages || !st.x.spend(1) {
		return before, false, false
	}
	switch c := stmt.Cmd.(type) {
	case *syntax.BinaryCmd:
		all, first, ok := st.stages(c.X, before)
		if !ok {
			return all, first, false
		}
		if c.Op != syntax.Pipe && c.Op != syntax.PipeAll { // (curl A || wget A) | sh
			return all, first, true
		}
		all, second, ok := st.stages(c.Y, all)
		return all, first || second, ok
	case *syntax.Subshell:
		if len(c.Stmts) > 0 {
			return st.stages(c.Stmts[len(c.Stmts)-1], before)
		}
	case *syntax.Block:
		if len(c.Stmts) > 0 {
			return st.stages(c.Stmts[len(c.Stmts)-1], before)
		}
	case *syntax.CallExpr:
		text, filled := st.flat(c)
		return append(before, text), filled, text != ""
	}
	return before, false, false
}

// flat is a command with what is known filled in, and whether anything was.
func (st *script) flat(c *syntax.CallExpr) (text string, filled bool) {
	var words []string
	for _, w := range c.Args[:min(len(c.Args), maxArgs)] {
		filled = filled || !literal(w)
		words = append(words, splitFields(st.known(w))...)
	}
	if len(words) == 0 {
		return "", false
	}
	for i := range words {
		words[i] = shownText(words[i])
	}
	if own := st.x.renamed[path.Base(words[0])]; own != "" {
		words[0], filled = own, true
	}
	return inspect.CommandLine(words), filled
}

// unknownOutput stands for what commands write where that is not known: the commands as they run.
func (st *script) unknownOutput(stmt *syntax.Stmt) []string {
	if st.inside >= maxInside {
		return notKnown()
	}
	st.inside++
	defer func() { st.inside-- }()
	stages, _, ok := st.stages(stmt, nil)
	text := strings.Join(stages, " | ")
	if !ok || text == "" || len(text) > maxShown {
		return notKnown()
	}
	return []string{unknown("$(" + text + ")")}
}

// fetchers are tools that scripts take away under another name, so that nobody recognises what they do with them.
var fetchers = wordSet("curl wget")

// rename notes that a tool has another name from here on.
func (x *explorer) rename(from, to string) {
	if name := path.Base(from); fetchers[name] && len(x.renamed) < maxRenamed && !fetchers[path.Base(to)] && !strings.HasSuffix(to, "/") {
		x.renamed[path.Base(to)] = name
	}
}
