package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// rowsAtOnce bounds the parameters of one statement.
const rowsAtOnce = 100

// Verdict returns the verdict that answers the question with this key.
func (s *Store) Verdict(ctx context.Context, key digest.Digest) (trust.Verdict, bool, error) {
	return s.one(ctx, `SELECT v.id, v.name, v.manifest, v.action, v.body, v.touched
		FROM answers a JOIN verdicts v ON v.id = a.verdict WHERE a.question = $1`, key.String(), func(v trust.Verdict) bool { return !v.Passing })
}

// VerdictByID returns the verdict with this ID, whether or not it still answers anything.
func (s *Store) VerdictByID(ctx context.Context, id string) (trust.Verdict, bool, error) {
	return s.one(ctx, `SELECT id, name, manifest, action, body, touched FROM verdicts WHERE id = $1`, id, func(trust.Verdict) bool { return true })
}

func (s *Store) one(ctx context.Context, query, arg string, usable func(trust.Verdict) bool) (trust.Verdict, bool, error) {
	var r row
	err := s.read.QueryRowContext(ctx, query, arg).Scan(r.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return trust.Verdict{}, false, nil
	}
	if err != nil {
		return trust.Verdict{}, false, s.explain("read verdict from", err)
	}
	v, err := s.decode(r)
	if err != nil || !usable(v) {
		return trust.Verdict{}, false, err
	}
	s.touch(ctx, r.touched, `UPDATE verdicts SET touched = $1 WHERE id = $2`, v.ID)
	return v, true, nil
}

// Verdicts returns the newest verdicts on a repository, named as trust.Reference.Name does, at most limit of them.
func (s *Store) Verdicts(ctx context.Context, name string, limit int) ([]trust.Verdict, error) {
	return s.several(ctx, `WHERE name = $1 ORDER BY judged DESC, id DESC LIMIT $2`, name, max(limit, 0))
}

// several are the verdicts that the rest of a statement asks for.
func (s *Store) several(ctx context.Context, which string, args ...any) ([]trust.Verdict, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id, name, manifest, action, body, touched FROM verdicts `+which, args...) //nolint:gosec // both halves are written here
	if err != nil {
		return nil, s.explain("read verdicts from", err)
	}
	defer rows.Close()
	var verdicts []trust.Verdict
	for rows.Next() {
		var r row
		if err := rows.Scan(r.columns()...); err != nil {
			return nil, s.explain("read verdicts from", err)
		}
		v, err := s.decode(r)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, s.explain("read verdicts from", rows.Err())
}

// manifestsMax bounds the answer of Manifests: a hostile publisher can make any number of manifests with one blob.
const manifestsMax = 1024

// Manifests returns at most 1024 manifests judged under a repository name, with whatever outcome, that reference a blob.
func (s *Store) Manifests(ctx context.Context, name string, blob digest.Digest) ([]digest.Digest, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT manifest FROM blob_references WHERE name = $1 AND blob = $2 ORDER BY manifest LIMIT $3`, name, blob.String(), manifestsMax)
	if err != nil {
		return nil, s.explain("read references from", err)
	}
	defer rows.Close()
	var manifests []digest.Digest
	for rows.Next() {
		var m string
		if err := rows.Scan(&m); err != nil {
			return nil, s.explain("read references from", err)
		}
		manifests = append(manifests, digest.Digest(m))
	}
	return manifests, s.explain("read references from", rows.Err())
}

// KeepVerdict remembers a verdict by its ID and its blobs, and as the answer to key. A passing verdict, or one without
// a key, answers nothing. An ID that already names another image's verdict is refused: it would change that answer.
func (s *Store) KeepVerdict(ctx context.Context, key digest.Digest, v trust.Verdict) error {
	if v.ID == "" || v.Manifest == "" || v.Reference.Name() == "" || v.Action.Severity() > trust.Block.Severity() {
		return fmt.Errorf("keep verdict %q: it must have an ID, a reference, a manifest and an action", v.ID)
	}
	body, err := encode(v)
	if err != nil {
		return fmt.Errorf("keep verdict %s: %w", v.ID, err)
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain("keep verdict in", err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := s.keep(ctx, tx, key, v, body); err != nil {
		return s.explain("keep verdict in", err)
	}
	return s.explain("keep verdict in", tx.Commit())
}

func (s *Store) keep(ctx context.Context, tx *sql.Tx, key digest.Digest, v trust.Verdict, body string) error {
	name, manifest := v.Reference.Name(), v.Manifest.String()
	done, err := tx.ExecContext(ctx, `INSERT INTO verdicts (id, name, manifest, action, judged, body, touched) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET action = excluded.action, judged = excluded.judged, body = excluded.body, touched = excluded.touched
		WHERE verdicts.name = excluded.name AND verdicts.manifest = excluded.manifest`,
		v.ID, name, manifest, string(v.Action), v.At.UnixMicro(), body, s.now().UnixMicro())
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return errors.Join(fmt.Errorf("the ID %s is taken by the verdict on another image", v.ID), err)
	}
	if key != "" && !v.Passing {
		_, err := tx.ExecContext(ctx, `INSERT INTO answers (question, verdict) VALUES ($1, $2)
			ON CONFLICT (question) DO UPDATE SET verdict = excluded.verdict`, key.String(), v.ID)
		if err != nil {
			return err
		}
	}
	for blobs := v.Blobs; len(blobs) > 0; {
		n := min(len(blobs), rowsAtOnce)
		if err := keepReferences(ctx, tx, name, manifest, blobs[:n]); err != nil {
			return err
		}
		blobs = blobs[n:]
	}
	return nil
}

func keepReferences(ctx context.Context, tx *sql.Tx, name, manifest string, blobs []trust.Blob) error {
	args := []any{name, manifest}
	values := make([]string, len(blobs))
	for i, b := range blobs {
		args = append(args, b.Digest.String())
		values[i] = fmt.Sprintf("($1, $%d, $2)", len(args))
	}
	//nolint:gosec // what is joined are placeholders that were made here
	statement := fmt.Sprintf(`INSERT INTO blob_references (name, blob, manifest) VALUES %s ON CONFLICT (name, blob, manifest) DO NOTHING`,
		strings.Join(values, ", "))
	_, err := tx.ExecContext(ctx, statement, args...)
	return err
}

// row is a verdict as it is stored. What stands twice must agree.
type row struct {
	id, name, manifest, action, body string
	touched                          int64
}

func (r *row) columns() []any {
	return []any{&r.id, &r.name, &r.manifest, &r.action, &r.body, &r.touched}
}

func (s *Store) decode(r row) (trust.Verdict, error) {
	var v trust.Verdict
	err := json.Unmarshal([]byte(r.body), &v)
	if err != nil || v.ID != r.id || v.Reference.Name() != r.name || v.Manifest.String() != r.manifest ||
		string(v.Action) != r.action || v.Action.Severity() > trust.Block.Severity() {
		return trust.Verdict{}, s.damaged("verdict "+r.id, err)
	}
	return v, nil
}
