package ask

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// Compare is what speaks against an image because of what its tag pointed at before, on the same platform, and remembers
// the image. A reference without a tag is compared with nothing. An error that wraps trust.ErrMalformed says once that the
// memory of the tag was damaged, and has begun anew; any other is the memory's or the context's.
func (a *Asker) Compare(ctx context.Context, ref trust.Reference, platform string, s publisher.Shape) ([]trust.Finding, error) {
	if ref.Tag == "" || ref.Registry == "" {
		return nil, nil
	}
	key := publisher.TagKey(ref, platform)
	body, known, err := a.memory.Note(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read the memory of a tag: %w", err)
	}
	if known {
		if tag, err := publisher.ParseTag(body); err == nil && tag.Has(ref.Digest) {
			return tag.Signs(ref), nil
		}
	}
	var after publisher.Tag
	var damaged error
	err = a.memory.ChangeNote(ctx, key, func(body []byte) ([]byte, error) {
		var tag publisher.Tag
		if body != nil {
			tag, damaged = publisher.ParseTag(body)
		}
		after = tag.Point(ref.Digest, s, a.o.Now())
		return json.Marshal(after)
	})
	if err != nil {
		return nil, fmt.Errorf("keep the memory of a tag: %w", err)
	}
	if damaged != nil {
		return nil, failure{class: trust.ErrMalformed, text: fmt.Sprintf("what was remembered of the tag %q was damaged; it begins anew", ref.Tag)}
	}
	return after.Signs(ref), nil
}
