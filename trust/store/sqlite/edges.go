package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// Bounds on edges, so that who publishes thousands of images that are blocked fills no disk and pushes nothing out that
// matters: of each value, in each of the two classes blocked and not, the newest stay; of each publisher the most important;
// of all as many of each publisher as there is room for, however many images somebody else has.
const (
	edgesOfValue     = 64
	edgesOfPublisher = 1024
	edgesMax         = 100_000
	// edgesSlack is how far edgesMax may be exceeded: bounding all costs about a second.
	edgesSlack = 5_000
	// blockedFor is how long what a blocked image has is remembered after it last mattered. The rest goes with what is not used.
	blockedFor = 2 * 365 * 24 * time.Hour
)

// KeepEdges remembers what a judged image has, in place of what an earlier verdict on it said.
func (s *Store) KeepEdges(ctx context.Context, edges []campaign.Edge) error {
	if len(edges) == 0 {
		return nil
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain("keep edges in", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := s.keepEdges(ctx, tx, edges); err != nil {
		return s.explain("keep edges in", err)
	}
	return s.explain("keep edges in", tx.Commit())
}

func (s *Store) keepEdges(ctx context.Context, tx *sql.Tx, edges []campaign.Edge) error {
	now := s.now().UnixMicro()
	for _, e := range edges {
		vouched := 0
		if e.Vouched {
			vouched = 1
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO edges (kind, value, name, manifest, verdict, action, vouched, judged, publisher, touched) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (kind, value, name, manifest) DO UPDATE SET verdict = excluded.verdict, action = excluded.action, vouched = excluded.vouched, judged = excluded.judged, touched = excluded.touched`,
			e.Kind, e.Value, e.Name, e.Manifest.String(), e.Verdict, string(e.Action), vouched, e.At.UnixMicro(), e.Publisher, now)
		if err != nil {
			return err
		}
		if e.Action.Serves() {
			continue
		}
		// What a held image has still matters.
		if _, err := tx.ExecContext(ctx, `UPDATE edges SET touched = $1 WHERE kind = $2 AND value = $3 AND action = $4`, now, e.Kind, e.Value, string(trust.Block)); err != nil {
			return err
		}
	}
	if err := boundValues(ctx, tx, edges); err != nil {
		return err
	}
	if err := boundPublisher(ctx, tx, edges[0].Publisher, edgesOfPublisher); err != nil {
		return err
	}
	if s.edges.Add(int64(len(edges))) < edgesSlack/2 {
		return nil
	}
	s.edges.Store(0)
	return boundAll(ctx, tx, edgesMax, edgesMax+edgesSlack)
}

// class is the edges of one value, blocked or not.
type class struct {
	kind, value string
	blocked     bool
}

// boundValues keeps the newest edges of each value, and those that somebody vouches for before others.
func boundValues(ctx context.Context, tx *sql.Tx, edges []campaign.Edge) error {
	full, err := fullClasses(ctx, tx, edges)
	if err != nil {
		return err
	}
	for _, c := range full {
		_, err := tx.ExecContext(ctx, `DELETE FROM edges WHERE (kind, value, name, manifest) IN (SELECT kind, value, name, manifest FROM edges
			WHERE kind = $1 AND value = $2 AND (action = 'block') = $3 ORDER BY vouched DESC, judged DESC, name, manifest LIMIT 1000000 OFFSET $4)`, c.kind, c.value, c.blocked, edgesOfValue)
		if err != nil {
			return err
		}
	}
	return nil
}

// fullClasses are those of the edges' values that have too many.
func fullClasses(ctx context.Context, tx *sql.Tx, edges []campaign.Edge) ([]class, error) {
	var args []any
	places := make([]string, len(edges))
	for i, e := range edges {
		args = append(args, e.Kind, e.Value)
		places[i] = fmt.Sprintf("($%d, $%d)", len(args)-1, len(args))
	}
	//nolint:gosec // what is joined are placeholders that were made here
	rows, err := tx.QueryContext(ctx, `SELECT kind, value, action = 'block' FROM edges WHERE (kind, value) IN (VALUES `+strings.Join(places, ", ")+`)
		GROUP BY kind, value, action = 'block' HAVING COUNT(*) > `+strconv.Itoa(edgesOfValue), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var full []class
	for rows.Next() {
		var c class
		if err := rows.Scan(&c.kind, &c.value, &c.blocked); err != nil {
			return nil, err
		}
		full = append(full, c)
	}
	return full, rows.Err()
}

// importance orders the edges of one publisher: what blocked images have first, wallets and files before the rest; then what
// keeps others from being found, where somebody vouches for it. The newest of each come first.
const importance = `CASE WHEN action = 'block' THEN CASE kind WHEN 'publisher' THEN 5 WHEN 'wallet' THEN 4 WHEN 'payload' THEN 3 ELSE 2 END
	ELSE vouched END DESC, touched DESC, judged DESC, kind, value, name, manifest`

func boundPublisher(ctx context.Context, tx *sql.Tx, publisher string, most int) error {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM edges WHERE publisher = $1`, publisher).Scan(&n); err != nil || n <= most {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM edges WHERE (kind, value, name, manifest) IN (SELECT kind, value, name, manifest FROM edges
		WHERE publisher = $1 ORDER BY `+importance+` LIMIT 1000000 OFFSET $2)`, publisher, most)
	return err
}

// boundAll keeps so many edges, where there are more than tolerated: of those that have most, the least important go first, so
// that nobody's images push out the few that others have.
func boundAll(ctx context.Context, tx *sql.Tx, most, tolerated int) error {
	var n int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM edges`).Scan(&n); err != nil || n <= tolerated {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM edges WHERE (kind, value, name, manifest) IN (SELECT kind, value, name, manifest FROM
		(SELECT kind, value, name, manifest, touched, ROW_NUMBER() OVER (PARTITION BY publisher ORDER BY `+importance+`) AS place FROM edges)
		ORDER BY place DESC, touched, kind, value, name, manifest LIMIT $1)`, n-most)
	return err
}

// pruneEdges forgets what did not matter for long, and keeps within the bounds.
func (s *Store) pruneEdges(ctx context.Context, before int64) (int64, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	done, err := tx.ExecContext(ctx, `DELETE FROM edges WHERE (kind, value, name, manifest) IN (SELECT kind, value, name, manifest FROM edges
		WHERE action <> 'block' AND touched < $1 OR touched < $2 LIMIT $3)`, before, s.now().Add(-blockedFor).UnixMicro(), pruneAtOnce)
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	if err != nil {
		return 0, err
	}
	if n < pruneAtOnce {
		if err := boundAll(ctx, tx, edgesMax, edgesMax); err != nil {
			return 0, err
		}
	}
	return n, tx.Commit()
}

// Shared returns the edges of all images that have one of the values, the newest first. Of the edges asked for, only kind
// and value count.
func (s *Store) Shared(ctx context.Context, wanted []campaign.Edge) ([]campaign.Edge, error) {
	var out []campaign.Edge
	for len(wanted) > 0 {
		n := min(len(wanted), rowsAtOnce)
		var args []any
		places := make([]string, n)
		for i, e := range wanted[:n] {
			args = append(args, e.Kind, e.Value)
			places[i] = fmt.Sprintf("($%d, $%d)", len(args)-1, len(args))
		}
		found, err := s.edgesOf(ctx, `WHERE (kind, value) IN (VALUES `+strings.Join(places, ", ")+`)`, args...)
		if err != nil {
			return nil, err
		}
		out, wanted = append(out, found...), wanted[n:]
	}
	return out, nil
}

// Campaigns returns the edges of blocked images, the newest first.
func (s *Store) Campaigns(ctx context.Context) ([]campaign.Edge, error) {
	return s.edgesOf(ctx, `WHERE action = $1`, string(trust.Block))
}

func (s *Store) edgesOf(ctx context.Context, where string, args ...any) ([]campaign.Edge, error) {
	//nolint:gosec // where is one of two texts of this file, and has places for values only
	rows, err := s.read.QueryContext(ctx, `SELECT kind, value, name, manifest, verdict, action, vouched, judged, publisher FROM edges `+where+
		` ORDER BY judged DESC, kind, value, name, manifest`, args...)
	if err != nil {
		return nil, s.explain("read edges from", err)
	}
	defer rows.Close()
	var out []campaign.Edge
	for rows.Next() {
		var e campaign.Edge
		var manifest, action string
		var vouched, judged int64
		if err := rows.Scan(&e.Kind, &e.Value, &e.Name, &manifest, &e.Verdict, &action, &vouched, &judged, &e.Publisher); err != nil {
			return nil, s.explain("read edges from", err)
		}
		e.Manifest, e.Action, e.Vouched, e.At = digest.Digest(manifest), trust.Action(action), vouched != 0, time.UnixMicro(judged).UTC()
		if e.Action.Severity() > trust.Block.Severity() {
			return nil, s.damaged("edge of "+e.Name, nil)
		}
		out = append(out, e)
	}
	return out, s.explain("read edges from", rows.Err())
}
