package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepull/safepull/test/registrytest"
)

// rulesIn writes files into a new folder.
func rulesIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const always = "rule always { condition: true }\n"

func TestLoadYARA(t *testing.T) {
	t.Parallel()
	dir := rulesIn(t, map[string]string{
		"b.yar": "rule b { condition: true }", "a.yara": "rule a { condition: true }", "deep/er/c.yar": "rule c { condition: true }",
		"notes.txt": "no rule", ".hidden.yar": "no rule", ".git/x.yar": "no rule",
	})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for name, paths := range map[string][]string{
		"folder": {dir}, "link": {link}, "files": {dir + "/a.yara", dir + "/b.yar", dir + "/deep"},
	} {
		ind, err := loadYARA(paths)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(ind.Rules().Names(), " "); got != "a b c" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if ind, err := loadYARA(nil); ind != nil || err != nil {
		t.Errorf("no rules: %v %v", ind, err)
	}
}

func TestLoadYARAMistakes(t *testing.T) {
	t.Parallel()
	crowd := map[string]string{}
	for i := range 257 {
		crowd[fmt.Sprintf("%d.yar", i)] = always
	}
	for name, c := range map[string]struct {
		files map[string]string
		path  string
		want  string
	}{
		"missing":     {nil, "none", "no such file or directory"},
		"empty":       {map[string]string{"notes.txt": ""}, ".", "holds no *.yar or *.yara file"},
		"unsupported": {map[string]string{"a.yar": always, "b.yar": "\nimport \"pe\"\n" + always}, ".", `b.yar:2:8: the module "pe" is not supported`},
		"strength":    {map[string]string{"a.yar": `rule a { meta: safepull_strength = "big" condition: true }`}, "a.yar", "a.yar:1:6: rule a: meta safepull_strength"},
		"large":       {map[string]string{"a.yar": strings.Repeat(" ", 4<<20+1)}, ".", "a.yar:1:1: the file is larger than"},
		"many":        {crowd, ".", "holds more than 256 rule files"},
		"no file":     {map[string]string{"a.yar/x": ""}, ".", "holds no *.yar"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := rulesIn(t, c.files)
			ind, err := loadYARA([]string{filepath.Join(dir, c.path)})
			if err == nil || !strings.Contains(err.Error(), c.want) || ind != nil {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), dir) {
				t.Errorf("not one sentence with its place: %q", err)
			}
		})
	}
	if _, err := loadYARA([]string{os.DevNull}); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("a device: %v", err)
	}
}

// TestYARABlocks: a user's rule decides about a pull, another answer under other rules is not taken for one under
// these, and the log says which rules are in force.
func TestYARABlocks(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	put(r, "acme/good", "latest", clean())
	dir := rulesIn(t, map[string]string{"own.yar": `rule own { meta: description = "is not wanted here" safepull_strength = "proof" condition: filesize > 0 }`})
	without := start(t, r, "")
	if resp, body := without.get(t, "/v2/acme/good/manifests/latest"); resp.StatusCode != http.StatusOK {
		t.Fatalf("without rules: %s %s", resp.Status, body)
	}
	with := start(t, r, "yara: ["+dir+"]\n")
	resp, body := with.get(t, "/v2/acme/good/manifests/latest")
	if resp.StatusCode != http.StatusForbidden || !bytes.Contains(body, []byte("is not wanted here")) {
		t.Errorf("with a rule: %s %s", resp.Status, body)
	}
	if err := with.stop(); err != nil {
		t.Error(err)
	}
	loaded, err := loadFiles(judgedFrom(with.config))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{dir, loaded.yara.RulesDigest().String(), "yaraRules=1"} {
		if !strings.Contains(with.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, with.log)
		}
	}
}

func TestYARAMistakeStopsTheProxy(t *testing.T) {
	t.Parallel()
	dir := rulesIn(t, map[string]string{"own.yar": "rule own {\n  condition: pe.is_pe\n}"})
	err := Verify(load(t, "version: 1\nstateDir: x\nyara: ["+dir+"]\n"), nil)
	if err == nil || !strings.Contains(err.Error(), `own.yar:2:14: "pe.is_pe" needs import "pe", or is no module`) {
		t.Errorf("got %v", err)
	}
}
