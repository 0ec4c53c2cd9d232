package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// edgesMax bounds the answers of Shared and Campaigns: a value that thousands of images have says nothing.
const edgesMax = 4096

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
	for _, e := range edges {
		vouched := 0
		if e.Vouched {
			vouched = 1
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO edges (kind, value, name, manifest, verdict, action, vouched, judged) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (kind, value, name, manifest) DO UPDATE SET verdict = excluded.verdict, action = excluded.action, vouched = excluded.vouched, judged = excluded.judged`,
			e.Kind, e.Value, e.Name, e.Manifest.String(), e.Verdict, string(e.Action), vouched, e.At.UnixMicro())
		if err != nil {
			return s.explain("keep edges in", err)
		}
	}
	return s.explain("keep edges in", tx.Commit())
}

// Shared returns the edges of all images that have one of the values, at most 4096, the newest first. Of the edges asked
// for, only kind and value count.
func (s *Store) Shared(ctx context.Context, wanted []campaign.Edge) ([]campaign.Edge, error) {
	var out []campaign.Edge
	for len(wanted) > 0 && len(out) < edgesMax {
		n := min(len(wanted), rowsAtOnce)
		var args []any
		places := make([]string, n)
		for i, e := range wanted[:n] {
			args = append(args, e.Kind, e.Value)
			places[i] = fmt.Sprintf("($%d, $%d)", len(args)-1, len(args))
		}
		found, err := s.edges(ctx, `WHERE (kind, value) IN (VALUES `+strings.Join(places, ", ")+`)`, args...)
		if err != nil {
			return nil, err
		}
		out, wanted = append(out, found...), wanted[n:]
	}
	return out, nil
}

// Campaigns returns the edges of blocked images, at most 4096, the newest first.
func (s *Store) Campaigns(ctx context.Context) ([]campaign.Edge, error) {
	return s.edges(ctx, `WHERE action = $1`, string(trust.Block))
}

func (s *Store) edges(ctx context.Context, where string, args ...any) ([]campaign.Edge, error) {
	//nolint:gosec // where is one of two texts of this file, and has places for values only
	rows, err := s.read.QueryContext(ctx, `SELECT kind, value, name, manifest, verdict, action, vouched, judged FROM edges `+where+
		fmt.Sprintf(` ORDER BY judged DESC, kind, value, name, manifest LIMIT %d`, edgesMax), args...)
	if err != nil {
		return nil, s.explain("read edges from", err)
	}
	defer rows.Close()
	var out []campaign.Edge
	for rows.Next() {
		var e campaign.Edge
		var manifest, action string
		var vouched, judged int64
		if err := rows.Scan(&e.Kind, &e.Value, &e.Name, &manifest, &e.Verdict, &action, &vouched, &judged); err != nil {
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
