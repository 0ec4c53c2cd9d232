package judge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// What is kept in process memory in front of Memory, so that another image of the same layers is judged at once, in bytes.
const (
	recalledBytes = 24 << 20 // inspections
	mergedBytes   = 48 << 20 // layers that were merged
)

// recalledFor is for how long an inspection is taken from process memory, so that Memory learns that it is in use.
const recalledFor = time.Hour

// asked is a question about a blob.
type asked struct{ blob, key digest.Digest }

// recalled is what a blob showed, and when that was read.
type recalled struct {
	found trust.Inspection
	at    time.Time
}

// recall is what is remembered about a blob. What it returns is shared and must not be changed.
func (j *Judge) recall(ctx context.Context, blob, key digest.Digest) (trust.Inspection, bool, error) {
	r, ok := j.inspections.get(asked{blob, key})
	if age := j.Now().Sub(r.at); ok && age >= 0 && age < recalledFor {
		return r.found, true, nil
	}
	found, ok, err := j.Memory.Inspection(ctx, blob, key)
	if err != nil {
		return trust.Inspection{}, false, fmt.Errorf("read remembered inspection: %w", err)
	}
	if ok {
		j.remember(blob, key, found)
	}
	return found, ok, nil
}

// remember keeps an inspection that is complete.
func (j *Judge) remember(blob, key digest.Digest, found trust.Inspection) {
	bytes := 512 + found.Tree.Bytes()
	for _, f := range found.Findings {
		bytes += findingSize + len(f.Path) + len(f.Excerpt) + len(f.Why)
	}
	j.inspections.add(asked{blob, key}, recalled{found, j.Now()}, bytes)
}

// merged is what the layers of an image come to. It is shared and never changed.
type merged struct {
	view  *rootfs.View
	links *closure.Links
	// of are the trees that it was made of: those of layers, and those of other blobs, whose links count too.
	of []trust.Tree
}

// merge merges what engines unpack: an attestation that is an archive is none of it. Its links count all the same.
func (c *inquiry) merge() *merged {
	var layers []rootfs.Layer
	var of []trust.Tree
	var name strings.Builder
	for i, l := range c.manifest.Layers {
		tree, ok := c.trees.of[i]
		if !ok {
			continue
		}
		of = append(of, tree)
		unpacked := inspect.TreatmentOf(l.MediaType) == inspect.Layer
		if unpacked {
			layers = append(layers, rootfs.Layer{Digest: l.Digest, Tree: tree})
		}
		fmt.Fprintf(&name, "%s %t\n", l.Digest, unpacked)
	}
	key := digest.FromString(name.String())
	// A layer's tree is always the same, unless it could not be read to its end: so that they are compared.
	if known, ok := c.judge.merged.get(key); ok && slices.EqualFunc(known.of, of, trust.Tree.Equal) {
		return known
	}
	m := &merged{view: rootfs.Merge(layers), links: c.trees.links(), of: of}
	bytes := m.view.Bytes() + m.links.Bytes()
	for _, t := range of {
		bytes += t.Bytes()
	}
	c.judge.merged.add(key, m, bytes)
	return m
}
