package imagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// WriteLayout writes an image under a tag as an OCI layout into a folder, which is made when it is missing. A layout
// that is already there is replaced entry by entry.
func WriteLayout(dir, tag string, b Built) error {
	root := b.Root
	root.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	layout := map[string][]byte{
		ocispec.ImageLayoutFile: mustJSON(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}),
		ocispec.ImageIndexFile: mustJSON(ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{root},
		}),
	}
	b.each(func(d digest.Digest, content []byte) {
		layout[filepath.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())] = content
	})
	for name, content := range layout {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write a layout: %w", err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("write a layout: %w", err)
		}
	}
	return nil
}

// each visits all content of an image, children before parents.
func (b Built) each(visit func(digest.Digest, []byte)) {
	for _, c := range b.Children {
		c.each(visit)
	}
	for _, blob := range b.Blobs {
		visit(blob.Descriptor.Digest, blob.Content)
	}
	visit(b.Root.Digest, b.Manifest)
}

// Pusher sends images to a registry.
type Pusher struct {
	// URL is the registry's, without a path: "http://127.0.0.1:5000".
	URL string
	// User and Password answer a Basic challenge when set.
	User, Password string
	// Client is http.DefaultClient when nil.
	Client *http.Client
}

// PushAll sends everything that the store has, in the order in which it was added.
func (p Pusher) PushAll(ctx context.Context, s *Store) error {
	for _, key := range s.order {
		i := strings.LastIndexByte(key, ':')
		if err := p.Push(ctx, key[:i], key[i+1:], s.images[key]); err != nil {
			return err
		}
	}
	return nil
}

// Push sends an image to a repository: blobs first, then manifests by digest, then the root under its tag. Blobs that
// the registry has already are not sent again.
func (p Pusher) Push(ctx context.Context, repository, tag string, b Built) error {
	for _, c := range b.Children {
		if err := p.Push(ctx, repository, c.Root.Digest.String(), c); err != nil {
			return err
		}
	}
	for _, blob := range b.Blobs {
		if err := p.blob(ctx, repository, blob); err != nil {
			return fmt.Errorf("push %s %s: %w", repository, blob.Descriptor.Digest, err)
		}
	}
	path := "/v2/" + repository + "/manifests/" + tag
	if _, err := p.do(ctx, http.MethodPut, p.URL+path, b.Root.MediaType, b.Manifest, http.StatusCreated); err != nil {
		return fmt.Errorf("push %s:%s: %w", repository, tag, err)
	}
	return nil
}

func (p Pusher) blob(ctx context.Context, repository string, b Blob) error {
	base := p.URL + "/v2/" + repository + "/blobs/"
	if _, err := p.do(ctx, http.MethodHead, base+b.Descriptor.Digest.String(), "", nil, http.StatusOK); err == nil {
		return nil
	}
	header, err := p.do(ctx, http.MethodPost, base+"uploads/", "", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	location, err := url.Parse(header.Get("Location"))
	if err != nil {
		return fmt.Errorf("upload location: %w", err)
	}
	start, err := url.Parse(base)
	if err != nil {
		return err
	}
	target := start.ResolveReference(location)
	query := target.Query()
	query.Set("digest", b.Descriptor.Digest.String())
	target.RawQuery = query.Encode()
	_, err = p.do(ctx, http.MethodPut, target.String(), "application/octet-stream", b.Content, http.StatusCreated)
	return err
}

func (p Pusher) do(ctx context.Context, method, target, contentType string, body []byte, want int) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if p.User != "" {
		req.SetBasicAuth(p.User, p.Password)
	}
	client := p.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// 4 KiB tell what is wrong; a test's registry has no more to say.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s: %s", method, target, resp.Status, bytes.TrimSpace(answer))
	}
	return resp.Header, nil
}
