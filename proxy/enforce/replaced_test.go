package enforce_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// replaceable are trust lists that are replaced while images are judged: from the second on, they deny.
type replaceable struct{ version atomic.Int32 }

func (r *replaceable) digest() digest.Digest {
	return digest.FromString(string('a' + r.version.Load()))
}

// over makes a judge ask these lists when a judgement begins, as trust/judge does. Before it ends, meanwhile is called with
// the number of the judgement.
func (r *replaceable) over(judge *fakeJudge, meanwhile func(n int32)) {
	answer := judge.verdict
	judge.standing = func(trust.Reference) trust.Standing { return trust.Standing{Lists: r.digest()} }
	judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		lists, denies := r.digest(), r.version.Load() > 0
		meanwhile(judge.asked.Load())
		v, err := answer(ctx, ref)
		if v.TrustLists = lists; denies {
			v.Action = trust.Block
		}
		return v, err
	}
}

// TestListsReplacedMeanwhile: a verdict by lists that were replaced is none, whoever waited for it, also for nobody.
func TestListsReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, took := range map[string]time.Duration{"taken": time.Second, "untaken": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var lists replaceable
				judge, src := says(trust.Allow), newSource()
				src.add("1", ocispec.MediaTypeImageManifest, image)
				lists.over(judge, func(n int32) {
					if n == 1 {
						time.Sleep(took)
						lists.version.Add(1)
					}
				})
				g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
				var refusal *enforce.Refusal
				var pending *enforce.Pending
				_, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
				if name == "untaken" {
					if !errors.As(err, &pending) {
						t.Fatal(err)
					}
					time.Sleep(15 * time.Second)
					_, err = g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
				}
				if !errors.As(err, &refusal) {
					t.Errorf("an image that the lists deny: %v", err)
				}
				if n := judge.asked.Load(); n != 2 {
					t.Errorf("judged %d times", n)
				}
			})
		})
	}
}

// TestListsReplacedAgainAndAgain ends without a verdict.
func TestListsReplacedAgainAndAgain(t *testing.T) {
	t.Parallel()
	var lists replaceable
	judge, src := says(trust.Allow), newSource()
	src.add("1", ocispec.MediaTypeImageManifest, image)
	lists.over(judge, func(int32) { lists.version.Add(1) })
	g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
	_, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
	var unjudged *enforce.Unjudged
	if !errors.As(err, &unjudged) || judge.asked.Load() > 3 {
		t.Errorf("%v, judged %d times", err, judge.asked.Load())
	}
}

// TestListsReplacedUnderASeal: what flows already is cut.
func TestListsReplacedUnderASeal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lists replaceable
		w := newSealedWorld(100_000, nil)
		lists.over(w.judge, func(int32) {})
		g := w.gate(t, enforce.Options{})
		begin(t, g)
		content, err := w.open(t, g, w.layer)
		if err != nil {
			t.Fatal(err)
		}
		tk := take(content, 0)
		synctest.Wait()
		lists.version.Add(1)
		w.verdict <- trust.Allow // by the first lists
		synctest.Wait()
		if n := tk.upTo(); n > int64(len(w.layer)-floor) {
			t.Errorf("%d bytes by lists that count no more", n)
		}
		w.verdict <- trust.Allow // which the second ones turn into a refusal
		<-tk.done
		var refusal *enforce.Refusal
		if !errors.As(tk.err, &refusal) || bytes.Equal(tk.body, w.layer) {
			t.Errorf("%d bytes, cut with %v", len(tk.body), tk.err)
		}
	})
}

// TestUntakenOutcomesAreBounded: whoever asks and leaves again and again leaves little behind.
func TestUntakenOutcomesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const asked = 600
		judge, src := says(trust.Allow), newSource()
		judge.verdict = func(context.Context, trust.Reference) (trust.Verdict, error) {
			time.Sleep(time.Second)
			return trust.Verdict{}, errors.New("the judge broke")
		}
		g := newGate(t, judge, fakeRecords{}, src, enforce.Options{Concurrent: 2 * asked, Waiting: 2 * asked})
		ask := func() {
			for i := range asked {
				ctx, leave := context.WithTimeout(t.Context(), time.Millisecond)
				_, _ = g.Manifest(ctx, app.WithDigest(src.add("", ocispec.MediaTypeImageManifest, mustJSON(map[string]any{
					"schemaVersion": 2, "annotations": map[string]string{"n": time.Duration(i).String()},
					"config": descriptor(ocispec.MediaTypeImageConfig, config), "layers": []any{descriptor(ocispec.MediaTypeImageLayer, layer)},
				}))), enforce.Terms{})
				leave()
			}
		}
		ask()
		time.Sleep(10 * time.Second)
		ask() // takes the outcomes that wait, and asks anew for the others
		if n := judge.asked.Load(); n != asked+asked-512 {
			t.Errorf("judged %d times", n)
		}
		time.Sleep(time.Hour)
		before := judge.asked.Load()
		ask()
		if n := judge.asked.Load() - before; n != asked {
			t.Errorf("%d of %d outcomes were kept for an hour", asked-n, asked)
		}
	})
}
