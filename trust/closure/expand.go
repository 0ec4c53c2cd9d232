package closure

import (
	"path"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A value is a string in which these marks stand for what is not known, and for where a shell splits.
const (
	unknownMark = '\x00' // begins what is not known: its text in the script, up to knownMark
	knownMark   = '\x01'
	splitMark   = '\x02'
)

func unknown(raw string) string {
	return string(unknownMark) + unmarked(raw) + string(knownMark)
}

// unmarked is text of a script without characters that mark something here.
func unmarked(s string) string {
	if strings.ContainsAny(s, "\x00\x01\x02") {
		return strings.Map(func(r rune) rune {
			if r <= splitMark {
				return -1
			}
			return r
		}, s)
	}
	return s
}

// shownText is a value for people and indicators: what is not known stands as in the script.
func shownText(v string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case unknownMark, knownMark:
			return -1
		case splitMark:
			return ' '
		}
		return r
	}, v)
}

// plainText is a value in which a NUL stands for each part that is not known.
func plainText(v string) string {
	if !strings.ContainsAny(v, "\x00\x01\x02") {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case unknownMark:
			b.WriteByte(0)
			for i < len(v) && v[i] != knownMark {
				i++
			}
		case splitMark:
			b.WriteByte(' ')
		case knownMark:
		default:
			b.WriteByte(v[i])
		}
	}
	return b.String()
}

// splitFields are the words that a shell makes of a value.
func splitFields(v string) []string {
	var out []string
	for f := range strings.SplitSeq(v, string(splitMark)) {
		if f != "" && len(out) < 256 {
			out = append(out, f)
		}
	}
	return out
}

// expand are the values that a word may have, at least one and at most maxValues.
func (st *script) expand(w *syntax.Word) []string {
	if w == nil {
		return []string{""}
	}
	return st.parts(w.Parts, false)
}

func (st *script) parts(parts []syntax.WordPart, quoted bool) []string {
	values := []string{""}
	for _, part := range parts {
		if !st.x.spend(1) {
			break
		}
		more := st.part(part, quoted)
		var next []string
		for i := range min(max(len(values), len(more)), maxValues) {
			v := values[min(i, len(values)-1)] + more[min(i, len(more)-1)]
			next = append(next, v[:min(len(v), maxLine)])
		}
		values = next
	}
	return values
}

// part are the values of one part of a word.
func (st *script) part(part syntax.WordPart, quoted bool) []string {
	switch p := part.(type) {
	case *syntax.Lit:
		return []string{unescape(unmarked(p.Value), quoted)}
	case *syntax.SglQuoted:
		if p.Dollar {
			return []string{unmarked(cEscapes(p.Value))}
		}
		return []string{unmarked(p.Value)}
	case *syntax.DblQuoted:
		return st.parts(p.Parts, true)
	case *syntax.ParamExp:
		return splitting(st.parameter(p), quoted && p.Index == nil) // "${A[@]}" is many words
	case *syntax.CmdSubst:
		return splitting(st.substitution(p), quoted)
	case *syntax.ExtGlob:
		return []string{"*"}
	}
	return []string{unknown("?")}
}

// splitting marks where a shell splits what it filled in.
func splitting(values []string, quoted bool) []string {
	if quoted {
		return values
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.Map(func(r rune) rune {
			if r == ' ' || r == '\t' || r == '\n' {
				return splitMark
			}
			return r
		}, v)
	}
	return out
}

func unescape(s string, quoted bool) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\\n", s[i+1]) >= 0) {
			if i++; s[i] == '\n' {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cEscapes undoes the escapes of $'…'.
func cEscapes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'x', '0', '1', '2', '3', '4', '5', '6', '7':
			base, begin, most := 8, i, 3
			if c == 'x' {
				base, begin, most = 16, i+1, 2
			}
			end := begin
			for end < len(s) && end-begin < most && isDigit(s[end], base) {
				end++
			}
			if n, err := strconv.ParseUint(s[begin:end], base, 16); err == nil {
				b.WriteByte(byte(n & 0xff))
			}
			i = max(end-1, i)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isDigit(c byte, base int) bool {
	if base == 8 {
		return c >= '0' && c <= '7'
	}
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// parameter are the values of $X, ${X:-word} and the like.
func (st *script) parameter(p *syntax.ParamExp) []string {
	raw := "?"
	if p.Param != nil {
		raw = "$" + p.Param.Value
	}
	if p.Param == nil || p.Length || p.Excl || p.Slice != nil || p.IsSet {
		return []string{unknown(raw)}
	}
	values := st.value(p.Param.Value)
	if p.Repl != nil {
		return []string{unknown(raw)}
	}
	if p.Exp == nil {
		if len(values) == 0 {
			return []string{unknown(raw)}
		}
		return values
	}
	switch p.Exp.Op {
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull, syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		more := st.expand(p.Exp.Word)
		out := append([]string{}, values...)
		for _, v := range more {
			out = appendValue(out, v)
		}
		return out
	case syntax.RemSmallSuffix, syntax.RemLargeSuffix, syntax.RemSmallPrefix, syntax.RemLargePrefix:
		pattern := st.expand(p.Exp.Word)[0]
		var out []string
		for _, v := range values {
			out = append(out, removed(v, pattern, p.Exp.Op, raw))
		}
		if len(out) > 0 {
			return out
		}
	}
	if len(values) > 0 {
		return values
	}
	return []string{unknown(raw)}
}

// removed is what ${X%/*} and ${X##*/} leave, the ways in which scripts take paths apart.
func removed(v, pattern string, op syntax.ParExpOperator, raw string) string {
	prefix := op == syntax.RemSmallPrefix || op == syntax.RemLargePrefix
	switch {
	case pattern == "/*" && !prefix:
		return path.Dir(v)
	case pattern == "*/" && prefix:
		return path.Base(v)
	case !strings.ContainsAny(pattern, "*?[") && prefix:
		return strings.TrimPrefix(v, pattern)
	case !strings.ContainsAny(pattern, "*?["):
		return strings.TrimSuffix(v, pattern)
	}
	return unknown(raw)
}

// value are the values of a variable or a parameter.
func (st *script) value(name string) []string {
	if v, ok := st.vars[name]; ok {
		return v
	}
	switch name {
	case "0", "BASH_SOURCE":
		return []string{st.place}
	case "HOME":
		return []string{st.x.home}
	case "PWD", "OLDPWD":
		return st.dirs[:min(len(st.dirs), maxValues)]
	case "IFS":
		return []string{" "}
	case "@", "*":
		var out []string
		for _, args := range st.args {
			out = appendValue(out, strings.Join(args, " "))
		}
		return out
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 {
		var out []string
		for _, args := range st.args {
			if n <= len(args) {
				out = appendValue(out, args[n-1])
			}
		}
		return out
	}
	return nil
}

// substitution are the values of $(command), for commands that only take paths apart or say what is known.
func (st *script) substitution(p *syntax.CmdSubst) []string {
	undone := []string{unknown("$(…)")}
	if len(p.Stmts) == 0 {
		return undone
	}
	stmt := p.Stmts[len(p.Stmts)-1]
	if b, ok := stmt.Cmd.(*syntax.BinaryCmd); ok && (b.Op == syntax.AndStmt || b.Op == syntax.OrStmt) {
		// DIR=$(cd "$(dirname "$0")" && pwd)
		if call, ok := b.X.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 1 && call.Args[0].Lit() == "cd" {
			return st.expand(call.Args[len(call.Args)-1])
		}
		return undone
	}
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	if stmt.Cmd == nil && len(stmt.Redirs) == 1 && stmt.Redirs[0].Op == syntax.RdrIn { // $(< file)
		return st.fileValue(stmt.Redirs[0].Word)
	}
	if !ok || len(call.Args) == 0 {
		return undone
	}
	name, last := call.Args[0].Lit(), call.Args[len(call.Args)-1]
	if name != "pwd" && len(call.Args) < 2 {
		return undone
	}
	switch name {
	case "pwd":
		return st.dirs[:min(len(st.dirs), maxValues)]
	case "cat":
		return st.fileValue(last)
	case "echo", "printf":
		return st.parts(joined(call.Args[1:]), false)
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
	return undone
}

// joined are words with blanks between them.
func joined(words []*syntax.Word) []syntax.WordPart {
	var parts []syntax.WordPart
	for i, w := range words {
		if i > 0 {
			parts = append(parts, &syntax.Lit{Value: " "})
		}
		parts = append(parts, w.Parts...)
	}
	return parts
}

// maxFileValue bounds a file that is the value of a variable.
const maxFileValue = 4 << 10

// fileValue is what a file of the image says.
func (st *script) fileValue(w *syntax.Word) []string {
	for _, v := range st.expand(w) {
		for _, f := range st.x.find(plainText(v), want{level: st.level, dirs: st.dirs}) {
			st.x.mark(f.file, f.place)
			if f.file.Size <= maxFileValue && f.file.Size > 0 {
				if body := st.x.content(f.file, true); body != "" {
					return []string{unmarked(strings.TrimSpace(body))}
				}
			}
		}
	}
	return []string{unknown("$(…)")}
}
