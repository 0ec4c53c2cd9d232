package imagetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// File is one entry of a layer.
type File struct {
	// Path has no leading slash. A path that ends in a slash is a folder.
	Path string
	Body []byte
	// Mode is 0644 for files and 0755 for folders when zero.
	Mode int64
	// Symlink and Hardlink name a target and make the entry a link.
	Symlink, Hardlink string
	// Time is Epoch when zero.
	Time time.Time
	// Edit changes the header that is written, for broken variants.
	Edit func(*tar.Header)
}

// Text is a file that nothing runs.
func Text(path, body string) File { return File{Path: path, Body: []byte(body)} }

// Script is a file with the execute bits.
func Script(path, body string) File { return File{Path: path, Body: []byte(body), Mode: 0o755} }

// Binary is a file with the execute bits.
func Binary(path string, body []byte) File { return File{Path: path, Body: body, Mode: 0o755} }

// Dir is a folder.
func Dir(path string) File { return File{Path: strings.TrimSuffix(path, "/") + "/"} }

// Whiteout removes a path of the layers below.
func Whiteout(path string) File {
	folder, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		folder, name = path[:i+1], path[i+1:]
	}
	return File{Path: folder + ".wh." + name}
}

// Files makes entries from bodies by path, in order of paths.
func Files(bodies map[string]string) []File {
	var files []File
	for _, path := range slices.Sorted(maps.Keys(bodies)) {
		files = append(files, Text(path, bodies[path]))
	}
	return files
}

// Tar is the uncompressed archive of a layer.
func Tar(files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		must(w.WriteHeader(f.header()))
		if f.Symlink == "" && f.Hardlink == "" {
			_, err := w.Write(f.Body)
			must(err)
		}
	}
	must(w.Close())
	return b.Bytes()
}

func (f File) header() *tar.Header {
	h := &tar.Header{Name: f.Path, Mode: f.Mode, Size: int64(len(f.Body)), ModTime: f.Time, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if h.ModTime.IsZero() {
		h.ModTime = Epoch
	}
	switch {
	case f.Symlink != "":
		h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Symlink, 0
	case f.Hardlink != "":
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, f.Hardlink, 0
	case strings.HasSuffix(f.Path, "/"):
		h.Typeflag, h.Size = tar.TypeDir, 0
	}
	if h.Mode == 0 {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeDir {
			h.Mode = 0o755
		}
	}
	if f.Edit != nil {
		f.Edit(h)
	}
	return h
}

// Layer is a gzip layer, as nearly all images have.
func Layer(files ...File) Blob { return GzipLayer(Tar(files...)) }

// GzipLayer compresses an archive, which may be a broken one.
func GzipLayer(archive []byte) Blob {
	return layer(ocispec.MediaTypeImageLayerGzip, archive, Gzip(archive))
}

// ZstdLayer compresses an archive with zstd.
func ZstdLayer(archive []byte) Blob {
	return layer(ocispec.MediaTypeImageLayerZstd, archive, Zstd(archive))
}

// PlainLayer leaves an archive as it is.
func PlainLayer(archive []byte) Blob {
	return layer(ocispec.MediaTypeImageLayer, archive, archive)
}

func layer(mediaType string, archive, content []byte) Blob {
	b := NewBlob(mediaType, content)
	b.DiffID = digest.FromBytes(archive)
	return b
}

// Gzip compresses p.
func Gzip(p []byte) []byte {
	var b bytes.Buffer
	compress(gzip.NewWriter(&b), p)
	return b.Bytes()
}

// Zstd compresses p.
func Zstd(p []byte) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	must(err)
	compress(w, p)
	return b.Bytes()
}

func compress(w io.WriteCloser, p []byte) {
	_, err := w.Write(p)
	must(err)
	must(w.Close())
}

// must stops a test whose own material is wrong: writing to memory does not fail.
func must(err error) {
	if err != nil {
		panic(fmt.Errorf("build a test image: %w", err))
	}
}
