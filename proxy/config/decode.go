package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Bytes is a number of bytes, written plain or with KiB, MiB, GiB or TiB.
type Bytes int64

var units = []struct {
	suffix string
	factor int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseBytes(s string) (Bytes, error) {
	digits, factor := s, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q is no number of bytes: write for example 20GiB", s)
	}
	return Bytes(n * factor), nil
}

// decode lays body over into, strictly, and notes where each value stands.
func decode(body []byte, into *Config, at origins) error {
	top, err := document(body, at.file)
	if err != nil || top == nil {
		return err
	}
	return decoder{at}.value("", top, reflect.ValueOf(into).Elem())
}

type decoder struct{ origins }

func (d decoder) value(key string, n *yaml.Node, v reflect.Value) error {
	d.lines[key] = d.place(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil // "key:" without a value leaves the default
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.object(key, n, v)
	case reflect.Slice:
		return d.list(key, n, v)
	}
	if n.Kind != yaml.ScalarNode {
		return d.errorf(key, "one value belongs here, not a list or an object")
	}
	if err := setScalar(v, n.Value); err != nil {
		return d.errorf(key, "%w", err)
	}
	return nil
}

func (d decoder) object(key string, n *yaml.Node, v reflect.Value) error {
	if n.Kind != yaml.MappingNode {
		if key == "" {
			return fmt.Errorf("%s: the file must hold keys and values, such as listen: 127.0.0.1:5000", d.place(n))
		}
		return d.errorf(key, "keys and values belong here: %s", strings.Join(keysOf(v.Type()), ", "))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, child := n.Content[i], n.Content[i+1]
		path := strings.TrimPrefix(key+"."+name.Value, ".")
		field, ok := fieldOf(v, name.Value)
		switch {
		case name.Kind != yaml.ScalarNode || !ok:
			return fmt.Errorf("%s: unknown key %q: %s", d.place(name), path, hint(name.Value, v.Type()))
		case seen[name.Value]:
			return fmt.Errorf("%s: the key %q stands here twice: keep one", d.place(name), path)
		}
		seen[name.Value] = true
		if err := d.value(path, child, field); err != nil {
			return err
		}
	}
	return nil
}

// list replaces the default list whole.
func (d decoder) list(key string, n *yaml.Node, v reflect.Value) error {
	if n.Kind != yaml.SequenceNode {
		return d.errorf(key, "a list belongs here: begin each entry with \"- \"")
	}
	if len(n.Content) == 0 {
		v.SetZero()
		return nil
	}
	if len(n.Content) > maxEntries {
		return d.errorf(key, "the list has more than %d entries", maxEntries)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, child := range n.Content {
		if err := d.value(fmt.Sprintf("%s[%d]", key, i), child, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// hint says which keys there are.
func hint(name string, t reflect.Type) string {
	if name == "password" {
		return "passwords are not written here: use passwordFile, or the environment (SAFEPULL_UPSTREAMS_<n>_CREDENTIALS_PASSWORD)"
	}
	for _, key := range keysOf(t) {
		if strings.EqualFold(key, name) {
			return fmt.Sprintf("write %q", key)
		}
	}
	return "use one of " + strings.Join(keysOf(t), ", ")
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// setScalar reads s as v's type wants it.
func setScalar(v reflect.Value, s string) error {
	switch target := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is no duration: write for example 20s or 30m", s)
		}
		*target = d
	case *Bytes:
		b, err := parseBytes(s)
		if err != nil {
			return err
		}
		*target = b
	case *Secret:
		*target = Secret(s)
	case *string:
		*target = s
	case *int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		*target = n
	case *bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		*target = s == "true"
	default:
		return errors.New("keys and values belong here")
	}
	return nil
}
