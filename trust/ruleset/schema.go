package ruleset

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Schema is the JSON Schema of the rule file of an indicator whose rules are decoded into a struct of the given type.
func Schema(indicator string, rules reflect.Type) ([]byte, error) {
	if rules.Kind() != reflect.Struct {
		return nil, fmt.Errorf("schema of %q: rules are no struct", indicator)
	}
	root, err := schemaOf(rules, 0)
	if err != nil {
		return nil, fmt.Errorf("schema of %q: %w", indicator, err)
	}
	about, err := schemaOf(reflect.TypeFor[About](), 0)
	if err != nil {
		return nil, err
	}
	root["properties"].(map[string]any)[aboutKey] = about //nolint:forcetypeassert // made above
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Rules of the indicator " + indicator
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema of %q: %w", indicator, err)
	}
	return append(text, '\n'), nil
}

// schemaOf describes what the YAML library decodes into a type.
func schemaOf(t reflect.Type, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s is nested deeper than %d", t, maxDepth)
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		return map[string]any{}, nil // reads itself: anything may stand here
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}, nil
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}, nil
	case reflect.Pointer:
		return schemaOf(t.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		items, err := schemaOf(t.Elem(), depth+1)
		return map[string]any{"type": "array", "items": items}, err
	case reflect.Map:
		values, err := schemaOf(t.Elem(), depth+1)
		return map[string]any{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		properties := map[string]any{}
		err := fieldsOf(t, depth, properties)
		return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}, err
	}
	return nil, fmt.Errorf("%s cannot stand in a rule file", t)
}

func fieldsOf(t reflect.Type, depth int, into map[string]any) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case strings.Contains(options, "inline") && f.Type.Kind() == reflect.Struct:
			if err := fieldsOf(f.Type, depth+1, into); err != nil {
				return err
			}
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			of, err := schemaOf(f.Type, depth+1)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			into[name] = of
		}
	}
	return nil
}
