package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/safepull/safepull/trust"
)

// historyAtOnce bounds the names of verdicts that are held in memory while a history is read. Their bodies, which may have
// megabytes, are read one by one; no transaction lasts, so that whoever writes is not hindered.
const historyAtOnce = 500

// Judged calls do with every verdict since a time, the newest first, until it returns an error, which is returned. Of one that
// cannot be read, do gets the ID alone, and why.
func (s *Store) Judged(ctx context.Context, since time.Time, do func(v trust.Verdict, unreadable error) error) error {
	before, id := int64(1)<<62, ""
	for {
		page, err := s.page(ctx, since, before, id)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, next := range page {
			before, id = next.judged, next.id
			var r row
			err := s.read.QueryRowContext(ctx, `SELECT id, name, manifest, action, body, touched FROM verdicts WHERE id = $1`, next.id).Scan(r.columns()...)
			if errors.Is(err, sql.ErrNoRows) {
				continue // forgotten meanwhile
			}
			if err != nil {
				return s.explain("read verdicts from", err)
			}
			v, unreadable := s.decode(r)
			if unreadable != nil {
				v = trust.Verdict{ID: next.id}
			}
			if err := do(v, unreadable); err != nil {
				return err
			}
		}
	}
}

// judged names a verdict, and when it was reached.
type judged struct {
	id     string
	judged int64
}

// page are the next verdicts before a time and an ID.
func (s *Store) page(ctx context.Context, since time.Time, before int64, id string) ([]judged, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, judged FROM verdicts
		WHERE judged >= $1 AND judged <= $2 AND (judged, id) < ($2, $3) ORDER BY judged DESC, id DESC LIMIT $4`, since.UnixMicro(), before, id, historyAtOnce)
	if err != nil {
		return nil, s.explain("read verdicts from", err)
	}
	defer rows.Close()
	var page []judged
	for rows.Next() {
		var j judged
		if err := rows.Scan(&j.id, &j.judged); err != nil {
			return nil, s.explain("read verdicts from", err)
		}
		page = append(page, j)
	}
	return page, s.explain("read verdicts from", rows.Err())
}
