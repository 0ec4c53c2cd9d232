package publisher

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/safepull/safepull/trust"
)

// Limits on a snapshot: memory.
const (
	maxSnapshot = 64 << 20
	maxRecords  = 200_000
)

// snapshotVersion is that of the format.
const snapshotVersion = 1

// Snapshot is a file of records, for machines that cannot ask registries.
type Snapshot struct {
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
	Records []Record  `json:"records"`
}

// NewSnapshot holds records as of a time.
func NewSnapshot(records []Record, at time.Time) Snapshot {
	return Snapshot{Version: snapshotVersion, Made: at.UTC().Truncate(time.Second), Records: records}
}

// Write writes the file.
func (s Snapshot) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(s)
}

// ReadSnapshot reads a file that Write wrote, strictly. Errors wrap trust.ErrMalformed or trust.ErrLimit.
func ReadSnapshot(r io.Reader) (Snapshot, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxSnapshot+1))
	if err != nil {
		return Snapshot{}, fmt.Errorf("read snapshot: %w", err)
	}
	if len(body) > maxSnapshot {
		return Snapshot{}, fmt.Errorf("a snapshot of more than %d bytes: %w", maxSnapshot, trust.ErrLimit)
	}
	var s Snapshot
	if err := json.Unmarshal(body, &s); err != nil {
		return Snapshot{}, fmt.Errorf("%w: snapshot: %s", trust.ErrMalformed, describe(err))
	}
	switch {
	case s.Version != snapshotVersion:
		return Snapshot{}, fmt.Errorf("%w: snapshot of version %d: this safepull reads version %d", trust.ErrMalformed, s.Version, snapshotVersion)
	case len(s.Records) > maxRecords:
		return Snapshot{}, fmt.Errorf("a snapshot of %d records, more than %d: %w", len(s.Records), maxRecords, trust.ErrLimit)
	}
	for i := range s.Records {
		if err := s.Records[i].check(); err != nil {
			return Snapshot{}, fmt.Errorf("snapshot, record %d: %w", i+1, err)
		}
	}
	return s, nil
}

// describe says where a JSON text is wrong.
func describe(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("byte %d: %v", syntax.Offset, err)
	}
	return trust.Sanitise(err.Error(), 200)
}
