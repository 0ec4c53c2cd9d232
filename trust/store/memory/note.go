package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/safepull/safepull/trust"
)

// noteLimit bounds one note, in bytes, as in stores that last.
const noteLimit = 256 << 10

// Note returns what was noted under a key.
func (s *Store) Note(ctx context.Context, key string) ([]byte, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	body, ok := s.notes[key]
	return slices.Clone(body), ok && ctx.Err() == nil, ctx.Err()
}

// KeepNote notes a body under a key, in place of an earlier one.
func (s *Store) KeepNote(ctx context.Context, key string, body []byte) error {
	return s.ChangeNote(ctx, key, func([]byte) ([]byte, error) { return body, nil })
}

// ChangeNote notes what change makes of the body under a key; it is given nil where there is none, and returns nil to leave
// it as it is. Change must not use the store; its error is returned.
func (s *Store) ChangeNote(ctx context.Context, key string, change func(body []byte) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	body, err := change(slices.Clone(s.notes[key]))
	if err != nil || body == nil {
		return err
	}
	if key == "" || len(body) > noteLimit {
		return fmt.Errorf("keep note %q of %d bytes: it must have a key and at most %d bytes: %w", trust.Sanitise(key, 80), len(body), noteLimit, trust.ErrLimit)
	}
	s.notes[key] = slices.Clone(body)
	return nil
}

// Notes returns at most limit notes whose keys come after a key, in order of keys.
func (s *Store) Notes(ctx context.Context, after string, limit int) ([]struct {
	Key  string
	Body []byte
}, error,
) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []struct {
		Key  string
		Body []byte
	}
	for _, key := range slices.Sorted(maps.Keys(s.notes)) {
		if key > after && len(out) < limit {
			out = append(out, struct {
				Key  string
				Body []byte
			}{key, slices.Clone(s.notes[key])})
		}
	}
	return out, ctx.Err()
}
