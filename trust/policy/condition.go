package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/safepull/safepull/trust"
)

// Limits on conditions. They keep a rule readable, and its evaluation cheap on whatever an image shows.
const (
	maxCondition = 1000
	// maxCost bounds the steps of one evaluation, about as many as operations.
	maxCost = 1 << 20
)

// condition is an expression over the evidence in the Common Expression Language, checked and ready.
type condition struct{ program cel.Program }

// seen is a sort of findings as conditions see it: where several differ in nothing else, there is one. Places and texts
// are no part of it, because of thousands of findings an image's evidence carries only one of each sort for sure.
type seen struct {
	Check    string `cel:"check"`
	Group    string `cel:"group"`
	Strength int    `cel:"strength"`
	Reach    string `cel:"reach"`
	Class    string `cel:"class"`
}

// The variables of a condition. Those that grow with the evidence may only be asked for what is there.
const (
	varFindings   = "findings"
	varUnanswered = "unanswered"
)

func growing() []string { return []string{varFindings, varUnanswered} }

// newEnvironment declares the variables; configs/policy/default.yaml documents them.
func newEnvironment() (*cel.Env, error) {
	text, number, yes := cel.StringType, cel.IntType, cel.BoolType
	options := []cel.EnvOption{
		ext.NativeTypes(reflect.TypeFor[seen](), ext.ParseStructTags(true)),
		cel.Variable(varFindings, cel.ListType(cel.ObjectType("policy.seen"))),
		cel.Variable(varUnanswered, cel.ListType(text)),
		cel.Variable("registry", text), cel.Variable("repository", text), cel.Variable("publisher", text), cel.Variable("tag", text),
		cel.Variable("platform", text), cel.Variable("layers", number),
		cel.Variable("allowed", yes), cel.Variable("vouched", yes),
	}
	for s := trust.Context; s <= trust.Proof; s++ {
		options = append(options, cel.Constant(s.String(), number, types.Int(s)))
	}
	return cel.NewEnv(options...)
}

// environment is made once, when a policy has its first condition.
type environment struct {
	once sync.Once
	env  *cel.Env
	err  error
}

func (e *environment) get() (*cel.Env, error) {
	e.once.Do(func() { e.env, e.err = newEnvironment() })
	return e.env, e.err
}

// compile checks an expression. Errors name the place in it.
func (e *environment) compile(text string) (*condition, error) {
	if len(text) > maxCondition {
		return nil, fmt.Errorf("it has more than %d bytes: %w", maxCondition, trust.ErrLimit)
	}
	env, err := e.get()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("column %d: %s", first.Location.Column()+1, trust.Sanitise(first.Message, 200))
	}
	if checked.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("it is %s, and must be true or false", checked.OutputType())
	}
	if err := asksForPresence(checked.NativeRep().Expr(), nil); err != nil {
		return nil, err
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	return &condition{program}, nil
}

// errAbsence keeps a policy monotone: a condition that a further finding could make false would let more through.
var errAbsence = errors.New("of findings and unanswered it may only ask whether there are some, as in findings.exists(f, …) or " +
	"size(findings.filter(f, …)) >= 2, joined with && and ||: more evidence must never let more through")

// asksForPresence reports an error where the expression could become false when findings or open questions are added.
func asksForPresence(e ast.Expr, bound []string) error {
	if !grows(e, bound) {
		return nil
	}
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		args := call.Args()
		switch call.FunctionName() {
		case "_&&_", "_||_":
			return errors.Join(asksForPresence(args[0], bound), asksForPresence(args[1], bound))
		case "_>=_", "_>_":
			if isCount(args[0], bound) && !grows(args[1], bound) {
				return nil
			}
		case "_<=_", "_<_":
			if isCount(args[1], bound) && !grows(args[0], bound) {
				return nil
			}
		}
	case ast.ComprehensionKind:
		if c := e.AsComprehension(); isGrowing(c.IterRange(), bound) && isExists(c, bound) {
			return nil
		}
	}
	return errAbsence
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
	call := e.AsCall()
	list := call.Target()
	if !call.IsMemberFunction() {
		list = call.Args()[0]
	}
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
	return e.Kind() == ast.IdentKind && slices.Contains(growing(), strings.TrimPrefix(e.AsIdent(), ".")) && !slices.Contains(bound, e.AsIdent())
}

// grows reports whether an expression looks at what grows with the evidence.
func grows(e ast.Expr, bound []string) bool {
	if isGrowing(e, bound) {
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

// variables are what conditions see of the evidence; found are its findings.
func (p *Policy) variables(found []trust.Finding, e trust.Evidence) map[string]any {
	list := make([]seen, len(found))
	for i, f := range found {
		check := checkName(f)
		list[i] = seen{
			Check: check, Group: p.Group(check), Strength: int(min(f.Strength, trust.Proof)), Reach: string(reachOf(f)), Class: string(f.Class),
		}
	}
	open := make([]string, 0, len(e.Unanswered))
	for question := range e.Unanswered {
		open = append(open, question)
	}
	slices.Sort(open)
	return map[string]any{
		varFindings: list, varUnanswered: open,
		"registry": e.Reference.Registry, "repository": e.Reference.Repository, "publisher": e.Reference.Namespace(), "tag": e.Reference.Tag,
		"platform": e.Platform, "layers": len(e.Layers), "allowed": e.Standing.Allowed(), "vouched": len(e.Vouched) > 0,
	}
}

// holds reports whether the condition is true. One that cannot be evaluated holds: its rule can only make the action
// more severe, and unknown is not clean.
func (c *condition) holds(variables map[string]any) bool {
	if c == nil {
		return true
	}
	value, _, err := c.program.Eval(variables)
	return err != nil || value != types.False
}
