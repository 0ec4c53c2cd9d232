package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/caller"
	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// TestNobodyTakesAllPlaces: one address, or one identity, fills three quarters of the places at most.
func TestNobodyTakesAllPlaces(t *testing.T) {
	t.Parallel()
	judge, src := says(trust.Allow), newSource()
	release := make(chan struct{})
	judge.verdict = func(context.Context, trust.Reference) (trust.Verdict, error) {
		<-release
		return trust.Verdict{}, trust.ErrUnavailable
	}
	for i := range 10 {
		src.add(fmt.Sprint(i), ocispec.MediaTypeImageManifest, append(slices.Clone(image), strings.Repeat(" ", i)...))
	}
	g := newGate(t, judge, fakeRecords{}, src, enforce.Options{Concurrent: 1, Waiting: 7, Hold: time.Millisecond})
	ask := func(i int, as caller.Caller) error {
		_, err := g.Manifest(caller.With(t.Context(), as), tagged(fmt.Sprint(i)), enforce.Terms{})
		return err
	}
	greedy, another := caller.Caller{Address: "10.0.0.1"}, caller.Caller{Address: "10.0.0.1", Identity: "ada"}
	var pending *enforce.Pending
	for i := range 6 {
		if err := ask(i, greedy); !errors.As(err, &pending) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := ask(6, greedy); !errors.Is(err, enforce.ErrOverloaded) {
		t.Errorf("the seventh: %v", err)
	}
	if err := ask(5, greedy); !errors.As(err, &pending) {
		t.Errorf("what runs already takes no place: %v", err)
	}
	for i := range 2 {
		if err := ask(7+i, another); !errors.As(err, &pending) {
			t.Errorf("somebody else: %v", err)
		}
	}
	if err := ask(9, another); !errors.Is(err, enforce.ErrOverloaded) {
		t.Errorf("all places are taken: %v", err)
	}
	close(release)
}
