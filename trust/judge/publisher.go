package judge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/publisher"
)

// Publishers know what registries tell of who publishes an image. trust/publisher/ask implements it.
type Publishers interface {
	// Ask takes little time, whatever registries do. An error that wraps trust.ErrUnavailable, ErrRateLimited, ErrLimit or
	// ErrMalformed says that one did not answer, and comes with what is known all the same.
	Ask(context.Context, trust.Reference) (publisher.Answer, error)
	// Compare asks what the reference's tag pointed at before, and remembers what it points at now. An error of those classes
	// leaves the question open.
	Compare(ctx context.Context, ref trust.Reference, platform string, s publisher.Shape) ([]trust.Finding, error)
	// Key changes whenever the same memory could give another answer.
	Key() digest.Digest
}

// publication is a question to Publishers under way, beside the others. Its zero value is none.
type publication struct {
	ref    trust.Reference
	done   chan struct{}
	cancel context.CancelFunc
	answer publisher.Answer
	err    error
}

// stop ends the question, if it is still open.
func (a *publication) stop() {
	if a.done != nil {
		a.cancel()
		<-a.done
	}
}

// startPublisher asks who publishes the image, beside everything else, so that no pull waits for it alone.
func (c *inquiry) startPublisher(ctx context.Context) *publication {
	a := &publication{}
	publishers := c.judge.Publishers
	if publishers == nil {
		return a // not configured is no question
	}
	ref, named := nameOf(c.ref)
	switch standing := c.evidence.Standing; {
	case !named:
		c.evidence.NotAsked[askPublisher] = "the image has no name of a registry"
		return a
	case standing.Trusted():
		c.evidence.NotAsked[askPublisher] = fmt.Sprintf("the trust lists allow %s", trust.Sanitise(standing.Decided.Pattern, 200))
		return a
	}
	ctx, a.cancel = context.WithCancel(ctx)
	a.ref, a.done = ref, make(chan struct{})
	go func() {
		defer close(a.done)
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("%w: asking for the publisher failed: %v", trust.ErrUnsupported, p)
			}
		}()
		a.answer, a.err = publishers.Ask(ctx, ref)
	}()
	return a
}

// takePublisher takes the answer, and compares the image with what its tag pointed at before. An image that is blocked by
// what it holds needs neither, whether or not the answer is there already: the evidence must not depend on that.
func (c *inquiry) takePublisher(ctx context.Context, a *publication) error {
	if a.done == nil {
		return nil
	}
	if action, _ := c.judge.Policy.Decide(c.evidence); action == trust.Block {
		c.evidence.NotAsked[askPublisher] = "the image is blocked already, and nothing could change that"
		return nil
	}
	<-a.done
	c.found(askPublisher, a.answer.Findings)
	c.until, c.evidence.Vouched = a.answer.Until, a.answer.Vouched
	switch {
	case a.err == nil:
	case noAnswer(a.err):
		c.evidence.Unanswered[askPublisher] = trust.Sanitise(a.err.Error(), 400)
	default:
		return fmt.Errorf("judge %s: %s: %w", c.ref, askPublisher, a.err)
	}
	if c.hasConfig {
		found, err := c.judge.Publishers.Compare(ctx, a.ref.WithDigest(c.ref.Digest), c.evidence.Platform, publisher.NewShape(
			c.config.Entrypoint, c.config.Cmd, c.config.Env, c.config.Labels, c.config.History, c.config.DiffIDs))
		switch {
		case err == nil:
		case noAnswer(err):
			c.evidence.Unanswered[askPublisher] = trust.Sanitise(err.Error(), 400)
		default:
			return fmt.Errorf("judge %s: %s: %w", c.ref, askPublisher, err)
		}
		c.found(askPublisher, found)
	}
	if why := a.answer.NotAsked; why != "" && a.err == nil {
		c.evidence.NotAsked[askPublisher] = trust.Sanitise(why, 400)
		return nil
	}
	c.answered(askPublisher)
	return nil
}

// noAnswer reports whether an error says that a registry did not answer.
func noAnswer(err error) bool {
	for _, class := range []error{trust.ErrUnavailable, trust.ErrRateLimited, trust.ErrLimit, trust.ErrMalformed, trust.ErrUnsupported} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// publishersKey is what the memory of verdicts must tell apart by who is asked for publishers.
func (j *Judge) publishersKey() string {
	if j.Publishers == nil {
		return ""
	}
	return j.Publishers.Key().String()
}

// earliest is the earlier of two times, of which zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// comparesTags reports whether a verdict says something of what the tag pointed at before, so that it answers for no other
// tag of the same digest.
func (j *Judge) comparesTags(ref trust.Reference, standing trust.Standing) bool {
	_, named := nameOf(ref)
	return j.Publishers != nil && named && ref.Tag != "" && !standing.Trusted()
}

// answerWithoutTag makes a verdict on a tag the answer for its digest too: who pulls by tag asks for the digest next.
func (j *Judge) answerWithoutTag(ctx context.Context, v trust.Verdict) error {
	ref, standing := v.Reference, v.Evidence.Standing
	if standing.TagMatters || !j.comparesTags(ref, standing) {
		return nil
	}
	ref.Tag = ""
	key := j.key(ref, standing)
	if err := j.Memory.KeepVerdict(ctx, key, v); err != nil {
		return fmt.Errorf("keep the verdict on %s: %w", v.Reference, err)
	}
	j.recent.add(key, v, verdictBytes(v))
	return nil
}
