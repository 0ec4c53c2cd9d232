package judge

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// names reports whether an entry is about this very digest.
func names(e *trust.Entry, d digest.Digest) bool {
	return digest.Digest(after(e.Pattern, '@')) == d || slices.Contains(e.Digests, d)
}

// learned reports whether more is known by now of the layers of an image whose inspection was waived: another pull of the
// same layers may have found signs, and known bad is not allowed by a pattern, however early that allowed it.
func (j *Judge) learned(ctx context.Context, v trust.Verdict) (bool, error) {
	standing := v.Evidence.Standing
	if !standing.Waived() || names(standing.Decided, v.Manifest) {
		return false, nil
	}
	for _, b := range v.Blobs {
		counted := func(f trust.Finding) bool { return f.Layer == b.Digest }
		if !slices.Contains(v.Evidence.Layers, b.Digest) || slices.ContainsFunc(v.Evidence.Findings, counted) {
			continue
		}
		treatment := inspect.TreatmentOf(b.MediaType)
		if treatment == inspect.Unknown { // only artifacts got so far with one
			treatment = inspect.Data
		}
		known, ok, err := j.recall(ctx, b.Digest, j.inspectionKey(treatment))
		if err != nil || ok && len(known.Findings) > 0 {
			return true, err
		}
	}
	return false, nil
}
