package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/safepull/safepull/trust"
)

const (
	// fileLimit and entryLimit bound what a list may cost in memory and time, also one that somebody else serves.
	fileLimit  = 4 << 20
	entryLimit = 100_000
	// listVersion is the version of the file format that this release reads and writes.
	listVersion = "1"
)

// lineError is a problem with a list at a line and column, both from 1; 0 is unknown.
type lineError struct {
	line, column int
	err          error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

func problem(n *yaml.Node, format string, args ...any) error {
	return &lineError{line: n.Line, column: n.Column, err: fmt.Errorf(format, args...)}
}

// Load reads a trust list. Its name stands in errors and in trust.Entry.List. Anything that is not understood is an
// error: an entry that silently did nothing would be a denial that does not deny.
func Load(name string, r io.Reader) (*List, error) {
	data, err := io.ReadAll(io.LimitReader(r, fileLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read trust list %s: %w", name, err)
	}
	return Parse(name, data)
}

// Parse is Load of what was read.
func Parse(name string, data []byte) (*List, error) {
	doc, err := parseDocument(data)
	if err != nil {
		return nil, locate(name, err)
	}
	return doc.list(name)
}

// locate writes where the problem is.
func locate(name string, err error) error {
	line, column := 1, 1
	var at *lineError
	if errors.As(err, &at) {
		line, column = max(at.line, 1), max(at.column, 1)
	}
	return fmt.Errorf("%s:%d:%d: %w", name, line, column, err)
}

// document is a list's YAML, checked as far as its outer shape.
type document struct {
	root    *yaml.Node
	entries *yaml.Node // nil when the key is missing, a null scalar or a sequence otherwise
}

// items are the nodes of the entries.
func (d *document) items() []*yaml.Node {
	if d.entries == nil {
		return nil
	}
	return d.entries.Content
}

func parseDocument(data []byte) (*document, error) {
	if len(data) > fileLimit {
		return nil, fmt.Errorf("the list is larger than %d bytes: split it", fileLimit)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("the list is not UTF-8: save it as UTF-8")
	}
	var doc document
	root := new(yaml.Node)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(root); errors.Is(err, io.EOF) {
		return nil, errors.New("the list is empty: begin with \"version: 1\"")
	} else if err != nil {
		return nil, yamlError(err)
	}
	if len(root.Content) == 0 {
		return nil, errors.New("the list is empty: begin with \"version: 1\"")
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, yamlError(err)
		}
		return nil, errors.New("the file holds more than one YAML document: make it one")
	}
	doc.root = root
	top, err := mapping(root.Content[0], "the list", keysOf[fileList]()...)
	if err != nil {
		return nil, err
	}
	version := top["version"]
	switch {
	case version == nil:
		return nil, problem(root.Content[0], "the key \"version\" is missing: add \"version: 1\"")
	case version.Kind != yaml.ScalarNode || version.Value != listVersion:
		return nil, problem(version, "version %s is not known here: use 1, or a newer safepull", quote(version.Value))
	}
	doc.entries = top["entries"]
	if n := doc.entries; n != nil && n.Kind != yaml.SequenceNode && n.Tag != "!!null" {
		return nil, problem(n, "\"entries\" must be a list: begin each entry with \"- pattern: …\"")
	}
	if n := len(doc.items()); n > entryLimit {
		return nil, problem(doc.entries, "the list has %d entries: %d are the most, split it", n, entryLimit)
	}
	return &doc, nil
}

func (d *document) list(name string) (*List, error) {
	items := d.items()
	list := &List{rules: make([]rule, 0, len(items))}
	for _, item := range items {
		r, err := parseEntry(item)
		if err != nil {
			return nil, locate(name, err)
		}
		r.entry.List, r.entry.Line = name, item.Line
		list.rules = append(list.rules, r)
	}
	return list, nil
}

// mapping takes a mapping apart and refuses every key that is not among the known ones, or stands twice.
func mapping(n *yaml.Node, what string, known ...string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, problem(n, "%s must be keys with values: %s", what, strings.Join(known, ", "))
	}
	values := make(map[string]*yaml.Node, len(known))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			return nil, problem(key, "unknown key %s: the keys of %s are %s", quote(key.Value), what, strings.Join(known, ", "))
		case values[key.Value] != nil:
			return nil, problem(key, "the key %q stands twice: remove one", key.Value)
		case value.Kind == yaml.AliasNode || value.Anchor != "" || value.Style&yaml.TaggedStyle != 0:
			return nil, problem(value, "anchors, aliases and tags are not supported: write the value out")
		}
		values[key.Value] = value
	}
	return values, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// yamlError takes the line out of the parser's text.
func yamlError(err error) error {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	line, _ := strconv.Atoi(m[1])
	return &lineError{line: line, err: fmt.Errorf("this is not valid YAML: %s: correct it", trust.Sanitise(m[2], 200))}
}

func first(nodes ...*yaml.Node) *yaml.Node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}

// quote makes text from a file safe and short enough for an error.
func quote(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q…", s[:100])
	}
	return fmt.Sprintf("%q", s)
}
