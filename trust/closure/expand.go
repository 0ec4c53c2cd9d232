package closure

import (
	"slices"
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
	for _, part := range w.Parts {
		if lit, ok := part.(*syntax.Lit); ok && strings.ContainsRune(lit.Value, '{') {
			split := &syntax.Word{Parts: slices.Clone(w.Parts)} // syntax.Walk knows no braces
			syntax.SplitBraces(split)
			return st.parts(split.Parts, false)
		}
	}
	return st.parts(w.Parts, false)
}

func (st *script) parts(parts []syntax.WordPart, quoted bool) []string {
	values := []string{""}
	for i, part := range parts {
		if !st.x.spend(1) {
			break
		}
		more := st.part(part, quoted)
		if lit, ok := part.(*syntax.Lit); ok && i == 0 && !quoted && strings.HasPrefix(lit.Value, "~") {
			more = []string{st.tilde(more[0])}
		}
		values = combined(values, more)
		held := 0
		for _, v := range values {
			held += len(v)
		}
		if !st.x.spend(held / costBytes) {
			break
		}
	}
	return values
}

// costBytes of values cost as much as a word.
const costBytes = 64

// manyMore stands for values beyond maxValues.
const manyMore = string(unknownMark) + "$(…)" + string(knownMark)

// combined is every one of values with every one of more behind it, or, if that is too many, with what is not known.
func combined(values, more []string) []string {
	if len(values) == 1 && len(more) == 1 {
		return []string{(values[0] + more[0])[:min(len(values[0])+len(more[0]), maxValue)]}
	}
	next := make([]string, 0, maxValues)
	if len(values)*len(more) <= maxValues {
		for _, v := range values {
			for _, m := range more {
				next = append(next, (v + m)[:min(len(v)+len(m), maxLine)])
			}
		}
		return next
	}
	for i := range max(len(values), len(more)) {
		next = appendValue(next, (values[min(i, len(values)-1)] + more[min(i, len(more)-1)]))
	}
	next = next[:min(len(next), maxValues/2)]
	for _, v := range values[:min(len(values), maxValues/2)] {
		next = appendValue(next, v+manyMore)
	}
	return next
}

// tilde is the home folder for "~", which stands in front of a path.
func (st *script) tilde(v string) string {
	user, rest, _ := strings.Cut(v[1:], "/")
	switch user {
	case "":
		return st.x.home + v[1:]
	case "root":
		return "/root/" + rest
	}
	return "/home/" + v[1:]
}

// braces are the values of {a,b} and {1..3}.
func (st *script) braces(p *syntax.BraceExp) []string {
	var out []string
	if !p.Sequence {
		for _, w := range p.Elems {
			for _, v := range st.expand(w) {
				out = appendValue(out, v)
			}
		}
		return out
	}
	from, err := strconv.Atoi(p.Elems[0].Lit())
	to, err2 := strconv.Atoi(p.Elems[1].Lit())
	if err != nil || err2 != nil || len(p.Elems) > 2 || to < from || to-from >= maxValues {
		return []string{manyMore}
	}
	for n := from; n <= to; n++ {
		out = append(out, strconv.Itoa(n))
	}
	return out
}

// part are the values of one part of a word.
func (st *script) part(part syntax.WordPart, quoted bool) []string {
	switch p := part.(type) {
	case *syntax.Lit:
		text := unescape(unmarked(p.Value), quoted)
		if !quoted {
			text = strings.ReplaceAll(text, "[!", "[^") // as package path writes patterns
		}
		return []string{text}
	case *syntax.SglQuoted:
		if p.Dollar {
			return []string{unmarked(cEscapes(p.Value))}
		}
		return []string{unmarked(p.Value)}
	case *syntax.DblQuoted:
		return st.parts(p.Parts, true)
	case *syntax.ParamExp:
		return splitting(st.parameter(p), quoted && p.Index == nil, st.between) // "${A[@]}" is many words
	case *syntax.BraceExp:
		return st.braces(p)
	case *syntax.CmdSubst:
		return splitting(st.substitution(p), quoted, st.between)
	case *syntax.ArithmExp:
		if n, ok := st.arithmetic(p.X, 0); ok {
			return []string{strconv.FormatInt(n, 10)}
		}
	case *syntax.ExtGlob:
		return []string{"*"}
	}
	return []string{unknown("?")}
}

// splitting marks where a shell splits what it filled in: at blanks, and at what the script says.
func splitting(values []string, quoted bool, between []string) []string {
	if quoted {
		return values
	}
	out := make([]string, len(values))
	for i, v := range values {
		known := true
		out[i] = strings.Map(func(r rune) rune {
			switch {
			case r == unknownMark, r == knownMark:
				known = r == knownMark
			case known && (r == ' ' || r == '\t' || r == '\n' || r > knownMark && slices.ContainsFunc(between, func(ifs string) bool { return strings.ContainsRune(ifs, r) })):
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

// cEscapes undoes the escapes of $'…' and of echo.
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
		case 'x', 'u', 'U', '0', '1', '2', '3', '4', '5', '6', '7':
			base, begin, most := 8, i, 3
			switch c {
			case '0': // echo takes a digit more than $'…'
				most = 4
			case 'x', 'u', 'U':
				base, begin, most = 16, i+1, map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
			}
			end := begin
			for end < len(s) && end-begin < most && isDigit(s[end], base) {
				end++
			}
			n, err := strconv.ParseUint(s[begin:end], base, 32)
			switch {
			case err != nil || n <= splitMark: // a mark would be taken for one of the reader's own
			case c == 'u' || c == 'U':
				b.WriteRune(rune(n & 0x1fffff))
			default:
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
		between := " "
		if name == "@" {
			between = string(splitMark)
		}
		var out []string
		for _, args := range st.args {
			out = appendValue(out, strings.Join(args, between))
		}
		return out
	case "OPTARG":
		var out []string
		for _, args := range st.args {
			for _, a := range args {
				out = appendValue(out, a)
			}
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
