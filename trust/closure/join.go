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
				parts = append(parts, st.x.matching(strings.TrimPrefix(plainText(field), "if="), st)...)
			}
		}
	}
	return parts, decodes
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

// pipe follows "cat file | sh": what stands before an interpreter is a script.
func (st *script) pipe(n *syntax.BinaryCmd) {
	language := st.reader(n.Y)
	if language == "" {
		return
	}
	var feed func(cmd syntax.Command)
	feed = func(cmd syntax.Command) {
		switch c := cmd.(type) {
		case *syntax.BinaryCmd:
			if c.X != nil && c.Y != nil && st.x.spend(1) {
				feed(c.X.Cmd)
				feed(c.Y.Cmd)
			}
		case *syntax.CallExpr:
			if len(c.Args) == 0 {
				return
			}
			switch path.Base(c.Args[0].Lit()) {
			case "echo", "printf":
				if len(c.Args) > 1 {
					if st.texts++; st.texts <= maxTexts {
						st.x.readAs(language, shownText(st.parts(joined(c.Args[1:]), true)[0]), st)
					}
					st.texts--
				}
				return
			}
			parts, _ := st.sources(c)
			for _, f := range parts {
				st.x.enqueue(f, want{level: st.level, as: language, dirs: st.dirs})
			}
		}
	}
	feed(n.X.Cmd)
}
