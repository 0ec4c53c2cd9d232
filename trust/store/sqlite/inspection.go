package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

const (
	// bodyLimit bounds one document, so that no hostile image can fill the disk with findings about itself.
	bodyLimit = 24 << 20
	// touchEvery is how stale the time of last use may be: a write for every read would cost more than the read.
	touchEvery = 24 * time.Hour
	// touchWait bounds how long a read may wait to note its use while another process writes.
	touchWait = 100 * time.Millisecond
)

// Inspection returns what is remembered about a blob under a key.
func (s *Store) Inspection(ctx context.Context, blob, key digest.Digest) (trust.Inspection, bool, error) {
	var body string
	var touched int64
	err := s.read.QueryRowContext(ctx, `SELECT body, touched FROM inspections WHERE blob = $1 AND question = $2`, blob.String(), key.String()).Scan(&body, &touched)
	if errors.Is(err, sql.ErrNoRows) {
		return trust.Inspection{}, false, nil
	}
	if err != nil {
		return trust.Inspection{}, false, s.explain("read inspection from", err)
	}
	var found trust.Inspection
	if err := json.Unmarshal([]byte(body), &found); err != nil || found.Findings == nil {
		return trust.Inspection{}, false, s.damaged("inspection of "+blob.String(), err)
	}
	s.touch(ctx, touched, `UPDATE inspections SET touched = $1 WHERE blob = $2 AND question = $3`, blob.String(), key.String())
	return found, true, nil
}

// KeepInspection remembers a complete inspection in place of an earlier one.
func (s *Store) KeepInspection(ctx context.Context, blob, key digest.Digest, found trust.Inspection) error {
	if blob == "" || key == "" {
		return errors.New("keep inspection: blob and key must not be empty")
	}
	if found.Findings == nil {
		found.Findings = []trust.Finding{}
	}
	body, err := encode(found)
	if err != nil {
		return fmt.Errorf("keep inspection of %s: %w", blob, err)
	}
	_, err = s.write.ExecContext(ctx, `INSERT INTO inspections (blob, question, body, touched) VALUES ($1, $2, $3, $4)
		ON CONFLICT (blob, question) DO UPDATE SET body = excluded.body, touched = excluded.touched`,
		blob.String(), key.String(), body, s.now().UnixMicro())
	return s.explain("keep inspection in", err)
}

// touch notes that a row was used, once in touchEvery. That it could not be noted does not make the answer wrong: the
// row may be pruned early and is then found out again.
func (s *Store) touch(ctx context.Context, touched int64, update string, key ...any) {
	now := s.now()
	if s.readOnly || now.Sub(time.UnixMicro(touched)) < touchEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, touchWait)
	defer cancel()
	_, _ = s.write.ExecContext(ctx, update, append([]any{now.UnixMicro()}, key...)...)
}

func encode(v any) (string, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	if len(body) > bodyLimit {
		return "", fmt.Errorf("%d bytes are more than the %d that a store takes: %w", len(body), bodyLimit, trust.ErrLimit)
	}
	return string(body), nil
}

// damaged is the error for a row that cannot be believed. It never becomes "not found", and never an empty answer.
func (s *Store) damaged(what string, err error) error {
	if err == nil {
		err = errors.New("it contradicts itself")
	}
	return fmt.Errorf("the %s in store %s is damaged: move the file away to begin with an empty memory: %w", what, s.path, err)
}
