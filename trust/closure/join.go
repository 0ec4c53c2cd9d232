package closure

import (
	"fmt"
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/safepull/safepull/trust/rootfs"
)

// maxParts bounds the files that one join is made of, and maxJoins the joins of an image.
const (
	maxParts = 1024
	maxJoins = 256
)

// join notes that the output of a command becomes a file: "cat a b > c" makes c of a and b, and so does appending.
func (st *script) join(cmd syntax.Command, target string, appends bool) {
	st.becomes(st.taken(&syntax.Stmt{Cmd: cmd}), target, appends)
}

// becomes notes that what was taken from files becomes a file.
func (st *script) becomes(p pieces, target string, appends bool) {
	for _, q := range p.parts[:min(len(p.parts), maxParts)] {
		st.x.alias(q.place, target)
	}
	if len(p.parts) > 0 {
		st.x.addJoin(p.join(target), appends)
	}
}

// taken is what a command copies from files to its output.
func (st *script) taken(stmt *syntax.Stmt) (out pieces) {
	if stmt == nil || !st.x.spend(1) {
		return out
	}
	switch c := stmt.Cmd.(type) {
	case *syntax.BinaryCmd:
		out = st.taken(c.X)
		if call, ok := callOf(c.Y); ok && (c.Op == syntax.Pipe || c.Op == syntax.PipeAll) {
			own, steps := st.sources(call, c.Y.Redirs)
			if len(own.parts) == 0 {
				out.then(steps...)
			}
			out.add(own)
			return out
		}
		out.add(st.taken(c.Y))
	case *syntax.Block:
		for _, s := range c.Stmts {
			out.add(st.taken(s))
		}
	case *syntax.Subshell:
		for _, s := range c.Stmts {
			out.add(st.taken(s))
		}
	case *syntax.CallExpr:
		out, _ = st.sources(c, stmt.Redirs)
	}
	return out
}

func callOf(stmt *syntax.Stmt) (*syntax.CallExpr, bool) {
	if stmt == nil {
		return nil, false
	}
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	return call, ok && len(call.Args) > 0
}

// sources are the files that a command copies to its output, in full or in part, and what it does to its input if it
// names no file.
func (st *script) sources(c *syntax.CallExpr, redirs []*syntax.Redirect) (out pieces, steps []Step) {
	var words []string
	for _, w := range c.Args[:min(len(c.Args), maxArgs)] {
		words = append(words, splitFields(st.known(w))...)
	}
	for len(words) > 1 && transparent[plainName(words[0])] {
		words = words[1:]
	}
	if len(words) == 0 {
		return out, nil
	}
	name := plainName(words[0])
	if !copying[name] && !cutting[name] {
		return out, nil
	}
	var args []string
	for _, w := range words[1:] {
		args = append(args, plainText(w))
	}
	steps, files, ok := cut(name, args)
	if !ok {
		return out, nil
	}
	for _, r := range redirs {
		if r.Op == syntax.RdrIn && len(files) == 0 {
			files = append(files, plainText(st.known(r.Word)))
		}
	}
	for _, file := range files {
		for _, f := range st.latest(file) {
			out.parts = append(out.parts, part{f, steps})
		}
	}
	if name == "dd" || name == "sed" || strings.HasSuffix(name, "awk") { // these read their files as one
		for i := range out.parts {
			out.parts[i].steps = nil
		}
		out.then(steps...)
	}
	return out, steps
}

// transparent are words in front of a command that change nothing about what it copies.
var transparent = wordSet("command exec builtin env busybox toybox sudo nice time stdbuf")

// known is the value of a word; where it may be several, what is not known wins, since a place that one of them names is
// found by looking for it too.
func (st *script) known(w *syntax.Word) string {
	values := st.expand(w)
	for _, v := range values[1:] {
		if strings.ContainsRune(v, unknownMark) {
			return v
		}
	}
	return values[0]
}

// latest are the files that a word means in the folder that the script changed to last, or else in one before.
func (st *script) latest(word string) []found {
	dirs := st.dirs
	defer func() { st.dirs = dirs }()
	for i := len(dirs) - 1; i >= 0; i-- {
		st.dirs = dirs[i : i+1]
		if files := st.x.matching(word, st); len(files) > 0 {
			return files
		}
	}
	return nil
}

// addJoin keeps a join. What is appended joins what was there before.
func (x *explorer) addJoin(j Join, appends bool) {
	for i := range x.out.Joins {
		if old := &x.out.Joins[i]; old.Target == j.Target {
			if !appends {
				continue
			}
			if old.Parts = append(old.Parts, j.Parts...); len(old.Parts) > maxParts {
				x.giveUp("scripts join too many files")
			}
			return
		}
	}
	if len(x.out.Joins) == maxJoins {
		x.giveUp("scripts join too many files")
		return
	}
	x.out.Joins = append(x.out.Joins, j)
}

// worthJoining are joins of more than one file, or of one that is changed: another is inspected as it stands.
func worthJoining(joins []Join) []Join {
	var out []Join
	known := map[string]bool{}
	for _, j := range joins {
		distinct := map[*rootfs.File]bool{}
		steps := len(j.Steps)
		var key strings.Builder
		for _, p := range j.Parts {
			distinct[p.File] = true
			steps += len(p.Steps)
			fmt.Fprintf(&key, "%p%v", p.File, p.Steps)
		}
		fmt.Fprintf(&key, "%v", j.Steps)
		if (len(distinct) > 1 || steps > 0) && !known[key.String()] {
			known[key.String()] = true
			out = append(out, j)
		}
	}
	return out
}

// pipe follows "cat file | sh": what stands before an interpreter is a script, joined or decoded as it goes; and what
// stands before tee becomes a file.
func (st *script) pipe(n *syntax.BinaryCmd) {
	last := n.Y
	for {
		b, ok := last.Cmd.(*syntax.BinaryCmd)
		if !ok || !st.x.spend(1) {
			break
		}
		last = b.Y
	}
	for _, r := range last.Redirs {
		if isOutput(r.Op) {
			st.written(n, r)
		}
	}
	if call, ok := last.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 1 && path.Base(call.Args[0].Lit()) == "tee" {
		for _, w := range call.Args[1:] {
			for _, target := range absolute(plainText(st.expand(w)[0]), st.dirs) {
				st.join(n.X.Cmd, target, false)
			}
		}
		return
	}
	if call, ok := callOf(last); ok && plainName(st.known(call.Args[0])) == "dd" {
		for _, w := range call.Args[1:] {
			if to, found := strings.CutPrefix(plainText(st.known(w)), "of="); found {
				for _, target := range absolute(to, st.dirs) {
					st.join(n.X.Cmd, target, false)
				}
			}
		}
	}
	st.read(last.Cmd, func() []string { return st.output(n.X) })
	language := st.reader(last)
	st.showPipe(n, language)
	if language == "" {
		st.unpacked(n, last)
		return
	}
	if _, ok := n.X.Cmd.(*syntax.BinaryCmd); ok { // echo … | base64 -d | sh
		st.fed(language, n.X)
	}
	st.feeds(n.X, language)
	if taken := st.taken(n.X); len(taken.parts) > 0 {
		for _, q := range taken.parts[:min(len(taken.parts), maxParts)] {
			st.x.enqueue(q.found, want{level: st.level, as: language, dirs: st.dirs})
		}
		st.x.addJoin(taken.join("the input of "+language), false)
	}
}

// feeds reads what commands say to an interpreter.
func (st *script) feeds(stmt *syntax.Stmt, language string) {
	if stmt == nil || !st.x.spend(1) {
		return
	}
	switch c := stmt.Cmd.(type) {
	case *syntax.BinaryCmd:
		st.feeds(c.X, language)
		st.feeds(c.Y, language)
	case *syntax.Block:
		for _, s := range c.Stmts {
			st.feeds(s, language)
		}
	case *syntax.Subshell:
		for _, s := range c.Stmts {
			st.feeds(s, language)
		}
	case *syntax.CallExpr:
		if len(c.Args) > 0 {
			if name := path.Base(c.Args[0].Lit()); name == "echo" || name == "printf" {
				st.said(c, language)
			}
		}
	}
}

// unpacked notes that a part of a file is given to a program that makes something of it: "tail -c +N file | tar x".
func (st *script) unpacked(n *syntax.BinaryCmd, last *syntax.Stmt) {
	call, ok := callOf(last)
	if !ok {
		return
	}
	name := plainName(st.known(call.Args[0]))
	if inert[name] {
		return
	}
	if taken := st.taken(&syntax.Stmt{Cmd: n}); taken.cuts() && (copying[name] || cutting[name]) {
		st.x.addJoin(taken.join("the output of "+name), false)
	} else if taken := st.taken(n.X); taken.cuts() {
		st.x.addJoin(taken.join("the input of "+name), false)
	}
}

// said reads what echo says to an interpreter.
func (st *script) said(c *syntax.CallExpr, language string) {
	say := st.echo
	if path.Base(c.Args[0].Lit()) == "printf" {
		say = st.printf
	}
	for _, v := range say(c.Args[1:]) {
		st.program(language, shownText(v))
		if st.texts++; st.texts <= maxTexts {
			st.x.readAs(language, shownText(v), st)
		}
		st.texts--
	}
}

// dd notes "dd if=A of=B": with seek or notrunc it appends. Without a name its output goes elsewhere.
func (st *script) dd(args []string) {
	to, appends := "", false
	var plain []string
	for _, a := range args {
		p := plainText(a)
		plain = append(plain, p)
		switch {
		case strings.HasPrefix(p, "of="):
			to = p[len("of="):]
		case strings.HasPrefix(p, "seek="), strings.HasPrefix(p, "oseek="), strings.Contains(p, "notrunc"), strings.Contains(p, "append"):
			appends = true
		}
	}
	steps, files, _ := cut("dd", plain)
	var taken pieces
	for _, name := range files {
		for _, f := range st.x.matching(name, st) {
			taken.parts = append(taken.parts, part{f, steps})
		}
	}
	for _, target := range absolute(to, st.dirs) {
		st.becomes(taken, target, appends)
	}
	if to == "" && taken.cuts() {
		st.x.addJoin(taken.join("the output of dd"), false)
	}
}
