package ask

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// Compare is what speaks against an image because of what its tag pointed at before, on the same platform, and remembers
// the image. A reference without a tag is compared with nothing. An error is the memory's or the context's.
func (a *Asker) Compare(ctx context.Context, ref trust.Reference, platform string, s publisher.Shape) ([]trust.Finding, error) {
	if ref.Tag == "" || ref.Registry == "" {
		return nil, nil
	}
	a.tags.Lock()
	defer a.tags.Unlock()
	key := publisher.TagKey(ref, platform)
	body, known, err := a.memory.Note(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read the memory of a tag: %w", err)
	}
	var tag publisher.Tag
	if known {
		if tag, err = publisher.ParseTag(body); err != nil {
			return nil, fmt.Errorf("the memory of %s in the store is damaged: %w", ref, err)
		}
	}
	after := tag.Point(ref.Digest, s, a.o.Now())
	if len(after.Images) == len(tag.Images) && tag.Has(ref.Digest) {
		return after.Signs(ref), nil
	}
	if body, err = json.Marshal(after); err == nil {
		err = a.memory.KeepNote(ctx, key, body)
	}
	if err != nil {
		return nil, fmt.Errorf("keep the memory of a tag: %w", err)
	}
	return after.Signs(ref), nil
}
