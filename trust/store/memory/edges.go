package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
)

// edgeKey is what there is one edge of.
type edgeKey struct{ kind, value, name, manifest string }

// KeepEdges remembers what a judged image has, in place of what an earlier verdict on it said.
func (s *Store) KeepEdges(ctx context.Context, edges []campaign.Edge) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range edges {
		s.edges[edgeKey{e.Kind, e.Value, e.Name, e.Manifest.String()}] = e
	}
	return nil
}

// Shared returns the edges of all images that have one of the values, the newest first. Of the edges asked for, only kind
// and value count.
func (s *Store) Shared(ctx context.Context, wanted []campaign.Edge) ([]campaign.Edge, error) {
	return s.edgesThat(ctx, func(e campaign.Edge) bool {
		return slices.ContainsFunc(wanted, func(w campaign.Edge) bool { return w.Kind == e.Kind && w.Value == e.Value })
	})
}

// Campaigns returns the edges of blocked images, the newest first.
func (s *Store) Campaigns(ctx context.Context) ([]campaign.Edge, error) {
	return s.edgesThat(ctx, func(e campaign.Edge) bool { return e.Action == trust.Block })
}

func (s *Store) edgesThat(ctx context.Context, fit func(campaign.Edge) bool) ([]campaign.Edge, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []campaign.Edge
	for _, e := range s.edges {
		if fit(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b campaign.Edge) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Manifest, b.Manifest))
	})
	return out, ctx.Err()
}
