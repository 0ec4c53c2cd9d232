package sqlite

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// Quarantined returns the blobs of images whose newest verdict under their name is quarantine, those of the newest
// verdicts first, at most limit of them.
func (s *Store) Quarantined(ctx context.Context, limit int) ([]digest.Digest, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT r.blob FROM verdicts v
		JOIN blob_references r ON r.name = v.name AND r.manifest = v.manifest
		WHERE v.action = $1 AND NOT EXISTS
			(SELECT 1 FROM verdicts n WHERE n.name = v.name AND n.manifest = v.manifest AND (n.judged, n.id) > (v.judged, v.id))
		GROUP BY r.blob ORDER BY max(v.judged) DESC, r.blob LIMIT $2`, string(trust.Quarantine), max(limit, 0))
	if err != nil {
		return nil, s.explain("read quarantined blobs from", err)
	}
	defer rows.Close()
	var blobs []digest.Digest
	for rows.Next() {
		var b string
		if err := rows.Scan(&b); err != nil {
			return nil, s.explain("read quarantined blobs from", err)
		}
		blobs = append(blobs, digest.Digest(b))
	}
	return blobs, s.explain("read quarantined blobs from", rows.Err())
}
