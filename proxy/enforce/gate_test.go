package enforce_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeJudge answers by manifest digest and remembers as a judge does.
type fakeJudge struct {
	mu         sync.Mutex
	verdict    func(ctx context.Context, ref trust.Reference) (trust.Verdict, error)
	standing   func(trust.Reference) trust.Standing
	remembered map[string]trust.Verdict
	broken     error // of Remembered
	asked      atomic.Int32
}

// key has what trust/judge's has: the entry that decided too.
func (j *fakeJudge) key(ref trust.Reference) string {
	standing := j.Standing(ref)
	if !standing.TagMatters {
		ref.Tag = ""
	}
	if e := standing.Decided; e != nil && e.RequireSignature != nil {
		return ref.String() + " in " + ref.Index.String()
	}
	if standing.Decided != nil {
		return ref.String() + " by " + standing.Decided.Pattern
	}
	return ref.String() + string(standing.Lists)
}

func (j *fakeJudge) Judge(ctx context.Context, ref trust.Reference, _ trust.Source) (trust.Verdict, error) {
	j.asked.Add(1)
	key := j.key(ref)
	v, err := j.verdict(ctx, ref)
	if err == nil && !v.Passing {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.remembered[key] = v
	}
	return v, err
}

func (j *fakeJudge) Remembered(_ context.Context, ref trust.Reference) (trust.Verdict, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	v, ok := j.remembered[j.key(ref)]
	return v, ok, j.broken
}

func (j *fakeJudge) Standing(ref trust.Reference) trust.Standing {
	if j.standing == nil {
		return trust.Standing{}
	}
	return j.standing(ref)
}

// says makes a judge that answers with one action, blobs included.
func says(action trust.Action, blobs ...trust.Blob) *fakeJudge {
	return &fakeJudge{remembered: map[string]trust.Verdict{}, verdict: func(_ context.Context, ref trust.Reference) (trust.Verdict, error) {
		return trust.Verdict{ID: "SP-0123456789", Reference: ref, Manifest: ref.Digest, Action: action, Blobs: blobs}, nil
	}}
}

// fakeSource holds content by digest, and tags.
type fakeSource struct {
	content            map[digest.Digest][]byte
	types              map[digest.Digest]string
	tags               map[string]digest.Digest
	resolveErr         error
	fetchErr           error
	resolves, fetches  atomic.Int32
	resolveWaits       bool
	resolveTakes       time.Duration
	corrupt, oversized bool
	lies               *ocispec.Descriptor
}

func newSource() *fakeSource {
	return &fakeSource{content: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}, tags: map[string]digest.Digest{}}
}

func (s *fakeSource) add(tag, mediaType string, body []byte) digest.Digest {
	d := digest.FromBytes(body)
	s.content[d], s.types[d] = body, mediaType
	if tag != "" {
		s.tags[tag] = d
	}
	return d
}

func (s *fakeSource) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	s.resolves.Add(1)
	if s.resolveWaits {
		<-ctx.Done()
		return ocispec.Descriptor{}, ctx.Err()
	}
	select {
	case <-time.After(s.resolveTakes):
	case <-ctx.Done():
		return ocispec.Descriptor{}, ctx.Err()
	}
	if s.lies != nil {
		return *s.lies, nil
	}
	if s.resolveErr != nil {
		return ocispec.Descriptor{}, s.resolveErr
	}
	d := ref.Digest
	if d == "" {
		d = s.tags[ref.Tag]
	}
	body, ok := s.content[d]
	if !ok {
		return ocispec.Descriptor{}, fmt.Errorf("%w: %s", trust.ErrNotFound, ref)
	}
	return ocispec.Descriptor{MediaType: s.types[d], Digest: d, Size: int64(len(body))}, nil
}

func (s *fakeSource) Fetch(_ context.Context, _ trust.Reference, d ocispec.Descriptor) (io.ReadCloser, error) {
	s.fetches.Add(1)
	if s.fetchErr != nil {
		return nil, s.fetchErr
	}
	body := s.content[d.Digest]
	switch {
	case s.corrupt:
		body = append([]byte("x"), body[1:]...)
	case s.oversized:
		body = make([]byte, 4<<20+1)
	}
	return io.NopCloser(bytes.NewReader(body)), nil
}

type fakeRecords map[digest.Digest][]digest.Digest

func (r fakeRecords) Manifests(_ context.Context, name string, blob digest.Digest) ([]digest.Digest, error) {
	if name != "docker.io/acme/app" {
		return nil, nil
	}
	return r[blob], nil
}

var (
	layer  = []byte("layer content")
	config = []byte("{}")
	image  = mustJSON(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": descriptor(ocispec.MediaTypeImageConfig, config),
		"layers": []any{descriptor(ocispec.MediaTypeImageLayer, layer)},
	})
	app = trust.Reference{Registry: "docker.io", Repository: "acme/app"}
)

func descriptor(mediaType string, body []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func newGate(t *testing.T, judge enforce.Judge, records enforce.Records, src trust.Source, o enforce.Options) *enforce.Gate {
	t.Helper()
	g, err := enforce.New(judge, records, enforce.ByHost{"docker.io": src}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return g
}

func tagged(tag string) trust.Reference {
	ref := app
	ref.Tag = tag
	return ref
}

func TestManifestFollowsVerdict(t *testing.T) {
	t.Parallel()
	for action, serves := range map[trust.Action]bool{
		trust.Allow: true, trust.Warn: true, trust.Quarantine: false, trust.Block: false, "": false, "nonsense": false,
	} {
		t.Run("action-"+string(action), func(t *testing.T) {
			t.Parallel()
			src := newSource()
			d := src.add("1", ocispec.MediaTypeImageManifest, image)
			g := newGate(t, says(action), fakeRecords{}, src, enforce.Options{})
			for _, ref := range []trust.Reference{tagged("1"), app.WithDigest(d)} {
				release, err := g.Manifest(t.Context(), ref, enforce.Terms{})
				if serves {
					want := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(image))}
					if err != nil || !bytes.Equal(release.Content, image) || cmp.Diff(want, release.Descriptor) != "" || release.Verdict == nil {
						t.Fatalf("%s: %+v, %v", ref, release, err)
					}
					continue
				}
				var refusal *enforce.Refusal
				if !errors.As(err, &refusal) || release.Content != nil {
					t.Fatalf("%s: want a refusal, got %+v, %v", ref, release, err)
				}
			}
		})
	}
}

func TestManifestErrorsNeverServe(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	cases := map[string]struct {
		change func(*fakeJudge, *fakeSource)
		ref    trust.Reference
		want   func(error) bool
	}{
		"not_found":       {nil, tagged("nope"), is(trust.ErrNotFound)},
		"not_configured":  {nil, trust.Reference{Registry: "evil.example", Repository: "a", Tag: "1"}, is(enforce.ErrNotConfigured)},
		"unauthorized":    {func(_ *fakeJudge, s *fakeSource) { s.resolveErr = trust.ErrUnauthorized }, tagged("1"), is(trust.ErrUnauthorized)},
		"fetch_broken":    {func(_ *fakeJudge, s *fakeSource) { s.fetchErr = trust.ErrUnavailable }, tagged("1"), is(trust.ErrUnavailable)},
		"fetch_corrupt":   {func(_ *fakeJudge, s *fakeSource) { s.corrupt = true }, tagged("1"), is(trust.ErrIntegrity)},
		"fetch_oversized": {func(_ *fakeJudge, s *fakeSource) { s.oversized = true }, tagged("1"), is(trust.ErrIntegrity)},
		"resolved_to_too_much": {func(_ *fakeJudge, s *fakeSource) {
			s.lies = &ocispec.Descriptor{Digest: digest.FromBytes(image), Size: 4<<20 + 1}
		}, tagged("1"), is(trust.ErrLimit)},
		"resolved_to_less_than_nothing": {func(_ *fakeJudge, s *fakeSource) {
			s.lies = &ocispec.Descriptor{Digest: digest.FromBytes(image), Size: -1}
		}, tagged("1"), is(trust.ErrLimit)},
		"judge_error": {func(j *fakeJudge, _ *fakeSource) {
			j.verdict = func(context.Context, trust.Reference) (trust.Verdict, error) {
				return trust.Verdict{Action: trust.Allow}, boom
			}
		}, tagged("1"), unjudged(boom)},
		"judge_panic": {func(j *fakeJudge, _ *fakeSource) {
			j.verdict = func(context.Context, trust.Reference) (trust.Verdict, error) { panic("boom") }
		}, tagged("1"), unjudged(nil)},
		"verdict_on_other_manifest": {func(j *fakeJudge, _ *fakeSource) {
			j.verdict = func(context.Context, trust.Reference) (trust.Verdict, error) {
				return trust.Verdict{Action: trust.Allow, Manifest: digest.FromString("other")}, nil
			}
		}, tagged("1"), unjudged(nil)},
		"memory_broken": {func(j *fakeJudge, _ *fakeSource) { j.broken = boom }, tagged("1"), unjudged(boom)},
		"resolved_to_another": {func(_ *fakeJudge, s *fakeSource) {
			d := descriptor(ocispec.MediaTypeImageManifest, image)
			s.lies = &d
		}, app.WithDigest(digest.FromString("asked")), is(trust.ErrIntegrity)},
		"resolved_to_nonsense": {func(_ *fakeJudge, s *fakeSource) { s.lies = &ocispec.Descriptor{Digest: "x"} }, tagged("1"), is(trust.ErrIntegrity)},
		"unknown_digest":       {nil, app.WithDigest(digest.FromString("elsewhere")), is(trust.ErrNotFound)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge, src := says(trust.Allow), newSource()
			src.add("1", ocispec.MediaTypeImageManifest, image)
			if c.change != nil {
				c.change(judge, src)
			}
			release, err := newGate(t, judge, fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), c.ref, enforce.Terms{})
			if err == nil || !c.want(err) || release.Content != nil {
				t.Errorf("got %+v, %v", release, err)
			}
		})
	}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func unjudged(cause error) func(error) bool {
	return func(err error) bool {
		var u *enforce.Unjudged
		return errors.As(err, &u) && (cause == nil || errors.Is(err, cause))
	}
}

func TestConcurrentRequestsShareOneJudgement(t *testing.T) {
	t.Parallel()
	judge, src := says(trust.Allow), newSource()
	d := src.add("1", ocispec.MediaTypeImageManifest, image)
	answer := judge.verdict
	arrived, goOn := make(chan struct{}, 1), make(chan struct{})
	judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		arrived <- struct{}{}
		<-goOn
		return answer(ctx, ref)
	}
	g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
	var wg sync.WaitGroup
	for i := range 100 {
		ref := tagged("1")
		if i%2 == 0 {
			ref = app.WithDigest(d)
		}
		wg.Go(func() {
			if _, err := g.Manifest(context.Background(), ref, enforce.Terms{}); err != nil {
				t.Error(err)
			}
		})
	}
	<-arrived
	close(goOn)
	wg.Wait()
	if n := judge.asked.Load(); n != 1 {
		t.Errorf("%d judgements for one digest", n)
	}
}

// TestHold tells the whole story of a slow judgement on a clock that the test owns.
func TestHold(t *testing.T) {
	t.Parallel()
	for _, passing := range []bool{false, true} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("passing_%v_fails_%v", passing, fails), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					judge, src := says(trust.Allow), newSource()
					src.add("1", ocispec.MediaTypeImageManifest, image)
					answer := judge.verdict
					judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
						time.Sleep(50 * time.Second)
						if fails {
							return trust.Verdict{}, errors.New("boom")
						}
						v, err := answer(ctx, ref)
						v.Passing = passing
						return v, err
					}
					g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
					for range 2 { // the client asks, is held 20 s, and asks again: the same judgement
						start := time.Now()
						_, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
						var pending *enforce.Pending
						if !errors.As(err, &pending) || pending.RetryAfter <= 0 || time.Since(start) != 20*time.Second {
							t.Fatalf("want pending after 20s, got %v after %s", err, time.Since(start))
						}
					}
					time.Sleep(30 * time.Second) // meanwhile it ends
					_, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
					if want := unjudged(nil)(err); want != fails || !fails && err != nil {
						t.Fatalf("the finished judgement was not found: %v", err)
					}
					if n := judge.asked.Load(); n != 1 {
						t.Errorf("judged %d times", n)
					}
				})
			})
		}
	}
}

func TestUntakenOutcomeIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		judge, src := says(trust.Allow), newSource()
		src.add("1", ocispec.MediaTypeImageManifest, image)
		judge.verdict = func(context.Context, trust.Reference) (trust.Verdict, error) {
			time.Sleep(30 * time.Second)
			return trust.Verdict{}, errors.New("boom")
		}
		g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
		_, _ = g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
		time.Sleep(10 * time.Minute)
		_, _ = g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
		if n := judge.asked.Load(); n != 2 {
			t.Errorf("asked %d times: an old error stands for ever", n)
		}
	})
}

func TestSlowUpstreamCountsAsHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		src.resolveWaits = true
		g := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{})
		start := time.Now()
		_, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
		if !errors.Is(err, trust.ErrUnavailable) || time.Since(start) != 20*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

func TestClientLeavesJudgementStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		judge, src := says(trust.Allow), newSource()
		src.add("1", ocispec.MediaTypeImageManifest, image)
		answer := judge.verdict
		judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
			time.Sleep(5 * time.Second)
			if ctx.Err() != nil {
				t.Error("the judgement died with its first client")
			}
			return answer(ctx, ref)
		}
		g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := g.Manifest(ctx, tagged("1"), enforce.Terms{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
			t.Fatal(err)
		}
		if n := judge.asked.Load(); n != 1 {
			t.Errorf("judged %d times", n)
		}
	})
}

func TestJudgementHasADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		judge, src := says(trust.Allow), newSource()
		src.add("1", ocispec.MediaTypeImageManifest, image)
		judge.verdict = func(ctx context.Context, _ trust.Reference) (trust.Verdict, error) {
			<-ctx.Done()
			return trust.Verdict{}, ctx.Err()
		}
		g := newGate(t, judge, fakeRecords{}, src, enforce.Options{Deadline: 10 * time.Second})
		if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); !unjudged(context.DeadlineExceeded)(err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOverload(t *testing.T) {
	t.Parallel()
	judge, src := says(trust.Allow), newSource()
	release := make(chan struct{})
	answer := judge.verdict
	var running, most atomic.Int32
	judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		most.Store(max(most.Load(), running.Add(1)))
		<-release
		running.Add(-1)
		return answer(ctx, ref)
	}
	for i := range 4 {
		src.add(fmt.Sprint(i), ocispec.MediaTypeImageManifest, append(slices.Clone(image), strings.Repeat(" ", i)...))
	}
	g := newGate(t, judge, fakeRecords{}, src, enforce.Options{Concurrent: 1, Waiting: 2})
	errs := make(chan error, 4)
	for i := range 4 {
		go func() {
			_, err := g.Manifest(context.Background(), tagged(fmt.Sprint(i)), enforce.Terms{})
			errs <- err
		}()
	}
	if err := <-errs; !errors.Is(err, enforce.ErrOverloaded) {
		t.Errorf("the fourth request got %v", err)
	}
	close(release)
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d judgements ran at one time", most.Load())
	}
}

func TestCloseEndsJudgements(t *testing.T) {
	t.Parallel()
	judge, src := says(trust.Allow), newSource()
	src.add("1", ocispec.MediaTypeImageManifest, image)
	started := make(chan struct{})
	judge.verdict = func(ctx context.Context, _ trust.Reference) (trust.Verdict, error) {
		close(started)
		<-ctx.Done()
		return trust.Verdict{}, ctx.Err()
	}
	g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
	got := make(chan error)
	go func() {
		_, err := g.Manifest(context.Background(), tagged("1"), enforce.Terms{})
		got <- err
	}()
	<-started
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !unjudged(context.Canceled)(err) {
		t.Errorf("got %v", err)
	}
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); !unjudged(nil)(err) {
		t.Errorf("after Close: %v", err)
	}
}

func TestDigestAfterTagNeedsNoSecondResolve(t *testing.T) {
	t.Parallel()
	src := newSource()
	d := src.add("1", ocispec.MediaTypeImageManifest, image)
	g := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{})
	for _, ref := range []trust.Reference{tagged("1"), app.WithDigest(d)} {
		if _, err := g.Manifest(t.Context(), ref, enforce.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := src.resolves.Load(); n != 1 {
		t.Errorf("%d resolves", n)
	}
}

// TestTagThatMatters: an entry allows acme/app:1 only; engines resolve the tag and then ask by digest.
func TestTagThatMatters(t *testing.T) {
	t.Parallel()
	blob := trust.Blob{Digest: digest.FromBytes(layer), Size: int64(len(layer))}
	judge, src := says(trust.Block, blob), newSource()
	judge.standing = func(ref trust.Reference) trust.Standing { return trust.Standing{TagMatters: ref.Tag != ""} }
	refuse := judge.verdict
	judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		v, err := refuse(ctx, ref)
		if ref.Tag == "1" {
			v.Action = trust.Allow
		}
		return v, err
	}
	d := src.add("1", ocispec.MediaTypeImageManifest, image)
	src.tags["2"] = d
	src.content[blob.Digest] = layer
	g := newGate(t, judge, fakeRecords{blob.Digest: {d}}, src, enforce.Options{})

	var refusal *enforce.Refusal
	for _, ref := range []trust.Reference{app.WithDigest(d), tagged("2")} {
		if _, err := g.Manifest(t.Context(), ref, enforce.Terms{}); !errors.As(err, &refusal) {
			t.Fatalf("%s: %v", ref, err)
		}
	}
	if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); !errors.As(err, &refusal) {
		t.Fatalf("blob before: %v", err)
	}
	for _, ref := range []trust.Reference{tagged("1"), app.WithDigest(d)} {
		if _, err := g.Manifest(t.Context(), ref, enforce.Terms{}); err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
	}
	if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); err != nil {
		t.Fatalf("blob after: %v", err)
	}
	if _, err := g.Manifest(t.Context(), tagged("2"), enforce.Terms{}); !errors.As(err, &refusal) {
		t.Fatalf("another tag of the digest: %v", err)
	}
}

// TestUntakenVerdictExpires: nobody took the outcome before an entry that it used ended.
func TestUntakenVerdictExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		judge, src := says(trust.Allow), newSource()
		src.add("1", ocispec.MediaTypeImageManifest, image)
		answer := judge.verdict
		judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
			v, err := answer(ctx, ref)
			v.Passing = true
			if judge.asked.Load() == 1 {
				time.Sleep(30 * time.Second)
				v.Until = time.Now().Add(10 * time.Second)
			} else {
				v.Action = trust.Block
			}
			return v, err
		}
		g := newGate(t, judge, fakeRecords{}, src, enforce.Options{})
		_, _ = g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
		time.Sleep(time.Minute)
		var refusal *enforce.Refusal
		if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); !errors.As(err, &refusal) {
			t.Errorf("an expired verdict served: %v", err)
		}
	})
}
