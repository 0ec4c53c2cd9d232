package closure

import (
	"encoding/base64"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// substitution are the values of $(command).
func (st *script) substitution(p *syntax.CmdSubst) []string {
	if len(p.Stmts) == 0 {
		return notKnown()
	}
	last := p.Stmts[len(p.Stmts)-1]
	if out := st.output(last); len(out) != 1 || out[0] != manyMore {
		return out
	}
	return st.unknownOutput(last)
}

func notKnown() []string { return []string{unknown("$(…)")} }

// output are the values that a command may write, for commands that only take paths apart or say what is known.
func (st *script) output(stmt *syntax.Stmt) []string {
	if stmt == nil || !st.x.spend(1) {
		return notKnown()
	}
	switch c := stmt.Cmd.(type) {
	case *syntax.BinaryCmd:
		return st.outputOfTwo(c)
	case *syntax.CallExpr:
		if len(c.Args) > 0 {
			return st.outputOf(c, stmt.Redirs)
		}
	case nil:
		if len(stmt.Redirs) == 1 && stmt.Redirs[0].Op == syntax.RdrIn { // $(< file)
			return st.fileValue(stmt.Redirs[0].Word)
		}
	}
	return notKnown()
}

func (st *script) outputOfTwo(c *syntax.BinaryCmd) []string {
	switch c.Op {
	case syntax.AndStmt:
		// DIR=$(cd "$(dirname "$0")" && pwd)
		if call, ok := c.X.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 1 && call.Args[0].Lit() == "cd" {
			return st.expand(call.Args[len(call.Args)-1])
		}
		return st.output(c.Y)
	case syntax.OrStmt:
		out := slices.Clone(st.output(c.X))
		for _, v := range st.output(c.Y) {
			out = appendValue(out, v)
		}
		return out
	case syntax.Pipe:
		if call, ok := c.Y.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 {
			return st.filtered(call, st.output(c.X))
		}
	}
	return notKnown()
}

func (st *script) outputOf(call *syntax.CallExpr, redirs []*syntax.Redirect) []string {
	name, last := path.Base(call.Args[0].Lit()), call.Args[len(call.Args)-1]
	if body := st.functions[name]; body != nil {
		return st.outputOfFunction(body)
	}
	for _, r := range redirs { // base64 -d <<< word
		switch r.Op {
		case syntax.WordHdoc:
			return st.filtered(call, st.expand(r.Word))
		case syntax.Hdoc, syntax.DashHdoc:
			return st.filtered(call, st.expand(r.Hdoc))
		case syntax.RdrIn:
			return st.filtered(call, st.fileValue(r.Word))
		}
	}
	if name != "pwd" && len(call.Args) < 2 {
		return notKnown()
	}
	switch name {
	case "pwd":
		return st.dirs[:min(len(st.dirs), maxValues)]
	case "cat":
		return st.fileValue(last)
	case "base64", "rev", "xxd":
		return st.filtered(call, st.fileValue(last))
	case "echo":
		return st.echo(call.Args[1:])
	case "printf":
		return st.printf(call.Args[1:])
	case "readlink", "realpath", "command", "which", "type":
		return st.expand(last)
	case "dirname", "basename":
		take := path.Dir
		if name == "basename" {
			take = path.Base
		}
		var out []string
		for _, v := range st.expand(call.Args[1]) {
			out = append(out, take(v))
		}
		return out
	}
	return notKnown()
}

// outputOfFunction is what a function says last.
func (st *script) outputOfFunction(body *syntax.Stmt) []string {
	block, ok := body.Cmd.(*syntax.Block)
	if !ok || len(block.Stmts) == 0 || st.inside >= maxInside {
		return notKnown()
	}
	st.inside++
	defer func() { st.inside-- }()
	return st.output(block.Stmts[len(block.Stmts)-1])
}

// filtered is what a command makes of its input.
func (st *script) filtered(call *syntax.CallExpr, in []string) []string {
	var flags strings.Builder
	for _, w := range call.Args[1:] {
		flags.WriteString(w.Lit() + " ")
	}
	has := func(flag string) bool { return strings.Contains(" "+flags.String(), " "+flag+" ") }
	var change func(string) (string, bool)
	switch path.Base(call.Args[0].Lit()) {
	case "cat", "head", "tail", "sort", "uniq", "tee", "xargs", "tac":
		return in
	case "rev":
		change = func(s string) (string, bool) { return backwards(s), true }
	case "base64", "openssl":
		if !has("-d") && !has("-D") && !has("--decode") {
			return notKnown()
		}
		change = func(s string) (string, bool) {
			b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Join(strings.Fields(s), ""), "="))
			return string(b), err == nil
		}
	case "xxd":
		if !has("-r") && !has("-rp") {
			return notKnown()
		}
		change = func(s string) (string, bool) {
			b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
			return string(b), err == nil
		}
	default:
		return notKnown()
	}
	var out []string
	for _, v := range in {
		changed, ok := change(v)
		if strings.ContainsRune(v, unknownMark) || !ok {
			changed = unknown("$(…)")
		} else {
			changed = strings.TrimRight(unmarked(changed), "\n")
		}
		out = appendValue(out, changed)
	}
	return out
}

// backwards is each line from its end to its beginning.
func backwards(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		r := []rune(line)
		slices.Reverse(r)
		lines[i] = string(r)
	}
	return strings.Join(lines, "\n")
}

// echo is what echo says; whether it undoes escapes depends on the shell.
func (st *script) echo(words []*syntax.Word) []string {
	for len(words) > 0 && strings.HasPrefix(words[0].Lit(), "-") && strings.Trim(words[0].Lit(), "-neE") == "" {
		words = words[1:]
	}
	var out []string
	for _, v := range st.parts(joined(words), false) {
		out = appendValue(out, v)
		if strings.ContainsRune(v, '\\') {
			out = appendValue(out, cEscapes(v))
		}
	}
	if len(out) == 0 {
		return notKnown()
	}
	return out
}

// printf is what printf says.
func (st *script) printf(words []*syntax.Word) []string {
	if len(words) > 0 && words[0].Lit() == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		return notKnown()
	}
	values, ways := make([][]string, 0, len(words)), 1
	for _, w := range words {
		v := st.expand(w)
		values = append(values, v)
		ways = max(ways, len(v))
	}
	var out []string
	for way := range ways {
		var args []string
		for _, v := range values[1:] {
			args = append(args, splitFields(v[min(way, len(v)-1)])...)
		}
		out = appendValue(out, formatted(cEscapes(values[0][min(way, len(values[0])-1)]), args))
	}
	return out
}

// formatted fills arguments into a format of printf, which is used again while there are more.
func formatted(format string, args []string) string {
	var b strings.Builder
	for round := 0; round == 0 || len(args) > 0 && round < maxArgs && b.Len() < maxLine; round++ {
		before := len(args)
		for i := 0; i < len(format); i++ {
			if format[i] != '%' || i+1 == len(format) {
				b.WriteByte(format[i])
				continue
			}
			for i++; i+1 < len(format) && strings.IndexByte("-+ #.0123456789l", format[i]) >= 0; {
				i++
			}
			if format[i] == '%' {
				b.WriteByte('%')
				continue
			}
			arg := ""
			if len(args) > 0 {
				arg, args = args[0], args[1:]
			}
			switch format[i] {
			case 'b':
				arg = cEscapes(arg)
			case 'c':
				arg = arg[:min(len(arg), 1)]
			case 'x', 'X', 'o', 'e', 'f', 'g', '(':
				arg = manyMore
			}
			b.WriteString(arg)
		}
		if len(args) == before {
			break
		}
	}
	return b.String()
}
