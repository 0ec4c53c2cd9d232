package judge

import (
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// defaultArtifactBytes bounds an artifact: signatures, bills of materials and charts are far smaller, and what is larger
// may be anything.
const defaultArtifactBytes = 64 << 20

// isArtifact reports whether the manifest is for no engine to run: signatures, attestations, bills of materials, charts,
// modules. Its blobs are inspected as data, whatever they call themselves, and it passes when that found nothing.
func (c *inquiry) isArtifact() bool {
	return c.manifest.Kind == inspect.Artifact && !c.mayRun()
}

// treatment is how a blob of the manifest is inspected.
func (c *inquiry) treatment(mediaType string) inspect.Treatment {
	t := inspect.TreatmentOf(mediaType)
	if t == inspect.Unknown && c.isArtifact() {
		return inspect.Data
	}
	return t
}

// tooLarge is an error that wraps trust.ErrLimit when the manifest is an artifact beyond the limit.
func (c *inquiry) tooLarge() error {
	if !c.isArtifact() {
		return nil
	}
	total := c.manifest.Config.Size
	for _, l := range c.manifest.Layers {
		if total > c.judge.ArtifactBytes || l.Size > c.judge.ArtifactBytes { // so that no sum can overflow
			total = max(total, l.Size)
			break
		}
		total += l.Size
	}
	if total <= c.judge.ArtifactBytes {
		return nil
	}
	return fmt.Errorf("the artifact has %d bytes or more, and at most %d are inspected: %w", total, c.judge.ArtifactBytes, trust.ErrLimit)
}
