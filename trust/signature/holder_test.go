package signature

import (
	"context"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// borrowed is a repository that gives content of others, as a cache does, and knows what is its own.
type borrowed struct {
	*repository
	others digest.Digest
}

func (b borrowed) Has(_ context.Context, _ trust.Reference, d ocispec.Descriptor) error {
	if d.Digest == b.others {
		return trust.ErrNotFound
	}
	return nil
}

// Resolve implements Source, also for manifests by their digest.
func (b borrowed) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if ref.Digest == "" {
		return b.repository.Resolve(ctx, ref)
	}
	body, ok := b.blobs[ref.Digest]
	if !ok || ref.Digest == b.others {
		return ocispec.Descriptor{}, trust.ErrNotFound
	}
	return ocispec.Descriptor{Digest: ref.Digest, Size: int64(len(body)), MediaType: ocispec.MediaTypeImageManifest}, nil
}

// TestNotOurs_manifests: nor does a list of referrers that names it, which anybody may push under a tag.
func TestNotOurs_manifests(t *testing.T) {
	t.Parallel()
	_, public := newSigner(t)
	r := newRepository()
	private := r.put([]byte(`{"layers":"hush"}`), ocispec.MediaTypeImageManifest)
	list := r.put([]byte(`{"manifests":[{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"`+private.Digest.String()+`","size":17}]}`), ocispec.MediaTypeImageIndex)
	r.tags[tagOf(image)] = list.Digest
	c, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	about := trust.Reference{Registry: "r.example", Repository: "a", Digest: image}
	_, there := c.Signed(t.Context(), about, borrowed{r, private.Digest}, trust.Signer{Key: public})
	delete(r.blobs, private.Digest)
	_, gone := c.Signed(t.Context(), about, borrowed{r, private.Digest}, trust.Signer{Key: public})
	if there == nil || gone == nil || there.Error() != gone.Error() {
		t.Errorf("where it is there: %v\nwhere not:         %v", there, gone)
	}
}

// TestNotOurs: a signature that names somebody else's content tells nothing of it, not even whether it is there.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	key, public := newSigner(t)
	r := newRepository()
	private := r.put([]byte(`{"codename":"hush"}`), bundlePrefix+".v0.3+json")
	list := r.manifest(t, "", private)
	c, err := New(nil, func(context.Context, trust.Reference, string) (ocispec.Index, error) {
		list.ArtifactType = bundlePrefix + ".v0.3+json"
		return ocispec.Index{Manifests: []ocispec.Descriptor{list}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	about := trust.Reference{Registry: "r.example", Repository: "a", Digest: image}
	told := func() string {
		wrong, err := c.Signed(t.Context(), about, borrowed{r, private.Digest}, trust.Signer{Key: public})
		if err != nil {
			wrong += err.Error()
		}
		return wrong
	}
	there := told()
	if strings.Contains(there, "codename") {
		t.Errorf("it tells of what is not its own: %s", there)
	}
	delete(r.blobs, private.Digest)
	if gone := told(); gone != there {
		t.Errorf("where it is there: %s\nwhere not:         %s", there, gone)
	}
	private.Size++
	list = r.manifest(t, "", private)
	if other := told(); other != there {
		t.Errorf("of another size: %s", other)
	}
	// One that is good counts all the same.
	r.manifest(t, tagOf(image)+".sig", byKey(t, r, key, []byte(`{"critical":{"type":"cosign container image signature","image":{"docker-manifest-digest":"`+image.String()+`"}}}`)))
	if got := told(); got != "" {
		t.Error(got)
	}
}
