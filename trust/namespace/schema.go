package namespace

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// fileList is a list as it stands in a file. These types say which keys there are; Load reads them node by node, so
// that it can say where a problem is.
type fileList struct {
	Version int         `yaml:"version" need:"true" one:"1" doc:"The version of the format."`
	Entries []fileEntry `yaml:"entries" doc:"The entries. Their order means nothing."`
}

type fileEntry struct {
	Pattern          string     `yaml:"pattern" need:"true" doc:"A glob over registry/namespace/repository, optionally with :tag or @sha256:…. ? is one character, * any run within a component, ** any number of components."`
	Action           string     `yaml:"action" need:"true" one:"allow deny" doc:"What the entry does with what it matches."`
	Tier             string     `yaml:"tier" one:"trusted known" doc:"How far an allow entry trusts the name: trusted (the default) waives the questions about the name itself, known waives none. Content is inspected with both."`
	Reason           string     `yaml:"reason" doc:"Why, for whoever reads the list or meets a refusal."`
	Owner            string     `yaml:"owner" doc:"Who answers for the entry."`
	Ticket           string     `yaml:"ticket" doc:"Where it was asked for."`
	ApprovedBy       string     `yaml:"approvedBy" doc:"Who approved it."`
	Expires          string     `yaml:"expires" doc:"When the entry ends: a day (its beginning, UTC) or a time in RFC 3339."`
	Inspect          bool       `yaml:"inspect" doc:"false waives the inspection of content. It goes with allow and needs reason, owner and expires."`
	Digests          []string   `yaml:"digests" doc:"The only manifests or indexes that an allow entry stands for."`
	RequireSignature fileSigner `yaml:"requireSignature" doc:"Who must have signed what an allow entry stands for."`
	Locked           bool       `yaml:"locked" doc:"true keeps lists of higher levels from being more lenient about what the entry matches."`
}

type fileSigner struct {
	Key        string `yaml:"key" doc:"A public key in PEM."`
	Identity   string `yaml:"identity" doc:"The subject of the signer's certificate, * for any run of characters."`
	Issuer     string `yaml:"issuer" doc:"The https URL of who vouched for the identity."`
	Repository string `yaml:"repository" doc:"The repository that signatures may name where it is another than the image's own, as for copies; * for any run of characters."`
}

// keysOf are the keys of a type, in order.
func keysOf[T any]() []string {
	t := reflect.TypeFor[T]()
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}

// Schema is the JSON Schema of a trust list. Load knows more: what patterns can match, and which keys go together.
func Schema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[fileList]())
	root["$schema"], root["title"] = "https://json-schema.org/draft/2020-12/schema", "Trust list of safepull"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("schema of trust lists: %w", err)
	}
	return append(text, '\n'), nil
}

// schemaOf describes the types above and what they are made of.
func schemaOf(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Struct:
		return schemaOfStruct(t)
	}
	return map[string]any{"type": "string"}
}

func schemaOfStruct(t reflect.Type) map[string]any {
	properties, needed := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		key, of := f.Tag.Get("yaml"), schemaOf(f.Type)
		if one := f.Tag.Get("one"); one != "" && f.Type.Kind() == reflect.String {
			of["enum"] = strings.Fields(one)
		} else if one != "" {
			of["const"] = json.RawMessage(one)
		}
		if f.Tag.Get("need") != "" {
			needed = append(needed, key)
		}
		if key == "expires" {
			of["anyOf"] = []any{map[string]any{"format": "date"}, map[string]any{"format": "date-time"}}
		}
		of["description"] = f.Tag.Get("doc")
		properties[key] = of
	}
	schema := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(needed) > 0 {
		slices.Sort(needed)
		schema["required"] = needed
	}
	return schema
}
