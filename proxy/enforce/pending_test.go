package enforce_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// TestPendingSaysWhenToComeBack: half the hold, but neither at once nor after an hour.
func TestPendingSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	for hold, want := range map[time.Duration]time.Duration{
		time.Millisecond: time.Second, 20 * time.Second: 10 * time.Second, 2 * time.Hour: 30 * time.Second,
	} {
		t.Run(hold.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				judge, src := says(trust.Allow), newSource()
				src.add("1", ocispec.MediaTypeImageManifest, image)
				judge.verdict = func(ctx context.Context, _ trust.Reference) (trust.Verdict, error) {
					<-ctx.Done()
					return trust.Verdict{}, ctx.Err()
				}
				g := newGate(t, judge, fakeRecords{}, src, enforce.Options{Hold: hold, Deadline: 3 * time.Hour})
				_, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
				var pending *enforce.Pending
				if !errors.As(err, &pending) || pending.RetryAfter != want {
					t.Errorf("got %v (%+v), want %s", err, pending, want)
				}
			})
		})
	}
}
