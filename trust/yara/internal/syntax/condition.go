package syntax

import "strings"

// The levels of binary operators, from loosest to tightest.
const (
	levelOr = iota + 1
	levelAnd
	levelNot
	levelEqual
	levelCompare
	levelArith // and tighter
)

// level is that of the current token as a binary operator, 0 if it is none.
func (p *parser) level() int {
	if p.tok.kind != tokMark && p.tok.kind != tokWord {
		return 0
	}
	switch p.tok.text {
	case "or":
		return levelOr
	case "and":
		return levelAnd
	case "==", "!=", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "iequals", "matches":
		return levelEqual
	case "<", "<=", ">", ">=":
		return levelCompare
	case "|":
		return levelArith
	case "^":
		return levelArith + 1
	case "&":
		return levelArith + 2
	case "<<", ">>":
		return levelArith + 3
	case "+", "-":
		return levelArith + 4
	case "*", "\\", "%":
		return levelArith + 5
	}
	return 0
}

func (p *parser) node(op Op, at Pos, args ...*Expr) *Expr {
	p.nodes++
	return &Expr{Pos: at, Op: op, Args: args}
}

// deeper counts nesting, so that a hostile file cannot exhaust the stack.
func (p *parser) deeper() error {
	p.depth++
	if p.depth > MaxNesting {
		return p.errorf(p.tok.pos, "the condition nests deeper than %d", MaxNesting)
	}
	if p.nodes > maxNodes {
		return p.errorf(p.tok.pos, "the condition has more than %d parts", maxNodes)
	}
	return nil
}

func (p *parser) expression() (*Expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	return p.binary(levelOr)
}

// binary reads operators of level low and tighter, by precedence climbing.
func (p *parser) binary(low int) (*Expr, error) {
	left, err := p.operand(low)
	if err != nil {
		return nil, err
	}
	for {
		level := p.level()
		if level < low || level == 0 {
			return left, nil
		}
		if p.tok.is("%") { // "50 % of them"
			if t, err := p.peek(); err != nil {
				return nil, err
			} else if t.is("of") {
				return left, nil
			}
		}
		if p.nodes > maxNodes {
			return nil, p.errorf(p.tok.pos, "the condition has more than %d parts", maxNodes)
		}
		if left, err = p.rest(left, level); err != nil {
			return nil, err
		}
	}
}

// rest reads the current operator and its right side.
func (p *parser) rest(left *Expr, level int) (*Expr, error) {
	e := p.node(OpArith, p.tok.pos, left)
	e.Text = p.tok.text
	if e.Text == "matches" {
		e.Op = OpMatches
		if err := p.advanceValue(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokRegex {
			return nil, p.unexpected("a regular expression")
		}
		r := p.node(OpRegex, p.tok.pos)
		r.Text, r.BodyPos = p.tok.text, p.tok.at
		r.Fold, r.DotAll = flags(p.tok.flags)
		e.Args = append(e.Args, r)
		return e, p.advance()
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	right, err := p.binary(level + 1)
	if err != nil {
		return nil, err
	}
	e.Args = append(e.Args, right)
	switch {
	case level == levelOr:
		e.Op = OpOr
	case level == levelAnd:
		e.Op = OpAnd
	case level == levelCompare, e.Text == "==", e.Text == "!=":
		e.Op = OpCompare
	case level == levelEqual:
		e.Op = OpContains
	}
	return e, nil
}

// operand reads what stands between operators of level low.
func (p *parser) operand(low int) (*Expr, error) {
	at := p.tok.pos
	if low <= levelNot && (p.tok.is("not") || p.tok.is("defined")) {
		return p.negation()
	}
	if low >= levelArith {
		return p.unary()
	}
	switch {
	case p.tok.is("for"):
		return p.loop()
	case p.tok.is("all"), p.tok.is("any"), p.tok.is("none"):
		q := Quantifier{Word: p.tok.text}
		if err := p.advance(); err != nil {
			return nil, err
		}
		return p.of(at, q)
	}
	e, err := p.binary(levelArith)
	if err != nil {
		return nil, err
	}
	percent := p.tok.is("%")
	if percent {
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if percent || p.tok.is("of") {
		return p.of(at, Quantifier{N: e, Percent: percent})
	}
	return e, nil
}

// negation reads not and defined, which bind tighter than and.
func (p *parser) negation() (*Expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	e := p.node(OpNot, p.tok.pos)
	if p.tok.is("defined") {
		e.Op = OpDefined
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	arg, err := p.binary(levelNot)
	e.Args = []*Expr{arg}
	return e, err
}

// of reads "of SET", and "in RANGE" or "at OFFSET" behind it.
func (p *parser) of(at Pos, q Quantifier) (*Expr, error) {
	if err := p.expect("of"); err != nil {
		return nil, err
	}
	e := p.node(OpOf, at)
	e.Quantifier = q
	var err error
	if e.Set, err = p.set(); err != nil {
		return nil, err
	}
	switch {
	case p.tok.is("in"):
		e.Args, err = p.bounds()
	case p.tok.is("at"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		at, err := p.binary(levelArith)
		e.Args = []*Expr{at, at}
		return e, err
	}
	return e, err
}

// bounds reads "in (low..high)".
func (p *parser) bounds() ([]*Expr, error) {
	if err := p.expect("in"); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	low, err := p.binary(levelArith)
	if err != nil {
		return nil, err
	}
	if err := p.expect(".."); err != nil {
		return nil, err
	}
	high, err := p.binary(levelArith)
	if err != nil {
		return nil, err
	}
	return []*Expr{low, high}, p.expect(")")
}

// loop reads "for QUANTIFIER of SET : ( … )" and "for QUANTIFIER i in ( … ) : ( … )".
func (p *parser) loop() (*Expr, error) {
	e := p.node(OpForOf, p.tok.pos)
	if err := p.advance(); err != nil {
		return nil, err
	}
	var err error
	if p.tok.is("all") || p.tok.is("any") || p.tok.is("none") {
		e.Quantifier.Word = p.tok.text
		err = p.advance()
	} else {
		e.Quantifier.N, err = p.binary(levelArith)
	}
	if err != nil {
		return nil, err
	}
	if p.tok.is("%") {
		return nil, p.errorf(p.tok.pos, "a percentage in for is not supported")
	}
	if ok, err := p.accept("of"); err != nil {
		return nil, err
	} else if ok {
		e.Set, err = p.set()
		if err != nil {
			return nil, err
		}
		if e.Set[0].Rule {
			return nil, p.errorf(e.Set[0].Pos, "for … of is over strings, not over rules")
		}
	} else if err := p.values(e); err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	if err := p.expect("("); err != nil {
		return nil, err
	}
	body, err := p.expression()
	if err != nil {
		return nil, err
	}
	e.Args = append([]*Expr{body}, e.Args...)
	return e, p.expect(")")
}

// values reads "i in (1..3)" and "i in (1, 2)".
func (p *parser) values(e *Expr) error {
	e.Op = OpForIn
	if p.tok.kind != tokName {
		return p.unexpected(`"of" or the name of a variable`)
	}
	e.Text = p.tok.text
	if err := p.advance(); err != nil {
		return err
	}
	if p.tok.is(",") {
		return p.errorf(p.tok.pos, "a loop over several variables is not supported")
	}
	if err := p.expect("in"); err != nil {
		return err
	}
	if p.tok.kind == tokName {
		return p.errorf(p.tok.pos, "a loop over a module's values is not supported")
	}
	if err := p.expect("("); err != nil {
		return err
	}
	for {
		v, err := p.binary(levelArith)
		if err != nil {
			return err
		}
		e.Args = append(e.Args, v)
		mark := ","
		if len(e.Args) == 1 && p.tok.is("..") {
			e.Range, mark = true, ".."
		}
		if e.Range && len(e.Args) == 2 {
			return p.expect(")")
		}
		if ok, err := p.accept(mark); err != nil {
			return err
		} else if !ok {
			return p.expect(")")
		}
	}
}

// unary reads - and ~, and what they stand before.
func (p *parser) unary() (*Expr, error) {
	if !p.tok.is("-") && !p.tok.is("~") {
		return p.primary()
	}
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	e := p.node(OpArith, p.tok.pos)
	e.Text = p.tok.text
	if err := p.advance(); err != nil {
		return nil, err
	}
	arg, err := p.unary()
	e.Args = []*Expr{arg}
	return e, err
}

func (p *parser) primary() (*Expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	t := p.tok
	e := p.node(OpInt, t.pos)
	e.Text = t.text
	switch t.kind {
	case tokInt:
		e.Int = t.num
	case tokFloat:
		e.Op, e.Float = OpFloat, t.f
	case tokText:
		e.Op = OpText
	case tokName:
		return p.named(e)
	case tokString, tokCount, tokOffset, tokLength:
		return p.reference(e)
	case tokMark:
		if t.text != "(" {
			return nil, p.unexpected("a condition")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		inner, err := p.expression()
		if err != nil {
			return nil, err
		}
		return inner, p.expect(")")
	case tokWord:
		return p.word(e)
	default:
		return nil, p.unexpected("a condition")
	}
	return e, p.advance()
}

func (p *parser) word(e *Expr) (*Expr, error) {
	switch t := e.Text; {
	case t == "true":
		e.Op = OpTrue
	case t == "false":
		e.Op = OpFalse
	case t == "filesize":
		e.Op = OpFileSize
	case t == "entrypoint":
		e.Op = OpEntryPoint
	case strings.HasPrefix(t, "int") || strings.HasPrefix(t, "uint"):
		e.Op = OpRead
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.expect("("); err != nil {
			return nil, err
		}
		at, err := p.binary(levelArith)
		if err != nil {
			return nil, err
		}
		e.Args = []*Expr{at}
		return e, p.expect(")")
	default:
		return nil, p.unexpected("a condition")
	}
	return e, p.advance()
}

// named reads a rule, a variable, or a module's value or function.
func (p *parser) named(e *Expr) (*Expr, error) {
	e.Op = OpName
	if err := p.advance(); err != nil {
		return nil, err
	}
	for p.tok.is(".") {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokName {
			return nil, p.unexpected("a name")
		}
		e.Text += "." + p.tok.text
		if len(e.Text) > maxName {
			return nil, p.errorf(p.tok.pos, "the name is longer than %d bytes", maxName)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if p.tok.is("[") {
		return nil, p.errorf(p.tok.pos, "an index into a module's values is not supported")
	}
	if !p.tok.is("(") {
		return e, nil
	}
	e.Op = OpCall
	if err := p.advance(); err != nil {
		return nil, err
	}
	for more := !p.tok.is(")"); more; {
		arg, err := p.binary(levelArith)
		if err != nil {
			return nil, err
		}
		e.Args = append(e.Args, arg)
		if more, err = p.accept(","); err != nil {
			return nil, err
		}
	}
	return e, p.expect(")")
}

// reference reads $a, $a at …, $a in …, #a, #a in …, @a[…] and !a[…].
func (p *parser) reference(e *Expr) (*Expr, error) {
	form := p.tok.kind
	if strings.HasSuffix(e.Text, "*") {
		return nil, p.errorf(e.Pos, "$%s stands for several strings: write any of ($%s)", e.Text, e.Text)
	}
	e.Op = map[kind]Op{tokString: OpString, tokCount: OpCount, tokOffset: OpOffset, tokLength: OpLength}[form]
	if err := p.advance(); err != nil {
		return nil, err
	}
	var err error
	switch {
	case form == tokString && p.tok.is("at"):
		e.Op = OpAt
		if err := p.advance(); err != nil {
			return nil, err
		}
		at, err := p.binary(levelArith)
		e.Args = []*Expr{at}
		return e, err
	case form == tokString && p.tok.is("in"):
		e.Op = OpIn
		e.Args, err = p.bounds()
	case form == tokCount && p.tok.is("in"):
		e.Args, err = p.bounds()
	case (form == tokOffset || form == tokLength) && p.tok.is("["):
		if err := p.advance(); err != nil {
			return nil, err
		}
		index, err := p.binary(levelArith)
		if err != nil {
			return nil, err
		}
		e.Args = []*Expr{index}
		return e, p.expect("]")
	}
	return e, err
}
