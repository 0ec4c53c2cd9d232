package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// maxProblems bounds the problems that are told of one file.
const maxProblems = 50

// Problem is one thing that is wrong with a policy file.
type Problem struct {
	// Line and Column say where, counted from 1; both are 0 where no place is to blame.
	Line   int    `json:"line"`
	Column int    `json:"column"`
	What   string `json:"what"`
}

// Invalid is why a policy file was not loaded: all that is wrong with it.
type Invalid struct {
	Name     string
	Problems []Problem
	// kind is what the file was to be, "policy" where it is empty.
	kind   string
	causes []error
}

// Error is the first problem with its place, and how many more there are.
func (e *Invalid) Error() string {
	text := cmp.Or(e.kind, "policy") + " " + e.Name
	if len(e.Problems) == 0 {
		return text + ": it is wrong"
	}
	text += e.Problems[0].after()
	switch more := len(e.Problems) - 1; {
	case more > 0 && e.kind == "":
		text += fmt.Sprintf(" (and %d more: \"docker safepull policy lint\" names them)", more)
	case more > 0:
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Unwrap returns the causes.
func (e *Invalid) Unwrap() []error { return e.causes }

// after is the problem as it follows the name of a file.
func (p Problem) after() string {
	switch {
	case p.Line == 0:
		return ": " + p.What
	case p.Column == 0:
		return fmt.Sprintf(":%d: %s", p.Line, p.What)
	}
	return fmt.Sprintf(":%d:%d: %s", p.Line, p.Column, p.What)
}

// fault is what is wrong with a part of a document, which the path leads to: keys, and numbers of items. In a text, the
// offset counts characters.
type fault struct {
	path   []string
	offset int
	err    error
}

// faults are all that is wrong with a document.
type faults struct{ all []fault }

func (f *faults) at(path []string, format string, args ...any) {
	f.all = append(f.all, fault{path: path, err: fmt.Errorf(format, args...)})
}

// below is a path that goes on.
func below(path []string, steps ...string) []string { return append(slices.Clip(path), steps...) }

// invalid places faults in a file. Rules from the number on that begins the file's further ones stand in their own section.
func invalid(name string, body []byte, root *yaml.Node, found []fault, more int) *Invalid {
	e := &Invalid{Name: name}
	for _, f := range found[:min(len(found), maxProblems)] {
		p := Problem{What: trust.Sanitise(f.err.Error(), 600)}
		p.Line, p.Column = place(body, root, inFile(f.path, more), f.offset)
		e.Problems, e.causes = append(e.Problems, p), append(e.causes, f.err)
	}
	slices.SortStableFunc(e.Problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return e
}

// inFile is a path in the document as it is in the file.
func inFile(path []string, more int) []string {
	if len(path) > 1 && path[0] == "rules" {
		if i, err := strconv.Atoi(path[1]); err == nil && i >= more {
			return append([]string{"moreRules", strconv.Itoa(i - more)}, path[2:]...)
		}
	}
	return path
}

// place is the line and the column where a path leads to, as far as it is in this file: a section may be from another one.
func place(body []byte, root *yaml.Node, path []string, offset int) (line, column int) {
	if root == nil || len(root.Content) == 0 {
		return 0, 0
	}
	node, steps := root.Content[0], 0
	for _, step := range path {
		next := child(node, step)
		if next == nil {
			break
		}
		node, steps = next, steps+1
	}
	switch {
	case steps == 0 && len(path) > 0:
		return 0, 0
	case steps == len(path) && offset > 0:
		return within(strings.Split(string(body), "\n"), node, offset)
	}
	return node.Line, node.Column
}

// child is the value of a key, or an item by its number.
func child(n *yaml.Node, step string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}

// within is where a character of a text stands in the file; the text's own place, where that cannot be told.
func within(lines []string, n *yaml.Node, offset int) (line, column int) {
	spelled := spelling(lines, n)
	var text strings.Builder
	for _, c := range spelled {
		text.WriteRune(c.r)
	}
	if !strings.HasPrefix(text.String(), strings.TrimRight(n.Value, " \n")) || offset >= len(spelled) {
		return n.Line, n.Column
	}
	return spelled[offset].line, spelled[offset].column
}

// spelled is a character of a text, and where it stands.
type spelled struct {
	r            rune
	line, column int
}

// spelling reads a text as its lines spell it: the common ways to write one, not all that there are.
func spelling(lines []string, n *yaml.Node) []spelled {
	block := n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
	first, from := n.Line-1, n.Column-1
	if block {
		first, from = n.Line, -1
	} else if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		from++
	}
	var out []spelled
	want := len([]rune(n.Value)) + 2
	for i := first; i < len(lines) && len(out) < want; i++ {
		text := []rune(strings.TrimRight(lines[i], " \r"))
		at := len(text) - len([]rune(strings.TrimLeft(string(text), " ")))
		switch {
		case block && from < 0:
			from = at // the others of the block stand as far in, or further
		case block:
			at = min(at, from)
		case i == first:
			at = from
		}
		for at < len(text) && len(out) < want {
			at += unquoted(&out, n, text, i, at)
		}
		separator := ' '
		if n.Style&yaml.LiteralStyle != 0 {
			separator = '\n'
		}
		out = append(out, spelled{separator, i + 1, len(text) + 1})
	}
	return out
}

// unquoted adds the character at a place of a line, and returns how many it takes there.
func unquoted(out *[]spelled, n *yaml.Node, text []rune, i, at int) int {
	r, takes := text[at], 1
	doubled := n.Style&yaml.SingleQuotedStyle != 0 && r == '\''
	escaped := n.Style&yaml.DoubleQuotedStyle != 0 && r == '\\'
	if (doubled || escaped) && at+1 < len(text) {
		r, takes = text[at+1], 2
	}
	*out = append(*out, spelled{r, i + 1, at + 1})
	return takes
}
