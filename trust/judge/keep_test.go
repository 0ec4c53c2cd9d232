package judge_test

import (
	"context"
	"errors"
	"testing"

	"github.com/safepull/safepull/trust/campaign"
	"github.com/safepull/safepull/trust/judge"
)

// edges is a memory of edges that fails once.
type edges struct {
	asked int
}

func (m *edges) KeepEdges(context.Context, []campaign.Edge) error {
	if m.asked++; m.asked == 1 {
		return errors.New("busy")
	}
	return nil
}
func (*edges) Shared(context.Context, []campaign.Edge) ([]campaign.Edge, error) { return nil, nil }

// TestJudge_edgesAreKept: what an image has is remembered before its verdict answers, so that no failure in between loses it.
func TestJudge_edgesAreKept(t *testing.T) {
	t.Parallel()
	memory := &edges{}
	j, _, _ := newJudge(t, func(o *judge.Options) { o.Campaigns = memory })
	s := newSource()
	ref := s.image(t, nil, "one")
	if _, err := j.Judge(t.Context(), ref, s); err == nil {
		t.Error("a memory that fails is no verdict")
	}
	if _, err := j.Judge(t.Context(), ref, s); err != nil || memory.asked != 2 {
		t.Errorf("%v, asked %d times", err, memory.asked)
	}
}
