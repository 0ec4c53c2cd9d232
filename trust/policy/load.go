package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

// maxFile bounds a policy file, in bytes; the shipped one has some thousand.
const maxFile = 256 << 10

// Load reads a policy file that has every section. The name stands in errors, which say the line and the column where
// the file is wrong.
func Load(name string, r io.Reader) (*Policy, error) {
	return load(name, r, document{}, &environment{})
}

// Override reads a policy file that may leave sections out; they are then as in p. The rest is as for Load.
func (p *Policy) Override(name string, r io.Reader) (*Policy, error) {
	return load(name, r, p.doc, p.env)
}

func load(name string, r io.Reader, base document, env *environment) (*Policy, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read policy %s: %w", name, err)
	}
	if len(body) > maxFile {
		return nil, fmt.Errorf("policy %s has more than %d bytes: %w", name, maxFile, trust.ErrLimit)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	var doc document
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("policy %s", explain(name, body, err))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("policy %s: more than one YAML document: keep the first and remove the rest", name)
	}
	own := len(doc.MoreRules)
	doc.fill(base)
	p, err := newPolicy(doc, env)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", located(name, body, err, len(doc.Rules)-own), err)
	}
	return p, nil
}

func newPolicy(doc document, env *environment) (*Policy, error) {
	if err := doc.validate(); err != nil {
		return nil, err
	}
	p := &Policy{doc: doc, env: env, groupOf: map[string]string{}, rules: append(doc.leastRules(), doc.Rules...)}
	for group, checks := range doc.Groups {
		for _, check := range checks {
			p.groupOf[check] = group
		}
	}
	least := len(p.rules) - len(doc.Rules)
	for i := range p.rules {
		r := &p.rules[i]
		if r.When == "" {
			continue
		}
		var err error
		if r.when, err = env.compile(r.When); err != nil {
			return nil, fault{[]string{"rules", strconv.Itoa(i - least), "when"}, fmt.Errorf("rule %s: when: %w", r.Name, err)}
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("digest it: %w", err)
	}
	p.digest = digest.FromBytes(text)
	return p, nil
}

// unknownKey is how the YAML library says that a key has no field.
var unknownKey = regexp.MustCompile(`^line (\d+): field (\S+) not found in type .*`)

// explain is an error of the YAML library as one sentence that begins with its place.
func explain(name string, body []byte, err error) string {
	if errors.Is(err, io.EOF) {
		return name + ": the file is empty: begin with \"version: 1\""
	}
	first := strings.TrimPrefix(err.Error(), "yaml: ")
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) && len(wrong.Errors) > 0 {
		first = wrong.Errors[0]
	}
	if m := unknownKey.FindStringSubmatch(first); m != nil {
		return fmt.Sprintf("%s:%s%s: unknown key %q: remove it, or see the shipped policy for the keys", name, m[1], column(body, m[1], m[2]), m[2])
	}
	if placed, ok := strings.CutPrefix(first, "line "); ok {
		if line, rest, ok := strings.Cut(placed, ": "); ok {
			return fmt.Sprintf("%s:%s: %s", name, line, rest)
		}
	}
	return name + ": " + first
}

// column is where a key begins in its line, as ":7"; empty where it is not found.
func column(body []byte, line, key string) string {
	n, err := strconv.Atoi(line)
	lines := strings.Split(string(body), "\n")
	if err != nil || n < 1 || n > len(lines) {
		return ""
	}
	if i := strings.Index(lines[n-1], key); i >= 0 {
		return fmt.Sprintf(":%d", i+1)
	}
	return ""
}

// located is the name of the file with the line and the column of a fault, as far as they are in this file: a section
// may be from another one. Rules from the number on that begins the file's further ones stand in their own section.
func located(name string, body []byte, err error, more int) string {
	var f fault
	var root yaml.Node
	if !errors.As(err, &f) || yaml.Unmarshal(body, &root) != nil || len(root.Content) == 0 {
		return name
	}
	path := f.path
	if len(path) > 1 && path[0] == "rules" {
		if i, err := strconv.Atoi(path[1]); err == nil && i >= more {
			path = append([]string{"moreRules", strconv.Itoa(i - more)}, path[2:]...)
		}
	}
	node, found := root.Content[0], false
	for _, step := range path {
		next := child(node, step)
		if next == nil {
			break
		}
		node, found = next, true
	}
	if !found {
		return name
	}
	return fmt.Sprintf("%s:%d:%d", name, node.Line, node.Column)
}

// child is the value of a key, or an item by its number.
func child(n *yaml.Node, step string) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
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
