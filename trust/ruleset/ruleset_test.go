package ruleset

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

type rules struct {
	Words []string `yaml:"words"`
	Count int      `yaml:"count"`
}

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestLoadAndDecode(t *testing.T) {
	t.Parallel()
	rs, err := Load(files("a.yaml", "words: [x, y]\ncount: 3\n", "b.yaml", "words: []\n", "README", "not yaml: ["))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, rs.Names()); diff != "" {
		t.Error(diff)
	}
	var got rules
	if err := rs.Decode("a", &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules{Words: []string{"x", "y"}, Count: 3}, got); diff != "" {
		t.Error(diff)
	}
	if err := rs.Decode("c", &got); err == nil || !strings.Contains(err.Error(), "c.yaml is missing") {
		t.Errorf("missing file: got %v", err)
	}
}

func TestDigestIsOfTheMeaning(t *testing.T) {
	t.Parallel()
	load := func(pairs ...string) string {
		rs, err := Load(files(pairs...))
		if err != nil {
			t.Fatal(err)
		}
		return rs.Digest().String()
	}
	base := load("a.yaml", "words: [x, y]\ncount: 3\n")
	same := load("a.yaml", "# a comment\ncount: 3\nwords:\n  - x # why\n  - \"y\"\n")
	if base != same {
		t.Error("comments and order of keys changed the digest")
	}
	for name, other := range map[string]string{
		"value": load("a.yaml", "words: [x, z]\ncount: 3\n"),
		"order": load("a.yaml", "words: [y, x]\ncount: 3\n"),
		"name":  load("b.yaml", "words: [x, y]\ncount: 3\n"),
		"type":  load("a.yaml", "words: [x, y]\ncount: \"3\"\n"),
	} {
		if other == base {
			t.Errorf("%s: the digest did not change", name)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	many := fstest.MapFS{}
	for i := range MaxFiles + 1 {
		many[fmt.Sprintf("f%d.yaml", i)] = &fstest.MapFile{Data: []byte("count: 1\n")}
	}
	deep := "words: " + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + "\n"
	for name, test := range map[string]struct {
		fs   fstest.MapFS
		want string
	}{
		"nothing":    {files("README", ""), "no *.yaml file"},
		"empty":      {files("a.yaml", ""), "a.yaml:1:1: the file is empty"},
		"list":       {files("a.yaml", "# c\n- x\n"), "a.yaml:2:1: want a mapping"},
		"syntax":     {files("a.yaml", "words: [x\ncount: 2\n"), "a.yaml:"},
		"duplicate":  {files("a.yaml", "count: 1\ncount: 2\n"), "a.yaml:2:1: mapping key \"count\" already defined"},
		"second":     {files("a.yaml", "count: 1\n---\ncount: 2\n"), "a.yaml:2:1: want one document"},
		"alias":      {files("a.yaml", "a: &x 1\nb: *x\n"), "a.yaml:1:4: anchors"},
		"suffix":     {files("a.yml", "a: 1\n"), "rename it"},
		"too-many":   {many, "more than 64 files"},
		"too-large":  {files("a.yaml", "a: "+strings.Repeat("x", MaxFileSize)), "larger than"},
		"too-deep":   {files("a.yaml", deep), "nested deeper"},
		"too-long":   {files("a.yaml", "words: ["+strings.Repeat("1,", maxNodes)+"]"), "more than 50000 values"},
		"not-finite": {files("a.yaml", "count: .inf\n"), "a.yaml:1:1: only strings"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Load(test.fs); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"unknown-key": {"count: 1\nwrods: [x]\n", "a.yaml:2:1: field wrods not found"},
		"wrong-type":  {"\n\ncount: many\n", "a.yaml:3:1: cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rs, err := Load(files("a.yaml", test.body))
			if err != nil {
				t.Fatal(err)
			}
			var into rules
			err = rs.Decode("a", &into)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("got %v, want prefix %q", err, test.want)
			}
			if strings.Contains(err.Error(), "ruleset.rules") {
				t.Errorf("error names a Go type: %v", err)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{"words: [x]\n", "a: &x [*x]\n", "---\n---\n", "? [a]\n: b\n", "a: !!binary x\n", "\xff", "a: .nan\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		rs, err := Load(fstest.MapFS{"a.yaml": &fstest.MapFile{Data: body}})
		if err != nil {
			return
		}
		if rs.Digest().Validate() != nil {
			t.Error("no digest")
		}
		_ = rs.Decode("a", &rules{})
	})
}
