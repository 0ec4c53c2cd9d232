//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI layout on disk that is written one blob at a time.
type layout struct {
	dir      string
	manifest ocispec.Manifest
	config   ocispec.Image
}

func newLayout(dir string) (*layout, error) {
	l := &layout{dir: dir, config: ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"}}}
	return l, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o700)
}

// add writes a gzip layer from r, which is read once.
func (l *layout) add(r io.Reader) error {
	name := filepath.Join(l.dir, "next")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	packed, plain := sha256.New(), sha256.New()
	count := &counter{}
	pipe, feed := io.Pipe()
	done := make(chan error, 1)
	go func() {
		z, err := gzip.NewReader(pipe)
		if err == nil {
			_, err = io.Copy(plain, z)
		}
		_, _ = io.Copy(io.Discard, pipe)
		done <- err
	}()
	_, err = io.Copy(io.MultiWriter(f, packed, count, feed), r)
	if err := errors.Join(err, feed.Close(), <-done, f.Close()); err != nil {
		return err
	}
	d := digest.NewDigest(digest.SHA256, packed)
	l.manifest.Layers = append(l.manifest.Layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: d, Size: count.n})
	l.config.RootFS.DiffIDs = append(l.config.RootFS.DiffIDs, digest.NewDigest(digest.SHA256, plain))
	return os.Rename(name, filepath.Join(l.dir, "blobs", "sha256", d.Encoded()))
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// finish writes what leads to the layers.
func (l *layout) finish() error {
	config, err := l.blob(ocispec.MediaTypeImageConfig, l.config)
	if err != nil {
		return err
	}
	l.manifest.Versioned, l.manifest.MediaType, l.manifest.Config = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest, config
	manifest, err := l.blob(ocispec.MediaTypeImageManifest, l.manifest)
	if err != nil {
		return err
	}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{manifest}})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(l.dir, ocispec.ImageIndexFile), index, 0o600),
		os.WriteFile(filepath.Join(l.dir, ocispec.ImageLayoutFile), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
}

func (l *layout) blob(mediaType string, v any) (ocispec.Descriptor, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := digest.FromBytes(body)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(body))},
		os.WriteFile(filepath.Join(l.dir, "blobs", "sha256", d.Encoded()), body, 0o600)
}

// image is a layout of n layers, each of about size packed bytes of the gzip layer and one file that no other has. A
// gzip file may have several members, so that the packed bytes are used again.
func (w *world) image(n int, size int64) (string, error) {
	dir, err := os.MkdirTemp(w.dir, "image-")
	if err != nil {
		return "", err
	}
	l, err := newLayout(dir)
	if err != nil {
		return "", err
	}
	for i := range n {
		body, err := w.share(i, n, size)
		if err != nil {
			return "", err
		}
		if err := errors.Join(l.add(body), body.Close()); err != nil {
			return "", err
		}
	}
	return dir, l.finish()
}

// share is a layer: a member with one file that makes the layer unlike all others, and then the whole gzip layer where
// size asks for as much, else a part of the archive, packed now.
func (w *world) share(i, n int, size int64) (io.ReadCloser, error) {
	var first bytes.Buffer
	z := gzip.NewWriter(&first)
	t := tar.NewWriter(z)
	err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("only/%d", i), Size: 512, Mode: 0o644})
	_, werr := t.Write(bytes.Repeat([]byte{byte(i)}, 512))
	if err := errors.Join(err, werr, t.Flush(), z.Close()); err != nil {
		return nil, err
	}
	if size > 0 {
		f, err := os.Open(w.layers.gz)
		if err != nil {
			return nil, err
		}
		return both{io.MultiReader(&first, f), f}, nil
	}
	f, err := os.Open(w.layers.tar)
	if err != nil {
		return nil, err
	}
	pipe, feed := io.Pipe()
	go func() {
		z, _ := gzip.NewWriterLevel(feed, gzip.BestSpeed)
		err := every(tar.NewReader(f), tar.NewWriter(z), i, n)
		feed.CloseWithError(errors.Join(err, z.Close()))
	}()
	return both{io.MultiReader(&first, pipe), f}, nil
}

type both struct {
	io.Reader
	io.Closer
}

// every copies each nth entry, beginning with the ith.
func every(r *tar.Reader, w *tar.Writer, i, n int) error {
	for k := 0; ; k++ {
		hdr, err := r.Next()
		if errors.Is(err, io.EOF) {
			return w.Close()
		}
		if err != nil {
			return err
		}
		if k%n != i || hdr.Typeflag == tar.TypeLink {
			continue
		}
		if err := w.WriteHeader(hdr); err != nil {
			return err
		}
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
}

// check is docker-safepull on a layout, with a memory of its own.
func (w *world) check(dir, cpus string) (process, error) {
	home, err := os.MkdirTemp(w.dir, "docker-")
	return process{
		args:   []string{"taskset", "-c", cpus, filepath.Join(w.bin, "docker-safepull"), "safepull", "check", "--format", "json", "oci-dir:" + dir},
		env:    []string{"DOCKER_CONFIG=" + home, fmt.Sprintf("GOMAXPROCS=%d", strings.Count(cpus, ",")+1)},
		status: []int{2, 3}, // what the packages hold is not the question here
	}, err
}

func coresRow(ctx context.Context, w *world) error {
	note("making an image of ten layers")
	dir, err := w.image(10, 0)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var walls [2][]time.Duration
	for range w.runs {
		for i, cpus := range []string{"0", "0,1"} {
			p, err := w.check(dir, cpus)
			if err != nil {
				return err
			}
			u, err := w.run(ctx, p)
			if err != nil {
				return err
			}
			walls[i] = append(walls[i], u.wall)
		}
	}
	slices.Sort(walls[0])
	slices.Sort(walls[1])
	m := (w.runs - 1) / 2
	atLeast("image of 10 layers, 2 cores against 1, wall", walls[0][m].Seconds()/walls[1][m].Seconds(), 1.8, "")
	return nil
}

// startRuns is how often the short time is taken.
const startRuns = 10

func startRow(ctx context.Context, w *world) error {
	dir, err := os.MkdirTemp(w.dir, "image-")
	if err != nil {
		return err
	}
	l, err := newLayout(dir)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if err := errors.Join(tar.NewWriter(z).Close(), z.Close(), l.add(&packed), l.finish()); err != nil {
		return err
	}
	var walls []time.Duration
	for range startRuns {
		p, err := w.check(dir, "0,1")
		if err != nil {
			return err
		}
		u, err := w.run(ctx, p)
		if err != nil {
			return err
		}
		walls = append(walls, u.wall)
	}
	slices.Sort(walls)
	atMost("check of an image of one empty layer, start to end, wall", float64(walls[startRuns/2].Microseconds())/1000, 150, " ms")
	return nil
}

// memoryBytes is the size of the image whose check is measured, packed.
const memoryBytes = 5 << 30

func memoryRow(ctx context.Context, w *world) error {
	info, err := os.Stat(w.layers.gz)
	if err != nil {
		return err
	}
	n := int((memoryBytes + info.Size() - 1) / info.Size())
	note("making an image of 5 GiB")
	dir, err := w.image(n, info.Size())
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := w.check(dir, "0,1")
	if err != nil {
		return err
	}
	u, err := w.run(ctx, p)
	if err != nil {
		return err
	}
	atMost("peak memory of check, image of 5 GiB", float64(u.rss)/(1<<20), 256, " MiB")
	return nil
}

// counted is what a step says.
type counted struct {
	files, allocations int
	bytes              int64
	unanswered         string
}

func (c *counted) read(out []byte) error {
	var findings int
	if _, err := fmt.Sscanf(string(out), "files %d bytes %d findings %d allocations %d", &c.files, &c.bytes, &findings, &c.allocations); err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	_, c.unanswered, _ = strings.Cut(strings.TrimSpace(string(out)), "unanswered ")
	return nil
}
