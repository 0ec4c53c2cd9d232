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
	"maps"
	"path"
	"reflect"
	"slices"
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
	files  map[string]file
	names  []string
	digest digest.Digest
}

// file is one rule file.
type file struct {
	body  []byte
	doc   *yaml.Node
	about About
	plain map[string]any // without "about"
}

// Load reads every *.yaml file at the root of fsys. The file's name without its suffix is the indicator's name.
// Every error about content is a Problem.
func Load(fsys fs.FS) (*Ruleset, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	bodies := map[string][]byte{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".yml") {
			return nil, fmt.Errorf("%s: rule files end in %q; rename it", e.Name(), suffix)
		}
		if !strings.HasSuffix(e.Name(), suffix) || e.IsDir() {
			continue
		}
		if len(bodies) == MaxFiles {
			return nil, fmt.Errorf("read rules: more than %d files", MaxFiles)
		}
		if bodies[e.Name()], err = readFile(fsys, e.Name()); err != nil {
			return nil, err
		}
	}
	if len(bodies) == 0 {
		return nil, errors.New("read rules: no *.yaml file found")
	}
	return parse(bodies)
}

// Parse is Load for a single file.
func Parse(name string, body []byte) (*Ruleset, error) {
	if len(body) > MaxFileSize {
		return nil, at(name, nil, "larger than %d bytes", MaxFileSize)
	}
	return parse(map[string][]byte{name: body})
}

func parse(bodies map[string][]byte) (*Ruleset, error) {
	r := &Ruleset{files: map[string]file{}}
	canonical := map[string]map[string]any{}
	for _, base := range slices.Sorted(maps.Keys(bodies)) {
		name := strings.TrimSuffix(base, suffix)
		f, err := check(base, bodies[base])
		if err != nil {
			return nil, err
		}
		r.files[name], canonical[name] = f, f.plain
		r.names = append(r.names, name)
	}
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

// Decode fills into, a pointer to a struct, with the rules of one indicator. A key that it has no field for is an error.
func (r *Ruleset) Decode(indicator string, into any) error {
	f, ok := r.files[indicator]
	if !ok {
		return fmt.Errorf("no rules for indicator %q: %s is missing", indicator, indicator+suffix)
	}
	both, err := withAbout(into)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(f.body))
	d.KnownFields(true)
	if err := d.Decode(both.Interface()); err != nil {
		return located(indicator+suffix, f.doc, err)
	}
	reflect.ValueOf(into).Elem().Set(both.Elem().Field(1))
	return nil
}

// About is what an indicator's file says about itself; its fields are empty where it says nothing.
func (r *Ruleset) About(indicator string) About { return r.files[indicator].about }

// Counts are how many values an indicator's file has, by its keys.
func (r *Ruleset) Counts(indicator string) map[string]int {
	counts := map[string]int{}
	for key, value := range r.files[indicator].plain {
		counts[key] = leaves(value)
	}
	return counts
}

func leaves(value any) int {
	n := 0
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			n += leaves(e)
		}
	case map[string]any:
		for _, e := range v {
			n += leaves(e)
		}
	default:
		return 1
	}
	return n
}

// DigestOf is Digest for one indicator's file alone; empty where there is none.
func (r *Ruleset) DigestOf(indicator string) digest.Digest {
	f, ok := r.files[indicator]
	if !ok {
		return ""
	}
	text, err := json.Marshal(f.plain)
	if err != nil {
		return "" // Load has marshalled it before
	}
	return digest.FromBytes(text)
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
		return nil, at(name, nil, "larger than %d bytes", MaxFileSize)
	}
	return body, nil
}

// check parses one file.
func check(name string, body []byte) (file, error) {
	d := yaml.NewDecoder(bytes.NewReader(body))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return file{}, at(name, nil, "the file is empty")
		}
		return file{}, located(name, nil, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		root := &doc
		if len(doc.Content) > 0 {
			root = doc.Content[0]
		}
		return file{}, at(name, root, "want a mapping of keys to values")
	}
	nodes := 0
	if err := walk(name, &doc, 0, &nodes); err != nil {
		return file{}, err
	}
	var rest yaml.Node
	if err := d.Decode(&rest); !errors.Is(err, io.EOF) {
		return file{}, at(name, &rest, "want one document, found another")
	}
	f := file{body: body, doc: &doc}
	if err := doc.Decode(&f.plain); err != nil {
		return file{}, located(name, &doc, err)
	}
	if _, err := json.Marshal(f.plain); err != nil { // .inf, .nan, keys that are no strings
		return file{}, at(name, nil, "only strings, whole and decimal numbers, lists and mappings with string keys: %v", err)
	}
	if _, ok := f.plain[aboutKey]; ok {
		var only struct {
			About About          `yaml:"about"`
			Rest  map[string]any `yaml:",inline"`
		}
		d := yaml.NewDecoder(bytes.NewReader(body))
		d.KnownFields(true)
		if err := d.Decode(&only); err != nil {
			return file{}, located(name, &doc, err)
		}
		f.about = only.About
		delete(f.plain, aboutKey)
	}
	return f, nil
}

func walk(name string, n *yaml.Node, depth int, nodes *int) error {
	*nodes++
	switch {
	case depth > maxDepth:
		return at(name, n, "nested deeper than %d", maxDepth)
	case *nodes > maxNodes:
		return at(name, n, "more than %d values", maxNodes)
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return at(name, n, "anchors and aliases are not allowed; write the value out")
	}
	for _, c := range n.Content {
		if err := walk(name, c, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}
