// Package ruleset loads the data of the indicators: one YAML file an indicator, strict, within limits, and with one
// digest over all of them, so that what was remembered under other rules is never taken for an answer under these.
package ruleset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"
)

// Limits on rule files. They protect a start against a wrong folder or a hostile file.
const (
	// MaxFiles bounds the files of a ruleset.
	MaxFiles = 64
	// MaxFileSize bounds one file, in bytes.
	MaxFileSize = 1 << 20
	// maxNodes bounds the values of one file, maxDepth their nesting.
	maxNodes = 50_000
	maxDepth = 16
)

const suffix = ".yaml"

// Ruleset is the loaded rules of all indicators. It does not change and is safe for concurrent use.
type Ruleset struct {
	files  map[string][]byte
	names  []string
	digest digest.Digest
}

// Load reads every *.yaml file at the root of fsys. The file's name without its suffix is the indicator's name.
// Every error about content begins with "file:line:".
func Load(fsys fs.FS) (*Ruleset, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	r := &Ruleset{files: map[string][]byte{}}
	canonical := map[string]any{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".yml") {
			return nil, fmt.Errorf("%s: rule files end in %q; rename it", e.Name(), suffix)
		}
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || e.IsDir() {
			continue
		}
		if len(r.files) == MaxFiles {
			return nil, fmt.Errorf("read rules: more than %d files", MaxFiles)
		}
		body, err := readFile(fsys, e.Name())
		if err != nil {
			return nil, err
		}
		if canonical[name], err = check(e.Name(), body); err != nil {
			return nil, err
		}
		r.files[name] = body
		r.names = append(r.names, name)
	}
	if len(r.files) == 0 {
		return nil, errors.New("read rules: no *.yaml file found")
	}
	slices.Sort(r.names)
	// JSON sorts keys and knows no comments: the digest changes with the meaning alone.
	text, err := json.Marshal(canonical)
	if err != nil {
		return nil, fmt.Errorf("digest rules: %w", err)
	}
	r.digest = digest.FromBytes(text)
	return r, nil
}

// Names are the indicators that have rules, sorted.
func (r *Ruleset) Names() []string { return slices.Clone(r.names) }

// Digest is over the meaning of all files: neither comments nor the order of keys change it.
func (r *Ruleset) Digest() digest.Digest { return r.digest }

// Decode fills into with the rules of one indicator. A key that into has no field for is an error.
func (r *Ruleset) Decode(indicator string, into any) error {
	body, ok := r.files[indicator]
	if !ok {
		return fmt.Errorf("no rules for indicator %q: %s is missing", indicator, indicator+suffix)
	}
	d := yaml.NewDecoder(bytes.NewReader(body))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		return located(indicator+suffix, err)
	}
	return nil
}

func readFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(path.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read rules: %s: %w", name, err)
	}
	if len(body) > MaxFileSize {
		return nil, fmt.Errorf("%s:1: larger than %d bytes", name, MaxFileSize)
	}
	return body, nil
}

// check parses one file and returns its content as plain maps, lists and values.
func check(name string, body []byte) (any, error) {
	d := yaml.NewDecoder(bytes.NewReader(body))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s:1: the file is empty", name)
		}
		return nil, located(name, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: want a mapping of keys to values", name, max(doc.Line, 1))
	}
	nodes := 0
	if err := walk(name, &doc, 0, &nodes); err != nil {
		return nil, err
	}
	var rest yaml.Node
	if err := d.Decode(&rest); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%d: want one document, found another", name, max(rest.Line, 1))
	}
	var plain map[string]any
	if err := doc.Decode(&plain); err != nil {
		return nil, located(name, err)
	}
	if _, err := json.Marshal(plain); err != nil { // .inf, .nan, keys that are no strings
		return nil, fmt.Errorf("%s:1: only strings, whole and decimal numbers, lists and mappings with string keys: %w", name, err)
	}
	return plain, nil
}

func walk(name string, n *yaml.Node, depth int, nodes *int) error {
	*nodes++
	switch {
	case depth > maxDepth:
		return fmt.Errorf("%s:%d: nested deeper than %d", name, n.Line, maxDepth)
	case *nodes > maxNodes:
		return fmt.Errorf("%s:%d: more than %d values", name, n.Line, maxNodes)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fmt.Errorf("%s:%d: anchors and aliases are not allowed; write the value out", name, n.Line)
	}
	for _, c := range n.Content {
		if err := walk(name, c, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

var (
	errorLine = regexp.MustCompile(`line (\d+): `)
	errorType = regexp.MustCompile(` in type \S+| into \S+$`)
)

// located turns the YAML library's errors into "file:line: what".
func located(name string, err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var te *yaml.TypeError
	if errors.As(err, &te) && len(te.Errors) > 0 {
		text = te.Errors[0]
	}
	line := 1
	if m := errorLine.FindStringSubmatchIndex(text); m != nil {
		line, _ = strconv.Atoi(text[m[2]:m[3]])
		text = text[m[1]:]
	}
	return fmt.Errorf("%s:%d: %s", name, line, errorType.ReplaceAllString(text, ""))
}
