package policy

import (
	"bytes"
	"cmp"
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

// Limits on files of policies and of cases: who checks another one's file must not wait for it, nor run out of memory.
const (
	// maxFile bounds a file, in bytes; the shipped policy has some ten thousand.
	maxFile = 256 << 10
	// maxNodes bounds the keys and values in it, and maxDepth how deep they are nested.
	maxNodes = 20_000
	maxDepth = 12
)

// Load reads a policy file that has every section. The name stands in errors, which are an *Invalid where the file is wrong.
func Load(name string, r io.Reader) (*Policy, error) {
	return load(name, r, document{}, &environment{})
}

// Override reads a policy file that may leave sections out; they are then as in p. The rest is as for Load.
func (p *Policy) Override(name string, r io.Reader) (*Policy, error) {
	return load(name, r, p.doc, p.env)
}

func load(name string, r io.Reader, base document, env *environment) (*Policy, error) {
	body, root, err := read("", name, r)
	if err != nil {
		return nil, err
	}
	var doc document
	if problems := strictly(body, &doc); len(problems) > 0 {
		return nil, &Invalid{Name: name, Problems: problems}
	}
	own := len(doc.MoreRules)
	doc.fill(base, name)
	p, found := newPolicy(doc, env)
	if len(found) > 0 {
		return nil, invalid(name, body, root, found, len(doc.Rules)-own)
	}
	p.name = name
	return p, nil
}

// read is a YAML file that one document makes up, within limits; kind is as in Invalid.
func read(kind, name string, r io.Reader) ([]byte, *yaml.Node, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s %s: %w", cmp.Or(kind, "policy"), name, err)
	}
	if len(body) > maxFile {
		return nil, nil, fmt.Errorf("%s %s has more than %d bytes: %w", cmp.Or(kind, "policy"), name, maxFile, trust.ErrLimit)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	var root yaml.Node
	if err := decoder.Decode(&root); err != nil {
		return nil, nil, &Invalid{kind: kind, Name: name, Problems: []Problem{syntax(body, err)}}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, nil, &Invalid{kind: kind, Name: name, Problems: []Problem{{What: "more than one YAML document: keep the first and remove the rest"}}}
	}
	nodes := 0
	if p := tooMuch(&root, 0, &nodes); p.What != "" {
		return nil, nil, &Invalid{kind: kind, Name: name, Problems: []Problem{p}, causes: []error{trust.ErrLimit}}
	}
	return body, &root, nil
}

// tooMuch is what a document has that a policy does not need, and that could make reading it costly: its What is empty
// where there is nothing.
func tooMuch(n *yaml.Node, depth int, nodes *int) Problem {
	*nodes++
	at := func(format string, args ...any) Problem {
		return Problem{n.Line, n.Column, fmt.Sprintf(format, args...)}
	}
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0:
		return at("anchors, aliases and tags are not supported: write the value out")
	case *nodes > maxNodes:
		return at("more than %d keys and values", maxNodes)
	case depth > maxDepth:
		return at("nested deeper than %d", maxDepth)
	}
	for _, c := range n.Content {
		if p := tooMuch(c, depth+1, nodes); p.What != "" {
			return p
		}
	}
	return Problem{}
}

// strictly decodes a document into a value of known keys, and says all that does not fit.
func strictly(body []byte, into any) []Problem {
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	err := decoder.Decode(into)
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		var out []Problem
		for _, text := range wrong.Errors[:min(len(wrong.Errors), maxProblems)] {
			out = append(out, placed(body, text))
		}
		return out
	}
	if err != nil {
		return []Problem{syntax(body, err)}
	}
	return nil
}

// How the YAML library says that a key has no field, stands twice, or has a value of another type.
var (
	unknownKey = regexp.MustCompile(`^field (\S+) not found in type .*`)
	twice      = regexp.MustCompile(`^(?:mapping key|field) "?([^" ]+)"? already (?:defined|set).*`)
	otherType  = regexp.MustCompile("^cannot unmarshal !!\\w+(?: `(.*)`)? into \\S+$")
)

// syntax is an error of the YAML library that is not about keys or types.
func syntax(body []byte, err error) Problem {
	if errors.Is(err, io.EOF) {
		return Problem{What: "the file is empty: begin with \"version: 1\""}
	}
	return placed(body, strings.TrimPrefix(err.Error(), "yaml: "))
}

// placed is a message that begins with a line, with the column of what it names; where it names nothing, with that where
// the line begins.
func placed(body []byte, message string) Problem {
	number, rest, ok := strings.Cut(strings.TrimPrefix(message, "line "), ": ")
	line, err := strconv.Atoi(number)
	if !ok || err != nil || !strings.HasPrefix(message, "line ") {
		return Problem{What: trust.Sanitise(message, 300)}
	}
	p := Problem{Line: line, What: trust.Sanitise(rest, 300)}
	text := ""
	if lines := strings.Split(string(body), "\n"); line >= 1 && line <= len(lines) {
		text = lines[line-1]
	}
	named := ""
	if m := unknownKey.FindStringSubmatch(rest); m != nil {
		named = m[1]
		p.What = fmt.Sprintf("unknown key %q: remove it, or see \"docker safepull policy show\" for the keys", trust.Sanitise(named, 60))
	} else if m := twice.FindStringSubmatch(rest); m != nil {
		named = m[1]
		p.What = fmt.Sprintf("the key %q stands twice: remove one", trust.Sanitise(named, 60))
	} else if m := otherType.FindStringSubmatch(rest); m != nil {
		named = strings.TrimSuffix(m[1], "...")
		p.What = fmt.Sprintf("%q is of the wrong type here: see \"docker safepull policy show\" for how it is written", trust.Sanitise(named, 60))
	}
	p.Column = 1 + len([]rune(text)) - len([]rune(strings.TrimLeft(text, " ")))
	if i := strings.Index(text, named); named != "" && i >= 0 {
		p.Column = 1 + len([]rune(text[:i]))
	}
	return p
}

// newPolicy makes a policy of a whole document, or says all that is wrong with it.
func newPolicy(doc document, env *environment) (*Policy, []fault) {
	found := doc.validate()
	p := &Policy{doc: doc, env: env, groupOf: map[string]string{}, rules: append(doc.leastRules(), doc.Rules...)}
	for group, checks := range doc.Groups {
		for _, check := range checks {
			p.groupOf[check] = group
		}
	}
	least, cost := len(p.rules)-len(doc.Rules), uint64(0)
	for i := range p.rules {
		r := &p.rules[i]
		if r.When == "" || i-least >= maxRules {
			continue
		}
		path := []string{"rules", strconv.Itoa(i - least), "when"}
		var wrong []misread
		if r.when, wrong = env.compile(r.When, r.Action == trust.Block); len(wrong) > 0 {
			for _, m := range wrong {
				found = append(found, fault{path, m.offset, fmt.Errorf("rule %s: when: %w", r.Name, m.err)})
			}
			continue
		}
		if before := cost; before <= maxCosts {
			if cost += r.when.cost; cost > maxCosts {
				found = append(found, fault{path, 0, fmt.Errorf("rule %s: when: all conditions together may take more than %d steps: %w", r.Name, maxCosts, trust.ErrLimit)})
			}
		}
	}
	if len(found) > 0 {
		return nil, found
	}
	text, err := doc.text(false)
	if err != nil {
		return nil, []fault{{err: fmt.Errorf("digest it: %w", err)}}
	}
	p.digest = digest.FromBytes(text)
	return p, nil
}
