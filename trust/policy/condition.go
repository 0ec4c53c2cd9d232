package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/safepull/safepull/trust"
)

// Limits on conditions. They keep a rule readable, and its evaluation cheap on whatever an image shows.
const (
	maxCondition = 1000
	// maxCost bounds the steps of one evaluation, about as many as operations: as estimated when a policy is loaded, for the
	// largest evidence, and again when it is evaluated. maxCosts bounds those of all conditions of a policy.
	maxCost  = 1 << 18
	maxCosts = 1 << 20
)

// What the estimate takes for the largest evidence: sorts of findings or open questions, and bytes of one text.
const (
	mostSeen = 2048
	mostText = 512
)

// condition is an expression over the evidence in the Common Expression Language, checked and ready.
type condition struct {
	program cel.Program
	// cost is the most steps that it may take.
	cost uint64
}

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
	varLayers     = "layers"
)

// growing are the lists among them.
func growing() []string { return []string{varFindings, varUnanswered} }

// newEnvironment declares the variables; configs/policy/default.yaml documents them.
func newEnvironment() (*cel.Env, error) {
	text, number, yes := cel.StringType, cel.IntType, cel.BoolType
	options := []cel.EnvOption{
		ext.NativeTypes(reflect.TypeFor[seen](), ext.ParseStructTags(true)),
		cel.Variable(varFindings, cel.ListType(cel.ObjectType("policy.seen"))),
		cel.Variable(varUnanswered, cel.ListType(text)),
		cel.Variable("registry", text), cel.Variable("repository", text), cel.Variable("publisher", text), cel.Variable("tag", text),
		cel.Variable("platform", text), cel.Variable(varLayers, number),
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

// misread is what is wrong with an expression, at a character of it, counted from 0.
type misread struct {
	offset int
	err    error
}

// compile checks an expression; blocks says that it is of a rule that blocks.
func (e *environment) compile(text string, blocks bool) (*condition, []misread) {
	if len(text) > maxCondition {
		return nil, []misread{{0, fmt.Errorf("it has more than %d bytes: %w", maxCondition, trust.ErrLimit)}}
	}
	env, err := e.get()
	if err != nil {
		return nil, []misread{{0, err}}
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		var out []misread
		for _, issue := range issues.Errors() {
			out = append(out, misread{offsetOf(text, issue.Location), errors.New(trust.Sanitise(issue.Message, 200))})
		}
		return nil, out
	}
	if checked.OutputType() != cel.BoolType {
		return nil, []misread{{0, fmt.Errorf("it is %s, and must be true or false", checked.OutputType())}}
	}
	c := check{blocks: blocks}
	c.presence(checked.NativeRep().Expr(), nil)
	if len(c.wrong) > 0 {
		var out []misread
		for _, w := range c.wrong {
			out = append(out, misread{offsetOf(text, checked.NativeRep().SourceInfo().GetStartLocation(w.id)), w.err})
		}
		return nil, out
	}
	estimate, err := env.EstimateCost(checked, largest{})
	if err == nil && estimate.Max > maxCost {
		err = fmt.Errorf("it may take more than %d steps for one image: ask for less in it: %w", maxCost, trust.ErrLimit)
	}
	if err != nil {
		return nil, []misread{{0, err}}
	}
	program, err := env.Program(checked, cel.CostLimit(maxCost))
	if err != nil {
		return nil, []misread{{0, err}}
	}
	return &condition{program, estimate.Max}, nil
}

// offsetOf is the character of a text at a location, which has lines from 1 and columns from 0.
func offsetOf(text string, at common.Location) int {
	lines := strings.SplitAfter(text, "\n")
	offset := max(at.Column(), 0)
	for _, l := range lines[:min(max(at.Line()-1, 0), len(lines))] {
		offset += len([]rune(l))
	}
	return offset
}

// largest estimates the cost of a condition for the largest evidence.
type largest struct{}

// EstimateCallCost implements cost.Estimator: functions cost what they usually do.
func (largest) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// EstimateSize implements cost.Estimator.
func (largest) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	if n.ComputedSize() != nil {
		return nil
	}
	switch path := n.Path(); {
	case len(path) == 1 && slices.Contains(growing(), path[0]):
		return &cost.SizeEstimate{Max: mostSeen}
	case n.Type().IsExactType(types.StringType):
		return &cost.SizeEstimate{Max: mostText}
	}
	return nil
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
		"platform": e.Platform, varLayers: len(e.Layers), "allowed": e.Standing.Allowed(), "vouched": len(e.Vouched) > 0,
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
