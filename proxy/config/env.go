package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// envPrefix begins every variable that is ours; one that names no key is an error, since it may be a typing mistake.
const envPrefix = "SAFEPULL_"

const (
	// envFile names the configuration file; it is the caller's to read.
	envFile = envPrefix + "CONFIG"
	// envPlugin is where the command line plugin finds a proxy; it may stand in the same environment.
	envPlugin = envPrefix + "PROXY"
)

// maxEntries bounds a list, so that an index in a variable's name cannot ask for endless memory.
const maxEntries = 1000

func environment(environ []string) map[string]string {
	env := map[string]string{}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			env[name] = value
		}
	}
	return env
}

// overlay sets the keys that the environment names, list entries in order of their numbers.
func overlay(c *Config, env map[string]string, at origins) error {
	var names []string
	for name := range env {
		if strings.HasPrefix(name, envPrefix) && name != envFile && name != envPlugin {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, byNumbers)
	for _, name := range names {
		found, err := set(reflect.ValueOf(c).Elem(), "", strings.TrimPrefix(name, envPrefix), name, env[name], at)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%s: no key of the configuration has this name: unset it, or see \"safepull-proxy config print-default\" for the keys", name)
		}
	}
	return nil
}

// byNumbers orders names so that entry 2 comes before entry 10.
func byNumbers(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "_"), strings.Split(b, "_"), func(x, y string) int {
		i, errX := strconv.Atoi(x)
		j, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return cmp.Or(cmp.Compare(i, j), cmp.Compare(x, y))
		}
		return cmp.Compare(x, y)
	})
}

// set gives value to what rest names inside v, whose own key is key.
func set(v reflect.Value, key, rest, name, value string, at origins) (bool, error) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			word := cmp.Or(field.Tag.Get("env"), field.Tag.Get("yaml"))
			below, ok := strings.CutPrefix(rest, upperWords(word))
			if !ok || below != "" && below[0] != '_' {
				continue
			}
			path := strings.TrimPrefix(key+"."+word, ".")
			if found, err := set(v.Field(i), path, strings.TrimPrefix(below, "_"), name, value, at); found || err != nil {
				return found, err
			}
		}
		return false, nil
	case reflect.Slice:
		return setEntry(v, key, rest, name, value, at)
	}
	if rest != "" {
		return false, nil
	}
	at.lines[key] = name
	if err := setScalar(v, value); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

func setEntry(v reflect.Value, key, rest, name, value string, at origins) (bool, error) {
	digits, below, _ := strings.Cut(rest, "_")
	i, err := strconv.Atoi(digits)
	if err != nil || strconv.Itoa(i) != digits || i < 0 {
		return false, nil //nolint:nilerr // no number: no key has this name
	}
	if i > v.Len() || i >= maxEntries {
		return false, fmt.Errorf("%s: %s has %d entries: number the next one %d", name, key, v.Len(), v.Len())
	}
	if i == v.Len() {
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	}
	path := fmt.Sprintf("%s[%d]", key, i)
	if at.lines[path] == "" {
		at.lines[path] = name
	}
	return set(v.Index(i), path, below, name, value, at)
}

// upperWords spells a key for the environment: "plainHTTP" is "PLAIN_HTTP".
func upperWords(key string) string {
	var b strings.Builder
	lower := false
	for _, r := range key {
		if unicode.IsUpper(r) && lower {
			b.WriteByte('_')
		}
		lower = !unicode.IsUpper(r)
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
