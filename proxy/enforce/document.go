package enforce

import (
	lru "github.com/hashicorp/golang-lru/v2"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

const (
	// rememberedDocument and recentDocuments bound the memory of documents to 8 MB and what is read in them, which is
	// about as much again. Nearly all manifests are smaller.
	rememberedDocument = 8 << 10
	recentDocuments    = 1024
)

// documents remember manifests and indexes that were read, verified and understood, by repository, digest and the type
// that they were announced with: what has a digest does not change. They say nothing about who may read them, nor about
// whether they may pass. Nobody may change what they give.
type documents struct{ recent *lru.Cache[string, document] }

type document struct {
	body []byte
	read inspect.Manifest
}

func newDocuments() (documents, error) {
	recent, err := lru.New[string, document](recentDocuments)
	return documents{recent}, err
}

func documentKey(ref trust.Reference, desc ocispec.Descriptor) string {
	return ref.Name() + "@" + desc.Digest.String() + " " + desc.MediaType
}

// get has nothing for a descriptor of another size: that is a lie, for whoever verifies to see.
func (d documents) get(ref trust.Reference, desc ocispec.Descriptor) (document, bool) {
	known, ok := d.recent.Get(documentKey(ref, desc))
	return known, ok && int64(len(known.body)) == desc.Size
}

// parse reads the body of a descriptor, which was verified. A document that breaks a law is read again each time.
func (d documents) parse(ref trust.Reference, desc ocispec.Descriptor, body []byte) (inspect.Manifest, error) {
	if known, ok := d.get(ref, desc); ok {
		return known.read, nil
	}
	read, err := inspect.ParseManifest(body, desc.MediaType)
	if err == nil && len(body) <= rememberedDocument && len(read.Refused) == 0 {
		d.recent.Add(documentKey(ref, desc), document{body, read})
	}
	return read, err
}
