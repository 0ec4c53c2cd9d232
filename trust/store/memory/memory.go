// Package memory is a store in memory alone, for tests and for runs that shall leave nothing behind. It passes the
// same suite as the stores that last, but forgets nothing before its end and so grows without bound.
package memory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// Store holds documents as JSON, so that nothing that is kept shares memory with what is returned. It is safe for
// concurrent use.
type Store struct {
	mu          sync.RWMutex
	inspections map[[2]digest.Digest][]byte
	verdicts    map[string][]byte
	answers     map[digest.Digest]string
	names       map[string][]string // IDs of the verdicts on a repository
	manifests   map[reference][]digest.Digest
	edges       map[edgeKey]campaign.Edge
	owners      map[string]reference // what a verdict's ID is about
	notes       map[string][]byte
}

// reference is a blob, or a manifest, under a repository name.
type reference struct {
	name   string
	digest digest.Digest
}

// New makes an empty store.
func New() *Store {
	return &Store{
		inspections: map[[2]digest.Digest][]byte{},
		verdicts:    map[string][]byte{},
		answers:     map[digest.Digest]string{},
		names:       map[string][]string{},
		manifests:   map[reference][]digest.Digest{},
		edges:       map[edgeKey]campaign.Edge{},
		owners:      map[string]reference{},
		notes:       map[string][]byte{},
	}
}

// Close does nothing.
func (s *Store) Close() error { return nil }

// Inspection returns what is remembered about a blob under a key.
func (s *Store) Inspection(ctx context.Context, blob, key digest.Digest) (trust.Inspection, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return decode[trust.Inspection](ctx, s.inspections[[2]digest.Digest{blob, key}])
}

// KeepInspection remembers a complete inspection in place of an earlier one.
func (s *Store) KeepInspection(ctx context.Context, blob, key digest.Digest, found trust.Inspection) error {
	if blob == "" || key == "" {
		return errors.New("keep inspection: blob and key must not be empty")
	}
	if found.Findings == nil {
		found.Findings = []trust.Finding{}
	}
	body, err := encode(ctx, found)
	if err != nil {
		return fmt.Errorf("keep inspection of %s: %w", blob, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inspections[[2]digest.Digest{blob, key}] = body
	return nil
}

// Verdict returns the verdict that answers the question with this key.
func (s *Store) Verdict(ctx context.Context, key digest.Digest) (trust.Verdict, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, found, err := decode[trust.Verdict](ctx, s.verdicts[s.answers[key]])
	if v.Passing {
		return trust.Verdict{}, false, nil
	}
	return v, found, err
}

// VerdictByID returns the verdict with this ID, whether or not it still answers anything.
func (s *Store) VerdictByID(ctx context.Context, id string) (trust.Verdict, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return decode[trust.Verdict](ctx, s.verdicts[id])
}

// Verdicts returns the newest verdicts on a repository, named as trust.Reference.Name does, at most limit of them.
func (s *Store) Verdicts(ctx context.Context, name string, limit int) ([]trust.Verdict, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var verdicts []trust.Verdict
	for _, id := range s.names[name] {
		v, _, err := decode[trust.Verdict](ctx, s.verdicts[id])
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, v)
	}
	slices.SortFunc(verdicts, func(a, b trust.Verdict) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
	return verdicts[:min(len(verdicts), max(limit, 0))], nil
}

// Manifests returns the manifests judged under a repository name, with whatever outcome, that reference a blob.
func (s *Store) Manifests(ctx context.Context, name string, blob digest.Digest) ([]digest.Digest, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.manifests[reference{name, blob}]), ctx.Err()
}

// KeepVerdict remembers a verdict by its ID and its blobs, and as the answer to key. A passing verdict, or one without
// a key, answers nothing. An ID that already names another image's verdict is refused.
func (s *Store) KeepVerdict(ctx context.Context, key digest.Digest, v trust.Verdict) error {
	if v.ID == "" || v.Manifest == "" || v.Reference.Name() == "" || v.Action.Severity() > trust.Block.Severity() {
		return fmt.Errorf("keep verdict %q: it must have an ID, a reference, a manifest and an action", v.ID)
	}
	body, err := encode(ctx, v)
	if err != nil {
		return fmt.Errorf("keep verdict %s: %w", v.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := v.Reference.Name()
	about := reference{name, v.Manifest}
	switch owner, taken := s.owners[v.ID]; {
	case !taken:
		s.owners[v.ID] = about
		s.names[name] = append(s.names[name], v.ID)
	case owner != about:
		return fmt.Errorf("keep verdict: the ID %s is taken by the verdict on another image", v.ID)
	}
	s.verdicts[v.ID] = body
	if key != "" && !v.Passing {
		s.answers[key] = v.ID
	}
	for _, b := range v.Blobs {
		at := reference{name, b.Digest}
		if i, found := slices.BinarySearch(s.manifests[at], v.Manifest); !found {
			s.manifests[at] = slices.Insert(s.manifests[at], i, v.Manifest)
		}
	}
	return nil
}

func encode(ctx context.Context, v any) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func decode[T any](ctx context.Context, body []byte) (v T, found bool, err error) {
	if err := ctx.Err(); err != nil || body == nil {
		return v, false, err
	}
	err = json.Unmarshal(body, &v)
	return v, err == nil, err
}
