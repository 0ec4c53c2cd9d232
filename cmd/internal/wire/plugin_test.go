//go:build linux

package wire

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/streams"

	"github.com/safepull/safepull/plugin"
)

// fakeCLI is a docker CLI with a configuration file and standard error only.
type fakeCLI struct {
	command.Cli
	err  *bytes.Buffer
	file string
}

func (c fakeCLI) Err() *streams.Out                  { return streams.NewOut(c.err) }
func (c fakeCLI) ConfigFile() *configfile.ConfigFile { return configfile.New(c.file) }

// What undoes gzip can be chosen; a name that is not known is an error, not the default.
func TestPluginInflate(t *testing.T) {
	for name, ok := range map[string]bool{"": true, "fast": true, "klauspost": true, "stdlib": true, "slow": false} {
		t.Setenv("SAFEPULL_INFLATE", name)
		deps := Plugin(fakeCLI{err: &bytes.Buffer{}, file: filepath.Join(t.TempDir(), "config.json")}, plugin.Version{})
		if _, err := deps.Judge(t.Context(), ""); (err == nil) != ok || !ok && !strings.Contains(err.Error(), "SAFEPULL_INFLATE") {
			t.Errorf("%q: %v", name, err)
		}
		if err := deps.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPluginForgets: where the user's folder cannot be written to, as /sys for everyone, a run has a memory of its own
// that is gone after it, and says so. A store that is there and broken stays an error.
func TestPluginForgets(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	cli := fakeCLI{err: &bytes.Buffer{}, file: "/sys/config.json"}
	deps := Plugin(cli, plugin.Version{})
	memory, err := deps.Verdicts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := memory.VerdictByID(t.Context(), "SP-0000000000"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if _, err := deps.Judge(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if err := deps.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if said := cli.err.String(); strings.Count(said, "note: nothing is remembered after this run: ") != 1 {
		t.Errorf("said %q", said)
	}

	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "safepull"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "safepull", "state.db"), []byte(strings.Repeat("x", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := Plugin(fakeCLI{err: &bytes.Buffer{}, file: filepath.Join(dir, "config.json")}, plugin.Version{})
	if _, err := broken.Judge(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "state.db") {
		t.Errorf("a broken store: %v", err)
	}
	if err := broken.Close(); err != nil {
		t.Error(err)
	}
}

// TestPluginReadsYARA: the folder "yara" beside the user's other files.
func TestPluginReadsYARA(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"good": {always, ""},
		"bad":  {"rule own { condition: }", "own.yar:1:23: expected a condition"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := rulesIn(t, map[string]string{"safepull/yara/own.yar": c.text})
			deps := Plugin(fakeCLI{err: &bytes.Buffer{}, file: filepath.Join(dir, "config.json")}, plugin.Version{})
			_, err := deps.Judge(t.Context(), "")
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err := deps.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
