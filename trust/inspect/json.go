package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/safepull/safepull/trust"
)

const (
	// maxDepth bounds the nesting of JSON documents; manifests and configurations need less than ten.
	maxDepth = 64
	// maxValues bounds the values of one document, because two bytes of JSON can stand for a hundred in memory.
	maxValues = 200_000
)

// strictJSON decodes a document that every client reads alike. Two members of one object whose names differ at most
// in case are refused, because decoders disagree about which one counts; so is anything after the document. Maps that
// hold free names (labels, annotations) may differ in case.
func strictJSON(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	w := walker{d, maxValues}
	if err := w.value("", 0); err != nil {
		if errors.Is(err, trust.ErrMalformed) || errors.Is(err, trust.ErrLimit) {
			return err
		}
		return fmt.Errorf("not valid JSON (%w): %w", err, trust.ErrMalformed)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the JSON document: %w", trust.ErrMalformed)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", err, trust.ErrMalformed)
	}
	return nil
}

// walker reads a document token by token and keeps nothing of it but the names of the objects that it is in.
type walker struct {
	d *json.Decoder
	// left is how many values may follow.
	left int
}

func (w *walker) value(name string, depth int) error {
	if w.left--; w.left < 0 {
		return fmt.Errorf("JSON has more than %d values: %w", maxValues, trust.ErrLimit)
	}
	if depth > maxDepth {
		return fmt.Errorf("JSON is nested more than %d deep: %w", maxDepth, trust.ErrMalformed)
	}
	token, err := w.d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return w.object(name, depth)
	case json.Delim('['):
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
	seen := map[string]bool{}
	for w.d.More() {
		token, err := w.d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		folded := key
		if !hasFreeNames(name) {
			folded = fold(key)
		}
		if seen[folded] {
			return fmt.Errorf("JSON has the member %q twice: %w", trust.Sanitise(key, 80), trust.ErrMalformed)
		}
		seen[folded] = true
		if err := w.value(key, depth+1); err != nil {
			return err
		}
	}
	_, err := w.d.Token()
	return err
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

func hasFreeNames(object string) bool {
	switch strings.ToLower(object) {
	case "annotations", "labels", "volumes", "exposedports":
		return true
	}
	return false
}
