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

// maxDepth bounds the nesting of JSON documents; manifests and configurations need less than ten.
const maxDepth = 64

// strictJSON decodes a document that every client reads alike. Two members of one object whose names differ at most
// in case are refused, because decoders disagree about which one counts; so is anything after the document. Maps that
// hold free names (labels, annotations) may differ in case.
func strictJSON(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := walkValue(d, "", 0); err != nil {
		if errors.Is(err, trust.ErrMalformed) {
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

func walkValue(d *json.Decoder, name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("JSON is nested more than %d deep: %w", maxDepth, trust.ErrMalformed)
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return walkObject(d, name, depth)
	case json.Delim('['):
		for d.More() {
			if err := walkValue(d, name, depth+1); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

func walkObject(d *json.Decoder, name string, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
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
		if err := walkValue(d, key, depth+1); err != nil {
			return err
		}
	}
	_, err := d.Token()
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
