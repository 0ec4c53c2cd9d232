package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/e2e/engines"
	"github.com/safepull/safepull/test/imagetest"
)

// TestStories tells the stories to Debian's engine, which keeps images in a graph driver.
func TestStories(t *testing.T) { tell(t, engines.Start) }

// TestEngines runs the same stories against a current engine, built from source.
func TestEngines(t *testing.T) {
	if os.Getenv("E2E_ENGINES") == "" {
		t.Skip("set E2E_ENGINES to build and use a current engine: many minutes")
	}
	if err := engines.InstallCurrent(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	tell(t, engines.StartCurrent)
}

// tell runs every script of testdata, each in a folder, with a home, servers and an engine of its own. The registry
// with the corpus is shared: nothing writes to it.
func tell(t *testing.T, start startEngine) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the stories start a Docker engine, which needs root: nothing was tested")
	}
	tools := prepare(t)
	registry := startRegistry(t, tools)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		ContinueOnError:     true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return setup(env, tools, registry, start) },
		Cmds:                commands(),
	})
}

// tools are folders of programs.
type tools struct{ bin, foreign string }

// prepare finds the programs that `make` built, or builds them.
func prepare(t *testing.T) tools {
	t.Helper()
	for _, name := range []string{"docker", "dockerd", "skopeo"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v; `make e2e` installs it", err)
		}
	}
	return tools{
		bin:     folder(t, "E2E_BIN", "../..", "./cmd/docker-safepull", "./cmd/safepull-proxy"),
		foreign: folder(t, "E2E_TOOLS", ".", "github.com/distribution/distribution/v3/cmd/registry", "github.com/google/go-containerregistry/cmd/crane"),
	}
}

func folder(t *testing.T, variable, module string, packages ...string) string {
	t.Helper()
	if dir := os.Getenv(variable); dir != "" {
		return dir
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-buildvcs=false", "-o", dir + "/"}, packages...)...)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %v: %v\n%s", packages, err, out)
	}
	return dir
}

// startRegistry starts the CNCF's registry on loopback and pushes the corpus to it.
func startRegistry(t *testing.T, tools tools) string {
	t.Helper()
	dir := t.TempDir()
	address := freeAddress(t)
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := startServer(filepath.Join(tools.foreign, "registry"), []string{"serve", config}, append(os.Environ(), "OTEL_TRACES_EXPORTER=none"), filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	if err := s.await(address); err != nil {
		t.Fatal(err)
	}
	if err := (imagetest.Pusher{URL: "http://" + address}).PushAll(t.Context(), corpus.Store(samples()...)); err != nil {
		t.Fatal(err)
	}
	return address
}

// samples are all images of the corpus.
func samples() []corpus.Sample {
	mixed, clean := corpus.MultiArch(corpus.Seed)
	return append(corpus.Generate(corpus.Seed), mixed, clean)
}

// setup gives a script a home of its own, with the plugin where docker looks for it. DIGEST_… variables name the
// manifests of the corpus, LAYER_… their topmost layers.
func setup(env *testscript.Env, tools tools, registry string, start startEngine) error {
	home := filepath.Join(env.WorkDir, "home")
	plugins := filepath.Join(home, ".docker", "cli-plugins")
	if err := os.MkdirAll(plugins, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join(tools.bin, "docker-safepull"), filepath.Join(plugins, "docker-safepull")); err != nil {
		return err
	}
	guarded, err := listenOnce() // for a registry that the script starts
	if err != nil {
		return err
	}
	for k, v := range map[string]string{
		"BIN": tools.bin, "GUARDED": guarded, "HOME": home, "DOCKER_CONFIG": filepath.Join(home, ".docker"), "REGISTRY": registry,
		"XDG_DATA_HOME": filepath.Join(home, "data"), "XDG_CONFIG_HOME": filepath.Join(home, "config"), "XDG_CACHE_HOME": filepath.Join(home, "cache"),
		"PATH": strings.Join([]string{tools.bin, tools.foreign, os.Getenv("PATH")}, string(os.PathListSeparator)),
		// No engine until a script starts one: a story never meets the machine's own.
		"DOCKER_HOST": "unix://" + filepath.Join(env.WorkDir, "no-engine.sock"), "DOCKER_CLI_HINTS": "false", "NO_COLOR": "1",
	} {
		env.Setenv(k, v)
	}
	for _, s := range samples() {
		kind := "CLEAN"
		if s.Mining {
			kind = "MINING"
		}
		name := kind + "_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
		env.Setenv("DIGEST_"+name, s.Image.Root.Digest.String())
		if blobs := s.Image.Blobs; len(blobs) > 0 {
			env.Setenv("LAYER_"+name, blobs[len(blobs)-1].Descriptor.Digest.String())
		}
	}
	st := &story{env: env, tools: tools, start: start}
	env.Values[storyKey{}] = st
	env.Defer(st.close)
	return nil
}

type storyKey struct{}

// startEngine is how package engines starts one.
type startEngine func(context.Context, engines.Options) (*engines.Engine, error)

// exitStatus of a command that ran, -1 when it did not.
func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}
