package closure

import (
	"path"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// parameter are the values of $X, ${X:-word} and the like.
func (st *script) parameter(p *syntax.ParamExp) []string {
	raw := "?"
	if p.Param != nil {
		raw = "$" + p.Param.Value
	}
	if p.Param == nil || p.Length || p.IsSet || p.Names != 0 {
		return []string{unknown(raw)}
	}
	values := st.value(p.Param.Value)
	if p.Excl { // the variable that the value names
		var out []string
		for _, name := range values {
			for _, v := range st.value(name) {
				out = appendValue(out, v)
			}
		}
		values = out
	}
	if p.Index != nil && !isAllElements(p.Index) {
		values = elements(values)
	}
	switch {
	case p.Repl != nil:
		values = st.replaced(values, p.Repl, raw)
	case p.Slice != nil && p.Param.Value == "@":
		values = st.argumentsFrom(p.Slice, raw)
	case p.Slice != nil:
		values = sliced(values, p.Slice, raw)
	case p.Exp != nil:
		values = st.altered(values, p.Exp, raw)
		if p.Exp.Op == syntax.AssignUnset || p.Exp.Op == syntax.AssignUnsetOrNull {
			st.set(p.Param.Value, values, nil)
		}
	}
	if len(values) == 0 {
		return []string{unknown(raw)}
	}
	return values
}

// isAllElements: ${A[@]} or ${A[*]}.
func isAllElements(index syntax.ArithmExpr) bool {
	w, ok := index.(*syntax.Word)
	return ok && (w.Lit() == "@" || w.Lit() == "*")
}

// elements are those of arrays, any of which one index may mean.
func elements(arrays []string) []string {
	var out []string
	for _, a := range arrays {
		for e := range strings.SplitSeq(a, string(splitMark)) {
			out = appendValue(out, e)
		}
	}
	return out
}

// altered are the values of ${X:-word}, ${X%/*}, ${X,,} and the like.
func (st *script) altered(values []string, e *syntax.Expansion, raw string) []string {
	var out []string
	switch e.Op {
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull, syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		out = append(out, values...)
		for _, v := range st.expand(e.Word) {
			out = appendValue(out, v)
		}
	case syntax.RemSmallSuffix, syntax.RemLargeSuffix, syntax.RemSmallPrefix, syntax.RemLargePrefix:
		for _, pattern := range st.expand(e.Word) {
			for _, v := range values {
				out = appendValue(out, removed(v, pattern, e.Op, raw))
			}
		}
	case syntax.UpperFirst, syntax.UpperAll, syntax.LowerFirst, syntax.LowerAll:
		for _, v := range values {
			out = appendValue(out, inCase(v, e.Op))
		}
	default:
		return values
	}
	return out
}

func inCase(v string, op syntax.ParExpOperator) string {
	head, tail := v[:min(len(v), 1)], v[min(len(v), 1):]
	switch op {
	case syntax.UpperAll:
		return strings.ToUpper(v)
	case syntax.LowerAll:
		return strings.ToLower(v)
	case syntax.UpperFirst:
		return strings.ToUpper(head) + tail
	}
	return strings.ToLower(head) + tail
}

// maxTaken bounds values that are taken apart by patterns, in bytes: a path is no longer. Each end of it is tried.
const maxTaken = 512

// removed is what ${X%pattern} and ${X##pattern} leave.
func removed(v, pattern string, op syntax.ParExpOperator, raw string) string {
	prefix := op == syntax.RemSmallPrefix || op == syntax.RemLargePrefix
	if !strings.ContainsAny(pattern, "*?[\x00") {
		if prefix {
			return strings.TrimPrefix(v, pattern)
		}
		return strings.TrimSuffix(v, pattern)
	}
	if strings.ContainsRune(v, unknownMark) {
		switch { // a path of which not all is known can still be taken apart at its slashes
		case pattern == "/*" && op == syntax.RemSmallSuffix:
			return path.Dir(v)
		case pattern == "*/" && op == syntax.RemLargePrefix:
			return path.Base(v)
		}
		return unknown(raw)
	}
	if len(v) > maxTaken || len(pattern) > maxTaken || strings.ContainsRune(pattern, unknownMark) {
		return unknown(raw)
	}
	// path.Match keeps slashes apart, a shell here does not.
	flat := strings.NewReplacer("/", "\x03", "[!", "[^").Replace(pattern)
	shortest := op == syntax.RemSmallPrefix || op == syntax.RemSmallSuffix
	for n := range len(v) + 1 {
		if !shortest {
			n = len(v) - n
		}
		piece, rest := v[len(v)-n:], v[:len(v)-n]
		if prefix {
			piece, rest = v[:n], v[n:]
		}
		fit, err := path.Match(flat, strings.ReplaceAll(piece, "/", "\x03"))
		if err != nil {
			return unknown(raw)
		}
		if fit {
			return rest
		}
	}
	return v
}

// replaced are the values of ${X/a/b} and ${X//a/b}.
func (st *script) replaced(values []string, r *syntax.Replace, raw string) []string {
	from, to := st.expand(r.Orig)[0], st.expand(r.With)[0]
	if strings.ContainsAny(from, "*?[\x00") || from == "" {
		return []string{unknown(raw)}
	}
	n := 1
	if r.All {
		n = -1
	}
	var out []string
	for _, v := range values {
		switch {
		case strings.HasPrefix(from, "#"):
			if rest, ok := strings.CutPrefix(v, from[1:]); ok {
				v = to + rest
			}
		case strings.HasPrefix(from, "%"):
			if rest, ok := strings.CutSuffix(v, from[1:]); ok {
				v = rest + to
			}
		case strings.Count(v, from)*len(to) > maxLine:
			v = unknown(raw)
		default:
			v = strings.Replace(v, from, to, n)
		}
		out = appendValue(out, v)
	}
	return out
}

// sliced are the values of ${X:2} and ${X:2:3}.
func sliced(values []string, s *syntax.Slice, raw string) []string {
	from, known := constant(s.Offset)
	count, bounded := constant(s.Length)
	if !known || s.Length != nil && !bounded {
		return []string{unknown(raw)}
	}
	var out []string
	for _, v := range values {
		begin := from
		if begin < 0 {
			begin += len(v)
		}
		if strings.ContainsRune(v, unknownMark) || begin < 0 {
			return []string{unknown(raw)}
		}
		begin = min(begin, len(v))
		end := len(v)
		switch {
		case s.Length == nil:
		case count < 0:
			end = max(begin, len(v)+count)
		default:
			end = begin + min(count, len(v)-begin)
		}
		out = appendValue(out, v[begin:end])
	}
	return out
}

// argumentsFrom are the values of "${@:2}".
func (st *script) argumentsFrom(s *syntax.Slice, raw string) []string {
	from, known := constant(s.Offset)
	if !known || from < 0 {
		return []string{unknown(raw)}
	}
	var out []string
	for _, args := range st.args {
		out = appendValue(out, strings.Join(args[min(max(from-1, 0), len(args)):], string(splitMark)))
	}
	return out
}

// constant is the number that an arithmetic expression is, if it is no more than that.
func constant(e syntax.ArithmExpr) (int, bool) {
	switch e := e.(type) {
	case *syntax.Word:
		n, err := strconv.Atoi(e.Lit())
		return n, err == nil
	case *syntax.UnaryArithm:
		if n, ok := constant(e.X); ok && e.Op == syntax.Minus && !e.Post {
			return -n, true
		}
	}
	return 0, false
}
