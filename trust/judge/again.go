package judge

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/rootfs"
)

// What is read of layers a second time, of one image: memory for scripts, and a temporary file for what is joined or
// opened with a password.
const (
	maxBody   = 8 << 20
	maxBodies = 32 << 20
	maxSpool  = 256 << 20
)

// Opener inspects one file again, with passwords for archives in it. trust/scan implements it; a Scanner need not.
type Opener interface {
	File(ctx context.Context, blob digest.Digest, e layer.Entry, r io.Reader, passwords []string) ([]trust.Finding, error)
}

// rereading is one more walk through a layer, for a few files.
type rereading struct {
	wanted map[string]func(io.Reader) error
}

// File implements layer.Visitor.
func (v *rereading) File(_ context.Context, e layer.Entry, r io.Reader) error {
	if take := v.wanted[e.Path]; take != nil {
		return take(r)
	}
	return nil
}

// reread walks through the layers of files once each, in the order of the manifest.
func (c *inquiry) reread(ctx context.Context, files []*rootfs.File, take func(*rootfs.File, io.Reader) error) error {
	by := map[int]*rereading{}
	for _, f := range files {
		i := c.layerOf(f.Layer)
		if i < 0 {
			return fmt.Errorf("%w: the manifest has no layer %s", trust.ErrMalformed, f.Layer)
		}
		if by[i] == nil {
			by[i] = &rereading{wanted: map[string]func(io.Reader) error{}}
		}
		by[i].wanted[f.Path] = func(r io.Reader) error { return take(f, r) }
	}
	for i, desc := range c.manifest.Layers {
		if by[i] == nil {
			continue
		}
		if err := c.rewalk(ctx, i, by[i]); err != nil {
			return fmt.Errorf("read %s again: %w", desc.Digest, err)
		}
	}
	return nil
}

func (c *inquiry) rewalk(ctx context.Context, i int, v layer.Visitor) (err error) {
	if err := c.judge.layers.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.judge.layers.Release(1)
	desc := c.manifest.Layers[i]
	r, err := c.src.Fetch(ctx, c.ref, desc)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := r.Close(); err == nil {
			err = closeErr
		}
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: reading failed: %v", trust.ErrUnsupported, p)
		}
	}()
	_, err = layer.Walk(ctx, r, desc, c.judge.Limits, v)
	return err
}

// readBodies reads scripts whose bodies were not kept. A body that is longer than maxBody stays shorter than it is, which
// closure.Resolve takes for too long.
func (c *inquiry) readBodies(ctx context.Context, files []*rootfs.File, bodies map[*rootfs.File]string) error {
	total := 0
	for _, body := range bodies {
		total += len(body)
	}
	for _, f := range files {
		bodies[f] = "" // also if the walk does not come by
	}
	return c.reread(ctx, files, func(f *rootfs.File, r io.Reader) error {
		total -= len(bodies[f]) // the last one of a path counts
		body, err := io.ReadAll(io.LimitReader(r, int64(max(min(maxBody, maxBodies-total), 0))))
		bodies[f] = string(body)
		total += len(body)
		return err
	})
}

// askAgain inspects what scripts join, what they have passwords for, and what runs and hides something: knowing that,
// formats are looked for that nothing at the beginning of a file tells.
func (c *inquiry) askAgain(ctx context.Context, runs *closure.Closure) error {
	opener, ok := c.judge.Scanner.(Opener)
	files := c.closed()
	if !ok || len(runs.Joins)+len(runs.Passwords)+len(files) == 0 {
		return nil
	}
	for _, j := range runs.Joins {
		for _, p := range j.Parts {
			files = append(files, p.File)
		}
	}
	passwords := map[*rootfs.File][]string{}
	for _, f := range c.closed() {
		passwords[f] = []string{}
	}
	for _, p := range runs.Passwords {
		if passwords[p.Archive] == nil { // not closed either
			files = append(files, p.Archive)
		}
		passwords[p.Archive] = append(passwords[p.Archive], p.Password)
	}
	spool := &spool{limit: maxSpool, parts: map[*rootfs.File]part{}}
	defer spool.close()
	if err := c.reread(ctx, files, spool.take); err != nil {
		return err
	}
	for _, j := range runs.Joins {
		if err := c.askJoined(ctx, opener, spool, j); err != nil {
			return err
		}
	}
	for _, f := range slices.Compact(files) {
		if passwords[f] == nil {
			continue
		}
		p, err := spool.content(f)
		if err != nil {
			return err
		}
		e := layer.Entry{Path: f.Path, Mode: fs.FileMode(f.Mode) & fs.ModePerm, Size: p.size}
		found, err := opener.File(ctx, f.Layer, e, spool.reader(p), passwords[f])
		if err == nil {
			c.signs.opened(f.Layer, e.Path) // whether it still hides something, found says
		}
		c.foundRunning(found)
		if err != nil {
			return fmt.Errorf("%s: %w", trust.Sanitise(e.Path, 200), err)
		}
		passwords[f] = nil
	}
	return nil
}

// closed are the files that run, and whose first reading left something hidden, as far as they may be kept.
func (c *inquiry) closed() []*rootfs.File {
	var files []*rootfs.File
	room := int64(maxSpool / 2) // the rest is for what scripts name
	for i, f := range c.signs.weighed {
		if f.Class != trust.ClassOpaque || f.Reach != trust.ReachRuns || c.signs.running[i] || strings.Contains(f.Path, trust.Nested) {
			continue
		}
		for _, file := range c.merged.Files(f.Layer, f.Path) {
			if !slices.Contains(files, file) && file.Size <= room {
				files, room = append(files, file), room-file.Size
			}
		}
	}
	return files
}

// askJoined inspects what a script joins or cuts out, in every way that this may be.
func (c *inquiry) askJoined(ctx context.Context, opener Opener, spool *spool, j closure.Join) error {
	ways, err := spool.join(j)
	if err != nil {
		return err
	}
	for _, way := range ways {
		if way.size() == 0 {
			continue
		}
		e := layer.Entry{Path: joinName(j, way), Mode: fs.FileMode(0o755), Size: way.size()}
		found, err := opener.File(ctx, j.Parts[0].File.Layer, e, spool.reader(way.parts...), nil)
		c.foundRunning(found)
		if err != nil {
			return fmt.Errorf("%s: %w", trust.Sanitise(e.Path, 200), err)
		}
	}
	return nil
}

// foundRunning adds findings in content that what runs makes or opens, unless they are known.
func (c *inquiry) foundRunning(found []trust.Finding) {
	type place struct {
		check  string
		layer  digest.Digest
		path   string
		offset int64
	}
	// What is known to run, and weighs as much, is no news.
	known := map[place]trust.Strength{}
	for i, f := range c.signs.raw {
		if w := c.signs.weighed[i]; w.Reach == trust.ReachRuns {
			at := place{f.Check, f.Layer, f.Path, f.Offset}
			known[at] = max(known[at], w.Strength+1)
		}
	}
	found = slices.DeleteFunc(found, func(f trust.Finding) bool {
		return known[place{f.Check, f.Layer, f.Path, f.Offset}] > max(f.Strength, f.IfRun)
	})
	c.take(askClosure, true, found)
}
