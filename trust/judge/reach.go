package judge

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/rootfs"
)

// maxTrees bounds the trees of one image, in bytes as they are packed: memory. Beyond, every file counts as running.
const maxTrees = 64 << 20

// maxAgain bounds how often layers are read again to follow what runs: each time scripts are known that the time before
// led to.
const maxAgain = 3

// trees are the trees of an image's layers while it is judged.
type trees struct {
	of    map[int]trust.Tree
	bytes int
	cut   bool
}

// keep takes the tree of the layer with a number. Where there are too many, none is kept.
func (t *trees) keep(i int, found trust.Inspection) {
	t.bytes += found.Tree.Bytes()
	if t.cut = t.cut || found.TreeCut || t.bytes > maxTrees; t.cut {
		t.of = nil
		return
	}
	if t.of == nil {
		t.of = map[int]trust.Tree{}
	}
	t.of[i] = found.Tree
}

// links are the links of all layers.
func (t *trees) links() *closure.Links {
	var links []map[string]string
	for _, i := range slices.Sorted(maps.Keys(t.of)) {
		links = append(links, rootfs.Links(t.of[i]))
	}
	return closure.LinksOf(links...)
}

// askClosure finds out what the image runs, now that all layers are known, and what shows only then: command lines that
// several files and the configuration form together, files that scripts join, archives whose password a script has.
func (c *inquiry) askClosure(ctx context.Context) error {
	if !c.hasConfig {
		return nil
	}
	runs, err := c.resolve(ctx)
	if err != nil {
		return c.unanswered(askClosure, err)
	}
	for _, command := range runs.Commands {
		if err := c.askCommands(command); err != nil {
			return err
		}
	}
	if err := c.askAgain(ctx, runs); err != nil {
		return c.unanswered(askClosure, err)
	}
	c.evidence.Steps = c.steps(runs.Steps(c.evidence.Findings))
	c.nameHiding()
	c.answered(askClosure)
	return nil
}

// resolve follows what runs, and reads again what it needs for that. Hostile scripts may make it panic: that is an error.
func (c *inquiry) resolve(ctx context.Context) (runs *closure.Closure, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: following what the image runs failed: %v", trust.ErrUnsupported, r)
		}
	}()
	m, err := c.merge(ctx)
	if err != nil {
		return nil, err
	}
	c.merged = m.view
	bodies := map[*rootfs.File]string{}
	for round := 0; ; round++ {
		runs = closure.Resolve(c.config, m.links, c.trees.cut, m.view, bodies)
		c.weigh(runs)
		wanted := c.worthReading(runs)
		if len(wanted) == 0 {
			return runs, nil
		}
		if round == maxAgain {
			for _, f := range wanted {
				bodies[f] = "" // shorter than it is: every file counts as running
			}
			continue
		}
		if err := c.readBodies(ctx, wanted, bodies); err != nil {
			return nil, err
		}
	}
}

// worthReading are the scripts that must be read again: those that may form command lines, and others where a finding
// could weigh more if they led to it.
func (c *inquiry) worthReading(runs *closure.Closure) []*rootfs.File {
	if runs.Everything() != "" {
		return nil
	}
	idle := false
	for _, f := range c.evidence.Findings {
		idle = idle || f.Reach == trust.ReachPresent && c.layerOf(f.Layer) >= 0
	}
	var wanted []*rootfs.File
	for _, u := range runs.Unread {
		if u.Shell || idle {
			wanted = append(wanted, u.File)
		}
	}
	return wanted
}

// askCommands inspects the command lines of one script as they are when they run.
func (c *inquiry) askCommands(command closure.Command) error {
	name, blob, kind := "closure:"+command.Part, c.manifest.Config.Digest, trust.KindConfig
	switch {
	case command.File != nil:
		name, blob = "closure:"+command.File.Path, command.File.Layer
	case command.Suffix != "":
		name, kind = name+command.Suffix, trust.KindScript
	}
	found, err := c.judge.Scanner.Snippet(blob, name, kind, []byte(command.Text))
	c.found(askClosure, c.unseen(found))
	if err != nil {
		return c.unanswered(askClosure, fmt.Errorf("%s: %w", trust.Sanitise(name, 200), err))
	}
	return nil
}

// unseen leaves out what was found before: the same sign, in the same words, with no more weight.
func (c *inquiry) unseen(found []trust.Finding) []trust.Finding {
	type sign struct{ check, excerpt string }
	known := map[sign]trust.Strength{}
	for _, f := range c.evidence.Findings {
		known[sign{f.Check, f.Excerpt}] = max(known[sign{f.Check, f.Excerpt}], f.Strength) // a zero strength is no news either
	}
	var out []trust.Finding
	for _, f := range found {
		if strength, ok := known[sign{f.Check, f.Excerpt}]; !ok || f.Strength > strength {
			out = append(out, f)
		}
	}
	return out
}

// layerOf is the number of the layer with a digest.
func (c *inquiry) layerOf(d digest.Digest) int {
	for i, l := range c.manifest.Layers {
		if l.Digest == d {
			return i
		}
	}
	return -1
}
