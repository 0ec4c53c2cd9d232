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

// payloads are the files with signs, and those that start, by what they are like.
func (c *inquiry) payloads() []campaign.File {
	if c.files != nil {
		return c.files
	}
	type file struct {
		layer digest.Digest
		path  string
	}
	at := map[file]trust.Finding{}
	for _, f := range c.evidence.Findings {
		path, _, _ := strings.Cut(f.Path, trust.Nested)
		if f.Kind == trust.KindConfig || strings.Contains(path, ":") {
			continue
		}
		if k := (file{f.Layer, path}); len(at) < maxPayloads || at[k].Path != "" {
			if known, ok := at[k]; !ok || f.Strength > known.Strength {
				at[k] = trust.Finding{Layer: f.Layer, Path: path, Reach: f.Reach, HiddenBy: f.HiddenBy, Kind: f.Kind, Strength: f.Strength}
			}
		}
	}
	for _, s := range c.evidence.Steps {
		if k := (file{s.Layer, s.Path}); s.Layer != "" && len(at) < maxPayloads && at[k].Path == "" {
			at[k] = trust.Finding{Layer: s.Layer, Path: s.Path, Reach: trust.ReachRuns}
		}
	}
	c.files = []campaign.File{}
	if len(at) == 0 {
		return c.files
	}
	for i, tree := range c.trees.of {
		layer := c.manifest.Layers[i].Digest
		for entry := range tree.All() {
			if f, ok := at[file{layer, entry.Path}]; ok && entry.Type == trust.TypeFile {
				if id := likeOf(entry); id != "" {
					c.files = append(c.files, campaign.File{Finding: f, ID: id})
				}
			}
		}
	}
	slices.SortFunc(c.files, func(a, b campaign.File) int {
		return cmp.Or(cmp.Compare(b.Finding.Strength, a.Finding.Strength), cmp.Compare(a.Finding.Layer, b.Finding.Layer), cmp.Compare(a.Finding.Path, b.Finding.Path))
	})
	return c.files
}

// likeOf names what a file is like: a program by its beginning and its size, a script by its content.
func likeOf(e trust.TreeEntry) string {
	switch {
	case e.Program != "":
		return "" // an interpreter is everybody's
	case e.Like != 0:
		return fmt.Sprintf("program:%016x:%d", e.Like, e.Size)
	case e.Size >= leastScript && e.Whole():
		return digest.FromString(e.Body).String()
	}
	return ""
}
