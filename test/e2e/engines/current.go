//go:build linux

package engines

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// The versions that InstallCurrent builds. The moby module's releases lag behind the engine's own numbers: this one
// calls itself 29-compatible and speaks its API.
const (
	mobyVersion       = "v2.0.0-beta.24"
	containerdVersion = "v2.4.2"
	buildxVersion     = "v0.38.2"
)

// CurrentDir is where the current engine's binaries are looked for: $SAFEPULL_ENGINE_BIN, or a folder of the user's
// cache directory that names their versions.
func CurrentDir() string {
	if dir := os.Getenv("SAFEPULL_ENGINE_BIN"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "safepull-e2e", "moby-"+mobyVersion+"-containerd-"+containerdVersion)
}

// InstallCurrent builds the current engine's binaries into CurrentDir with the go command, unless they are there
// already. The first time takes minutes; progress is the go command's own output.
func InstallCurrent(ctx context.Context, progress io.Writer) error {
	dir := CurrentDir()
	for binary, pkg := range map[string]string{
		"dockerd":                 "github.com/moby/moby/v2/cmd/dockerd@" + mobyVersion,
		"containerd":              "github.com/containerd/containerd/v2/cmd/containerd@" + containerdVersion,
		"containerd-shim-runc-v2": "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@" + containerdVersion,
		"ctr":                     "github.com/containerd/containerd/v2/cmd/ctr@" + containerdVersion,
		"buildx":                  "github.com/docker/buildx/cmd/buildx@" + buildxVersion,
	} {
		if _, err := find(dir, binary); err == nil {
			continue
		}
		cmd := exec.CommandContext(ctx, "go", "install", pkg)
		cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		cmd.Dir = os.TempDir() // outside of any module, so that no go.mod has a say
		cmd.Stdout, cmd.Stderr = progress, progress
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("install %s: %w", pkg, err)
		}
	}
	return nil
}
