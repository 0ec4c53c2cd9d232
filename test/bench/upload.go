//go:build linux

package main

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/test/imagetest"
)

// image is one that was made and lies in the upstream registry.
type image struct {
	repository, tag string
	layers          []imagetest.Blob // without content
	packed, plain   int64
}

// shares are the layers' parts of an image, in its order: a base, what is installed on it, and an application.
func shares() []float64 { return []float64{0.15, 0.30, 0.03, 0.25, 0.20, 0.07} }

// makeImage makes an image of about size bytes, as stored, and sends it to a registry while it is made.
func makeImage(ctx context.Context, registry, repository string, size int64, seed uint64) (image, error) {
	img := image{repository: repository, tag: "1"}
	parts := shares()
	img.layers = make([]imagetest.Blob, len(parts))
	plain, errs := make([]int64, len(parts)), make([]error, len(parts))
	done := make(chan struct{})
	slots := make(chan struct{}, 2) // each needs a pool of content
	for i, part := range parts {
		go func() {
			defer func() { done <- struct{}{} }()
			slots <- struct{}{}
			defer func() { <-slots }()
			img.layers[i], plain[i], errs[i] = upload(ctx, registry, repository, newContent(seed, uint64(i)), int64(part*float64(size)))
		}()
	}
	for range parts {
		<-done
	}
	if err := errors.Join(errs...); err != nil {
		return img, fmt.Errorf("make the image %s: %w", repository, err)
	}
	for i := range parts {
		img.packed += img.layers[i].Descriptor.Size
		img.plain += plain[i]
	}
	built := imagetest.Image{
		Config: ocispec.ImageConfig{Entrypoint: []string{"/usr/bin/python3"}, Cmd: []string{"-m", "app"}, Env: []string{"PATH=/usr/bin:/bin"}},
		Layers: img.layers,
	}.Build()
	// The layers are there already, and are not sent again.
	return img, imagetest.Pusher{URL: "http://" + registry}.Push(ctx, repository, img.tag, built)
}

// upload streams one gzip layer of about size bytes into a registry and returns it without its content, and how many
// bytes it unpacks to.
func upload(ctx context.Context, registry, repository string, from *content, size int64) (imagetest.Blob, int64, error) {
	base, err := url.Parse("http://" + registry + "/v2/" + repository + "/blobs/uploads/")
	if err != nil {
		return imagetest.Blob{}, 0, err
	}
	place, err := send(ctx, http.MethodPost, base, nil, http.StatusAccepted)
	if err != nil {
		return imagetest.Blob{}, 0, err
	}
	r, w := io.Pipe()
	l := newLayerWriter(w)
	made := make(chan error, 1)
	go func() {
		err := l.write(ctx, from, size)
		w.CloseWithError(err) // nil is the end of the body
		made <- err
	}()
	place, err = send(ctx, http.MethodPatch, place, r, http.StatusAccepted)
	r.CloseWithError(errors.New("the registry took no more"))
	if err = errors.Join(<-made, err); err != nil {
		return imagetest.Blob{}, 0, err
	}
	blob := l.blob()
	query := place.Query()
	query.Set("digest", blob.Descriptor.Digest.String())
	place.RawQuery = query.Encode()
	_, err = send(ctx, http.MethodPut, place, nil, http.StatusCreated)
	return blob, l.plain.n, err
}

// send makes a request and returns where the answer says to go on.
func send(ctx context.Context, method string, to *url.URL, body io.Reader, want int) (*url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s: %s", method, to, resp.Status, answer)
	}
	return to.Parse(resp.Header.Get("Location"))
}

// layerWriter packs files and hashes both sides.
type layerWriter struct {
	packed, plain counter
	zip           *gzip.Writer
	tar           *tar.Writer
	files, pieces *bufio.Writer // before and behind the compression
}

// counter hashes and counts what passes.
type counter struct {
	to   io.Writer
	hash hash.Hash
	n    int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.hash.Write(p[:n])
	c.n += int64(n)
	return n, err
}

func newLayerWriter(w io.Writer) *layerWriter {
	l := &layerWriter{}
	l.pieces = bufio.NewWriterSize(w, 256<<10)
	l.packed = counter{to: l.pieces, hash: sha256.New()}
	l.zip = gzip.NewWriter(&l.packed)
	l.plain = counter{to: l.zip, hash: sha256.New()}
	l.files = bufio.NewWriterSize(&l.plain, 256<<10)
	l.tar = tar.NewWriter(l.files)
	return l
}

// write makes files until the packed bytes reach size.
func (l *layerWriter) write(ctx context.Context, from *content, size int64) error {
	for l.packed.n < size && ctx.Err() == nil {
		hdr, body := from.next(max(size-l.packed.n, 4<<10))
		if err := l.tar.WriteHeader(hdr); err != nil {
			return err
		}
		if _, err := io.Copy(l.tar, body); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), l.tar.Close(), l.files.Flush(), l.zip.Close(), l.pieces.Flush())
}

func (l *layerWriter) blob() imagetest.Blob {
	return imagetest.Blob{
		Descriptor: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageLayerGzip, Size: l.packed.n,
			Digest: digest.NewDigest(digest.SHA256, l.packed.hash),
		},
		DiffID: digest.NewDigest(digest.SHA256, l.plain.hash),
	}
}
