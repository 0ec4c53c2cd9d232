//go:build linux

package engines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxDir keeps the longest socket path below (containerd's debug socket under the exec root) within the 107 bytes
	// that a unix socket address holds.
	maxDir = 60
	// readyTimeout bounds a start; an engine that needs longer on a loaded two-core machine is broken.
	readyTimeout = 90 * time.Second
	// stopTimeout is the grace between SIGTERM and SIGKILL.
	stopTimeout = 20 * time.Second
	// keyPath is the daemon.json key for the identity file of engines up to 23.
	keyPath = "deprecated-key-path"
	// execRoot and stateRoot hold what the engine and its containerd know only while they run.
	execRoot, stateRoot = "x", "s"
)

// ErrUnavailable says that this machine cannot start the engine: not root, or a binary is missing. Tests skip on it.
var ErrUnavailable = errors.New("engine not available here")

// Options says how an engine differs from the default. The zero value is good.
type Options struct {
	// Dir holds everything of the engine. Empty means a new temporary directory that Stop removes. A directory that
	// was used before is used again: what is left of an earlier engine in it is stopped and unmounted first.
	Dir string
	// Env is added to the engine's environment, such as "HTTPS_PROXY=http://127.0.0.1:3128". Proxy and Docker
	// variables of the calling process are not passed on.
	Env []string
	// Config is merged into the engine's daemon.json, such as {"registry-mirrors": ["http://127.0.0.1:5000"]}.
	Config map[string]any
	// Bin is where StartCurrent finds dockerd and containerd; empty means CurrentDir().
	Bin string
	// Etc, when not empty, is what the engine sees as /etc/docker: it runs in a mount namespace of its own. This is
	// where engines look for certs.d/<registry>/hosts.toml.
	Etc string
}

// Engine is a running private engine.
type Engine struct {
	// Host is the value for DOCKER_HOST.
	Host string
	// Dir is the engine's directory, DataRoot and LogFile are in it.
	Dir, DataRoot, LogFile string
	// Version, APIVersion and Driver are what the engine says of itself ("20.10.24+dfsg1", "1.41", "overlay2").
	Version, APIVersion, Driver string

	temporary bool
	processes []*process // in the order of starting
}

// Start starts Debian's engine (package docker.io), which keeps images in a graph driver.
func Start(ctx context.Context, options Options) (*Engine, error) {
	dockerd, err := find("/usr/sbin", "dockerd")
	if err != nil {
		return nil, err
	}
	return start(ctx, options, dockerd, "")
}

// StartCurrent starts a current engine with a containerd of its own, which keeps images in containerd's store. Set
// Config {"features": {"containerd-snapshotter": false}} for a current engine with a graph driver.
func StartCurrent(ctx context.Context, options Options) (*Engine, error) {
	bin := options.Bin
	if bin == "" {
		bin = CurrentDir()
	}
	dockerd, err := find(bin, "dockerd")
	if err != nil {
		return nil, err
	}
	containerd, err := find(bin, "containerd")
	if err != nil {
		return nil, err
	}
	return start(ctx, options, dockerd, containerd)
}

// Environment is what a docker client needs to talk to this engine and to no other.
func (e *Engine) Environment() []string { return []string{"DOCKER_HOST=" + e.Host} }

// Log is what the engine wrote so far.
func (e *Engine) Log() string {
	b, err := os.ReadFile(e.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Stop ends the engine, then its containerd, takes away what they left mounted, and removes the directory if Start made
// it. It may be called more than once.
func (e *Engine) Stop() error {
	var errs []error
	for i := len(e.processes) - 1; i >= 0; i-- {
		errs = append(errs, e.processes[i].stop(stopTimeout))
	}
	errs = append(errs, clearLeftovers(e.Dir))
	if e.temporary {
		errs = append(errs, os.RemoveAll(e.Dir))
	}
	return errors.Join(errs...)
}

func start(ctx context.Context, options Options, dockerd, containerd string) (_ *Engine, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: needs root", ErrUnavailable)
	}
	config := map[string]any{}
	if containerd == "" {
		// Debian's engine would write its identity to /etc/docker/key.json; newer ones do not know the word.
		config[keyPath] = ""
	}
	e, err := prepare(options, config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			err = fmt.Errorf("start %s: %w\n%s", dockerd, err, tail(e.Log(), 2000))
			_ = e.Stop()
		}
	}()
	args := []string{
		"--host=" + e.Host, "--data-root=" + e.DataRoot, "--exec-root=" + filepath.Join(e.Dir, execRoot),
		"--pidfile=" + filepath.Join(e.Dir, "d.pid"), "--config-file=" + filepath.Join(e.Dir, "daemon.json"),
		"--iptables=false", "--ip6tables=false", "--bridge=none",
	}
	if containerd != "" {
		address, err := e.startContainerd(ctx, containerd, 3, options.Env)
		if err != nil {
			return nil, err
		}
		args = append(args, "--containerd="+address)
	}
	p, err := runBehind(options.Etc, dockerd, args, environment(options.Env), e.LogFile)
	if err != nil {
		return nil, err
	}
	e.processes = append(e.processes, p)
	if err := p.await(ctx, e.ask); err != nil {
		return nil, err
	}
	return e, nil
}

// prepare makes the engine's directory, clears it of an earlier engine, and writes daemon.json.
func prepare(options Options, config map[string]any) (*Engine, error) {
	dir, temporary := options.Dir, options.Dir == ""
	if temporary {
		var err error
		if dir, err = os.MkdirTemp("/tmp", "sp-engine-"); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if len(dir) > maxDir {
		return nil, fmt.Errorf("directory %q is longer than %d bytes: its sockets would have no valid address", dir, maxDir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := clearLeftovers(dir); err != nil {
		return nil, err
	}
	if _, ok := config[keyPath]; ok {
		config[keyPath] = filepath.Join(dir, "key.json")
	}
	maps.Copy(config, options.Config)
	b, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), b, 0o600); err != nil {
		return nil, err
	}
	return &Engine{
		Host: "unix://" + filepath.Join(dir, "d.sock"), Dir: dir, DataRoot: filepath.Join(dir, "data"),
		LogFile: filepath.Join(dir, "engine.log"), temporary: temporary,
	}, nil
}

// startContainerd starts a containerd without the CRI plugins and returns its socket.
func (e *Engine) startContainerd(ctx context.Context, binary string, version int, env []string) (string, error) {
	address := filepath.Join(e.Dir, "c.sock")
	config := fmt.Sprintf("version = %d\nroot = %q\nstate = %q\ndisabled_plugins = [%q, %q, %q, %q]\n[grpc]\naddress = %q\n",
		version, filepath.Join(e.Dir, "containerd"), filepath.Join(e.Dir, stateRoot),
		"io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri", address)
	file := filepath.Join(e.Dir, "containerd.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", err
	}
	p, err := run(binary, []string{"--config", file}, environment(env), e.LogFile)
	if err != nil {
		return "", err
	}
	e.processes = append(e.processes, p)
	return address, p.await(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// ask fills in what the engine says of itself; it fails until the engine answers.
func (e *Engine) ask(ctx context.Context) error {
	var version struct{ Version, APIVersion string }
	if err := e.get(ctx, "/version", &version); err != nil {
		return err
	}
	var info struct{ Driver string }
	if err := e.get(ctx, "/info", &info); err != nil {
		return err
	}
	e.Version, e.APIVersion, e.Driver = version.Version, version.APIVersion, info.Driver
	return nil
}

func (e *Engine) get(ctx context.Context, path string, into any) error {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(e.Host, "unix://"))
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
