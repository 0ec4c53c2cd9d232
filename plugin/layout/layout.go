// Package layout reads and writes images in files: OCI image layouts in a folder or a tar file, and the archives of
// "docker save". Reading unpacks nothing: blobs are read where they lie, and verified each time. What an archive
// says about itself is hostile input: every table that it fills has a limit.
package layout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Transport is the word before the colon that says what kind of file an image is in.
type Transport string

// The transports.
const (
	OCIDir        Transport = "oci-dir"
	OCIArchive    Transport = "oci-archive"
	DockerArchive Transport = "docker-archive"
)

// Limits, each on something that is read into memory.
const (
	// maxJSON bounds index.json, manifest.json and manifests: what registries accept as a manifest.
	maxJSON = 4 << 20
	// maxEntries bounds the index of a tar file; an image has a few hundred entries at most.
	maxEntries = 100_000
	// maxNames bounds the sum of the names in that index, in bytes.
	maxNames = 16 << 20
	// maxLayers bounds the layers of one image; engines stop at 127.
	maxLayers = 4096
	// maxLinks bounds a chain of links inside a tar file.
	maxLinks = 8
)

// tagPattern is a tag as the distribution specification has it.
var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// Location is an image in a file.
type Location struct {
	Transport Transport
	Path      string
	// Tag chooses among the images of an OCI layout; it may be empty when there is one.
	Tag string
}

// String is the spelling that people use.
func (l Location) String() string {
	s := string(l.Transport) + ":" + l.Path
	if l.Tag != "" {
		s += ":" + l.Tag
	}
	return s
}

// ParseSource reads "oci-dir:PATH[:TAG]" and its like; false when s begins with none of the transports. Whether a
// colon belongs to the path is decided by what exists.
func ParseSource(s string) (Location, bool, error) {
	l, ok := parse(s)
	if !ok {
		return l, false, nil
	}
	if l.Path == "" {
		return l, true, fmt.Errorf("%q names no path", s)
	}
	_, err := os.Stat(l.Path)
	if errors.Is(err, fs.ErrNotExist) && l.Transport != DockerArchive {
		if i := strings.LastIndexByte(l.Path, ':'); i > 0 && tagPattern.MatchString(l.Path[i+1:]) {
			l.Path, l.Tag = l.Path[:i], l.Path[i+1:]
			_, err = os.Stat(l.Path)
		}
	}
	return l, true, err
}

// ParseDestination reads "oci-dir:PATH" or "docker-archive:FILE", and refuses what Write could not fill: a folder
// that is missing its parent or has content, and a file that is none. An archive that exists will be replaced.
func ParseDestination(s string) (Location, error) {
	l, ok := parse(s)
	if !ok || l.Path == "" || l.Transport == OCIArchive {
		return l, fmt.Errorf("destination %q: use oci-dir:PATH or docker-archive:FILE", s)
	}
	parent := filepath.Dir(filepath.Clean(l.Path))
	if info, err := os.Stat(parent); err != nil {
		return l, err
	} else if !info.IsDir() {
		return l, fmt.Errorf("destination %q: %q is no folder", s, parent)
	}
	info, err := os.Lstat(l.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return l, err
	case l.Transport == DockerArchive && !info.Mode().IsRegular():
		return l, fmt.Errorf("destination %q exists and is no regular file", s)
	case l.Transport == OCIDir:
		if entries, err := os.ReadDir(l.Path); err != nil || len(entries) > 0 || !info.IsDir() {
			return l, fmt.Errorf("destination %q exists and is no empty folder", s)
		}
	}
	return l, nil
}

func parse(s string) (Location, bool) {
	transport, path, ok := strings.Cut(s, ":")
	switch t := Transport(transport); t {
	case OCIDir, OCIArchive, DockerArchive:
		return Location{Transport: t, Path: path}, ok
	}
	return Location{}, false
}

// Image is one image and where it is read from. Its reference carries the location as repository and no registry,
// so that no trust entry can match what a file calls itself.
type Image struct {
	trust.Source
	Reference trust.Reference
	io.Closer
}

// Open reads the tables of a location; the blobs stay where they are until they are fetched.
func Open(ctx context.Context, at Location) (*Image, error) {
	var (
		src trust.Source
		c   io.Closer
		err error
	)
	switch at.Transport {
	case OCIDir:
		src, c, err = openDir(ctx, at)
	case OCIArchive, DockerArchive:
		src, c, err = openArchive(ctx, at)
	default:
		err = fmt.Errorf("unknown transport %q", at.Transport)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	ref := trust.Reference{Repository: string(at.Transport) + ":" + at.Path, Tag: at.Tag}
	return &Image{Source: src, Reference: ref, Closer: c}, nil
}

// opener opens a file of a layout by its name, which is clean and relative. The size is that of what is read.
type opener func(name string) (io.ReadCloser, int64, error)

// readJSON reads one small file into a value.
func (open opener) readJSON(name string, into any) error {
	r, size, err := open(name)
	if err != nil {
		return err
	}
	body, err := readSmall(r, size)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%q: %w: %w", name, trust.ErrMalformed, err)
	}
	return nil
}

// readSmall reads a JSON file whole.
func readSmall(r io.Reader, size int64) ([]byte, error) {
	if size > maxJSON {
		return nil, fmt.Errorf("%d bytes of JSON: %w", size, trust.ErrLimit)
	}
	body, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	if err == nil && len(body) > maxJSON {
		err = fmt.Errorf("more than %d bytes of JSON: %w", maxJSON, trust.ErrLimit)
	}
	return body, err
}

// blobName is where an OCI layout keeps a digest.
func blobName(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("digest %q: %w", trust.Sanitise(d.String(), 100), trust.ErrMalformed)
	}
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded(), nil
}

// isImageManifest and isIndex tell media types apart; Docker's own mean the same as OCI's.
func isImageManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest ||
		mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex ||
		mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}
