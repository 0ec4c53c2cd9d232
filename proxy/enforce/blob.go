package enforce

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

const (
	// maxCandidates bounds the manifests that are looked at for one blob, so that a blob shared by very many of them
	// cannot make every request for it slow.
	maxCandidates = 1024
	// maxRejudged bounds the manifests that are judged anew for one blob, after rules or lists changed.
	maxRejudged = 4
)

// Blob is a blob that may be served.
type Blob struct {
	// Descriptor is as the allowed manifest names it.
	Descriptor ocispec.Descriptor
	// Sealed is true while the image that it is asked for with is being judged: reading waits near its end.
	Sealed bool
	await  func(ctx context.Context, offset int64) error
	open   func(context.Context) (io.ReadCloser, error)
}

// Open returns the content, which is an io.Seeker too when it is at hand. The reader fails in place of io.EOF when the
// content is not the descriptor's. The caller closes it.
func (b Blob) Open(ctx context.Context) (io.ReadCloser, error) { return b.open(ctx) }

// Await returns at once when bytes behind the offset may go out. Where none may before the verdict, it waits for that as
// long as a client may wait for an answer to begin, and returns why the image is refused: an answer that has not begun
// can still say it.
func (b Blob) Await(ctx context.Context, offset int64) error {
	if b.await == nil {
		return nil
	}
	return b.await(ctx, offset)
}

// Blob releases the blob that ref's digest names if an allowed manifest of ref's repository references it. It returns
// *Refusal when only refused ones do and *NotReferenced when none does. On Terms.Sealed an image that is being judged does
// too, and the blob is sealed. Who may not read the repository is told the same whether or not the blob is known here.
func (g *Gate) Blob(ctx context.Context, ref trust.Reference, terms Terms) (Blob, error) {
	src, err := g.sources.Source(ctx, ref)
	if err != nil {
		return Blob{}, err
	}
	if err := ref.Digest.Validate(); err != nil {
		return Blob{}, fmt.Errorf("%w: blob %q: %w", trust.ErrNotFound, ref.Digest, err)
	}
	ref.Tag = ""
	b, err := g.find(ctx, ref, src, terms)
	if err == nil {
		err = g.rights.Blob(ctx, ref, b.Descriptor)
	}
	if err != nil {
		return Blob{}, err
	}
	return b, nil
}

// find looks for an allowed manifest that references the blob, and that the caller may read.
func (g *Gate) find(ctx context.Context, ref trust.Reference, src trust.Source, terms Terms) (Blob, error) {
	if last, ok := g.passed.Get(ref.Name() + "@" + ref.Digest.String()); ok && g.mayRead(ctx, ref, []digest.Digest{last}) == nil {
		if b, _, _ := g.byMemory(ctx, ref, src, []digest.Digest{last}); b.open != nil {
			return b, nil
		}
	}
	var sealed *seal // found before the records are read, which know of its image when it is gone
	if terms.Sealed && !terms.Whole {
		sealed = g.seals.of(ref)
	}
	candidates, err := g.records.Manifests(ctx, ref.Name(), ref.Digest)
	if err != nil {
		return Blob{}, g.unjudged(ctx, ref, err)
	}
	if len(candidates) > maxCandidates {
		candidates = candidates[:maxCandidates]
	}
	denied := g.mayRead(ctx, ref, candidates)
	if denied != nil {
		candidates = nil
	}
	b, undecided, refused := g.byMemory(ctx, ref, src, candidates)
	if b.open != nil {
		return b, nil
	}
	if sealed != nil && g.mayRead(ctx, ref, []digest.Digest{sealed.ref.Digest}) == nil {
		if b, err := g.behind(ctx, sealed, ref, src); b.open != nil || err != nil {
			return b, err
		}
	}
	if denied == nil && len(candidates) == 0 {
		denied = g.rights.Manifest(ctx, ref)
	}
	switch {
	case errors.Is(denied, trust.ErrNotFound):
		return Blob{}, &NotReferenced{Name: ref.Name(), Digest: ref.Digest}
	case denied != nil:
		return Blob{}, denied
	}
	if b, err := g.byJudging(ctx, ref, src, undecided); b.open != nil || err != nil {
		return b, err
	}
	if refused != nil {
		return Blob{}, refused
	}
	return Blob{}, &NotReferenced{Name: ref.Name(), Digest: ref.Digest}
}

// byMemory looks for a candidate with a verdict that serves. undecided are those without any verdict that holds now;
// refused is why one of the others does not serve.
func (g *Gate) byMemory(ctx context.Context, ref trust.Reference, src trust.Source, candidates []digest.Digest) (b Blob, undecided []digest.Digest, refused error) {
	for _, manifest := range candidates {
		of := ref.WithDigest(manifest)
		v, ok, err := g.remembered(ctx, of)
		switch {
		case err != nil:
			refused = g.unjudged(ctx, of, err)
		case !ok:
			undecided = append(undecided, manifest)
		case serves(of, v):
			if b := g.blob(ref, src, v); b.open != nil {
				return b, nil, nil
			}
		default:
			refused = &Refusal{Verdict: v}
		}
	}
	return Blob{}, undecided, refused
}

// byJudging decides anew, which needs no content where nothing but rules and lists changed.
func (g *Gate) byJudging(ctx context.Context, ref trust.Reference, src trust.Source, undecided []digest.Digest) (Blob, error) {
	hold, stop := until(g.hold)
	defer stop()
	var first error
	for _, manifest := range undecided[:min(len(undecided), maxRejudged)] {
		v, err := g.decide(ctx, ref.WithDigest(manifest), src, hold)
		if err != nil {
			if first == nil {
				first = err
			}
			if pending := (*Pending)(nil); errors.As(err, &pending) || ctx.Err() != nil {
				break
			}
			continue
		}
		if b := g.blob(ref, src, v); b.open != nil {
			return b, nil
		}
	}
	return Blob{}, first
}

// blob is ref's blob as the verdict's manifest references it, or the zero Blob when it does not.
func (g *Gate) blob(ref trust.Reference, src trust.Source, v trust.Verdict) Blob {
	for _, named := range v.Blobs {
		if named.Digest != ref.Digest {
			continue
		}
		desc := ocispec.Descriptor{MediaType: named.MediaType, Digest: named.Digest, Size: named.Size}
		return Blob{Descriptor: desc, open: func(ctx context.Context) (io.ReadCloser, error) {
			return g.open(ctx, ref, src, desc)
		}}
	}
	return Blob{}
}

// open prefers the cache. A cache that fails is no reason to fail: the source verifies what it gives.
func (g *Gate) open(ctx context.Context, ref trust.Reference, src trust.Source, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if g.cache != nil {
		r, size, err := g.cache.Open(ctx, desc.Digest)
		if err == nil && size == desc.Size {
			return r, nil
		}
		if err == nil {
			return nil, errors.Join(fmt.Errorf("%w: blob %s has %d bytes, its manifest says %d", trust.ErrIntegrity, desc.Digest, size, desc.Size), r.Close())
		}
	}
	return src.Fetch(ctx, ref, desc)
}
