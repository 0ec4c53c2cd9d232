package sqlite

import (
	"context"
	"time"
)

// pruneAtOnce bounds the rows of one transaction, so that pruning never keeps a pull waiting for long.
const pruneAtOnce = 500

// Prune forgets what was not used for longer than olderThan, and returns how many inspections, verdicts, notes and
// edges that were.
// The time of last use is known to the day. What is forgotten is found out again when somebody asks.
func (s *Store) Prune(ctx context.Context, olderThan time.Duration) (int64, error) {
	before := s.now().Add(-olderThan).UnixMicro()
	var total int64
	for _, step := range []func(context.Context, int64) (int64, error){s.pruneInspections, s.pruneVerdicts, s.pruneNotes, s.pruneEdges} {
		for {
			n, err := step(ctx, before)
			total += n
			if err != nil {
				return total, s.explain("prune", err)
			}
			if n < pruneAtOnce {
				break
			}
		}
	}
	return total, nil
}

func (s *Store) pruneInspections(ctx context.Context, before int64) (int64, error) {
	done, err := s.write.ExecContext(ctx, `DELETE FROM inspections WHERE (blob, question) IN
		(SELECT blob, question FROM inspections WHERE touched < $1 LIMIT $2)`, before, pruneAtOnce)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// pruneVerdicts takes, with the verdicts, the answers that named them and the references of manifests that no other
// verdict under the same name is about.
func (s *Store) pruneVerdicts(ctx context.Context, before int64) (int64, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	const old = `(SELECT id FROM verdicts WHERE touched < $1 ORDER BY touched, id LIMIT $2)`
	for _, also := range []string{
		`DELETE FROM answers WHERE verdict IN ` + old,
		`DELETE FROM blob_references WHERE (name, manifest) IN (SELECT name, manifest FROM verdicts WHERE id IN ` + old + `)
			AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.name = blob_references.name AND v.manifest = blob_references.manifest AND v.id NOT IN ` + old + `)`,
	} {
		if _, err := tx.ExecContext(ctx, also, before, pruneAtOnce); err != nil {
			return 0, err
		}
	}
	done, err := tx.ExecContext(ctx, `DELETE FROM verdicts WHERE id IN `+old, before, pruneAtOnce)
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	if err != nil {
		return 0, err
	}
	return n, tx.Commit()
}
