package engine

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// nameAnnotation is where engines with containerd's content store find the full name of an image in an OCI layout.
const nameAnnotation = "io.containerd.image.name"

// writeLayout writes an OCI image layout as a tar: top, the judged manifest and its blobs, nothing else.
func writeLayout(ctx context.Context, w io.Writer, img *image, top document) error {
	desc := ocispec.Descriptor{
		MediaType: top.desc.MediaType, Digest: top.desc.Digest, Size: int64(len(top.raw)),
		Annotations: map[string]string{nameAnnotation: under(img.ref)},
	}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{desc},
	})
	if err != nil {
		return err
	}
	a := archive{ctx: ctx, tar: tar.NewWriter(w), img: img}
	a.bytes(ocispec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`))
	a.bytes(ocispec.ImageIndexFile, index)
	a.bytes(blobPath(top.desc.Digest), top.raw)
	if top.desc.Digest != img.manifest.desc.Digest {
		a.bytes(blobPath(img.manifest.desc.Digest), img.manifest.raw)
	}
	a.blobs()
	return a.close()
}

// writeArchive writes the form of "docker save" that engines with a graph driver load, with the layers as they are in
// the registry and without a name.
func writeArchive(ctx context.Context, w io.Writer, img *image) error {
	layers := make([]string, len(img.layers))
	for i, desc := range img.layers {
		layers[i] = blobPath(desc.Digest)
	}
	list, err := json.Marshal([]struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{blobPath(img.config.Digest), nil, layers}})
	if err != nil {
		return err
	}
	a := archive{ctx: ctx, tar: tar.NewWriter(w), img: img}
	a.bytes("manifest.json", list)
	a.blobs()
	return a.close()
}

// archive writes tar entries until something fails.
type archive struct {
	ctx context.Context
	tar *tar.Writer
	img *image
	err error
}

func (a *archive) header(name string, size int64) {
	if a.err == nil {
		a.err = a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
	}
}

func (a *archive) bytes(name string, b []byte) {
	if a.header(name, int64(len(b))); a.err == nil {
		_, a.err = a.tar.Write(b)
	}
}

// blobs streams config and layers from the source, one at a time.
func (a *archive) blobs() {
	for _, desc := range a.img.blobs() {
		if a.err == nil {
			a.blob(desc)
		}
	}
}

func (a *archive) blob(desc ocispec.Descriptor) {
	r, err := a.img.fetch(a.ctx, desc)
	if err != nil {
		a.err = err
		return
	}
	defer r.Close()
	if a.header(blobPath(desc.Digest), desc.Size); a.err != nil {
		return
	}
	if _, err := io.Copy(a.tar, r); err != nil {
		a.err = fmt.Errorf("hand over %s: %w", desc.Digest, err)
	}
}

func (a *archive) close() error {
	if a.err != nil {
		return a.err
	}
	return a.tar.Close()
}

func blobPath(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}
