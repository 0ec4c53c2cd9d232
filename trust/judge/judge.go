// Package judge asks every question about an image once, cheapest first, and remembers the answers. What is asked and
// how, other packages know: trust/namespace, trust/inspect, trust/scan, trust/closure. What the answers mean,
// trust/policy says.
package judge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/campaign"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/flight"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/story"
)

// Scanner inspects content. trust/scan implements it.
type Scanner interface {
	// Key changes whenever the same content could show something else.
	Key() digest.Digest
	// Layer and Data read the blob to its end. Errors that wrap trust.ErrIntegrity, ErrLimit, ErrMalformed or
	// ErrUnsupported say what the content is, and come with the findings so far; any other error is the reader's own.
	// One that wraps trust.ErrUnavailable as well may pass: it is no lasting answer about the content.
	Layer(context.Context, io.Reader, ocispec.Descriptor) (trust.Inspection, error)
	Data(context.Context, io.Reader, ocispec.Descriptor) (trust.Inspection, error)
	// Snippet inspects one string of a configuration. Its errors are as those of Layer.
	Snippet(blob digest.Digest, path string, kind trust.Kind, body []byte) ([]trust.Finding, error)
}

// Policy decides. It must be pure. trust/policy implements it.
type Policy interface {
	Decide(trust.Evidence) (trust.Action, []string)
	// Explain decides the same, and says how.
	Explain(trust.Evidence) trust.Decision
	Digest() digest.Digest
}

// Lists are the trust lists in force. trust/namespace implements it.
type Lists interface {
	Match(trust.Reference, time.Time) trust.Standing
	Digest() digest.Digest
}

// Names finds whom a reference resembles. trust/lookalike implements it.
type Names interface {
	Findings(trust.Reference) []trust.Finding
	Digest() digest.Digest
}

// Signatures finds out who signed an image. trust/signature implements it.
type Signatures interface {
	// Signed returns an empty string when the signer signed what ref's digest (or its index) names, and what is wrong
	// otherwise, as a sentence for people. An error means that it could not be found out.
	Signed(ctx context.Context, ref trust.Reference, src trust.Source, signer trust.Signer) (wrong string, err error)
	// Digest names what signatures are checked against.
	Digest() digest.Digest
}

// Memory keeps what was found and decided. trust/store/sqlite implements it.
type Memory interface {
	Inspection(ctx context.Context, blob, key digest.Digest) (trust.Inspection, bool, error)
	KeepInspection(ctx context.Context, blob, key digest.Digest, found trust.Inspection) error
	Verdict(ctx context.Context, key digest.Digest) (trust.Verdict, bool, error)
	// KeepVerdict with an empty key keeps the verdict to be explained by its ID only.
	KeepVerdict(ctx context.Context, key digest.Digest, v trust.Verdict) error
}

// Options are what a judge needs; those above the blank line are required.
type Options struct {
	Scanner Scanner
	Policy  Policy
	Lists   Lists
	Memory  Memory

	// Names answers the question whom an image's name resembles. Nil means that this is no question.
	Names Names
	// Signatures checks what trust entries require. Nil means that such a question stays unanswered.
	Signatures Signatures
	// Publishers answers the question who publishes an image. Nil means that this is no question.
	Publishers Publishers
	// Campaigns answers the question what an image shares with images that were blocked, and remembers what it has. Nil
	// means that this is no question.
	Campaigns campaign.Memory
	// LayersInWork bounds the layers that are inspected at one time by all judgements together, because each may need
	// 64 MiB. Zero means 4.
	LayersInWork int
	// Limits are those of the layers, for what is read of them a second time.
	Limits layer.Limits
	// ImageBytes bounds what all layers of one image unpack to: CPU time. Zero means 60 GiB.
	ImageBytes int64
	// ArtifactBytes bounds the blobs of an artifact, which is none to run. Zero means 64 MiB.
	ArtifactBytes int64
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Judge implements trust.Judge. It may be used by any number of goroutines.
type Judge struct {
	Options
	layers *semaphore.Weighted
	// flight lets concurrent questions about one blob share one inspection.
	flight flight.Group[digest.Digest, trust.Inspection]
	// recent, inspections and merged are kept in front of Memory.
	recent      *bounded[digest.Digest, trust.Verdict]
	inspections *bounded[asked, recalled]
	merged      *bounded[digest.Digest, *merged]
	// begun are the layers that images began with, and merging bounds how many are merged at one time: memory.
	begun   *lru.Cache[digest.Digest, struct{}]
	merging *semaphore.Weighted
}

// New makes a judge.
func New(o Options) (*Judge, error) {
	if o.Scanner == nil || o.Policy == nil || o.Lists == nil || o.Memory == nil {
		return nil, errors.New("judge: scanner, policy, lists and memory are required")
	}
	if o.LayersInWork <= 0 {
		o.LayersInWork = 4
	}
	if o.ImageBytes <= 0 {
		o.ImageBytes = 60 << 30
	}
	if o.ArtifactBytes <= 0 {
		o.ArtifactBytes = defaultArtifactBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j := &Judge{Options: o, layers: semaphore.NewWeighted(int64(o.LayersInWork)), merging: semaphore.NewWeighted(mergedAtOnce)}
	var err error
	if j.recent, err = newBounded[digest.Digest, trust.Verdict](recentBytes); err != nil {
		return nil, err
	}
	if j.begun, err = lru.New[digest.Digest, struct{}](maxBegun); err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	if j.inspections, err = newBounded[asked, recalled](recalledBytes); err != nil {
		return nil, err
	}
	j.merged, err = newBounded[digest.Digest, *merged](mergedBytes)
	return j, err
}

// Standing is what the trust lists say about a reference now.
func (j *Judge) Standing(ref trust.Reference) trust.Standing { return j.Lists.Match(ref, j.Now()) }

// Remembered is the verdict on a digest that still holds under the current ruleset, policy and trust lists.
func (j *Judge) Remembered(ctx context.Context, ref trust.Reference) (trust.Verdict, bool, error) {
	return j.remembered(ctx, ref, j.key(ref, j.Standing(ref)))
}

func (j *Judge) remembered(ctx context.Context, ref trust.Reference, key digest.Digest) (trust.Verdict, bool, error) {
	v, inMemory := j.recent.get(key)
	ok := inMemory
	if !ok {
		var err error
		if v, ok, err = j.Memory.Verdict(ctx, key); err != nil {
			return trust.Verdict{}, false, fmt.Errorf("read remembered verdict: %w", err)
		}
	}
	if !ok || v.Manifest != ref.Digest || v.Passing || v.Action.Severity() > trust.Block.Severity() ||
		!v.Until.IsZero() && !v.Until.After(j.Now()) {
		return trust.Verdict{}, false, nil
	}
	if learned, err := j.learned(ctx, v); learned || err != nil {
		return trust.Verdict{}, false, err
	}
	if !inMemory {
		j.recent.add(key, v, verdictBytes(v))
	}
	v.Reference = ref
	return v, true, nil
}

// version grows whenever the same evidence could be gathered or weighed otherwise by the code of this package,
// trust/inspect, trust/rootfs, trust/closure, trust/policy or trust/story, so that no verdict of an older program is
// taken for an answer.
const version = 9

// key names a question: this digest under this name (and tag, where a rule looks at it), ruleset, policy and lists. The
// entry that decided is part of it, because it may have matched an index that led here.
func (j *Judge) key(ref trust.Reference, standing trust.Standing) digest.Digest {
	tag := ""
	if standing.TagMatters || j.comparesTags(ref, standing) {
		tag = ref.Tag
	}
	return digest.FromString(strings.Join([]string{
		fmt.Sprintf("verdict %d", version), ref.Name(), tag, ref.Digest.String(), standing.Key(),
		j.Scanner.Key().String(), j.Policy.Digest().String(), j.listsOf(standing).String(), fmt.Sprint(j.ImageBytes, j.ArtifactBytes),
		j.namesKey(), j.signaturesKey(ref, standing), j.publishersKey(),
	}, "\n"))
}

// listsOf names the lists that a standing is of: lists may be replaced while a judgement runs.
func (j *Judge) listsOf(standing trust.Standing) digest.Digest {
	return cmp.Or(standing.Lists, j.Lists.Digest())
}

// Judge decides about the manifest that ref's digest names. An error means that no verdict was reached: the source
// broke, the memory failed, the context ended. Nothing may be served then.
func (j *Judge) Judge(ctx context.Context, ref trust.Reference, src trust.Source) (trust.Verdict, error) {
	if err := ref.Digest.Validate(); err != nil {
		return trust.Verdict{}, fmt.Errorf("judge %s: the reference has no digest: %w", ref, err)
	}
	start := j.Now()
	standing := j.Lists.Match(ref, start)
	key := j.key(ref, standing)
	if v, ok, err := j.remembered(ctx, ref, key); ok || err != nil {
		return v, err
	}
	c := &inquiry{judge: j, ref: ref, src: src, lists: j.listsOf(standing), evidence: newEvidence(ref, standing), runs: &closure.Closure{}}
	if err := c.run(ctx); err != nil {
		return trust.Verdict{}, err
	}
	if err := c.askShared(ctx); err != nil {
		return trust.Verdict{}, err
	}
	return j.conclude(ctx, key, start, c)
}

// conclude decides, and keeps the verdict before anybody can act on it.
func (j *Judge) conclude(ctx context.Context, key digest.Digest, start time.Time, c *inquiry) (trust.Verdict, error) {
	decision := j.Policy.Explain(c.evidence)
	action, reasons := decision.Action, decision.Reasons
	if action.Severity() > trust.Block.Severity() {
		return trust.Verdict{}, fmt.Errorf("judge %s: the policy answered %q, which is no action", c.ref, action)
	}
	decision.Reasons = nil // once is enough
	v := trust.Verdict{
		ID: verdictID(key, start), Reference: c.ref, Manifest: c.ref.Digest,
		Ruleset: j.Scanner.Key(), Policy: j.Policy.Digest(), TrustLists: c.lists,
		Action: action, Reasons: reasons, Decision: &decision, Story: story.Tell(c.evidence), Evidence: c.evidence, At: start, Until: earliest(c.evidence.Standing.Until, c.until),
		Duration: j.Now().Sub(start), Blobs: c.blobs, Passing: c.passing,
	}
	if v.Passing {
		key = ""
	}
	// First: once the verdict answers, nobody comes by here again.
	if j.Campaigns != nil {
		called := cmp.Or(decision.Called, action)
		if err := campaign.Keep(ctx, j.Campaigns, v, called, c.payloads()); err != nil {
			return trust.Verdict{}, fmt.Errorf("keep what %s has: %w", c.ref, err)
		}
	}
	if err := j.Memory.KeepVerdict(ctx, key, v); err != nil {
		return trust.Verdict{}, fmt.Errorf("keep the verdict on %s: %w", c.ref, err)
	}
	if key == "" {
		return v, nil
	}
	j.recent.add(key, v, verdictBytes(v))
	return v, j.answerWithoutTag(ctx, v)
}

// verdictID is short enough to be read out and long enough (50 bits) not to meet another one.
func verdictID(key digest.Digest, at time.Time) string {
	// Crockford's base 32: no letters that look like digits.
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", key, at.UnixNano()))
	id := make([]byte, 10)
	for i := range id {
		id[i] = alphabet[sum[i]%32]
	}
	return "SP-" + string(id)
}
