package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// containerdName is where containerd writes an image's full name in an index.
const containerdName = "io.containerd.image.name"

// openDir opens a folder. os.Root keeps links from leading out of it.
func openDir(_ context.Context, at Location) (trust.Source, io.Closer, error) {
	root, err := os.OpenRoot(at.Path)
	if err != nil {
		return nil, nil, err
	}
	src, err := newOCI(func(name string) (io.ReadCloser, int64, error) { return openRegular(root, name) }, at.Tag)
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	return src, root, nil
}

// openRegular refuses what is no regular file before it is opened: opening a pipe would wait forever.
func openRegular(root *os.Root, name string) (io.ReadCloser, int64, error) {
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is no regular file: %w", name, trust.ErrMalformed)
	}
	if err != nil {
		return nil, 0, notFound(err)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, 0, notFound(err)
	}
	return f, info.Size(), nil
}

// notFound makes a missing file what a Source says for it.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", trust.ErrNotFound, err)
	}
	return err
}

// oci is an image layout, read through an opener.
type oci struct {
	open  opener
	index ocispec.Index
	top   ocispec.Descriptor
}

func newOCI(open opener, tag string) (*oci, error) {
	var version ocispec.ImageLayout
	if err := open.readJSON(ocispec.ImageLayoutFile, &version); err != nil {
		return nil, fmt.Errorf("no OCI image layout: %w", err)
	}
	if version.Version != ocispec.ImageLayoutVersion {
		return nil, fmt.Errorf("image layout version %q: %w", trust.Sanitise(version.Version, 50), trust.ErrUnsupported)
	}
	o := &oci{open: open}
	if err := open.readJSON(ocispec.ImageIndexFile, &o.index); err != nil {
		return nil, err
	}
	top, err := pick(o.index.Manifests, tag)
	if err != nil {
		return nil, err
	}
	o.top = top
	return o, nil
}

// pick chooses an image of an index: by tag, or the only one.
func pick(manifests []ocispec.Descriptor, tag string) (ocispec.Descriptor, error) {
	var fit []ocispec.Descriptor
	for _, d := range manifests {
		if tag == "" || named(d, tag) {
			fit = append(fit, d)
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	if len(fit) == 0 {
		return ocispec.Descriptor{}, fmt.Errorf("image %q: %w; the layout has %s", tag, trust.ErrNotFound, names(manifests))
	}
	if tag == "" {
		return ocispec.Descriptor{}, fmt.Errorf("the layout has %d images; name one by its tag, as in PATH:TAG: %s", len(fit), names(manifests))
	}
	return ocispec.Descriptor{}, fmt.Errorf("%d images are called %q: %w", len(fit), tag, trust.ErrMalformed)
}

func named(d ocispec.Descriptor, tag string) bool {
	return d.Annotations[ocispec.AnnotationRefName] == tag || strings.HasSuffix(d.Annotations[containerdName], ":"+tag)
}

func names(manifests []ocispec.Descriptor) string {
	var all []string
	for _, d := range manifests {
		if name := d.Annotations[ocispec.AnnotationRefName]; name != "" {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		return "no tags"
	}
	return trust.Sanitise(strings.Join(all, ", "), 300)
}

// Resolve answers for the image that was opened; by digest, for every manifest of the layout.
func (o *oci) Resolve(ctx context.Context, ref trust.Reference) (ocispec.Descriptor, error) {
	if ref.Digest == "" || ref.Digest == o.top.Digest {
		return o.top, nil
	}
	for _, d := range o.index.Manifests {
		if d.Digest == ref.Digest {
			return d, nil
		}
	}
	name, err := blobName(ref.Digest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	r, size, err := o.open(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{Digest: ref.Digest, Size: size}
	body, err := readSmall(verified(ctx, r, desc), size)
	if err = errors.Join(err, r.Close()); err != nil {
		return desc, fmt.Errorf("manifest %q: %w", ref.Digest, err)
	}
	var typed struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(body, &typed); err != nil || !isImageManifest(typed.MediaType) && !isIndex(typed.MediaType) {
		return desc, fmt.Errorf("%q is no manifest that names its media type: %w", ref.Digest, trust.ErrMalformed)
	}
	desc.MediaType = typed.MediaType
	return desc, nil
}

// Fetch opens a blob of the layout.
func (o *oci) Fetch(ctx context.Context, _ trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	name, err := blobName(desc.Digest)
	if err != nil {
		return nil, err
	}
	r, size, err := o.open(name)
	if err != nil {
		return nil, err
	}
	if size != desc.Size {
		err := fmt.Errorf("%s has %d bytes, not %d: %w", desc.Digest, size, desc.Size, trust.ErrIntegrity)
		return nil, errors.Join(err, r.Close())
	}
	return verified(ctx, r, desc), nil
}
