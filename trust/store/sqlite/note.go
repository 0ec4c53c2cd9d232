package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/safepull/safepull/trust"
)

// noteLimit bounds one note, in bytes.
const noteLimit = 256 << 10

// Note returns what was noted under a key.
func (s *Store) Note(ctx context.Context, key string) ([]byte, bool, error) {
	var body string
	var touched int64
	err := s.read.QueryRowContext(ctx, `SELECT body, touched FROM notes WHERE name = $1`, key).Scan(&body, &touched)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.explain("read note from", err)
	}
	s.touch(ctx, touched, `UPDATE notes SET touched = $1 WHERE name = $2`, key)
	return []byte(body), true, nil
}

// KeepNote notes a body under a key, in place of an earlier one.
func (s *Store) KeepNote(ctx context.Context, key string, body []byte) error {
	return s.ChangeNote(ctx, key, func([]byte) ([]byte, error) { return body, nil })
}

// ChangeNote notes what change makes of the body under a key; it is given nil where there is none, and returns nil to leave
// it as it is. Nobody else changes the note meanwhile. Change must not use the store; its error is returned.
func (s *Store) ChangeNote(ctx context.Context, key string, change func(body []byte) ([]byte, error)) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain("keep note in", err)
	}
	defer func() { _ = tx.Rollback() }()
	var before []byte
	var text string
	switch err := tx.QueryRowContext(ctx, `SELECT body FROM notes WHERE name = $1`, key).Scan(&text); {
	case err == nil:
		before = []byte(text)
	case !errors.Is(err, sql.ErrNoRows):
		return s.explain("read note from", err)
	}
	body, err := change(before)
	if err != nil || body == nil {
		return err
	}
	if key == "" || len(body) > noteLimit {
		return fmt.Errorf("keep note %q of %d bytes: it must have a key and at most %d bytes: %w", trust.Sanitise(key, 80), len(body), noteLimit, trust.ErrLimit)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO notes (name, body, touched) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET body = excluded.body, touched = excluded.touched`, key, string(body), s.now().UnixMicro())
	if err != nil {
		return s.explain("keep note in", err)
	}
	return s.explain("keep note in", tx.Commit())
}

// Notes returns at most limit notes whose keys come after a key, in order of keys.
func (s *Store) Notes(ctx context.Context, after string, limit int) ([]struct {
	Key  string
	Body []byte
}, error,
) {
	rows, err := s.read.QueryContext(ctx, `SELECT name, body FROM notes WHERE name > $1 ORDER BY name LIMIT $2`, after, max(limit, 0))
	if err != nil {
		return nil, s.explain("read notes from", err)
	}
	defer rows.Close()
	var notes []struct {
		Key  string
		Body []byte
	}
	for rows.Next() {
		var n struct {
			Key  string
			Body []byte
		}
		if err := rows.Scan(&n.Key, &n.Body); err != nil {
			return nil, s.explain("read notes from", err)
		}
		notes = append(notes, n)
	}
	return notes, s.explain("read notes from", rows.Err())
}

const (
	// notesFor is how long notes last that are no tags and no pauses: a name changes hands after months or years, and then
	// it counts what was told of it first.
	notesFor = 2 * 365 * 24 * time.Hour
	// notesMax bounds those: whoever makes up names can make a proxy remember them.
	notesMax = 300_000
)

// pruneNotes forgets tags and pauses that nobody looked at, other notes much later, and those that are too many.
func (s *Store) pruneNotes(ctx context.Context, before int64) (int64, error) {
	lasting := min(before, s.now().Add(-notesFor).UnixMicro())
	done, err := s.write.ExecContext(ctx, `DELETE FROM notes WHERE name IN (SELECT name FROM notes WHERE touched < $1
		AND (touched < $2 OR name >= 'tag ' AND name < 'tag!' OR name >= 'pause ' AND name < 'pause!') LIMIT $3)`, before, lasting, pruneAtOnce)
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	if err != nil || n == pruneAtOnce {
		return n, err
	}
	done, err = s.write.ExecContext(ctx, `DELETE FROM notes WHERE name IN (SELECT name FROM notes ORDER BY touched DESC LIMIT $1 OFFSET $2)`,
		pruneAtOnce-n, s.notesMax)
	if err != nil {
		return n, err
	}
	more, err := done.RowsAffected()
	return n + more, err
}
