package judge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/rootfs"
)

// What is kept in process memory in front of Memory, so that another image of the same layers is judged at once, in bytes.
const (
	recentBytes   = 4 << 20 // verdicts, which are 4 KB mostly, and 2 MB where an image shows very much
	recalledBytes = 4 << 20 // inspections
	mergedBytes   = 8 << 20 // layers that were merged
)

const (
	// mergedAtOnce bounds the images whose layers are merged at one time: each may need 200 MiB.
	mergedAtOnce = 4
	// maxBegun bounds the names of layers that images began with.
	maxBegun = 4096
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

// verdictBytes is what a verdict takes in memory, about.
func verdictBytes(v trust.Verdict) int {
	e := v.Evidence
	bytes := 2048 + 256*len(v.Blobs) + 128*(len(e.Layers)+len(e.Standing.Lost))
	for _, texts := range [][]string{v.Reasons, v.Story, e.Vouched, e.Integrity, e.Answered} {
		for _, text := range texts {
			bytes += 16 + len(text)
		}
	}
	for _, open := range []map[string]string{e.Unanswered, e.NotAsked} {
		for question, why := range open {
			bytes += 64 + len(question) + len(why)
		}
	}
	for _, f := range e.Findings {
		bytes += findingSize + len(f.Path) + len(f.Excerpt) + len(f.Why)
	}
	for _, s := range e.Steps {
		bytes += 128 + len(s.By) + len(s.Path)
	}
	if d := v.Decision; d != nil {
		bytes += 64 * (len(d.Weights) + len(d.Changes))
	}
	return bytes
}

// merged is what the first layers of an image come to. It is shared and never changed.
type merged struct {
	view  *rootfs.View
	links *closure.Links
	of    []stacked
	// base is the name of what it was made from, and shares memory with; "" if it shares none.
	base digest.Digest
}

// stacked is a blob of the image that has a tree.
type stacked struct {
	layer rootfs.Layer
	// unpacked is false for what engines do not unpack: an attestation that is an archive. Its links count all the same.
	unpacked bool
	// name is that of this part with all below it.
	name digest.Digest
}

func (p stacked) equal(other stacked) bool {
	return p.name == other.name && p.layer.Tree.Equal(other.layer.Tree)
}

// parts are the blobs of the image that have trees, the lowest first.
func (c *inquiry) parts() []stacked {
	var parts []stacked
	var below digest.Digest
	for i, l := range c.manifest.Layers {
		if tree, ok := c.trees.of[i]; ok {
			unpacked := inspect.TreatmentOf(l.MediaType) == inspect.Layer
			below = digest.FromString(fmt.Sprintf("%s\n%s %t", below, l.Digest, unpacked))
			parts = append(parts, stacked{rootfs.Layer{Digest: l.Digest, Tree: tree}, unpacked, below})
		}
	}
	return parts
}

// merge merges what engines unpack. Images have layers in common: what was merged of them before is gone on from, and what
// another image began with too is kept for the next one.
func (c *inquiry) merge(ctx context.Context) (*merged, error) {
	j := c.judge
	if err := j.merging.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer j.merging.Release(1)
	parts := c.parts()
	m := j.mergedOf(parts)
	n := len(m.of)
	if n == len(parts) && n > 0 {
		return m, nil
	}
	for common := len(parts) - 1; common > n; common-- {
		if j.begun.Contains(parts[common-1].name) {
			m = j.onTop(m, parts[:common])
			break
		}
	}
	for _, p := range parts {
		j.begun.Add(p.name, struct{}{})
	}
	return j.onTop(m, parts), nil
}

// mergedOf is what is kept of the most of parts, from the lowest on.
func (j *Judge) mergedOf(parts []stacked) *merged {
	for n := len(parts); n > 0; n-- {
		// The tree of a layer is always the same, unless it could not be read to its end. What is cut may not be if more layers
		// come.
		m, ok := j.merged.get(parts[n-1].name)
		if !ok || !slices.EqualFunc(m.of, parts[:n], stacked.equal) || n < len(parts) && m.view.Cut() {
			continue
		}
		for base := m.base; base != ""; { // it is in use, too
			below, ok := j.merged.get(base)
			if base = ""; ok {
				base = below.base
			}
		}
		return m
	}
	return &merged{view: rootfs.Merge(nil), links: closure.LinksOf()}
}

// onTop puts the rest of parts on what was made of the first of them, and keeps it.
func (j *Judge) onTop(m *merged, parts []stacked) *merged {
	var layers []rootfs.Layer
	var links []map[string]string
	made := &merged{of: parts}
	if n := len(m.of); n > 0 {
		made.base = parts[n-1].name
	}
	bytes := 0
	for _, p := range parts[len(m.of):] {
		if links = append(links, rootfs.Links(p.layer.Tree)); p.unpacked {
			layers = append(layers, p.layer)
		}
		bytes += p.layer.Tree.Bytes()
	}
	made.view, made.links = m.view.With(layers), m.links.With(links...)
	if len(parts) > 0 {
		j.merged.add(parts[len(parts)-1].name, made, bytes+made.view.Bytes()+made.links.Bytes())
	}
	return made
}
