package policy

import (
	"errors"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"

	"github.com/safepull/safepull/trust"
)

// check finds what a condition may not ask. A condition that a further finding could make false would let more through, and
// signs that are merely many must not block.
type check struct {
	blocks bool
	wrong  []refused
}

// refused is a part of an expression, by its number, and why it is refused.
type refused struct {
	id  int64
	err error
}

// Why parts of conditions are refused.
var (
	errAbsence = errors.New("of findings and unanswered it may only ask whether there are some, as in findings.exists(f, …) or " +
		"size(findings.filter(f, …)) >= 2, and of layers whether there are at least so many, joined with && and ||: more evidence must never let more through")
	errNumber = errors.New("a rule that blocks may count findings only where the filter asks for f.strength >= strong: weak signs never block by their number alone")
)

// presence refuses what could become false when findings, open questions or layers are added.
func (c *check) presence(e ast.Expr, bound []string) {
	if !grows(e, bound) {
		return
	}
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		args := call.Args()
		switch call.FunctionName() {
		case "_&&_", "_||_":
			c.presence(args[0], bound)
			c.presence(args[1], bound)
			return
		case "_>=_", "_>_":
			if c.atLeast(args[0], args[1], bound) {
				return
			}
		case "_<=_", "_<_":
			if c.atLeast(args[1], args[0], bound) {
				return
			}
		}
	case ast.ComprehensionKind:
		if l := e.AsComprehension(); isGrowing(l.IterRange(), bound) && isExists(l, bound) {
			return
		}
	}
	c.wrong = append(c.wrong, refused{e.ID(), errAbsence})
}

// atLeast reports whether a number that grows is compared with one that does not.
func (c *check) atLeast(count, least ast.Expr, bound []string) bool {
	if grows(least, bound) {
		return false
	}
	if isIdent(count, varLayers, bound) {
		return true
	}
	if !isCount(count, bound) {
		return false
	}
	if c.blocks && ofFindings(count) && !asksForStrong(count) {
		c.wrong = append(c.wrong, refused{count.ID(), errNumber})
	}
	return true
}

// countedList is the list of size(x) or x.size().
func countedList(e ast.Expr) ast.Expr {
	if call := e.AsCall(); call.IsMemberFunction() {
		return call.Target()
	}
	return e.AsCall().Args()[0]
}

// ofFindings reports whether a count is one of findings.
func ofFindings(count ast.Expr) bool {
	list := countedList(count)
	if list.Kind() == ast.ComprehensionKind {
		list = list.AsComprehension().IterRange()
	}
	return isIdent(list, varFindings, nil)
}

// asksForStrong reports whether a count is of strong findings, or stronger ones: the filter has to say so plainly.
func asksForStrong(count ast.Expr) bool {
	list := countedList(count)
	if list.Kind() != ast.ComprehensionKind {
		return false
	}
	l := list.AsComprehension()
	return demandsStrong(l.LoopStep().AsCall().Args()[0], l.IterVar())
}

// demandsStrong reports whether a predicate holds of nothing that is weaker than strong.
func demandsStrong(e ast.Expr, of string) bool {
	if e.Kind() != ast.CallKind {
		return false
	}
	args := e.AsCall().Args()
	isStrength := func(e ast.Expr) bool {
		return e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == "strength" && isIdent(e.AsSelect().Operand(), of, nil)
	}
	least := func(e ast.Expr, n trust.Strength) bool {
		switch e.Kind() {
		case ast.LiteralKind:
			v, ok := e.AsLiteral().(types.Int)
			return ok && int64(v) >= int64(n)
		case ast.IdentKind:
			return slices.ContainsFunc([]trust.Strength{trust.Weak, trust.Strong, trust.Proof}, func(s trust.Strength) bool { return s >= n && isIdent(e, s.String(), nil) })
		}
		return false
	}
	switch e.AsCall().FunctionName() {
	case "_&&_":
		return demandsStrong(args[0], of) || demandsStrong(args[1], of)
	case "_||_":
		return demandsStrong(args[0], of) && demandsStrong(args[1], of)
	case "_>=_", "_==_":
		return isStrength(args[0]) && least(args[1], trust.Strong)
	case "_>_":
		return isStrength(args[0]) && least(args[1], trust.Weak)
	case "_<=_":
		return isStrength(args[1]) && least(args[0], trust.Strong)
	case "_<_":
		return isStrength(args[1]) && least(args[0], trust.Weak)
	}
	return false
}

// isExists recognises what the macro exists becomes.
func isExists(c ast.ComprehensionExpr, bound []string) bool {
	init, step := c.AccuInit(), c.LoopStep()
	if init.Kind() != ast.LiteralKind || init.AsLiteral() != types.False || step.Kind() != ast.CallKind || c.Result().Kind() != ast.IdentKind {
		return false
	}
	call := step.AsCall()
	return call.FunctionName() == "_||_" && !grows(call.Args()[1], append(bound, c.IterVar(), c.IterVar2()))
}

// isCount recognises size(x) and x.size() of a growing list or of what filter leaves of it.
func isCount(e ast.Expr, bound []string) bool {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != "size" {
		return false
	}
	list := countedList(e)
	if isGrowing(list, bound) {
		return true
	}
	if list.Kind() != ast.ComprehensionKind {
		return false
	}
	c := list.AsComprehension()
	step := c.LoopStep()
	if !isGrowing(c.IterRange(), bound) || c.AccuInit().Kind() != ast.ListKind || step.Kind() != ast.CallKind || step.AsCall().FunctionName() != "_?_:_" {
		return false
	}
	return !grows(step.AsCall().Args()[0], append(bound, c.IterVar(), c.IterVar2()))
}

func isGrowing(e ast.Expr, bound []string) bool {
	return slices.ContainsFunc(growing(), func(name string) bool { return isIdent(e, name, bound) })
}

// isIdent reports whether an expression is a variable of the evidence, and not one that a macro binds.
func isIdent(e ast.Expr, name string, bound []string) bool {
	return e.Kind() == ast.IdentKind && strings.TrimPrefix(e.AsIdent(), ".") == name && !slices.Contains(bound, e.AsIdent())
}

// grows reports whether an expression looks at what grows with the evidence.
func grows(e ast.Expr, bound []string) bool {
	if isGrowing(e, bound) || isIdent(e, varLayers, bound) {
		return true
	}
	var parts []ast.Expr
	switch e.Kind() {
	case ast.CallKind:
		parts = append(parts, e.AsCall().Args()...)
		if e.AsCall().IsMemberFunction() {
			parts = append(parts, e.AsCall().Target())
		}
	case ast.SelectKind:
		parts = append(parts, e.AsSelect().Operand())
	case ast.ListKind:
		parts = append(parts, e.AsList().Elements()...)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			parts = append(parts, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			parts = append(parts, field.AsStructField().Value())
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		if grows(c.IterRange(), bound) {
			return true
		}
		bound = append(slices.Clip(bound), c.IterVar(), c.IterVar2(), c.AccuVar())
		parts = append(parts, c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result())
	}
	return slices.ContainsFunc(parts, func(part ast.Expr) bool { return grows(part, bound) })
}
