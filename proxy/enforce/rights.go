package enforce

import (
	"context"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// What an image is and who may read it are two questions. Verdicts and content are shared by all who may read them;
// before anything of a repository is served or said, its upstream must have told that the context's caller may.

// Rights tell what the context's caller may read upstream. Both methods return nil for yes, and else an error of
// package trust as the upstream gave it. The zero Options ask nobody: then everything is for whoever reaches the gate.
type Rights interface {
	// Manifest is about the manifest that the reference's digest names.
	Manifest(context.Context, trust.Reference) error
	// Blob is about a blob in the reference's repository, which must be known to have it.
	Blob(context.Context, trust.Reference, ocispec.Descriptor) error
}

// unrestricted is everyone's right to everything.
type unrestricted struct{}

// Manifest implements Rights.
func (unrestricted) Manifest(context.Context, trust.Reference) error { return nil }

// Blob implements Rights.
func (unrestricted) Blob(context.Context, trust.Reference, ocispec.Descriptor) error { return nil }

// maxAsked bounds the manifests that are asked about for one blob: upstreams forget old ones.
const maxAsked = 4

// mayRead returns nil when the context's caller may read one of the manifests, which may name a blob.
func (g *Gate) mayRead(ctx context.Context, ref trust.Reference, manifests []digest.Digest) error {
	var first error
	for _, m := range manifests[:min(len(manifests), maxAsked)] {
		err := g.rights.Manifest(ctx, ref.WithDigest(m))
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}
