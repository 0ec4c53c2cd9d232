//go:build linux

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/safepull/safepull/test/e2e/engines"
)

// graphDriver makes a current engine keep images as engines before 29 did.
func graphDriver(config map[string]any) map[string]any {
	config["features"] = map[string]any{"containerd-snapshotter": false}
	return config
}

func (w *world) mirrors() map[string]any {
	return map[string]any{"registry-mirrors": []string{"http://" + w.proxy}}
}

// oldDocker is Debian's engine.
func oldDocker(ctx context.Context, w *world) ([]lane, error) {
	e, err := w.engine(ctx, engines.Start, engines.Options{Config: w.mirrors()})
	if err != nil {
		return nil, err
	}
	return w.docker(e, "docker 20.10", mirror, path), nil
}

// graphDocker is the current engine with a graph driver.
func graphDocker(ctx context.Context, w *world) ([]lane, error) {
	e, err := w.engine(ctx, engines.StartCurrent, engines.Options{Config: graphDriver(w.mirrors())})
	if err != nil {
		return nil, err
	}
	return append(w.docker(e, "docker 29 graph driver", mirror, path), w.build(e, "docker build 29 graph driver", mirror, path)...), nil
}

// currentDocker is the current engine as it is shipped.
func currentDocker(ctx context.Context, w *world) ([]lane, error) {
	e, err := w.engine(ctx, engines.StartCurrent, engines.Options{Config: w.mirrors()})
	if err != nil {
		return nil, err
	}
	return append(w.docker(e, "docker 29", mirror, path), w.build(e, "docker build 29", mirror, path)...), nil
}

// enrolledDocker is the current engine with a hosts.toml that safepull wrote.
func enrolledDocker(ctx context.Context, w *world) ([]lane, error) {
	etc, err := w.folder("etc-docker")
	if err != nil {
		return nil, err
	}
	if err := w.enrol(ctx, filepath.Join(etc, "certs.d")); err != nil {
		return nil, err
	}
	e, err := w.engine(ctx, engines.StartCurrent, engines.Options{Etc: etc})
	if err != nil {
		return nil, err
	}
	return append(w.docker(e, "docker 29", enrolled), w.build(e, "docker build 29", enrolled)...), nil
}

// docker asks with "docker pull". An engine never asks for a layer whose manifest it was not given.
func (w *world) docker(e *engines.Engine, name string, roads ...road) []lane {
	var lanes []lane
	for _, r := range roads {
		lanes = append(lanes, lane{client: name, road: r, stores: []string{e.Dir}, pull: func(ctx context.Context, q question) (string, error) {
			_, said, err := w.command(ctx, q.home, e.Environment(), "docker", "pull", w.where(r, q.reference()))
			return said, err
		}})
	}
	return lanes
}

// build asks with "docker buildx build", by a Dockerfile that begins with the image.
func (w *world) build(e *engines.Engine, name string, roads ...road) []lane {
	var lanes []lane
	for _, r := range roads {
		lanes = append(lanes, lane{client: name, road: r, stores: []string{e.Dir}, pull: func(ctx context.Context, q question) (string, error) {
			plugins := filepath.Join(q.home, ".docker", "cli-plugins")
			if err := os.MkdirAll(plugins, 0o700); err != nil {
				return "", err
			}
			if err := os.Symlink(filepath.Join(engines.CurrentDir(), "buildx"), filepath.Join(plugins, "docker-buildx")); err != nil && !errors.Is(err, fs.ErrExist) {
				return "", err
			}
			text := "FROM " + w.where(r, q.reference()) + "\nCOPY Dockerfile /Dockerfile\n"
			if err := os.WriteFile(filepath.Join(q.home, "Dockerfile"), []byte(text), 0o600); err != nil {
				return "", err
			}
			_, said, err := w.command(ctx, q.home, e.Environment(), "docker", "buildx", "build", "--progress=plain", "--tag", q.image.mark, ".")
			return said, err
		}})
	}
	return lanes
}
