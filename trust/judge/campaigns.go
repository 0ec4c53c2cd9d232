package judge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// askCampaigns names the question what the image shares with images that were blocked.
const askCampaigns = "campaigns"

// Limits on the files that are compared.
const (
	maxPayloads = 48
	// leastScript is the least size of a script that is compared, in bytes: shorter ones come about by themselves.
	leastScript = 128
)

// askShared asks what the image shares with images that were blocked. It comes last, since it is about what was found.
func (c *inquiry) askShared(ctx context.Context) error {
	memory := c.judge.Campaigns
	if memory == nil {
		return nil // not configured is no question
	}
	if c.evidence.Standing.Denied() {
		return nil
	}
	found, err := campaign.Find(ctx, memory, c.evidence, c.payloads())
	if err != nil {
		return fmt.Errorf("judge %s: %s: %w", c.ref, askCampaigns, err)
	}
	c.found(askCampaigns, found)
	c.answered(askCampaigns)
	return nil
}

// place is a file of a layer.
type place struct {
	layer digest.Digest
	path  string
}

// payloads are the files with signs, and those that start, by what they are like: at most maxPayloads, the weightiest, so
// that no number of others hides one.
func (c *inquiry) payloads() []campaign.File {
	if c.files != nil {
		return c.files
	}
	at, own := c.signed()
	c.files = []campaign.File{}
	if len(at) == 0 {
		return c.files
	}
	for i, tree := range c.trees.of {
		layer := c.manifest.Layers[i].Digest
		for entry := range tree.All() {
			if f, ok := at[place{layer, entry.Path}]; ok && entry.Type == trust.TypeFile {
				if id, exact := likeOf(entry); id != "" {
					c.files = append(c.files, campaign.File{Finding: f, ID: id, Exact: exact, Own: own[place{layer, entry.Path}]})
				}
			}
		}
	}
	slices.SortFunc(c.files, func(a, b campaign.File) int {
		return cmp.Or(
			cmp.Compare(b.Finding.Strength, a.Finding.Strength), cmp.Compare(b.Own, a.Own), cmp.Compare(running(b), running(a)),
			cmp.Compare(a.Finding.Layer, b.Finding.Layer), cmp.Compare(a.Finding.Path, b.Finding.Path),
		)
	})
	c.files = c.files[:min(len(c.files), maxPayloads)]
	return c.files
}

// running is 1 for what runs.
func running(f campaign.File) int {
	if f.Finding.Reach == trust.ReachRuns {
		return 1
	}
	return 0
}

// signed are the files that signs stand in, and those that start, with the weightiest sign of each; and what each file
// shows by its bytes alone, whatever image it is in.
func (c *inquiry) signed() (at map[place]trust.Finding, own map[place]trust.Strength) {
	at, own = map[place]trust.Finding{}, map[place]trust.Strength{}
	for i, f := range c.signs.weighed {
		path, _, _ := strings.Cut(f.Path, trust.Nested)
		if f.Kind == trust.KindConfig || strings.Contains(path, ":") {
			continue
		}
		k := place{f.Layer, path}
		if known, ok := at[k]; !ok || f.Strength > known.Strength {
			at[k] = trust.Finding{Layer: f.Layer, Path: path, Reach: f.Reach, HiddenBy: f.HiddenBy, Kind: f.Kind, Strength: f.Strength}
		}
		if raw := c.signs.raw[i]; !c.signs.running[i] {
			own[k] = max(own[k], raw.Strength, raw.IfRun)
		}
	}
	for _, s := range c.evidence.Steps {
		if k := (place{s.Layer, s.Path}); s.Layer != "" && at[k].Path == "" {
			at[k] = trust.Finding{Layer: s.Layer, Path: s.Path, Reach: trust.ReachRuns}
		}
	}
	return at, own
}

// likeOf names what a file is like: a program by its beginning and its size, a script exactly, by its content.
func likeOf(e trust.TreeEntry) (id string, exact bool) {
	switch {
	case e.Program != "":
		return "", false // an interpreter is everybody's
	case e.Like != 0:
		return fmt.Sprintf("program:%016x:%d", e.Like, e.Size), false
	case e.Size >= leastScript && e.Whole():
		return digest.FromString(e.Body).String(), true
	}
	return "", false
}
