package closure

import (
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
	var parts []found
	decodes := false
	var collect func(cmd syntax.Command)
	collect = func(cmd syntax.Command) {
		switch c := cmd.(type) {
		case *syntax.BinaryCmd:
			if c.X != nil && c.Y != nil && st.x.spend(1) {
				collect(c.X.Cmd)
				collect(c.Y.Cmd)
			}
		case *syntax.Block:
			each(c.Stmts, collect)
		case *syntax.Subshell:
			each(c.Stmts, collect)
		case *syntax.CallExpr:
			more, decode := st.sources(c)
			decodes = decodes || decode
			parts = append(parts, more...)
		}
	}
	collect(cmd)
	if len(parts) == 0 {
		return
	}
	join := Join{Target: target, Base64: decodes}
	for _, f := range parts[:min(len(parts), maxParts)] {
		st.x.alias(f.place, target)
		join.Parts = append(join.Parts, f.file)
	}
	st.x.addJoin(join, appends)
}

func each(stmts []*syntax.Stmt, do func(syntax.Command)) {
	for _, s := range stmts {
		do(s.Cmd)
	}
}

// sources are the files that a command copies to its output.
func (st *script) sources(c *syntax.CallExpr) (parts []found, decodes bool) {
	if len(c.Args) == 0 {
		return nil, false
	}
	name := path.Base(c.Args[0].Lit())
	switch name {
	case "cat", "base64", "dd", "openssl", "gunzip", "zcat", "xzcat", "bzcat", "tac", "rev", "head", "tail":
	default:
		return nil, false
	}
	for _, w := range c.Args[1:] {
		for _, v := range st.expand(w) {
			for _, field := range splitFields(v) {
				if field == "-d" || field == "--decode" || field == "-D" {
					decodes = name == "base64"
				}
				if strings.HasPrefix(field, "-") {
					continue
				}
				parts = append(parts, st.latest(strings.TrimPrefix(plainText(field), "if="))...)
			}
		}
	}
	return parts, decodes
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

// worthJoining are joins of more than one file, or of one that is decoded: another is inspected as it stands.
func worthJoining(joins []Join) []Join {
	var out []Join
	for _, j := range joins {
		distinct := map[*rootfs.File]bool{}
		for _, p := range j.Parts {
			distinct[p] = true
		}
		if len(distinct) > 1 || j.Base64 {
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
	st.read(last.Cmd, func() []string { return st.output(n.X) })
	language := st.reader(last)
	if language == "" {
		return
	}
	if _, ok := n.X.Cmd.(*syntax.BinaryCmd); ok { // echo … | base64 -d | sh
		st.fed(language, n.X)
	}
	join := Join{Target: "the input of " + language}
	var feed func(cmd syntax.Command)
	feed = func(cmd syntax.Command) {
		switch c := cmd.(type) {
		case *syntax.BinaryCmd:
			if c.X != nil && c.Y != nil && st.x.spend(1) {
				feed(c.X.Cmd)
				feed(c.Y.Cmd)
			}
		case *syntax.Block:
			each(c.Stmts, feed)
		case *syntax.Subshell:
			each(c.Stmts, feed)
		case *syntax.CallExpr:
			if len(c.Args) == 0 {
				return
			}
			if name := path.Base(c.Args[0].Lit()); name == "echo" || name == "printf" {
				st.said(c, language)
				return
			}
			parts, decodes := st.sources(c)
			join.Base64 = join.Base64 || decodes
			for _, f := range parts[:min(len(parts), maxParts)] {
				join.Parts = append(join.Parts, f.file)
				st.x.enqueue(f, want{level: st.level, as: language, dirs: st.dirs})
			}
		}
	}
	feed(n.X.Cmd)
	if len(join.Parts) > 0 {
		st.x.addJoin(join, false)
	}
}

// said reads what echo says to an interpreter.
func (st *script) said(c *syntax.CallExpr, language string) {
	say := st.echo
	if path.Base(c.Args[0].Lit()) == "printf" {
		say = st.printf
	}
	for _, v := range say(c.Args[1:]) {
		if st.texts++; st.texts <= maxTexts {
			st.x.readAs(language, shownText(v), st)
		}
		st.texts--
	}
}

// dd notes "dd if=A of=B": with seek or notrunc it appends.
func (st *script) dd(args []string) {
	var from, to string
	appends := false
	for _, a := range args {
		plain := plainText(a)
		switch {
		case strings.HasPrefix(plain, "if="):
			from = plain[len("if="):]
		case strings.HasPrefix(plain, "of="):
			to = plain[len("of="):]
		case strings.HasPrefix(plain, "seek="), strings.HasPrefix(plain, "oseek="), strings.Contains(plain, "notrunc"), strings.Contains(plain, "append"):
			appends = true
		}
	}
	for _, target := range absolute(to, st.dirs) {
		join := Join{Target: target}
		for _, f := range st.x.matching(from, st) {
			st.x.alias(f.place, target)
			join.Parts = append(join.Parts, f.file)
		}
		if len(join.Parts) > 0 {
			st.x.addJoin(join, appends)
		}
	}
}
