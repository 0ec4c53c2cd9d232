package arch

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// parse builds a tree from sources by path.
func parse(t *testing.T, sources map[string]string) *tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, src := range sources {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	tr, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// expect wants one problem for each fragment, in order, and no other.
func expect(t *testing.T, got []problem, fragments ...string) {
	t.Helper()
	if len(got) != len(fragments) {
		t.Fatalf("got %d problems %v, want %d %q", len(got), got, len(fragments), fragments)
	}
	for i, p := range got {
		if !strings.Contains(p.String(), fragments[i]) {
			t.Errorf("problem %d: got %q, want it to contain %q", i, p, fragments[i])
		}
	}
}

func importing(pkg string, paths ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n", pkg)
	for _, p := range paths {
		fmt.Fprintf(&b, "import _ %q\n", p)
	}
	return b.String()
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	in := func(dir string) string { return Module + "/" + dir }
	tests := map[string]struct {
		file  string
		paths []string
		want  []string
	}{
		"trust_std_and_spec":          {"trust/a.go", []string{"io", "github.com/opencontainers/image-spec/specs-go/v1", "github.com/opencontainers/go-digest"}, nil},
		"trust_foreign":               {"trust/a.go", []string{"github.com/spf13/cobra"}, []string{"only the standard library"}},
		"trust_foreign_prefix":        {"trust/a.go", []string{"github.com/opencontainers/go-digester"}, []string{"only the standard library"}},
		"trust_inside":                {"trust/a.go", []string{in("trust/layer")}, []string{"trust may not import trust/layer"}},
		"configs_inside":              {"configs/a.go", []string{in("trust")}, []string{"configs may not import trust"}},
		"configs_to_its_own":          {"configs/a.go", []string{in("configs/internal/archive"), "archive/zip"}, nil},
		"configs_foreign":             {"configs/internal/archive/a.go", []string{"github.com/klauspost/compress/zstd"}, []string{"only the standard library"}},
		"word_to_word":                {"trust/layer/a.go", []string{in("trust"), in("trust/reference")}, nil},
		"word_to_sibling":             {"trust/layer/a.go", []string{in("trust/policy")}, []string{"trust/layer may not import trust/policy"}},
		"sign_to_parent":              {"trust/indicator/stratum/a.go", []string{in("trust"), in("trust/indicator")}, nil},
		"sign_to_sibling":             {"trust/indicator/stratum/a.go", []string{in("trust/indicator/wallet")}, []string{"may not import trust/indicator/wallet"}},
		"all_names_signs":             {"trust/indicator/all/a.go", []string{in("trust/indicator/wallet"), in("trust/ruleset")}, nil},
		"judge_to_word":               {"trust/judge/a.go", []string{in("trust/scan"), in("trust/policy")}, nil},
		"judge_to_adapter":            {"trust/judge/a.go", []string{in("trust/store/sqlite"), in("trust/indicator/all")}, []string{"trust/store/sqlite", "trust/indicator/all"}},
		"store_to_sibling":            {"trust/store/sqlite/a.go", []string{in("trust/store/postgres")}, []string{"may not import"}},
		"trust_to_proxy":              {"trust/scan/a.go", []string{in("proxy/upstream")}, []string{"may not import proxy/upstream"}},
		"enforce_child":               {"proxy/enforce/distribution/a.go", []string{in("proxy/enforce"), in("trust"), in("trust/reference")}, nil},
		"proxy_sibling":               {"proxy/upstream/a.go", []string{in("proxy/blobcache")}, []string{"may not import"}},
		"proxy_child_to_parent":       {"proxy/upstream/credential/a.go", []string{in("proxy/upstream")}, nil},
		"proxy_names_adapter":         {"proxy/a.go", []string{in("proxy/blobcache")}, []string{"may not import"}},
		"proxy_to_plugin":             {"proxy/a.go", []string{in("plugin")}, []string{"may not import plugin"}},
		"plugin_to_proxy":             {"plugin/a.go", []string{in("proxy")}, []string{"may not import proxy"}},
		"plugin_to_child":             {"plugin/a.go", []string{in("plugin/render"), in("trust/reference")}, nil},
		"plugin_sibling":              {"plugin/engine/a.go", []string{in("plugin/render")}, []string{"may not import"}},
		"plugin_to_store":             {"plugin/a.go", []string{in("trust/store/sqlite")}, []string{"may not import"}},
		"cmd_everything":              {"cmd/x/a.go", []string{in("trust/store/sqlite"), in("proxy"), in("plugin"), in("configs")}, nil},
		"cmd_to_test":                 {"cmd/x/a.go", []string{in("test/corpus")}, []string{"may not import test/corpus"}},
		"code_to_kit":                 {"plugin/a.go", []string{in("test/registrytest")}, []string{"may not import"}},
		"test_to_kit":                 {"plugin/a_test.go", []string{in("test/registrytest"), in("trust/store/storetest")}, nil},
		"test_to_latest":              {"trust/a_test.go", []string{in("proxy/latest")}, []string{"rooms stay apart"}},
		"test_over_the_wall":          {"plugin/a_test.go", []string{in("proxy/upstream")}, []string{"rooms stay apart"}},
		"proxy_test_over_the_wall":    {"proxy/a_test.go", []string{in("plugin")}, []string{"rooms stay apart"}},
		"trust_test_to_sibling":       {"trust/scan/a_test.go", []string{in("trust/indicator/stratum"), in("configs")}, nil},
		"trust_test_over_the_wall":    {"trust/scan/a_test.go", []string{in("proxy/blobcache")}, []string{"rooms stay apart"}},
		"unknown_room":                {"lobby/a.go", nil, []string{"no statute"}},
		"own_module_name_is_a_prefix": {"trust/a.go", []string{"github.com/safepull/safepullx"}, []string{"only the standard library"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, parse(t, map[string]string{tt.file: importing("p", tt.paths...)}).imports(), tt.want...)
		})
	}
}

func TestStateRules(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		src  string
		want []string
	}{
		"init":               {"func init() {}", []string{"no init"}},
		"init_method":        {"type T struct{}\nfunc (T) init() {}", nil},
		"table":              {"var table = map[string]int{}\nfunc f() int { return table[\"a\"] }", nil},
		"assigned":           {"var n int\nfunc f() { n = 1 }", []string{"variable n is changed"}},
		"incremented":        {"var n int\nfunc f() { n++ }", []string{"variable n is changed"}},
		"through_an_index":   {"var m = map[string]int{}\nfunc f() { m[\"a\"] = 1 }", []string{"variable m is changed"}},
		"through_a_field":    {"var s struct{ n int }\nfunc f() { s.n = 1 }", []string{"variable s is changed"}},
		"through_a_pointer":  {"var p = new(int)\nfunc f() { *p = 1 }", []string{"variable p is changed"}},
		"deleted":            {"var m = map[string]int{}\nfunc f() { delete(m, \"a\") }", []string{"variable m is changed"}},
		"in_a_literal":       {"var n int\nvar g = func() {}\nfunc f() { _ = func() { n = 1 } }", []string{"variable n is changed"}},
		"by_range":           {"var n int\nfunc f() { for n = range 3 {} }", []string{"variable n is changed"}},
		"shadowed":           {"var n int\nfunc f() { n := 0; n = 1; _ = n }", nil},
		"shadowed_parameter": {"var n int\nfunc f(n int) { n = 1 }", nil},
		"local_field":        {"var n int\nfunc f() { var s struct{ n int }; s.n = 1 }", nil},
		"mutex":              {"import \"sync\"\nvar mu sync.Mutex", []string{"sync.Mutex"}},
		"atomic":             {"import \"sync/atomic\"\nvar n atomic.Int64", []string{"atomic.Int64"}},
		"panic":              {"func f() { panic(1) }", []string{"no panic"}},
		"panic_in_must":      {"func MustF() { panic(1) }", nil},
		"own_panic":          {"func panic(int) {}\nfunc f() { panic(1) }", nil},
		"broken_import":      {"import \"example.org/x\"\nvar n = x.N\nfunc f() { n = x.M }", []string{"variable n is changed"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, parse(t, map[string]string{"trust/a.go": "package p\n" + tt.src}).state(), tt.want...)
		})
	}
	t.Run("kit_may_panic", func(t *testing.T) {
		t.Parallel()
		expect(t, parse(t, map[string]string{"test/kit/a.go": "package p\nfunc f() { panic(1) }"}).state())
	})
	t.Run("assigned_in_another_file", func(t *testing.T) {
		t.Parallel()
		expect(t, parse(t, map[string]string{
			"trust/a.go": "package p\nvar n int",
			"trust/b.go": "package p\nfunc f() { n = 1 }",
		}).state(), "trust/b.go:2: package-level variable n is changed")
	})
}

func TestDocRules(t *testing.T) {
	t.Parallel()
	doc := "// Package p is documented.\npackage p\n"
	tests := map[string]struct {
		src  string
		want []string
	}{
		"good":              {doc + "// F does.\nfunc F() {}\n// C are.\nconst (\nA = 1\nB = 2\n)", nil},
		"no_package":        {"package p", []string{"no package comment"}},
		"wrong_beginning":   {"// This package is p.\npackage p", []string{"must begin with"}},
		"command":           {"// Command x does.\npackage main\nfunc Bare() {}", nil},
		"function":          {doc + "func F() {}", []string{"exported F"}},
		"method":            {doc + "// T is.\ntype T struct{}\nfunc (*T) M() {}", []string{"exported M"}},
		"generic_method":    {doc + "// T is.\ntype T[A any] struct{}\nfunc (T[A]) M() {}", []string{"exported M"}},
		"hidden_method":     {doc + "type t struct{}\nfunc (t) M() {}", nil},
		"type":              {doc + "type T struct{}", []string{"exported T"}},
		"type_in_group":     {doc + "// All.\ntype (\nT struct{}\n)", []string{"exported T"}},
		"constant":          {doc + "const A = 1", []string{"exported A"}},
		"constant_trailing": {doc + "const A = 1 // is one", nil},
		"variable_in_group": {doc + "var (\n// A is.\nA = 1\nB = 2\n)", []string{"exported B"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, parse(t, map[string]string{"trust/a.go": tt.src}).docs(), tt.want...)
		})
	}
	t.Run("two_package_comments", func(t *testing.T) {
		t.Parallel()
		expect(t, parse(t, map[string]string{"trust/a.go": doc, "trust/b.go": doc}).docs(), "several package comments")
	})
}

func lines(n int) string { return strings.Repeat("\n", n) }

func TestBudgetRules(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "func F%d() {}\n", i)
		}
		return b.String()
	}
	tests := map[string]struct {
		src        string
		soft, hard []string
	}{
		"file_at_the_limit":      {"package p" + lines(500), []string{"500 lines a file"}, nil},
		"file_over":              {"package p" + lines(501), nil, []string{"501 lines a file"}},
		"generated":              {"// Code generated by x. DO NOT EDIT.\npackage p" + lines(900), nil, nil},
		"function_at_the_limit":  {"package p\nfunc f() {" + lines(79) + "}", []string{"80 lines a function"}, nil},
		"function_over":          {"package p\nfunc f() {" + lines(80) + "}", nil, []string{"81 lines a function"}},
		"interface_at_the_limit": {"package p\ntype i interface { A(); B(); C(); D(); E() }", []string{"5 methods"}, nil},
		"interface_over":         {"package p\ntype i interface { A(); B(); C(); D(); E(); F() }", nil, []string{"6 methods"}},
		"type_set":               {"package p\ntype i interface { ~int | ~string }", nil, nil},
		"package_at_the_limit":   {"package p\n" + many(25), []string{"25 exported"}, nil},
		"package_over":           {"package p\n" + many(26), nil, []string{"26 exported"}},
		"methods_do_not_count":   {"package p\ntype T struct{}\nfunc (T) A() {}\nfunc (T) B() {}", nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := parse(t, map[string]string{"trust/a.go": tt.src}).budgets()
			expect(t, l.soft, tt.soft...)
			expect(t, l.hard, tt.hard...)
		})
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	chain := func(n int) *tree {
		sources := map[string]string{}
		for i := range n {
			sources[fmt.Sprintf("trust/d%d/a.go", i)] = importing("p", fmt.Sprintf("%s/trust/d%d", Module, i+1))
		}
		sources[fmt.Sprintf("trust/d%d/a.go", n)] = "package p"
		return parse(t, sources)
	}
	expect(t, chain(6).budgets().hard)
	expect(t, chain(7).budgets().hard, "trust/d0 → trust/d1 → trust/d2")
}

func TestLayout(t *testing.T) {
	t.Parallel()
	got, err := layout(fstest.MapFS{"go.mod": {}, "trust/a.go": {}, "attic/a.go": {}, "notes.txt": {}})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, got, "attic", "notes.txt")
}

func TestShare(t *testing.T) {
	t.Parallel()
	tr := parse(t, map[string]string{
		"trust/a.go":                 "package p" + lines(100),
		"trust/a_test.go":            "package p" + lines(50),
		"trust/store/storetest/a.go": "package p" + lines(20),
		"proxy/a.go":                 "package p" + lines(10),
	})
	if share, code := tr.testShare("trust"); share != 700 || code != 100 {
		t.Errorf("trust: got %d per mille of %d lines, want 700 of 100", share, code)
	}
	if share, _ := tr.testShare("proxy"); share != 0 {
		t.Errorf("proxy: got %d, want 0", share)
	}
}

func TestLoadSkips(t *testing.T) {
	t.Parallel()
	tr := parse(t, map[string]string{
		"trust/a.go":            "package p",
		"test/e2e/go.mod":       "module x",
		"test/e2e/a.go":         "package x",
		"trust/testdata/a.go":   "not even Go",
		".tools/a.go":           "not even Go",
		"trust/_scratch/a.go":   "not even Go",
		"test/e2e/engines/b.go": "package x",
	})
	if len(tr.packages) != 1 || tr.packages["trust"] == nil {
		t.Errorf("got %v, want trust alone", tr.packages)
	}
}
