package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/safepull/safepull/trust"
)

// maxDepth bounds the nesting of JSON documents; manifests and configurations need less than ten.
const maxDepth = 32

// grammar is what one kind of document is held to beside being JSON.
type grammar struct {
	// values bounds the values of one document, because two bytes of JSON can stand for a hundred in memory.
	values int
	// free are the members that hold maps whose names people choose.
	free []string
	// exact are the names that clients act on. Some readers take them in any case and some do not, so that any other
	// spelling, in whatever object, makes two documents of one.
	exact []string
}

// Twice the largest index, with ten annotations for each entry, stays below the values of a manifest.
var manifestGrammar = grammar{
	values: 50_000,
	free:   []string{"annotations"},
	exact: []string{
		"schemaVersion", "mediaType", "artifactType", "config", "layers", "fsLayers", "manifests", "blobs", "subject",
		"digest", "size", "urls", "data", "annotations",
		"platform", "architecture", "os", "os.version", "os.features", "variant", "features",
	},
}

// Whoever runs an image reads its configuration in any case, and so do we.
var configGrammar = grammar{values: 200_000, free: []string{"annotations", "labels", "volumes", "exposedports"}}

// members are the names in an object, those whose value is null included.
type members map[string]bool

// has looks a name up as clients do that take it in any case.
func (m members) has(name string) bool { return m[fold(name)] }

// strictJSON decodes an object that every client reads alike, and says which members it has. Two members of one object whose names differ at most in
// case are refused, because decoders disagree about which one counts; so is anything after the document. Maps that
// hold free names (labels, annotations) may differ in case. Nothing is kept of a document before it passed.
func strictJSON(body []byte, g grammar, into any) (members, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	w := walker{d: d, grammar: g, left: g.values}
	if err := w.value("", 1); err != nil {
		if errors.Is(err, trust.ErrMalformed) || errors.Is(err, trust.ErrLimit) {
			return nil, err
		}
		return nil, fmt.Errorf("not valid JSON (%w): %w", err, trust.ErrMalformed)
	}
	if w.top == nil {
		return nil, fmt.Errorf("not a JSON object: %w", trust.ErrMalformed)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the JSON document: %w", trust.ErrMalformed)
	}
	if err := json.Unmarshal(body, into); err != nil {
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) {
			return nil, fmt.Errorf("the member %q holds a %s, which does not belong there: %w",
				trust.Sanitise(mistyped.Field, 80), trust.Sanitise(mistyped.Value, 40), trust.ErrMalformed)
		}
		return nil, fmt.Errorf("%w: %w", err, trust.ErrMalformed)
	}
	return w.top, nil
}

// walker reads a document token by token and keeps nothing of it but the names of the objects that it is in.
type walker struct {
	d *json.Decoder
	grammar
	// left is how many values may follow.
	left int
	// top are the names in the outermost object.
	top members
}

// value reads a value that stands under name. Depth counts it among the values that it is in.
func (w *walker) value(name string, depth int) error {
	if w.left--; w.left < 0 {
		return fmt.Errorf("JSON has more than %d values: %w", w.values, trust.ErrLimit)
	}
	token, err := w.d.Token()
	if err != nil {
		return err
	}
	delim, nests := token.(json.Delim)
	if nests && depth > maxDepth {
		return fmt.Errorf("JSON is nested more than %d deep: %w", maxDepth, trust.ErrMalformed)
	}
	switch delim {
	case '{':
		return w.object(name, depth)
	case '[':
		for w.d.More() {
			if err := w.value(name, depth+1); err != nil {
				return err
			}
		}
		_, err = w.d.Token()
	}
	return err
}

func (w *walker) object(name string, depth int) error {
	seen := members{}
	if depth == 1 {
		w.top = seen
	}
	free := slices.Contains(w.free, strings.ToLower(name))
	for w.d.More() {
		token, err := w.d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		if err := w.name(key, free, seen); err != nil {
			return err
		}
		if err := w.value(key, depth+1); err != nil {
			return err
		}
	}
	_, err := w.d.Token()
	return err
}

// name takes one more name into an object's.
func (w *walker) name(key string, free bool, seen members) error {
	folded := key
	if !free {
		folded = fold(key)
		if slices.ContainsFunc(w.exact, func(e string) bool { return e != key && strings.EqualFold(e, key) }) {
			return fmt.Errorf("JSON has the member %q, which clients read differently: %w", trust.Sanitise(key, 80), trust.ErrMalformed)
		}
	}
	if seen[folded] {
		return fmt.Errorf("JSON has the member %q twice: %w", trust.Sanitise(key, 80), trust.ErrMalformed)
	}
	seen[folded] = true
	return nil
}

// fold makes equal what encoding/json takes for equal: letters that differ in case only, in all of Unicode.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		for { // the smallest rune of the orbit
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, s)
}
