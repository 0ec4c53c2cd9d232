// Package staging keeps the content that one run has read in a private temporary folder, so that what the judgement
// fetched is not fetched again for the hand-over. Closing the area removes everything.
package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// prefix begins the names of areas.
const prefix = "safepull-"

// Area is a folder of content by digest. It is safe for concurrent use.
type Area struct {
	dir  string
	lock io.Closer
}

// New makes an area in a new folder, readable by this user only, below parent; "" means the system's temporary folder.
// Areas that processes left there which were killed are removed first.
func New(parent string) (*Area, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweep(parent)
	for {
		dir, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			return nil, fmt.Errorf("make a temporary folder: %w", err)
		}
		lock, err := hold(dir)
		if err == nil {
			return &Area{dir: dir, lock: lock}, nil
		}
		if !errors.Is(err, errTaken) { // Without a lock nobody removes it but this process.
			return &Area{dir: dir, lock: io.NopCloser(nil)}, nil
		}
	}
}

// Close removes the folder with everything in it.
func (a *Area) Close() error { return errors.Join(os.RemoveAll(a.dir), a.lock.Close()) }

// File is the path of a file in the area that is the caller's to write. The name must not look like a digest's.
func (a *Area) File(name string) string { return filepath.Join(a.dir, "file-"+name) }

// Source is next with a memory: content that was read to its end once is read from the area afterwards. Resolve is
// not remembered. A full disk costs the memory, not the answer.
func (a *Area) Source(next trust.Source) trust.Source { return source{Source: next, area: a} }

func (a *Area) path(d digest.Digest) string {
	return filepath.Join(a.dir, d.Algorithm().String()+"-"+d.Encoded())
}

type source struct {
	trust.Source
	area *Area
}

// Fetch serves staged content, or reads next and stages it. Content enters under its digest only at the clean end
// of next's reader, which by contract has verified digest and size.
func (s source) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("fetch %q: %w: %w", desc.Digest, trust.ErrMalformed, err)
	}
	f, err := s.area.open(desc)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	r, err := s.Source.Fetch(ctx, ref, desc)
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(s.area.dir, "partial-")
	if err != nil {
		return r, nil //nolint:nilerr // read through: the area is a convenience
	}
	return &tee{next: r, file: file, size: desc.Size, path: s.area.path(desc.Digest)}, nil
}

// open refuses a descriptor whose size is not the content's: two descriptors may share a digest and differ in size.
func (a *Area) open(desc ocispec.Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(a.path(desc.Digest))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != desc.Size {
		err = fmt.Errorf("%s has %d bytes, not %d: %w", desc.Digest, info.Size(), desc.Size, trust.ErrIntegrity)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// tee copies what is read from next into file, and gives the file its name at a clean end.
type tee struct {
	next io.ReadCloser
	file *os.File
	size int64
	path string
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.next.Read(p)
	if t.file == nil {
		return n, err
	}
	if t.size -= int64(n); t.size < 0 {
		t.drop()
		return 0, fmt.Errorf("content is longer than its descriptor says: %w", trust.ErrIntegrity)
	}
	if _, werr := t.file.Write(p[:n]); werr != nil {
		t.drop()
		return n, err
	}
	if errors.Is(err, io.EOF) {
		t.commit()
	}
	return n, err
}

func (t *tee) Close() error {
	t.drop()
	return t.next.Close()
}

func (t *tee) commit() {
	name, complete := t.file.Name(), t.size == 0
	if err := t.file.Close(); err != nil || !complete || os.Rename(name, t.path) != nil {
		_ = os.Remove(name)
	}
	t.file = nil
}

func (t *tee) drop() {
	if t.file == nil {
		return
	}
	_ = t.file.Close()
	_ = os.Remove(t.file.Name())
	t.file = nil
}
