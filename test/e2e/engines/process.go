//go:build linux

package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a child with its own process group, so that a terminal's Ctrl-C reaches the test and not the engine.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child was reaped
	err  error         // valid after done
}

// run starts a child that appends its output to log.
func run(binary string, args, env []string, log string) (*process, error) {
	return runBehind("", binary, args, env, log)
}

// runBehind is run for a child that sees etc, when that is not empty, as /etc/docker. It becomes the program itself, so
// that its process id is the program's; what it mounts goes with it.
func runBehind(etc, binary string, args, env []string, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(binary, args...)
	attr := &syscall.SysProcAttr{Setpgid: true}
	if etc != "" {
		if err := os.MkdirAll("/etc/docker", 0o755); err != nil { // the engine makes it too
			return nil, err
		}
		script := `mount --bind "$1" /etc/docker && shift && exec "$@"`
		cmd = exec.Command("/bin/sh", append([]string{"-c", script, "sh", etc, binary}, args...)...)
		attr.Unshareflags = syscall.CLONE_NEWNS // what is mounted there is seen nowhere else
	}
	// What stands beside the binary comes first: dockerd finds its own containerd and runc by name.
	cmd.Env = append(env, "PATH="+filepath.Dir(binary)+":/usr/sbin:/usr/bin:/sbin:/bin")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// await asks until ready answers nil, the child ends, or ctx does.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w", p.cmd.Path, errors.Join(p.err, err))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.cmd.Path, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

// stop ends the child: SIGTERM, then after the grace SIGKILL. It returns when the child is gone.
func (p *process) stop(grace time.Duration) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// environment is the caller's without proxies, Docker and service manager variables, plus what was asked for.
func environment(additions []string) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch upper := strings.ToUpper(name); {
		case upper == "PATH", upper == "NOTIFY_SOCKET", strings.HasSuffix(upper, "_PROXY"),
			strings.HasPrefix(upper, "DOCKER_"), strings.HasPrefix(upper, "LISTEN_"), strings.HasPrefix(upper, "OTEL_"):
		default:
			env = append(env, v)
		}
	}
	return append(env, additions...)
}

// find looks for a binary in a directory.
func find(dir, name string) (string, error) {
	path, err := exec.LookPath(filepath.Join(dir, name))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return path, nil
}

func tail(s string, n int) string {
	if len(s) > n {
		s = "…" + s[len(s)-n:]
	}
	return s
}
