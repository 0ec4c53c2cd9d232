package enforce

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

// Release is a manifest or an index that may be served.
type Release struct {
	// Descriptor has the type that the content itself shows.
	Descriptor ocispec.Descriptor
	Content    []byte
	// Verdict is nil for an index, whose manifests are judged when they are asked for, and for an image that is delivered
	// sealed.
	Verdict *trust.Verdict
	leave   func()
}

// Close gives back the room that Content takes. It must be called once, when the content was written.
func (r Release) Close() {
	if r.leave != nil {
		r.leave()
	}
}

// Manifest resolves the reference, which has a tag or a digest, and returns what may be served. An image manifest
// waits for its verdict. The errors are this package's, or wrap those of package trust as the source gave them. The
// caller closes the release.
func (g *Gate) Manifest(ctx context.Context, ref trust.Reference, terms Terms) (release Release, err error) {
	src, err := g.sources.Source(ctx, ref)
	if err != nil {
		return Release{}, err
	}
	patience := g.hold
	if terms.Whole {
		patience = min(patience, maxWholeHold)
	}
	hold, stop := until(patience)
	defer stop()
	ref, desc, body, leave, err := g.read(ctx, ref, src, patience)
	if err != nil {
		return Release{}, err
	}
	defer func() {
		if release.Content == nil {
			leave()
		}
	}()
	doc, err := g.documents.parse(ref, desc, body)
	if err != nil {
		return Release{}, &Rejected{Reference: ref, Reason: err.Error()}
	}
	desc = ocispec.Descriptor{MediaType: doc.MediaType, Digest: desc.Digest, Size: int64(len(body))}
	if doc.Kind == inspect.Index {
		if err := g.passIndex(ctx, ref, src, doc, terms, hold); err != nil {
			return Release{}, err
		}
		return Release{Descriptor: desc, Content: body, leave: leave}, nil
	}
	v, err := g.passImage(ctx, ref, src, doc, terms, hold)
	if err != nil {
		return Release{}, err
	}
	return Release{Descriptor: desc, Content: body, Verdict: v, leave: leave}, nil
}

// until is a channel that is closed after d, for any number of waiters.
func until(d time.Duration) (<-chan struct{}, func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(d, func() { close(done) })
	return done, func() { timer.Stop() }
}

// passImage returns the verdict by which an image or an artifact passes, or nil when it is delivered sealed.
func (g *Gate) passImage(ctx context.Context, ref trust.Reference, src trust.Source, doc inspect.Manifest, terms Terms, hold <-chan struct{}) (*trust.Verdict, error) {
	if led, ok := g.ledTo(ref); ok {
		ref = led
	}
	if terms.Whole {
		if err := g.within(ctx, ref); err != nil {
			return nil, err
		}
	}
	seal := terms.Sealed && !terms.Whole && mayBeSealed(doc)
	if seal {
		soon, stop := until(min(g.sealAfter, g.hold))
		defer stop()
		hold = soon
	}
	v, err := g.decide(ctx, ref, src, hold)
	var pending *Pending
	switch {
	case seal && errors.As(err, &pending):
		return nil, g.deliverSealed(ctx, ref, src, doc)
	case err != nil:
		return nil, err
	}
	// The judge blocks what breaks a law, with a verdict that explains it; this is for one that does not.
	return &v, lawful(ref, doc)
}

// lawful returns a *Rejected when a document breaks a law of the gate.
func lawful(ref trust.Reference, doc inspect.Manifest) error {
	if len(doc.Refused) == 0 {
		return nil
	}
	return &Rejected{Reference: ref, Reason: doc.Refused[0]}
}

// read resolves ref and reads its document whole, within the time that a client is held. leave gives back its room.
func (g *Gate) read(ctx context.Context, ref trust.Reference, src trust.Source, patience time.Duration) (_ trust.Reference, desc ocispec.Descriptor, body []byte, leave func(), err error) {
	held, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: no answer within %s", trust.ErrUnavailable, patience))
	defer cancel()
	if desc, err = g.resolve(held, ref, src); err == nil {
		ref = ref.WithDigest(desc.Digest)
		if err = g.rights.Manifest(held, ref); err == nil {
			body, leave, err = g.fetch(held, ref, desc, src)
		}
		if err == nil {
			g.resolved.Add(ref.Name()+"@"+desc.Digest.String(), described{desc, time.Now().Add(resolvedFor)})
			return ref, desc, body, leave, nil
		}
		g.resolved.Remove(ref.Name() + "@" + desc.Digest.String())
	}
	if ctx.Err() == nil && held.Err() != nil && !errors.Is(err, ErrOverloaded) { // our patience ended, not the client's
		err = context.Cause(held)
	}
	return ref, ocispec.Descriptor{}, nil, nil, err
}

// fetch is the package's fetch when there is room for the document.
func (g *Gate) fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor, src trust.Source) (body []byte, leave func(), err error) {
	leave = func() {}
	if known, ok := g.documents.get(ref, desc); ok {
		return known.body, leave, nil
	}
	if size := min(desc.Size, inspect.MaxManifest); size > smallDocument {
		if g.large.Acquire(ctx, size) != nil {
			return nil, nil, fmt.Errorf("%w: no room for the manifest of %s", ErrOverloaded, ref)
		}
		leave = func() { g.large.Release(size) }
	}
	if body, err = fetch(ctx, ref, desc, src); err != nil {
		leave()
		return nil, nil, err
	}
	return body, leave, nil
}

func (g *Gate) resolve(ctx context.Context, ref trust.Reference, src trust.Source) (ocispec.Descriptor, error) {
	if ref.Digest != "" {
		known, ok := g.resolved.Get(ref.Name() + "@" + ref.Digest.String())
		if ok && time.Now().Before(known.until) {
			return known.descriptor, nil
		}
	}
	desc, err := src.Resolve(ctx, ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := desc.Digest.Validate(); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("%w: %s resolved to digest %q", trust.ErrIntegrity, ref, desc.Digest)
	}
	if ref.Digest != "" && desc.Digest != ref.Digest {
		return ocispec.Descriptor{}, fmt.Errorf("%w: %s resolved to %s", trust.ErrIntegrity, ref, desc.Digest)
	}
	return desc, nil
}

// fetch reads one document within the limit and holds it against its digest, whatever the source checked.
func fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor, src trust.Source) (body []byte, err error) {
	if desc.Size < 0 || desc.Size > inspect.MaxManifest {
		return nil, fmt.Errorf("%w: the manifest of %s has %d bytes, more than %d", trust.ErrLimit, ref, desc.Size, inspect.MaxManifest)
	}
	r, err := src.Fetch(ctx, ref, desc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	// One byte more than the size, so that a longer document is seen, and no memory for one that is much longer.
	into := bytes.NewBuffer(make([]byte, 0, desc.Size+bytes.MinRead))
	_, err = into.ReadFrom(io.LimitReader(r, desc.Size+1))
	body = into.Bytes()
	switch {
	case err != nil:
		return nil, err
	case int64(len(body)) != desc.Size:
		return nil, fmt.Errorf("%w: the manifest of %s has %d bytes or more, not %d", trust.ErrIntegrity, ref, len(body), desc.Size)
	case desc.Digest.Algorithm().FromBytes(body) != desc.Digest:
		return nil, fmt.Errorf("%w: the manifest of %s does not have the digest %s", trust.ErrIntegrity, ref, desc.Digest)
	}
	return body, nil
}
