package yara

import (
	"slices"

	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// maxVariables bounds loops within loops.
const maxVariables = 8

// quota is how many of a number of things must hold.
type quota struct {
	word    string
	n       eval // nil with a word
	percent bool
	// positive says that no thing holding is never enough.
	positive bool
}

func (c *compiler) quota(q syntax.Quantifier) (quota, error) {
	if q.N == nil {
		return quota{word: q.Word, positive: q.Word != "none"}, nil
	}
	n, err := c.integer(q.N)
	if err != nil {
		return quota{}, err
	}
	fixed := q.N.Op == syntax.OpInt
	if q.Percent && (!fixed || q.N.Int < 1 || q.N.Int > 100) {
		return quota{}, c.errorf(q.N.Pos, "a percentage is a number from 1 to 100")
	}
	return quota{n: n.eval, percent: q.Percent, positive: fixed && q.N.Int > 0}, nil
}

// need is how many of total must hold; none is the other way round. ok is false when that was not read or is undefined.
func (q quota) need(f *frame, total int64) (n int64, none bool, gap value, ok bool) {
	switch q.word {
	case "all":
		return total, false, value{}, true
	case "any":
		return 1, false, value{}, true
	case "none":
		return 1, true, value{}, true
	}
	v := q.n(f)
	if v.state != number {
		if v.state == atLeast {
			v.state = unread
		}
		return 0, false, v, false
	}
	if q.percent {
		return (v.i*total + 99) / 100, false, value{}, true
	}
	if v.i == 0 {
		return 1, true, value{}, true
	}
	return v.i, false, value{}, true
}

// tally counts what holds and stops when the rest cannot matter.
type tally struct {
	need, left  int64 // left is how many are still to be asked; -1 when that is not known
	none        bool
	yes, unsure int64
}

// add takes one answer and reports whether all is decided.
func (t *tally) add(v value) bool {
	yes, known := v.holds()
	switch {
	case !known:
		t.unsure++
	case yes:
		t.yes++
	}
	t.left--
	return t.yes >= t.need || t.yes+t.unsure+t.left < t.need
}

func (t *tally) value() value {
	switch {
	case t.yes >= t.need:
		return truth(!t.none)
	case t.yes+t.unsure < t.need:
		return truth(t.none)
	}
	return value{state: unread}
}

// of compiles "N of …" and "for N of … : ( … )".
func (c *compiler) of(e *syntax.Expr) (typed, error) {
	q, err := c.quota(e.Quantifier)
	if err != nil {
		return typed{}, err
	}
	set, err := c.members(e.Set)
	if err != nil {
		return typed{}, err
	}
	out := typed{needs: q.positive}
	var each eval
	switch {
	case e.Set[0].Rule:
		if len(e.Args) > 0 {
			return typed{}, c.errorf(e.Pos, "rules are not in a range")
		}
		out.needs = false
		each = func(f *frame) value { return f.rule(f.current) }
	case e.Op == syntax.OpForOf:
		c.inForOf = append(c.inForOf, set)
		body, err := c.expr(e.Args[0])
		c.inForOf = c.inForOf[:len(c.inForOf)-1]
		if err != nil {
			return typed{}, err
		}
		out.needs = q.positive && body.needs
		each = body.eval
	case len(e.Args) == 2:
		if each, err = c.inRange(e, set); err != nil {
			return typed{}, err
		}
	default:
		each = func(f *frame) value { return f.seen[f.current].found() }
	}
	out.eval = func(f *frame) value {
		n, none, missing, ok := q.need(f, int64(len(set)))
		if !ok {
			return missing
		}
		outer := f.current
		defer func() { f.current = outer }()
		t := tally{need: n, none: none, left: int64(len(set))}
		for _, f.current = range set {
			if !f.spend() {
				return value{state: unread}
			}
			if t.add(each(f)) {
				break
			}
		}
		return t.value()
	}
	return out, nil
}

// inRange is whether the current string begins within the range of "… of … in (a..b)".
func (c *compiler) inRange(e *syntax.Expr, set []int) (eval, error) {
	for _, s := range set {
		c.r.strings[s].places = true
	}
	low, err := c.integer(e.Args[0])
	if err != nil {
		return nil, err
	}
	high, err := c.integer(e.Args[1])
	return func(f *frame) value {
		n := f.seen[f.current].count(low.eval(f), high.eval(f))
		if yes, known := n.holds(); known {
			return truth(yes)
		}
		return value{state: unread}
	}, err
}

// forIn compiles "for N i in … : ( … )".
func (c *compiler) forIn(e *syntax.Expr) (typed, error) {
	q, err := c.quota(e.Quantifier)
	if err != nil {
		return typed{}, err
	}
	if slices.Contains(c.variables, e.Text) {
		return typed{}, c.errorf(e.Pos, "the variable %q is in use by a loop around this one", e.Text)
	}
	if len(c.variables) == maxVariables {
		return typed{}, c.errorf(e.Pos, "more than %d loops within loops", maxVariables)
	}
	var values []eval
	for _, a := range e.Args[1:] {
		v, err := c.integer(a)
		if err != nil {
			return typed{}, err
		}
		values = append(values, v.eval)
	}
	variable := len(c.variables)
	c.variables = append(c.variables, e.Text)
	body, err := c.expr(e.Args[0])
	c.variables = c.variables[:variable]
	if err != nil {
		return typed{}, err
	}
	l := loop{quota: q, values: values, body: body.eval, variable: variable}
	out := typed{needs: q.positive && q.word != "all" && body.needs, eval: l.list}
	if e.Range {
		out.eval = l.span
	}
	return out, nil
}

type loop struct {
	quota    quota
	values   []eval
	body     eval
	variable int
}

// list goes over single values.
func (l loop) list(f *frame) value {
	n, none, missing, ok := l.quota.need(f, int64(len(l.values)))
	if !ok {
		return missing
	}
	t := tally{need: n, none: none, left: int64(len(l.values))}
	for _, v := range l.values {
		if !f.spend() {
			return value{state: unread}
		}
		f.variables[l.variable] = v(f)
		if t.add(l.body(f)) {
			break
		}
	}
	return t.value()
}

// span goes over a range of numbers. An empty one holds nothing.
func (l loop) span(f *frame) value {
	low, high := l.values[0](f), l.values[1](f)
	if v, ok := gap(low, high); ok {
		return v
	}
	if low.i > high.i || high.i-low.i < 0 {
		return value{state: undefined}
	}
	total := high.i - low.i + 1
	n, none, missing, ok := l.quota.need(f, total)
	if !ok {
		return missing
	}
	t := tally{need: n, none: none, left: total}
	for i := low.i; ; i++ {
		if !f.spend() {
			return value{state: unread}
		}
		f.variables[l.variable] = whole(i)
		if t.add(l.body(f)) || i == high.i {
			return t.value()
		}
	}
}
