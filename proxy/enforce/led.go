package enforce

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Clients resolve a tag, and pick a manifest out of an index, and then ask by digest alone. Where a trust entry looked
// at the tag or at the index, what led to the digest is remembered for them, once it passed. The memory ends with the
// process: until the tag is asked for again, which every client does first when it pulls again, its blobs are refused.

// bare is the reference as such a client asks for it.
func bare(ref trust.Reference) trust.Reference {
	ref.Tag, ref.Index = "", ""
	return ref
}

// depends reports whether the trust lists may answer otherwise about the bare reference.
func (g *Gate) depends(ref trust.Reference) bool {
	if ref.Tag == "" && ref.Index == "" {
		return false
	}
	standing := g.judge.Standing(ref)
	if e := standing.Decided; e != nil && e.RequireSignature != nil && ref.Index != "" {
		return true // who signs an index signs what is in it
	}
	return standing.TagMatters || standing.Key() != g.judge.Standing(bare(ref)).Key()
}

// lead remembers what led to ref's digest, where that matters.
func (g *Gate) lead(ref trust.Reference) {
	if g.depends(ref) {
		g.led.Add(bare(ref).String(), ref)
	}
}

// leadChildren does that for the manifests of an index that passed.
func (g *Gate) leadChildren(index trust.Reference, children []ocispec.Descriptor) {
	for _, child := range children {
		g.lead(below(index, child))
	}
}

// below is the reference of an index's manifest.
func below(index trust.Reference, child ocispec.Descriptor) trust.Reference {
	ref := index.WithDigest(child.Digest)
	ref.Index = index.Digest
	return ref
}

// ledTo finds what led to a bare reference.
func (g *Gate) ledTo(ref trust.Reference) (trust.Reference, bool) {
	if ref != bare(ref) {
		return ref, false
	}
	return g.led.Get(ref.String())
}
