package all

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust/ruleset"
)

var update = flag.Bool("update", false, "write the schemas anew")

// schemas is the folder of the published schemas.
const schemas = "../../../configs/rules/schema"

// TestSchemasArePublished: one for each indicator, as its Go types are, and no other.
func TestSchemasArePublished(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		want, err := Schema(name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(schemas, name+".json")
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: run go test ./trust/indicator/all -update\n%s", path, diff)
		}
	}
	files, err := os.ReadDir(schemas)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".json"); !slices.Contains(Names(), name) {
			t.Errorf("%s is the schema of no indicator", f.Name())
		}
	}
	if _, err := Schema("unheard-of"); err == nil {
		t.Error("an unknown indicator has a schema")
	}
}

// TestEveryIndicatorExplainsItself: "docker safepull rules explain" has something to say about each.
func TestEveryIndicatorExplainsItself(t *testing.T) {
	t.Parallel()
	rules := shipped(t)
	for _, name := range Names() {
		if err := rules.About(name).Complete(); err != nil {
			t.Errorf("configs/rules/%s.yaml: %v", name, err)
		}
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	rules := shipped(t)
	for _, name := range Names() {
		if ind, err := One(rules, name); err != nil || ind.Name() != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := One(rules, "unheard-of"); err == nil || !strings.Contains(err.Error(), "algorithm") {
		t.Errorf("unknown indicator: %v", err)
	}
	for name, test := range map[string]struct{ file, body, want string }{
		"refused":  {"stratum", "schemes: [short]\nverbs: [a, b, c]\nwake: [method]\nmessages: [{why: w, fields: [a], min: 1}]\nsockets: [socket]\n", `stratum.yaml:1:11: stratum rules: "short" is shorter than 6 bytes`},
		"misspelt": {"stratum", "shcemes: [a]\n", "stratum.yaml:1:1: field shcemes not found"},
	} {
		rs, err := ruleset.Parse(test.file+".yaml", []byte(test.body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := One(rs, test.file); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
}
