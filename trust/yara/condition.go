package yara

import (
	"slices"
	"strings"

	"github.com/safepull/safepull/trust/yara/internal/pattern"
	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// eval is a compiled expression.
type eval func(*frame) value

// typ is what an expression is worth, known before it is asked. Numbers and texts may stand as conditions.
type typ uint8

const (
	typBool typ = iota
	typInt
	typFloat
	typText
)

func (t typ) String() string {
	return [...]string{"a condition", "a whole number", "a decimal number", "a text"}[t]
}

// typed is an expression with its type. needs says that it is false, or undefined, in a file that has none of the
// rule's strings.
type typed struct {
	typ   typ
	needs bool
	eval  eval
}

func (c *compiler) integer(e *syntax.Expr) (typed, error) {
	t, err := c.expr(e)
	if err == nil && t.typ != typInt {
		err = c.errorf(e.Pos, "expected a whole number, found %s", t.typ)
	}
	return t, err
}

// expr compiles one expression. The parser bounds its depth.
func (c *compiler) expr(e *syntax.Expr) (typed, error) {
	switch e.Op {
	case syntax.OpTrue, syntax.OpFalse:
		v := truth(e.Op == syntax.OpTrue)
		return typed{typ: typBool, needs: e.Op == syntax.OpFalse, eval: func(*frame) value { return v }}, nil
	case syntax.OpInt:
		v := whole(e.Int)
		return typed{typ: typInt, eval: func(*frame) value { return v }}, nil
	case syntax.OpFloat:
		v := value{state: decimal, f: e.Float}
		return typed{typ: typFloat, eval: func(*frame) value { return v }}, nil
	case syntax.OpText:
		v := value{state: text, s: e.Text}
		return typed{typ: typText, eval: func(*frame) value { return v }}, nil
	case syntax.OpRegex:
		return typed{}, c.errorf(e.Pos, "a regular expression stands only behind matches")
	case syntax.OpFileSize:
		return typed{typ: typInt, eval: func(f *frame) value { return whole(f.total) }}, nil
	case syntax.OpEntryPoint:
		c.wantHead()
		return typed{typ: typInt, eval: (*frame).entryPoint}, nil
	case syntax.OpName:
		return c.named(e)
	case syntax.OpCall:
		return c.call(e)
	case syntax.OpRead:
		return c.read(e)
	case syntax.OpString, syntax.OpCount, syntax.OpOffset, syntax.OpLength, syntax.OpAt, syntax.OpIn:
		return c.reference(e)
	case syntax.OpOf, syntax.OpForOf:
		return c.of(e)
	case syntax.OpForIn:
		return c.forIn(e)
	case syntax.OpAnd, syntax.OpOr, syntax.OpNot, syntax.OpDefined:
		return c.logic(e)
	case syntax.OpCompare, syntax.OpArith, syntax.OpContains:
		return c.operation(e)
	case syntax.OpMatches:
		return c.matches(e)
	}
	return typed{}, c.errorf(e.Pos, "this is not supported")
}

func (c *compiler) logic(e *syntax.Expr) (typed, error) {
	a, err := c.expr(e.Args[0])
	if err != nil {
		return a, err
	}
	if e.Op == syntax.OpNot {
		return typed{eval: func(f *frame) value {
			v := a.eval(f)
			if v.state == undefined {
				return v
			}
			yes, known := v.holds()
			if !known {
				return value{state: unread}
			}
			return truth(!yes)
		}}, nil
	}
	if e.Op == syntax.OpDefined {
		return typed{eval: func(f *frame) value {
			v := a.eval(f)
			if v.state == unread {
				return v
			}
			return truth(v.state != undefined)
		}}, nil
	}
	b, err := c.expr(e.Args[1])
	// The value that decides, whatever the other side is.
	decides := e.Op == syntax.OpOr
	out := typed{needs: a.needs || b.needs, eval: func(f *frame) value {
		x, knownX := a.eval(f).holds()
		if knownX && x == decides {
			return truth(decides)
		}
		y, knownY := b.eval(f).holds()
		switch {
		case knownY && y == decides:
			return truth(decides)
		case !knownX || !knownY:
			return value{state: unread}
		}
		return truth(!decides)
	}}
	if decides {
		out.needs = a.needs && b.needs
	}
	return out, err
}

func (c *compiler) operation(e *syntax.Expr) (typed, error) {
	a, err := c.expr(e.Args[0])
	if err != nil {
		return a, err
	}
	op := e.Text
	if len(e.Args) == 1 { // - and ~
		switch {
		case a.typ == typInt && op == "~":
			return typed{typInt, a.needs, func(f *frame) value { return arith("^", a.eval(f), whole(-1)) }}, nil
		case a.typ == typInt, a.typ == typFloat && op == "-":
			return typed{a.typ, a.needs, func(f *frame) value { return arith("-", whole(0), a.eval(f)) }}, nil
		}
		return a, c.errorf(e.Pos, "%s stands before a number, not before %s", op, a.typ)
	}
	b, err := c.expr(e.Args[1])
	if err != nil {
		return b, err
	}
	needs := a.needs || b.needs
	if e.Op == syntax.OpContains {
		if a.typ != typText || b.typ != typText {
			return a, c.errorf(e.Pos, "%s stands between two texts", op)
		}
		return typed{typBool, needs, func(f *frame) value { return contains(op, a.eval(f), b.eval(f)) }}, nil
	}
	isNumber := func(t typ) bool { return t == typInt || t == typFloat }
	texts := a.typ == typText && b.typ == typText && e.Op == syntax.OpCompare
	if !texts && !(isNumber(a.typ) && isNumber(b.typ)) {
		return a, c.errorf(e.Pos, "%s does not go between %s and %s", op, a.typ, b.typ)
	}
	if e.Op == syntax.OpCompare {
		needs = needs || countsOne(e)
		return typed{typBool, needs, func(f *frame) value { return compare(op, a.eval(f), b.eval(f)) }}, nil
	}
	typ := typInt
	if a.typ == typFloat || b.typ == typFloat {
		typ = typFloat
		if !strings.Contains("+-*\\", op) {
			return a, c.errorf(e.Pos, "%s goes between whole numbers", op)
		}
	}
	return typed{typ, needs, func(f *frame) value { return arith(op, a.eval(f), b.eval(f)) }}, nil
}

// countsOne is true for #a > 0 and its like, which need the string.
func countsOne(e *syntax.Expr) bool {
	if e.Args[0].Op != syntax.OpCount || e.Args[1].Op != syntax.OpInt {
		return false
	}
	n := e.Args[1].Int
	return e.Text == ">" && n >= 0 || (e.Text == ">=" || e.Text == "==") && n >= 1
}

func (c *compiler) matches(e *syntax.Expr) (typed, error) {
	a, err := c.expr(e.Args[0])
	if err != nil {
		return a, err
	}
	if a.typ != typText {
		return a, c.errorf(e.Pos, "matches stands behind a text")
	}
	m, err := pattern.NewMatcher(c.file.Name, e.Args[1])
	return typed{typBool, a.needs, func(f *frame) value {
		v := a.eval(f)
		if v.state != text {
			return v
		}
		return truth(m.Match(&f.machine, v.s))
	}}, err
}

// reference compiles what is said about one string.
func (c *compiler) reference(e *syntax.Expr) (typed, error) {
	id := -1 // the current one of the loop
	sets := c.inForOf
	if e.Text != "" {
		var ok bool
		if id, ok = c.byString[e.Text]; !ok {
			return typed{}, c.errorf(e.Pos, "the rule has no string $%s", e.Text)
		}
		c.used[id] = true
		sets = [][]int{{id}}
	}
	if len(sets) == 0 {
		return typed{}, c.errorf(e.Pos, "a string without a name stands only within for … of")
	}
	if e.Op != syntax.OpString {
		for _, s := range sets[len(sets)-1] {
			c.r.strings[s].places = true
		}
	}
	var args []eval
	for _, a := range e.Args {
		t, err := c.integer(a)
		if err != nil {
			return t, err
		}
		args = append(args, t.eval)
	}
	of := func(f *frame) *sighting {
		f.spend()
		if id >= 0 {
			return &f.seen[id]
		}
		return &f.seen[f.current]
	}
	switch e.Op {
	case syntax.OpString:
		return typed{typBool, true, func(f *frame) value { return of(f).found() }}, nil
	case syntax.OpAt:
		return typed{typBool, true, func(f *frame) value { return of(f).at(args[0](f)) }}, nil
	case syntax.OpIn:
		return typed{typBool, true, func(f *frame) value {
			n := of(f).count(args[0](f), args[1](f))
			if yes, known := n.holds(); known {
				return truth(yes)
			}
			return value{state: unread}
		}}, nil
	case syntax.OpCount:
		if len(args) == 2 {
			return typed{typInt, false, func(f *frame) value { return of(f).count(args[0](f), args[1](f)) }}, nil
		}
		return typed{typInt, false, func(f *frame) value { return of(f).countAll() }}, nil
	default:
		index := func(*frame) value { return whole(1) }
		if len(args) == 1 {
			index = args[0]
		}
		length := e.Op == syntax.OpLength
		return typed{typInt, true, func(f *frame) value { return of(f).place(index(f), length) }}, nil
	}
}

// named compiles the name of a loop's variable, a module's value or a rule.
func (c *compiler) named(e *syntax.Expr) (typed, error) {
	if i := slices.Index(c.variables, e.Text); i >= 0 {
		return typed{typ: typInt, eval: func(f *frame) value { return f.variables[i] }}, nil
	}
	if module, name, ok := strings.Cut(e.Text, "."); ok {
		return c.moduleValue(e, module, name)
	}
	k, ok := c.byName[e.Text]
	if !ok {
		return typed{}, c.errorf(e.Pos, "there is no rule or variable %q here; external variables are not supported", e.Text)
	}
	return typed{eval: func(f *frame) value { return f.rule(k) }}, nil
}
