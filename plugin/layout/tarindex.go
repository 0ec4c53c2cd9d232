package layout

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/safepull/safepull/trust"
)

// tarIndex is where the files of a tar file lie, found in one pass. It reads through io.ReaderAt, so that several
// files may be read at once.
type tarIndex struct {
	file    io.ReaderAt
	entries map[string]entry
}

// entry is a regular file, or a link when target is set.
type entry struct {
	offset, size int64
	target       string
}

// openTar indexes a regular file. The caller closes the file.
func openTar(ctx context.Context, f *os.File) (*tarIndex, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("no regular file")
	}
	return indexTar(ctx, f, info.Size())
}

// tarFile is what indexing needs of a file.
type tarFile interface {
	io.ReadSeeker
	io.ReaderAt
}

func indexTar(ctx context.Context, f tarFile, size int64) (*tarIndex, error) {
	if err := compressed(f); err != nil {
		return nil, err
	}
	t := &tarIndex{file: f, entries: map[string]entry{}}
	names := 0
	for r := tar.NewReader(f); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("tar: %w: %w", trust.ErrMalformed, err)
		}
		if names += len(h.Name) + len(h.Linkname); names > maxNames || len(t.entries) >= maxEntries {
			return nil, fmt.Errorf("tar: more than %d entries or %d bytes of names: %w", maxEntries, maxNames, trust.ErrLimit)
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := t.add(h, at, size); err != nil {
			return nil, err
		}
	}
}

// compressed refuses a whole archive that is compressed: reading at random would need it unpacked.
func compressed(f io.ReaderAt) error {
	head := make([]byte, 6)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for name, magic := range map[string]string{"gzip": "\x1f\x8b", "zstd": "\x28\xb5\x2f\xfd", "xz": "\xfd7zXZ\x00", "bzip2": "BZh"} {
		if bytes.HasPrefix(head[:n], []byte(magic)) {
			return fmt.Errorf("the archive is compressed with %s, decompress it first: %w", name, trust.ErrUnsupported)
		}
	}
	return nil
}

// add enters one file or link. Two entries of one name are refused: readers differ in which of them counts.
func (t *tarIndex) add(h *tar.Header, at, size int64) error {
	name, err := inside(h.Name)
	if err != nil {
		return err
	}
	e := entry{offset: at, size: h.Size}
	switch h.Typeflag {
	case tar.TypeReg:
		if isSparse(h) {
			return fmt.Errorf("tar: %q is sparse: %w", name, trust.ErrUnsupported)
		}
		if h.Size < 0 || at > size-h.Size {
			return fmt.Errorf("tar: %q reaches beyond the end of the file: %w", name, trust.ErrMalformed)
		}
	case tar.TypeLink:
		e.target, err = inside(h.Linkname)
	case tar.TypeSymlink:
		if path.IsAbs(h.Linkname) {
			return fmt.Errorf("tar: link %q leads out: %w", name, trust.ErrMalformed)
		}
		e.target, err = inside(path.Dir(name) + "/" + h.Linkname)
	default:
		return nil // Folders carry nothing; devices and the like are never asked for.
	}
	if err != nil {
		return err
	}
	if _, twice := t.entries[name]; twice {
		return fmt.Errorf("tar: %q occurs twice: %w", name, trust.ErrMalformed)
	}
	t.entries[name] = e
	return nil
}

func isSparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// inside is a name as a clean relative path; one that leads out of the archive is refused.
func inside(name string) (string, error) {
	clean := path.Clean(name)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("tar: name %q leads out: %w", trust.Sanitise(name, 200), trust.ErrMalformed)
	}
	return strings.TrimPrefix(clean, "/"), nil
}

// find follows links to a regular file.
func (t *tarIndex) find(name string) (entry, error) {
	at := name
	for range maxLinks {
		e, ok := t.entries[at]
		switch {
		case !ok:
			return e, fmt.Errorf("%q in the archive: %w", trust.Sanitise(name, 200), trust.ErrNotFound)
		case e.target == "":
			return e, nil
		}
		at = e.target
	}
	return entry{}, fmt.Errorf("more than %d links from %q: %w", maxLinks, trust.Sanitise(name, 200), trust.ErrLimit)
}

// open is an opener.
func (t *tarIndex) open(name string) (io.ReadCloser, int64, error) {
	e, err := t.find(name)
	if err != nil {
		return nil, 0, err
	}
	return io.NopCloser(t.section(e)), e.size, nil
}

func (t *tarIndex) section(e entry) *io.SectionReader {
	return io.NewSectionReader(t.file, e.offset, e.size)
}
