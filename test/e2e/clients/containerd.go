//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/safepull/safepull/test/e2e/engines"
)

// hostsFile writes DIR/REGISTRY/hosts.toml.
func hostsFile(dir, registry, text string) error {
	dir = filepath.Join(dir, registry)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600)
}

// enrol writes the hosts.toml that safepull-proxy gives to engines: every registry is the proxy, and nobody else.
func (w *world) enrol(ctx context.Context, dir string) error {
	text, said, err := w.command(ctx, w.dir, nil, filepath.Join(w.bin, "safepull-proxy"), "enrol", "--config", w.configuration(), "http://"+w.proxy)
	if err != nil {
		return fmt.Errorf("safepull-proxy enrol: %w: %s", err, said)
	}
	return hostsFile(dir, "_default", text)
}

// asMirror writes a hosts.toml that names the proxy as a mirror.
func (w *world) asMirror(dir string) error {
	return hostsFile(dir, "docker.io", fmt.Sprintf("server = \"https://registry-1.docker.io\"\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", "http://"+w.proxy))
}

// oldContainerd is Debian's.
func oldContainerd(ctx context.Context, w *world) ([]lane, error) {
	return w.containerd(ctx, "", map[string][]string{"containerd 1.6": nil})
}

// currentContainerd has two ways to pull: its transfer service, and ctr by itself as before.
func currentContainerd(ctx context.Context, w *world) ([]lane, error) {
	return w.containerd(ctx, engines.CurrentDir(), map[string][]string{"containerd 2.4 transfer": nil, "containerd 2.4 local": {"--local"}})
}

func (w *world) containerd(ctx context.Context, bin string, variants map[string][]string) ([]lane, error) {
	c, err := engines.StartContainerd(ctx, engines.Options{Bin: bin, Env: w.environment()})
	if err != nil {
		return nil, err
	}
	w.later(c.Stop)
	hosts := map[road]string{}
	for r, write := range map[road]func(string) error{mirror: w.asMirror, enrolled: func(dir string) error { return w.enrol(ctx, dir) }, path: func(dir string) error {
		return hostsFile(dir, w.proxy, fmt.Sprintf("server = %q\n\n[host.%q]\n", "http://"+w.proxy, "http://"+w.proxy))
	}} {
		dir, err := w.folder("hosts-" + filepath.Base(filepath.Dir(c.Root)) + "-" + string(r))
		if err != nil {
			return nil, err
		}
		if err := write(dir); err != nil {
			return nil, err
		}
		hosts[r] = dir
	}
	var lanes []lane
	for name, flags := range variants {
		for _, r := range []road{mirror, enrolled, path} {
			l := lane{client: name, road: r, stores: []string{c.Root}}
			l.pull = func(ctx context.Context, q question) (string, error) {
				args := append([]string{"--address", c.Address, "images", "pull", "--hosts-dir", hosts[r]}, flags...)
				_, said, err := w.command(ctx, q.home, w.environment(), c.CTR, append(args, w.where(r, q.reference()))...)
				return said, err
			}
			// Neither goes through the transfer service. The older one asks for a manifest of that digest first, and a mirror's
			// answer that there is none is final.
			switch {
			case bin == "" && r != mirror:
				l.layer = func(ctx context.Context, q question) (string, error) {
					out, said, err := w.command(ctx, q.home, w.environment(), c.CTR, "--address", c.Address, "content", "fetch-object", "--hosts-dir", hosts[r],
						w.where(r, q.repository)+"@"+q.blob())
					return said, keep(q, out, err)
				}
			case flags != nil:
				l.layer = func(ctx context.Context, q question) (string, error) {
					out, said, err := w.command(ctx, q.home, w.environment(), c.CTR, "--address", c.Address, "content", "fetch-blob", "--hosts-dir", hosts[r],
						w.where(r, q.reference()), q.blob())
					return said, keep(q, out, err)
				}
			}
			lanes = append(lanes, l)
		}
	}
	return lanes, nil
}

// keep puts what a client wrote to standard output where a layer is looked for.
func keep(q question, out string, err error) error {
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(q.home, "layer"), []byte(out), 0o600)
}
