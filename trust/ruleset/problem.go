package ruleset

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Problem is an error at one place of a rule file.
type Problem struct {
	File string `json:"file"`
	// Line and Column count from 1.
	Line   int    `json:"line"`
	Column int    `json:"column"`
	What   string `json:"what"`
}

// Error is "file:line:column: what".
func (p *Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.What)
}

func at(file string, n *yaml.Node, format string, args ...any) *Problem {
	p := &Problem{File: file, Line: 1, Column: 1, What: fmt.Sprintf(format, args...)}
	if n != nil && n.Line > 0 {
		p.Line, p.Column = n.Line, max(n.Column, 1)
	}
	return p
}

var (
	errorLine = regexp.MustCompile(`line (\d+): `)
	errorType = regexp.MustCompile(` in type .*$| into \S+$`)
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// located turns the YAML library's errors, which know a line at the most, into problems. The column is where the line's
// first value stands in doc, which may be nil.
func located(file string, doc *yaml.Node, err error) *Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var te *yaml.TypeError
	if errors.As(err, &te) && len(te.Errors) > 0 {
		text = te.Errors[0]
	}
	p := &Problem{File: file, Line: 1, Column: 1}
	if m := errorLine.FindStringSubmatchIndex(text); m != nil {
		p.Line, _ = strconv.Atoi(text[m[2]:m[3]])
		text = text[m[1]:]
	}
	p.What = errorType.ReplaceAllString(text, "")
	if n := find(doc, func(n *yaml.Node) bool { return n.Line == p.Line && n.Kind == yaml.ScalarNode }); n != nil {
		p.Column = max(n.Column, 1)
	}
	return p
}

// Locate finds the place in an indicator's file that an error about its rules is about: that of the first value which the
// error quotes, else the file's beginning. A Problem stays as it is.
func (r *Ruleset) Locate(indicator string, err error) *Problem {
	var known *Problem
	if errors.As(err, &known) {
		return known
	}
	doc := r.files[indicator].doc
	for _, q := range quoted.FindAllString(err.Error(), 8) {
		value, uerr := strconv.Unquote(q)
		if uerr != nil || value == "" {
			continue
		}
		if n := find(doc, func(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Value == value }); n != nil {
			return at(indicator+suffix, n, "%v", err)
		}
	}
	return at(indicator+suffix, nil, "%v", err)
}

// find is the first node, in order of the file, that is wanted.
func find(n *yaml.Node, wanted func(*yaml.Node) bool) *yaml.Node {
	if n == nil || wanted(n) {
		return n
	}
	for _, c := range n.Content {
		if found := find(c, wanted); found != nil {
			return found
		}
	}
	return nil
}
