package yara

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust/yara/internal/atom"
	"github.com/safepull/safepull/trust/yara/internal/pattern"
	"github.com/safepull/safepull/trust/yara/internal/syntax"
)

// compiler builds Rules source by source.
type compiler struct {
	r    *Rules
	file *syntax.File
	// literals knows the index of every literal so far, by its key; atoms[i] is literal i, origins[i] who wanted it.
	literals map[string]int
	atoms    []atom.Literal
	origins  []origin
	steps    int // of all automata

	// byName are the rules of the source at hand; modules are its imports.
	byName  map[string]int
	modules map[string]bool
	// What follows is about the rule at hand.
	index     int
	byString  map[string]int // in Rules.strings
	used      map[int]bool   // strings that the condition names
	variables []string       // of loops, innermost last
	inForOf   [][]int        // sets of strings that loops go over, innermost last
}

// origin is where a string stands.
type origin struct {
	file string
	pos  syntax.Pos
	name string
}

func (c *compiler) errorf(at syntax.Pos, format string, args ...any) error {
	return &syntax.Error{File: c.file.Name, Pos: at, What: fmt.Sprintf(format, args...)}
}

func (c *compiler) source(i int, src Source) error {
	file, err := syntax.Parse(src.Name, src.Text)
	if err != nil {
		return err
	}
	c.file, c.byName, c.modules = file, map[string]int{}, map[string]bool{}
	for _, m := range file.Imports {
		if !slices.Contains(moduleNames(), m.Module) {
			return c.errorf(m.Pos, "the module %q is not supported: there are %s", m.Module, strings.Join(moduleNames(), ", "))
		}
		c.modules[m.Module] = true
	}
	first := len(c.r.rules)
	for _, r := range file.Rules {
		if err := c.rule(i, r); err != nil {
			return err
		}
	}
	var globals []int
	for k := first; k < len(c.r.rules); k++ {
		if c.r.rules[k].info.Global {
			globals = append(globals, k)
		}
	}
	for k := first; k < len(c.r.rules); k++ {
		c.r.rules[k].globals = globals
	}
	return nil
}

func (c *compiler) rule(source int, r *syntax.Rule) error {
	if _, twice := c.byName[r.Name]; twice {
		return c.errorf(r.Pos, "the rule %q stands twice", r.Name)
	}
	if len(c.r.rules) == MaxRules {
		return c.errorf(r.Pos, "more than %d rules", MaxRules)
	}
	c.index = len(c.r.rules)
	c.byString, c.used = map[string]int{}, map[int]bool{}
	info := Info{
		Source: c.file.Name, Line: r.Line, Column: r.Column, Name: r.Name, Tags: r.Tags, Private: r.Private, Global: r.Global,
	}
	for _, m := range r.Meta {
		info.Meta = append(info.Meta, Meta{m.Key, m.Value})
	}
	own := make([]int, 0, len(r.Strings))
	for _, s := range r.Strings {
		id, err := c.string(s)
		if err != nil {
			return err
		}
		own = append(own, id)
		info.Strings = append(info.Strings, "$"+s.Name)
	}
	c.r.rules = append(c.r.rules, rule{info: info, source: source, strings: own})
	cond, err := c.expr(r.Condition)
	if err != nil {
		return err
	}
	for i, s := range r.Strings {
		if !c.used[own[i]] && !strings.HasPrefix(s.Name, "_") {
			return c.errorf(s.Pos, "the condition does not use the string $%s", s.Name)
		}
	}
	c.r.rules[c.index].condition = cond.eval
	if !cond.needs {
		c.r.always = append(c.r.always, c.index)
	}
	c.byName[r.Name] = c.index // from here on, so that a rule cannot refer to itself
	return nil
}

// string compiles a string and notes its literals.
func (c *compiler) string(s *syntax.String) (int, error) {
	if len(c.r.strings) == MaxStrings {
		return 0, c.errorf(s.Pos, "more than %d strings", MaxStrings)
	}
	p, err := pattern.New(c.file.Name, s)
	if err != nil {
		return 0, err
	}
	if c.steps += p.Steps(); c.steps > MaxSteps {
		return 0, c.errorf(s.Pos, "the hex strings and regular expressions up to $%s have more than %d steps", s.Name, MaxSteps)
	}
	id := len(c.r.strings)
	c.r.strings = append(c.r.strings, stringRule{name: "$" + s.Name, rule: c.index, private: s.Private, pattern: p})
	if s.Name != "" {
		c.byString[s.Name] = id
	}
	before, after := p.Reaches()
	c.r.before, c.r.after = max(c.r.before, before), max(c.r.after, after)
	for b := range p.Branches {
		for _, a := range p.Branches[b].Atoms {
			key := fmt.Sprintf("%t %s", a.Fold, a.Bytes)
			if a.Fold {
				key = lower(key)
			}
			l, ok := c.literals[key]
			if !ok {
				if l = len(c.atoms); l == atom.MaxLiterals {
					return 0, c.errorf(s.Pos, "the string $%s brings more than %d literals to look for: xor and alternatives make many", s.Name, l)
				}
				c.literals[key] = l
				c.atoms = append(c.atoms, atom.Literal{Bytes: a.Bytes, Fold: a.Fold})
				c.origins = append(c.origins, origin{c.file.Name, s.Pos, s.Name})
				c.r.wakes = append(c.r.wakes, nil)
			}
			c.r.wakes[l] = append(c.r.wakes[l], wake{id, b})
		}
	}
	return id, nil
}

// finish makes the search for all literals.
func (c *compiler) finish() error {
	finder, err := atom.New(c.atoms)
	if err != nil {
		var which *atom.Error
		if errors.As(err, &which) && which.Literal < len(c.origins) {
			o := c.origins[which.Literal]
			err = &syntax.Error{File: o.file, Pos: o.pos, What: fmt.Sprintf("the string $%s cannot be searched for: %v", o.name, which.Why)}
		}
		return err
	}
	c.r.finder = finder
	c.r.before = max(c.r.before, tailBytes)
	c.r.after = max(c.r.after, finder.MaxLen())
	return nil
}

// members are the strings, or the rules, that a set stands for.
func (c *compiler) members(set []syntax.Member) ([]int, error) {
	var out []int
	for _, m := range set {
		before := len(out)
		switch {
		case m.Rule && m.Wild:
			for k := range c.r.rules[:c.index] {
				if name := c.r.rules[k].info.Name; c.byName[name] == k && c.isKnown(name, k) && strings.HasPrefix(name, m.Name) {
					out = append(out, k)
				}
			}
		case m.Rule:
			k, ok := c.byName[m.Name]
			if !ok {
				return nil, c.errorf(m.Pos, "there is no rule %q before this one", m.Name)
			}
			out = append(out, k)
		default:
			for _, id := range c.r.rules[c.index].strings {
				name := c.r.strings[id].name[1:]
				if name == m.Name && !m.Wild || m.Wild && strings.HasPrefix(name, m.Name) {
					out = append(out, id)
					c.used[id] = true
				}
			}
		}
		if len(out) == before {
			return nil, c.errorf(m.Pos, "the rule has no such string or rule")
		}
	}
	return out, nil
}

// isKnown is true for rules of this source.
func (c *compiler) isKnown(name string, k int) bool {
	known, ok := c.byName[name]
	return ok && known == k
}
