package layout

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/reference"
)

// dockerConfig is Docker's media type of what OCI calls an image's config.
const dockerConfig = "application/vnd.docker.container.image.v1+json"

// Write puts one image at a location that ParseDestination accepted: the manifest and its blobs, read from src and
// verified on the way. It appears whole or not at all. The archive of docker save that it writes is an OCI layout
// too, so that an engine which understands both keeps the manifest's digest.
func Write(ctx context.Context, to Location, ref trust.Reference, manifest ocispec.Descriptor, src trust.Source) error {
	c, err := collect(ctx, ref, manifest, src)
	if err != nil {
		return err
	}
	switch to.Transport {
	case OCIDir:
		return c.writeDir(ctx, to.Path)
	case DockerArchive:
		return c.writeArchive(ctx, to.Path)
	}
	return fmt.Errorf("cannot write %q: %w", to.Transport, trust.ErrUnsupported)
}

// content is an image about to be written.
type content struct {
	ref      trust.Reference
	src      trust.Source
	desc     ocispec.Descriptor
	body     []byte
	manifest ocispec.Manifest
	// blobs are config and layers, each digest once.
	blobs []ocispec.Descriptor
}

func collect(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor, src trust.Source) (*content, error) {
	c := &content{ref: ref, src: src, desc: desc}
	var body bytes.Buffer
	if desc.Size > maxJSON {
		return nil, fmt.Errorf("manifest of %d bytes: %w", desc.Size, trust.ErrLimit)
	}
	if err := c.copy(ctx, &body, desc); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	c.body = body.Bytes()
	if err := json.Unmarshal(c.body, &c.manifest); err != nil {
		return nil, fmt.Errorf("manifest: %w: %w", trust.ErrMalformed, err)
	}
	if len(c.manifest.Layers) > maxLayers {
		return nil, fmt.Errorf("%d layers: %w", len(c.manifest.Layers), trust.ErrLimit)
	}
	sizes := map[digest.Digest]int64{}
	for _, d := range append([]ocispec.Descriptor{c.manifest.Config}, c.manifest.Layers...) {
		if err := d.Digest.Validate(); err != nil || d.Size < 0 {
			return nil, fmt.Errorf("manifest names %q of %d bytes: %w", trust.Sanitise(d.Digest.String(), 100), d.Size, trust.ErrMalformed)
		}
		size, twice := sizes[d.Digest]
		if twice && size != d.Size {
			return nil, fmt.Errorf("manifest gives %s two sizes: %w", d.Digest, trust.ErrIntegrity)
		}
		if !twice {
			sizes[d.Digest] = d.Size
			c.blobs = append(c.blobs, d)
		}
	}
	return c, nil
}

// copy writes one blob to w. It does not rely on the source to verify.
func (c *content) copy(ctx context.Context, w io.Writer, desc ocispec.Descriptor) (err error) {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", trust.Sanitise(desc.Digest.String(), 100), trust.ErrMalformed)
	}
	r, err := c.src.Fetch(ctx, c.ref.WithDigest(c.desc.Digest), desc)
	if err != nil {
		return err
	}
	r = verified(ctx, r, desc)
	defer func() { err = errors.Join(err, r.Close()) }()
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("copy %s: %w", desc.Digest, err)
	}
	return nil
}

// index is the layout's index.json, with the image's names.
func (c *content) index() ([]byte, error) {
	desc := ocispec.Descriptor{MediaType: c.desc.MediaType, Digest: c.desc.Digest, Size: c.desc.Size, Platform: c.desc.Platform}
	if c.ref.Tag != "" {
		desc.Annotations = map[string]string{
			ocispec.AnnotationRefName: c.ref.Tag,
			containerdName:            c.ref.WithDigest("").String(),
		}
	}
	return json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{desc},
	})
}

func layoutFile() ([]byte, error) {
	return json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

// writeDir fills a hidden sibling folder and gives it the name at the end.
func (c *content) writeDir(ctx context.Context, path string) (err error) {
	path = filepath.Clean(path)
	tmp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".safepull-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	put := func(desc ocispec.Descriptor, fill func(io.Writer) error) error {
		name, err := blobName(desc.Digest)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(tmp, filepath.FromSlash(name)), fill)
	}
	for _, d := range c.blobs {
		if err := put(d, func(w io.Writer) error { return c.copy(ctx, w, d) }); err != nil {
			return err
		}
	}
	if err := put(c.desc, bytesOf(c.body)); err != nil {
		return err
	}
	for name, table := range map[string]func() ([]byte, error){ocispec.ImageIndexFile: c.index, ocispec.ImageLayoutFile: layoutFile} {
		body, err := table()
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(tmp, name), bytesOf(body)); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func bytesOf(body []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(body); return err }
}

// writeFile makes a new file and its folder.
func writeFile(path string, fill func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}

// writeArchive fills a hidden sibling file and gives it the name at the end.
func (c *content) writeArchive(ctx context.Context, path string) (err error) {
	if t := c.manifest.Config.MediaType; t != ocispec.MediaTypeImageConfig && t != dockerConfig {
		return fmt.Errorf("config of type %q is no image's: %w", trust.Sanitise(t, 100), trust.ErrUnsupported)
	}
	path = filepath.Clean(path)
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".safepull-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(c.archive(ctx, f), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// archive writes the tar: blobs first, the tables that name them last.
func (c *content) archive(ctx context.Context, w io.Writer) error {
	t := archiver{tar.NewWriter(w)}
	folders := map[string]bool{"blobs/": true}
	for _, d := range append(c.blobs[:len(c.blobs):len(c.blobs)], c.desc) {
		folders["blobs/"+d.Digest.Algorithm().String()+"/"] = true
	}
	for _, name := range sorted(folders) {
		if err := t.folder(name); err != nil {
			return err
		}
	}
	for _, d := range c.blobs {
		name, err := blobName(d.Digest)
		if err != nil {
			return err
		}
		if err := t.file(name, d.Size, func(w io.Writer) error { return c.copy(ctx, w, d) }); err != nil {
			return err
		}
	}
	tables, err := c.tables()
	if err != nil {
		return err
	}
	for _, table := range tables {
		if err := t.file(table.name, int64(len(table.body)), bytesOf(table.body)); err != nil {
			return err
		}
	}
	return t.Close()
}

type table struct {
	name string
	body []byte
}

// tables are the manifest and the files that name it, for engines of either kind.
func (c *content) tables() ([]table, error) {
	manifestName, err := blobName(c.desc.Digest)
	if err != nil {
		return nil, err
	}
	image := dockerImage{RepoTags: []string{}, Layers: []string{}}
	if image.Config, err = blobName(c.manifest.Config.Digest); err != nil {
		return nil, err
	}
	for _, d := range c.manifest.Layers {
		name, err := blobName(d.Digest)
		if err != nil {
			return nil, err
		}
		image.Layers = append(image.Layers, name)
	}
	if c.ref.Tag != "" {
		image.RepoTags = append(image.RepoTags, reference.Familiar(c.ref.WithDigest("")))
	}
	docker, err := json.Marshal([]dockerImage{image})
	if err != nil {
		return nil, err
	}
	index, err := c.index()
	if err != nil {
		return nil, err
	}
	version, err := layoutFile()
	if err != nil {
		return nil, err
	}
	return []table{{manifestName, c.body}, {ocispec.ImageIndexFile, index}, {ocispec.ImageLayoutFile, version}, {"manifest.json", docker}}, nil
}
