package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// Load reads the file, which may be "" for none, lays the environment (as os.Environ gives it) over it, and checks the
// result together with every file that it names.
func Load(file string, environ []string) (Config, error) {
	var body []byte
	if file != "" {
		var err error
		if body, err = readFile(file, maxFile); err != nil {
			return Config{}, fmt.Errorf("configuration: %w", err)
		}
	}
	return parse(file, body, environ, os.Geteuid() == 0)
}

// LoadNames is Load without the check of values and of the files they name, some of which may be yet to be made.
func LoadNames(file string, environ []string) (Config, error) {
	var body []byte
	if file != "" {
		var err error
		if body, err = readFile(file, maxFile); err != nil {
			return Config{}, fmt.Errorf("configuration: %w", err)
		}
	}
	c, _, err := read(file, body, environ, os.Geteuid() == 0)
	return c, err
}

func parse(file string, body []byte, environ []string, root bool) (Config, error) {
	c, at, err := read(file, body, environ, root)
	if err != nil {
		return Config{}, err
	}
	if err := c.validate(at); err != nil {
		return Config{}, err
	}
	return c, nil
}

// read is parse without validation.
func read(file string, body []byte, environ []string, root bool) (Config, origins, error) {
	c, at := Default(), origins{file: file, lines: map[string]string{}}
	if err := decode(body, &c, at); err != nil {
		return Config{}, at, err
	}
	env := environment(environ)
	if err := overlay(&c, env, at); err != nil {
		return Config{}, at, err
	}
	c.complete(env, root)
	return c, at, c.absolute(file)
}

// origins tell where a value was written: file, line and column, or a variable.
type origins struct {
	file  string
	lines map[string]string
}

// place is where a node of the file stands.
func (o origins) place(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", o.file, n.Line, n.Column) }

// errorf is a sentence about the value of key. A value that nobody wrote gets the place of what contains it.
func (o origins) errorf(key, format string, args ...any) error {
	place := ""
	for k := key; place == "" && k != ""; {
		place = o.lines[k]
		k = k[:max(strings.LastIndexAny(k, ".["), 0)]
	}
	switch {
	case place == "" && o.file != "":
		place = o.file
	case place == "":
		place = "configuration"
	}
	return fmt.Errorf("%s: %s: %w", place, key, fmt.Errorf(format, args...))
}

// readFile reads a regular file within a limit. Its errors name no path that the caller does not.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, cannotRead(path, err)
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err != nil {
		return nil, cannotRead(path, err)
	} else if info.IsDir() {
		return nil, fmt.Errorf("cannot read %q: it is a folder, not a file", path)
	}
	body, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, cannotRead(path, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("cannot read %q: it has more than %d bytes", path, limit)
	}
	return body, nil
}

func cannotRead(path string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("cannot read %q: %w", path, err)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// document is the top node of body, nil when there is none. Anchors are refused: what is written is what is meant.
func document(body []byte, file string) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(body))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		line, text := "1", err.Error()
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			text = text[len(m[0]):]
			if m[1] != "" {
				line = m[1]
			}
		}
		return nil, fmt.Errorf("%s:%s: not YAML: %s", file, line, text)
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%d:1: the file has more than one YAML document: keep one", file, max(second.Line, 1))
	}
	if len(doc.Content) != 1 {
		return nil, nil
	}
	if n := anchored(doc.Content[0]); n != nil {
		return nil, fmt.Errorf("%s:%d:%d: anchors and aliases are not used here: write the value out", file, n.Line, n.Column)
	}
	return doc.Content[0], nil
}

func anchored(n *yaml.Node) *yaml.Node {
	if n.Anchor != "" || n.Kind == yaml.AliasNode {
		return n
	}
	for _, child := range n.Content {
		if found := anchored(child); found != nil {
			return found
		}
	}
	return nil
}
