package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/clamav"
	"github.com/safepull/safepull/trust/publisher"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
)

// folder writes files into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func shippedRules(t *testing.T, limits scan.Limits) *ruling {
	t.Helper()
	loaded, err := loadFiles(sources{shippedList: true, limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRules(loaded)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRulesInForce(t *testing.T) {
	t.Parallel()
	r := shippedRules(t, scan.Limits{})
	checks := r.Checks()
	if len(checks) < 8 {
		t.Fatalf("%d checks", len(checks))
	}
	for _, c := range checks {
		if c.Group == "" || c.Group == c.Name && c.Name != publisher.Name || c.About.Complete() != nil || len(c.Data) == 0 || c.Digest.Validate() != nil || !strings.HasPrefix(c.Check, c.Name+"@") {
			t.Errorf("%+v", c)
		}
	}
	if l := r.Limits(); l["nested.depth"] != 6 || l["layer.bytes"] == 0 {
		t.Errorf("%v", l)
	}
	if r.Ruleset() != r.loaded.rules.Digest() {
		t.Error("another ruleset")
	}
}

func TestRulesInForce_clamAV(t *testing.T) {
	t.Parallel()
	loaded, err := loadFiles(sources{shippedList: true, clamd: clamav.Options{Address: "unix:///nonexistent", Timeout: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRules(loaded)
	if err != nil {
		t.Fatal(err)
	}
	checks := r.Checks()
	if c := checks[len(checks)-1]; c.Name != clamav.Name || c.About.Complete() != nil || c.Group == c.Name || c.Digest != "" {
		t.Errorf("%+v", c)
	}
	tested, err := r.Test(t.Context(), folder(t, map[string]string{"x": "y"}))
	if err != nil || len(tested.Unanswered) != 1 {
		t.Errorf("without a daemon: %v, %+v", err, tested)
	}
}

func TestRulesTest(t *testing.T) {
	t.Parallel()
	script := "#!/bin/sh\nexec ./nginx --donate-" + "level 1 -o " + "stratum" + "+tcp://pool.example.invalid:3333 -u x\n"
	dir := folder(t, map[string]string{"app/run.sh": script, "usr/share/doc/x/README.md": script, "clean": "nothing"})
	if err := os.Symlink("run.sh", filepath.Join(dir, "app/link")); err != nil {
		t.Fatal(err)
	}
	r := shippedRules(t, scan.Limits{})
	tested, err := r.Test(t.Context(), dir)
	if err != nil || tested.Files != 3 || len(tested.Unanswered) > 0 || len(tested.Findings) == 0 || tested.Findings[0].Path != "app/run.sh" {
		t.Errorf("%v: %+v", err, tested)
	}
	if tested, err = r.Test(t.Context(), filepath.Join(dir, "app/run.sh")); err != nil || tested.Files != 1 || tested.Findings[0].Path != "run.sh" {
		t.Errorf("%v: %+v", err, tested)
	}
	if _, err := r.Test(t.Context(), filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := r.Test(t.Context(), "/dev/null"); err == nil {
		t.Error("a device was read")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Test(ended, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	good, err := lint(ctx, "../../../configs/rules")
	if err != nil || good.Files < 8 || len(good.Problems) > 0 {
		t.Errorf("the shipped rules: %v: %+v", err, good)
	}
	dir := folder(t, map[string]string{
		"stratum.yaml":   "\nshcemes: [a]\n",
		"walet.yaml":     "words: [x]\n",
		"algorithm.yaml": "labels: [\n",
		"large.yaml":     "a: " + strings.Repeat("x", ruleset.MaxFileSize),
		"notes.txt":      "no rule",
		"own.yar":        "rule own {\n  condition: pe.is_pe\n}",
		"good.yara":      "rule good { condition: true }",
	})
	bad, err := lint(ctx, dir)
	if err != nil || bad.Files != 6 || len(bad.Problems) != 5 {
		t.Fatalf("%v: %+v", err, bad)
	}
	for i, want := range []string{"algorithm.yaml:1:1: did not find", "large.yaml:1:1: larger than", "own.yar:2:14: ", "stratum.yaml:2:1: field shcemes not found", `walet.yaml:1:1: there is no indicator "walet"`} {
		if got := bad.Problems[i].Error(); !strings.HasPrefix(got, dir+"/"+want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for name, path := range map[string]string{"missing": filepath.Join(dir, "missing"), "no-rules": folder(t, map[string]string{"x": "y"})} {
		if _, err := lint(ctx, path); err == nil {
			t.Errorf("%s: nothing wrong", name)
		}
	}
	many := map[string]string{}
	for i := range 257 {
		many[strings.Repeat("x", i%200+1)+fmt.Sprint(i)+".yar"] = "rule a { condition: true }"
	}
	if _, err := lint(ctx, folder(t, many)); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("too many files: %v", err)
	}
}
