// Package enforce turns verdicts into releases, holds and refusals. It knows no protocol: proxy/enforce/distribution
// and other enforcement points translate what it answers. Whatever fails here ends in an error, never in a release.
package enforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// Judge is what the gate asks. trust/judge implements it.
type Judge interface {
	trust.Judge
	// Remembered is the verdict that holds now without asking anything anew.
	Remembered(context.Context, trust.Reference) (trust.Verdict, bool, error)
	// Standing is what the trust lists say about a reference now.
	Standing(trust.Reference) trust.Standing
}

// Records tell which manifests were judged. trust/store implements it.
type Records interface {
	// Manifests are those judged under the repository name (registry/repository) that reference the blob.
	Manifests(ctx context.Context, name string, blob digest.Digest) ([]digest.Digest, error)
}

// Sources finds upstreams.
type Sources interface {
	// Source is the upstream of the reference's registry as the context's caller may read it. It returns an error that
	// wraps ErrNotConfigured where there is none.
	Source(context.Context, trust.Reference) (trust.Source, error)
}

// ByHost are sources that are the same for every caller, named by registry ("docker.io").
type ByHost map[string]trust.Source

// Source implements Sources.
func (s ByHost) Source(_ context.Context, ref trust.Reference) (trust.Source, error) {
	if src := s[ref.Registry]; src != nil {
		return src, nil
	}
	return nil, fmt.Errorf("%s: %w", ref.Registry, ErrNotConfigured)
}

// Cache holds verified blobs. proxy/blobcache implements it.
type Cache interface {
	// Open returns the blob and its size, or an error that wraps trust.ErrNotFound.
	Open(context.Context, digest.Digest) (io.ReadSeekCloser, int64, error)
}

// Observer is told what the gate does, for metrics. It must be safe for concurrent use.
type Observer interface {
	// Decided is called for every request for a judged manifest that got an answer from a verdict.
	Decided(trust.Action)
	// Judged is called at the end of every judgement; err is nil when a verdict was reached.
	Judged(took time.Duration, err error)
	// InFlight is called with +1 and -1 around every judgement.
	InFlight(delta int)
}

// Options of a gate; the zero value of each means what its comment says.
type Options struct {
	// Hold is how long a request waits for a verdict, upstream's answer included. Zero means 20 s: current engines
	// give up on a response header after 30 s.
	Hold time.Duration
	// Deadline ends a judgement. Zero means 30 min.
	Deadline time.Duration
	// Concurrent judgements run at one time, Waiting more may wait for their turn. Zero means 8 and 256.
	Concurrent, Waiting int
	// Platforms are those whose manifests decide about an index on Terms.Whole. Empty means linux/amd64 and linux/arm64.
	Platforms []ocispec.Platform
	// SealAfter is how long a verdict is waited for before sealed delivery begins: a refusal that comes at once reads
	// better than an answer that is cut. Zero means 1 s.
	SealAfter time.Duration
	// Drip is how often a byte of a sealed blob's end goes out. Zero means 20 s.
	Drip time.Duration
	// Cache serves blobs without a fetch; nil means that every blob is fetched from its source.
	Cache Cache
	// Rights are asked before anything is served; nil means that everything is for everyone.
	Rights Rights
	// Observer may be nil.
	Observer Observer
}

// Terms are the terms on which a request is answered. They never change what may pass.
type Terms struct {
	// Whole is for clients that could get elsewhere what is refused here: an index passes only when its manifests for
	// the gate's platforms do, since a refusal of one of them comes too late, and the others are refused.
	Whole bool
	// Sealed is for clients that have no other place to ask: an image that is not decided yet is delivered sealed while it
	// is judged.
	Sealed bool
}

// Gate decides what may pass. It may be used by any number of goroutines.
type Gate struct {
	judge   Judge
	records Records
	sources Sources
	hold    time.Duration
	// sealAfter and drip are as in Options.
	sealAfter, drip time.Duration
	seals           *seals
	wanted          []ocispec.Platform
	cache           Cache
	rights          Rights
	observer        Observer
	flights         *flights
	// resolved remembers what a digest was described as, so that the request by digest that follows a request by tag
	// needs no second resolve.
	resolved *lru.Cache[string, described]
	// led remembers the tag and index under which a digest passed, where they mattered.
	led *lru.Cache[string, trust.Reference]
	// passed remembers, by repository and blob, the manifest that passed last: its blobs are asked for next.
	passed *lru.Cache[string, digest.Digest]
	// outside remembers manifests of platforms that are not judged for an index as a whole.
	outside   *lru.Cache[string, string]
	documents documents
	// large is the room that large documents share.
	large *semaphore.Weighted
}

type described struct {
	descriptor ocispec.Descriptor
	until      time.Time
}

const (
	// minRetryAfter and maxRetryAfter bound what a client that was held in vain is told, whatever the hold: it is
	// neither to hammer nor to sleep long after the verdict is there. Asking again holds it again.
	minRetryAfter = time.Second
	maxRetryAfter = 30 * time.Second
	// maxWholeHold is how long a client that could ask elsewhere waits: it must have its answer before 20 s.
	maxWholeHold = 19 * time.Second
	// maxReplaced bounds the judgements that one request waits for because the trust lists were replaced meanwhile.
	maxReplaced = 3
	// resolvedFor bounds how long a digest is described without asking upstream whether it is still there.
	resolvedFor = 5 * time.Minute
	// recentEntries bounds the gate's memories of manifests, recentBlobs that of blobs: some 10 MB in all.
	recentEntries = 8192
	recentBlobs   = 32768
	// smallDocument is the size of a document that needs no room: nearly all manifests are smaller. largeDocuments are
	// the bytes of the others that may be in memory at one time, whoever asks for them; reading takes several times as
	// much.
	smallDocument  = 64 << 10
	largeDocuments = 4 * inspect.MaxManifest
)

// New makes a gate before the sources.
func New(judge Judge, records Records, sources Sources, o Options) (*Gate, error) {
	if judge == nil || records == nil || sources == nil {
		return nil, errors.New("gate: a judge, records and sources are required")
	}
	resolved, err := lru.New[string, described](recentEntries)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	led, err := lru.New[string, trust.Reference](recentEntries)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	passed, err := lru.New[string, digest.Digest](recentBlobs)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	outside, err := lru.New[string, string](recentEntries)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	known, err := newDocuments()
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if len(o.Platforms) == 0 {
		o.Platforms = []ocispec.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	sealed, err := newSeals()
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if o.Rights == nil {
		o.Rights = unrestricted{}
	}
	concurrent := positive(o.Concurrent, 8)
	limit := concurrent + positive(o.Waiting, 256)
	base, stop := context.WithCancel(context.Background())
	return &Gate{
		judge: judge, records: records, sources: sources, cache: o.Cache, rights: o.Rights, observer: o.Observer,
		hold: positive(o.Hold, 20*time.Second), resolved: resolved, led: led, passed: passed, outside: outside, documents: known, wanted: o.Platforms,
		sealAfter: positive(o.SealAfter, time.Second), drip: positive(o.Drip, 20*time.Second), seals: sealed,
		large: semaphore.NewWeighted(largeDocuments),
		flights: &flights{
			judge: judge, observer: o.Observer, deadline: positive(o.Deadline, 30*time.Minute),
			turns: newTurns(concurrent), limit: limit, share: max(1, limit-limit/4),
			base: base, stop: stop, byKey: map[string]*flight{}, mine: map[string]int{},
		},
	}, nil
}

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Close cancels the judgements that run, waits for their end at most until ctx ends, and lets no more begin.
func (g *Gate) Close(ctx context.Context) error { return g.flights.close(ctx) }

// Permit returns a *Denied when the trust lists deny the reference. What it does not deny is not thereby allowed.
func (g *Gate) Permit(ref trust.Reference) error {
	if standing := g.judge.Standing(ref); standing.Denied() {
		return &Denied{Reference: ref, Entry: *standing.Decided}
	}
	return nil
}

// decide returns a verdict that serves, or an error. hold fires when the client may wait no longer. A verdict by lists that
// were replaced meanwhile is none: the image is judged again, which reads nothing anew.
func (g *Gate) decide(ctx context.Context, ref trust.Reference, src trust.Source, hold <-chan struct{}) (trust.Verdict, error) {
	if v, ok, err := g.remembered(ctx, ref); err != nil || ok {
		if err != nil {
			return trust.Verdict{}, g.unjudged(ctx, ref, err)
		}
		return g.enforce(ref, v)
	}
	v, err := g.judgement(ctx, ref, src, hold)
	switch {
	case errors.Is(err, errHeld):
		return trust.Verdict{}, g.pending(ref)
	case errors.Is(err, ErrOverloaded):
		return trust.Verdict{}, err
	case err != nil:
		return trust.Verdict{}, g.unjudged(ctx, ref, err)
	}
	v.Reference = ref
	return g.enforce(ref, v)
}

// judgement is the outcome of one by the lists that are in force at its end. A nil hold never fires.
func (g *Gate) judgement(ctx context.Context, ref trust.Reference, src trust.Source, hold <-chan struct{}) (trust.Verdict, error) {
	for range maxReplaced {
		v, err := g.flights.await(ctx, g.flightKey(ref), ref, src, hold)
		if err != nil || !g.outdated(ref, v) {
			return v, err
		}
	}
	return trust.Verdict{}, fmt.Errorf("%w: the trust lists were replaced again and again meanwhile", trust.ErrUnavailable)
}

// outdated reports whether a verdict is by other trust lists than those in force.
func (g *Gate) outdated(ref trust.Reference, v trust.Verdict) bool {
	now := g.judge.Standing(ref).Lists
	return now != "" && now != v.TrustLists
}

// pending says when to come back.
func (g *Gate) pending(ref trust.Reference) *Pending {
	return &Pending{Reference: ref, RetryAfter: min(max(g.hold/2, minRetryAfter), maxRetryAfter)}
}

// flightKey names the judgement of a reference: one for each digest in a repository, unless what led there matters, and for
// the trust lists in force.
func (g *Gate) flightKey(ref trust.Reference) string {
	by := " by " + g.judge.Standing(ref).Lists.String()
	if g.depends(ref) {
		return ref.String() + " in " + ref.Index.String() + by
	}
	return ref.Name() + "@" + ref.Digest.String() + by
}

// unjudged wraps err, unless the client itself went away.
func (g *Gate) unjudged(ctx context.Context, ref trust.Reference, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &Unjudged{Reference: ref, Err: err}
}

// remembered looks for a verdict that holds now, also under what led to ref's digest before.
func (g *Gate) remembered(ctx context.Context, ref trust.Reference) (trust.Verdict, bool, error) {
	if led, ok := g.ledTo(ref); ok {
		v, ok, err := g.judge.Remembered(ctx, led)
		if err != nil || ok && serves(led, v) {
			return v, ok && err == nil, err
		}
	}
	return g.judge.Remembered(ctx, ref)
}

// enforce is where a verdict becomes a release or a refusal.
func (g *Gate) enforce(ref trust.Reference, v trust.Verdict) (trust.Verdict, error) {
	g.observer.Decided(v.Action)
	if !serves(ref, v) {
		return trust.Verdict{}, &Refusal{Verdict: v}
	}
	g.lead(ref)
	for _, b := range v.Blobs[:min(len(v.Blobs), recentBlobs/8)] { // one image must not push out all others
		g.passed.Add(ref.Name()+"@"+b.Digest.String(), v.Manifest)
	}
	return v, nil
}

// serves is the one place that says yes.
func serves(ref trust.Reference, v trust.Verdict) bool {
	return v.Action.Serves() && ref.Digest != "" && v.Manifest == ref.Digest
}

// silent is the observer that nobody listens to.
type silent struct{}

// Decided does nothing.
func (silent) Decided(trust.Action) {}

// Judged does nothing.
func (silent) Judged(time.Duration, error) {}

// InFlight does nothing.
func (silent) InFlight(int) {}
