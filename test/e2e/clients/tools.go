//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// crane knows no mirrors.
func crane(_ context.Context, w *world) ([]lane, error) {
	program := filepath.Join(w.tools, "crane")
	return []lane{{
		client: "crane", road: path,
		pull: func(ctx context.Context, q question) (string, error) {
			_, said, err := w.command(ctx, q.home, w.environment(), program, "pull", "--insecure", "--format=oci", w.where(path, q.reference()), filepath.Join(q.home, "image"))
			return said, err
		},
		layer: func(ctx context.Context, q question) (string, error) {
			out, said, err := w.command(ctx, q.home, w.environment(), program, "blob", "--insecure", w.where(path, q.repository)+"@"+q.blob())
			return said, keep(q, out, err)
		},
	}}, nil
}

// registriesConf is what skopeo and podman read from their home.
func (w *world) registriesConf(r road, home string) error {
	dir := filepath.Join(home, ".config", "containers")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text := "unqualified-search-registries = []\n[[registry]]\nprefix = \"docker.io\"\n"
	if r == mirror {
		text += fmt.Sprintf("location = \"docker.io\"\n[[registry.mirror]]\nlocation = %q\ninsecure = true\n", w.proxy)
	} else {
		text += fmt.Sprintf("location = %q\ninsecure = true\n", w.proxy+"/docker.io")
	}
	return os.WriteFile(filepath.Join(dir, "registries.conf"), []byte(text), 0o600)
}

// skopeo asks for docker.io's names on both roads: its configuration rewrites them, with or without another road.
func skopeo(_ context.Context, w *world) ([]lane, error) {
	var lanes []lane
	for _, r := range []road{mirror, path} {
		run := func(ctx context.Context, q question, args ...string) (string, error) {
			if err := w.registriesConf(r, q.home); err != nil {
				return "", err
			}
			_, said, err := w.command(ctx, q.home, w.environment(), "skopeo", append([]string{"--insecure-policy"}, args...)...)
			return said, err
		}
		lanes = append(lanes, lane{
			client: "skopeo", road: r,
			pull: func(ctx context.Context, q question) (string, error) {
				return run(ctx, q, "copy", "docker://docker.io/"+q.reference(), "dir:"+filepath.Join(q.home, "image"))
			},
			layer: func(ctx context.Context, q question) (string, error) {
				_, hex, _ := strings.Cut(q.blob(), ":")
				return run(ctx, q, "layers", "docker://docker.io/"+q.repository+":"+friend, hex)
			},
		})
	}
	return lanes, nil
}

func podman(_ context.Context, w *world) ([]lane, error) {
	root, err := w.folder("podman")
	if err != nil {
		return nil, err
	}
	var lanes []lane
	for _, r := range []road{mirror, path} {
		lanes = append(lanes, lane{client: "podman", road: r, stores: []string{root}, pull: func(ctx context.Context, q question) (string, error) {
			if err := w.registriesConf(r, q.home); err != nil {
				return "", err
			}
			_, said, err := w.command(ctx, q.home, w.environment(), "podman", "--root", filepath.Join(root, "root"), "--runroot", filepath.Join(root, "run"),
				"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "pull", "docker.io/"+q.reference())
			return said, err
		}})
	}
	return lanes, nil
}
