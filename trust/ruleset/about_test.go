package ruleset

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const withText = "about:\n  sign: a word\n  means: it says so\n  matters: words matter\n  lookAlikes: [a name]\nwords: [x, longer]\ncount: 3\n"

func TestAbout(t *testing.T) {
	t.Parallel()
	rs, err := Load(files("a.yaml", withText, "b.yaml", "words: [x]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got rules
	if err := rs.Decode("a", &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules{Words: []string{"x", "longer"}, Count: 3}, got); diff != "" {
		t.Error(diff)
	}
	about := About{Sign: "a word", Means: "it says so", Matters: "words matter", LookAlikes: []string{"a name"}}
	if diff := cmp.Diff(about, rs.About("a")); diff != "" {
		t.Error(diff)
	}
	if about.Complete() != nil || rs.About("b").Complete() == nil {
		t.Error("complete texts are refused, or missing ones are not")
	}
	if diff := cmp.Diff(map[string]int{"words": 2, "count": 1}, rs.Counts("a")); diff != "" {
		t.Error(diff)
	}
	plain, err := Parse("a.yaml", []byte("words: [x, longer]\ncount: 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	if plain.DigestOf("a") != rs.DigestOf("a") || plain.DigestOf("a") == "" || rs.DigestOf("c") != "" {
		t.Error("what a file says about itself changes its meaning")
	}
}

func TestAbout_complete(t *testing.T) {
	t.Parallel()
	good := About{Sign: "s", Means: "m", Matters: "m", LookAlikes: []string{"l"}}
	for name, change := range map[string]func(*About){
		"no-sign":          func(a *About) { a.Sign = "" },
		"long-sign":        func(a *About) { a.Sign = strings.Repeat("x", maxSignText+1) },
		"long-means":       func(a *About) { a.Means = strings.Repeat("x", maxText+1) },
		"no-matters":       func(a *About) { a.Matters = "" },
		"no-look-alikes":   func(a *About) { a.LookAlikes = nil },
		"many-look-alikes": func(a *About) { a.LookAlikes = make([]string, maxLookAlikes+1) },
		"empty-look-alike": func(a *About) { a.LookAlikes = []string{""} },
	} {
		a := good
		change(&a)
		if a.Complete() == nil {
			t.Errorf("%s is complete", name)
		}
	}
	if err := good.Complete(); err != nil {
		t.Error(err)
	}
}

func TestAboutRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, want string }{
		"unknown-key": {"about:\n  signs: x\n", "a.yaml:2:3: field signs not found"},
		"wrong-type":  {"words: [x]\nabout: much\n", "a.yaml:2:1: cannot unmarshal !!str `much`"},
	} {
		_, err := Parse("a.yaml", []byte(test.body))
		var p *Problem
		if !errors.As(err, &p) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if _, err := Parse("a.yaml", make([]byte, MaxFileSize+1)); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("too large: %v", err)
	}
}

func TestLocate(t *testing.T) {
	t.Parallel()
	rs, err := Parse("a.yaml", []byte(withText))
	if err != nil {
		t.Fatal(err)
	}
	known := &Problem{File: "b.yaml", Line: 3, Column: 4, What: "known"}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"quoted":     {errors.New(`word "longer" is too long`), `a.yaml:6:12: word "longer" is too long`},
		"not-there":  {errors.New(`word "missing" is too long`), `a.yaml:1:1: word "missing"`},
		"not-quoted": {errors.New("words are empty"), "a.yaml:1:1: words are empty"},
		"known":      {known, "b.yaml:3:4: known"},
	} {
		if got := rs.Locate("a", test.err).Error(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestDecodeWantsAStruct(t *testing.T) {
	t.Parallel()
	rs, err := Parse("a.yaml", []byte("words: [x]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, into := range []any{nil, rules{}, &map[string]any{}} {
		if err := rs.Decode("a", into); err == nil {
			t.Errorf("decoded into %T", into)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	type deep struct {
		Name    string             `yaml:"name"`
		Weights map[string]float64 `yaml:"weights,omitempty"`
		Once    *uint              `yaml:"once"`
		On      bool
		Hidden  int `yaml:"-"`
	}
	type all struct {
		Deep  []deep `yaml:"deep"`
		Inner rules  `yaml:",inline"`
	}
	text, err := Schema("a", reflect.TypeFor[all]())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"title": "Rules of the indicator a"`, `"additionalProperties": false`, `"words": {`, `"type": "integer"`,
		`"minimum": 0`, `"on": {`, `"sign": {`, `"type": "number"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if strings.Contains(strings.ToLower(string(text)), "hidden") {
		t.Errorf("describes what is not read: %s", text)
	}
	type self struct{ Again []self }
	for name, bad := range map[string]reflect.Type{
		"no-struct": reflect.TypeFor[int](), "channel": reflect.TypeFor[struct{ C chan int }](), "endless": reflect.TypeFor[self](),
	} {
		if _, err := Schema("a", bad); err == nil {
			t.Errorf("%s has a schema", name)
		}
	}
}
