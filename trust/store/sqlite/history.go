package sqlite

import (
	"context"
	"time"

	"github.com/safepull/safepull/trust"
)

// historyAtOnce bounds the verdicts that are held in memory while a history is read; one may have megabytes.
const historyAtOnce = 16

// Judged calls do with every verdict since a time, the newest first, until it returns an error, which is returned.
func (s *Store) Judged(ctx context.Context, since time.Time, do func(trust.Verdict) error) error {
	before, id := int64(1)<<62, ""
	for {
		page, err := s.page(ctx, since, before, id)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, v := range page {
			if err := do(v); err != nil {
				return err
			}
		}
		last := page[len(page)-1]
		before, id = last.At.UnixMicro(), last.ID
	}
}

// page are the next verdicts before a time and an ID.
func (s *Store) page(ctx context.Context, since time.Time, before int64, id string) ([]trust.Verdict, error) {
	return s.several(ctx, `WHERE judged >= $1 AND (judged, id) < ($2, $3) ORDER BY judged DESC, id DESC LIMIT $4`, since.UnixMicro(), before, id, historyAtOnce)
}
