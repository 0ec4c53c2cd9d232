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

// maxInlineChildren bounds the judgements that one index can cause by carrying its manifests inline.
const maxInlineChildren = 8

// Release is a manifest or an index that may be served.
type Release struct {
	// Descriptor has the type that the content itself shows.
	Descriptor ocispec.Descriptor
	Content    []byte
	// Verdict is nil for an index: its manifests are judged when they are asked for.
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
func (g *Gate) Manifest(ctx context.Context, ref trust.Reference) (release Release, err error) {
	src, err := g.sources.Source(ctx, ref)
	if err != nil {
		return Release{}, err
	}
	timer := time.NewTimer(g.hold)
	defer timer.Stop()
	ref, desc, body, leave, err := g.read(ctx, ref, src)
	if err != nil {
		return Release{}, err
	}
	defer func() {
		if release.Content == nil {
			leave()
		}
	}()
	doc, err := inspect.ParseManifest(body, desc.MediaType)
	if err != nil {
		return Release{}, &Rejected{Reference: ref, Reason: err.Error()}
	}
	desc = ocispec.Descriptor{MediaType: doc.MediaType, Digest: desc.Digest, Size: int64(len(body))}
	if doc.Kind == inspect.Index {
		if err := g.passIndex(ctx, ref, src, doc, timer.C); err != nil {
			return Release{}, err
		}
		return Release{Descriptor: desc, Content: body, leave: leave}, nil
	}
	if led, ok := g.ledTo(ref); ok {
		ref = led
	}
	v, err := g.decide(ctx, ref, src, timer.C)
	if err == nil { // the judge blocks what breaks a law, with a verdict that explains it; this is for one that does not
		err = lawful(ref, doc)
	}
	if err != nil {
		return Release{}, err
	}
	return Release{Descriptor: desc, Content: body, Verdict: &v, leave: leave}, nil
}

// lawful returns a *Rejected when a document breaks a law of the gate.
func lawful(ref trust.Reference, doc inspect.Manifest) error {
	if len(doc.Refused) == 0 {
		return nil
	}
	return &Rejected{Reference: ref, Reason: doc.Refused[0]}
}

// passIndex lets an index through: it must break no law, its name must not be denied, and manifests that it carries
// inline, which a client would use without asking for them, must be allowed now.
func (g *Gate) passIndex(ctx context.Context, ref trust.Reference, src trust.Source, doc inspect.Manifest, hold <-chan time.Time) error {
	if err := lawful(ref, doc); err != nil {
		return err
	}
	if err := g.Permit(ref); err != nil {
		g.observer.Decided(trust.Block)
		return err
	}
	inline := 0
	for _, child := range doc.Children {
		if child.Data == nil {
			continue
		}
		if inline++; inline > maxInlineChildren {
			return &Rejected{Reference: ref, Reason: fmt.Sprintf("the index carries more than %d manifests inline", maxInlineChildren)}
		}
		inner, err := inspect.ParseManifest(child.Data, child.MediaType)
		if err != nil || inner.Kind == inspect.Index || len(inner.Refused) > 0 {
			return &Rejected{Reference: ref, Reason: fmt.Sprintf("the index carries %s inline, which is no image manifest", child.Digest)}
		}
		if _, err := g.decide(ctx, below(ref, child), src, hold); err != nil {
			return err
		}
	}
	g.leadChildren(ref, doc.Children)
	return nil
}

// read resolves ref and reads its document whole, within the time that a client is held. leave gives back its room.
func (g *Gate) read(ctx context.Context, ref trust.Reference, src trust.Source) (_ trust.Reference, desc ocispec.Descriptor, body []byte, leave func(), err error) {
	held, cancel := context.WithTimeoutCause(ctx, g.hold, fmt.Errorf("%w: no answer within %s", trust.ErrUnavailable, g.hold))
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
