//go:build linux

package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts one engine for a test, or skips it where that is not possible.
func startFor(t *testing.T, start func(context.Context, Options) (*Engine, error), options Options) *Engine {
	t.Helper()
	e, err := start(t.Context(), options)
	if errors.Is(err, ErrUnavailable) && os.Getenv("E2E_ENGINES") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

var kinds = []struct {
	name  string
	start func(context.Context, Options) (*Engine, error)
}{{"debian", Start}, {"current", StartCurrent}}

func TestStartStop(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			e := startFor(t, kind.start, Options{
				Env:    []string{"HTTPS_PROXY=http://127.0.0.1:3128"},
				Config: map[string]any{"registry-mirrors": []string{"http://127.0.0.1:5999"}},
			})
			if e.Version == "" || e.APIVersion == "" || e.Driver == "" {
				t.Errorf("the engine says nothing of itself: %+v", e)
			}
			var info struct {
				RegistryConfig struct{ Mirrors []string }
				HTTPSProxy     string `json:"HttpsProxy"`
			}
			if err := e.get(t.Context(), "/info", &info); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(info.RegistryConfig.Mirrors, "http://127.0.0.1:5999/") || info.HTTPSProxy != "http://127.0.0.1:3128" {
				t.Errorf("options did not arrive: %+v", info)
			}
			if err := e.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := e.Stop(); err != nil {
				t.Errorf("stopped twice: %v", err)
			}
			if _, err := os.Stat(e.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s stays: %v", e.Dir, err)
			}
			if pids := owned(e.Dir); len(pids) > 0 {
				t.Errorf("processes %v stay", pids)
			}
		})
	}
}

// TestContainerd: Debian's containerd alone, and its client.
func TestContainerd(t *testing.T) {
	c, err := StartContainerd(t.Context(), Options{})
	if errors.Is(err, ErrUnavailable) && os.Getenv("E2E_ENGINES") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	if out, err := exec.CommandContext(t.Context(), c.CTR, "--address", c.Address, "version").CombinedOutput(); err != nil || !strings.Contains(string(out), "Server") {
		t.Errorf("ctr: %v\n%s\n%s", err, out, c.Log())
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s stays: %v", c.Root, err)
	}
}

// TestEtc: the engine sees another /etc/docker, and nobody else does.
func TestEtc(t *testing.T) {
	etc := t.TempDir()
	if err := os.WriteFile(filepath.Join(etc, "seen"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := startFor(t, Start, Options{Etc: etc})
	dockerd := e.processes[len(e.processes)-1].cmd.Process.Pid
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/etc/docker/seen", dockerd)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/etc/docker/seen"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("this process sees it too: %v", err)
	}
}

// TestAfterCrash starts again in the directory of an engine that nobody stopped.
func TestAfterCrash(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("/tmp", "sp-engine-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			first := startFor(t, kind.start, Options{Dir: dir})
			dockerd := first.processes[len(first.processes)-1]
			if err := syscall.Kill(dockerd.cmd.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-dockerd.done
			if kind.name == "current" && len(owned(dir)) == 0 { // Debian's engine takes its containerd along
				t.Error("no containerd is left: this test tests nothing")
			}
			second := startFor(t, kind.start, Options{Dir: dir})
			if err := second.Stop(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("a directory of the caller's was removed: %v", err)
			}
		})
	}
}

// TestTwo: engines do not disturb each other.
func TestTwo(t *testing.T) {
	a, b := startFor(t, Start, Options{}), startFor(t, Start, Options{})
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
	if err := b.ask(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBadStart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := Start(t.Context(), Options{Dir: "/tmp/" + strings.Repeat("x", maxDir)}); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("long directory: %v", err)
	}
	if _, err := StartCurrent(t.Context(), Options{Bin: t.TempDir()}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no binaries: %v", err)
	}
	_, err := Start(t.Context(), Options{Config: map[string]any{"no-such-key": true}})
	if err == nil || !errors.Is(err, ErrUnavailable) && !strings.Contains(err.Error(), "no-such-key") {
		t.Errorf("the log does not stand in the error: %v", err)
	}
}

func TestMountsBelow(t *testing.T) {
	t.Parallel()
	const mountinfo = `36 35 98:0 / / rw shared:1 - ext4 /dev/root rw
40 36 0:30 / /tmp/a/data rw - tmpfs tmpfs rw
41 40 0:31 / /tmp/a/data/deep\040er/x rw - tmpfs tmpfs rw
42 36 0:32 / /tmp/ab/data rw - tmpfs tmpfs rw
43 36 0:33 / /tmp/a rw - tmpfs tmpfs rw
`
	got := mountsBelow(mountinfo, "/tmp/a")
	if want := []string{"/tmp/a/data/deep er/x", "/tmp/a/data"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "https_proxy", "NO_PROXY", "DOCKER_HOST", "NOTIFY_SOCKET"} {
		t.Setenv(name, "x")
	}
	t.Setenv("SAFEPULL_KEPT", "x")
	env := environment([]string{"HTTPS_PROXY=mine"})
	for _, v := range env {
		if name, value, _ := strings.Cut(v, "="); value == "x" && name != "SAFEPULL_KEPT" {
			t.Errorf("%s is passed on", v)
		}
	}
	if !slices.Contains(env, "SAFEPULL_KEPT=x") || !slices.Contains(env, "HTTPS_PROXY=mine") {
		t.Errorf("got %q", env)
	}
}

// TestHandover runs the hand-over's own test, which stands with its code, against an engine of each kind.
func TestHandover(t *testing.T) {
	graph := map[string]any{"features": map[string]any{"containerd-snapshotter": false}}
	for _, c := range []struct {
		name  string
		start func(context.Context, Options) (*Engine, error)
		Options
	}{
		{"debian", Start, Options{}},
		{"current", StartCurrent, Options{}},
		{"current with a graph driver", StartCurrent, Options{Config: graph}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := startFor(t, c.start, c.Options)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-run=^TestRealEngine$", "./plugin/engine")
			cmd.Dir = filepath.Join("..", "..", "..")
			cmd.Env = append(os.Environ(), "GOWORK=off", "SAFEPULL_TEST_ENGINES="+e.Host)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s\nengine's log:\n%s", err, out, tail(e.Log(), 4000))
			}
		})
	}
}
