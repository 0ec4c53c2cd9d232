package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/safepull/safepull/trust"
)

// Judged calls do with every verdict since a time, the newest first, until it returns an error, which is returned.
// All can be read.
func (s *Store) Judged(ctx context.Context, since time.Time, do func(v trust.Verdict, unreadable error) error) error {
	all, err := s.since(ctx, since)
	if err != nil {
		return err
	}
	for _, v := range all {
		if err := do(v, nil); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *Store) since(ctx context.Context, since time.Time) ([]trust.Verdict, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []trust.Verdict
	for _, body := range s.verdicts {
		v, ok, err := decode[trust.Verdict](ctx, body)
		if err != nil {
			return nil, err
		}
		if ok && !v.At.Before(since) {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b trust.Verdict) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
	return all, nil
}
