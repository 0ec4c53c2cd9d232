//go:build linux

package engines

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Containerd is a running private containerd without an engine.
type Containerd struct {
	// Address is its socket, CTR the client of the same version.
	Address, CTR string
	// Root is where it keeps content and snapshots.
	Root string

	engine *Engine
}

// StartContainerd starts Debian's containerd (1.6) where options.Bin is empty, else the one in that folder (2 or later).
// Of the options, Config and Etc mean nothing to it.
func StartContainerd(ctx context.Context, options Options) (*Containerd, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: needs root", ErrUnavailable)
	}
	bin, version := options.Bin, 3
	if bin == "" {
		bin, version = "/usr/bin", 2
	}
	binary, err := find(bin, "containerd")
	if err != nil {
		return nil, err
	}
	ctr, err := find(bin, "ctr")
	if err != nil {
		return nil, err
	}
	e, err := prepare(options, map[string]any{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	address, err := e.startContainerd(ctx, binary, version, options.Env)
	if err != nil {
		err = fmt.Errorf("start %s: %w\n%s", binary, err, tail(e.Log(), 2000))
		_ = e.Stop()
		return nil, err
	}
	return &Containerd{Address: address, CTR: ctr, Root: filepath.Join(e.Dir, "containerd"), engine: e}, nil
}

// Log is what it wrote so far.
func (c *Containerd) Log() string { return c.engine.Log() }

// Stop ends it as Engine.Stop does.
func (c *Containerd) Stop() error { return c.engine.Stop() }
