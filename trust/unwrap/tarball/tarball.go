// Package tarball unwraps tar archives that are files of a layer, such as what `docker save` writes.
package tarball

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/magic"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	blockBytes  = magic.TarBlock
	bufferBytes = 32 << 10
	// maxEntries bounds the headers of one archive, which cost more than their bytes: time.
	maxEntries = 1 << 20
	// headerBytes is what a header may take, all that describes one entry together, while it is read.
	headerBytes = 4 << 20
	// stepsPerHeader is about what reading a header costs.
	stepsPerHeader = 2000
)

// Wrapper reads tar archives as persistently as a curious person would: past headers that are broken, and past the end.
type Wrapper struct{ maxEntries int }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxEntries: maxEntries} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "tarball" }

// Wraps implements unwrap.Wrapper. The first block is a header if it has the checksum of one.
func (Wrapper) Wraps(c unwrap.Content) bool { return magic.Tar(c.Head) }

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	if err := in.Hold(headerBytes); err != nil {
		return err
	}
	a := &archive{in: in, show: show, src: stream.NewSource(in), left: w.maxEntries}
	a.blocks.r = bufio.NewReaderSize(a.src, bufferBytes)
	for {
		if err := a.walk(); err != nil {
			return err
		}
		more, err := a.resume()
		if err != nil {
			return err
		}
		if !more {
			return a.broken.Err()
		}
	}
}

// archive is one pass over one file.
type archive struct {
	in     unwrap.Input
	show   unwrap.Show
	src    *stream.Source
	blocks blocks
	broken stream.Broken
	left   int
}

// walk shows entries until the archive ends or breaks, which is no error of its own.
func (a *archive) walk() error {
	tr := tar.NewReader(&a.blocks)
	for {
		h, err := tr.Next()
		switch {
		case a.src.Err() != nil:
			return a.src.Err()
		case err == io.EOF: //nolint:errorlint // archive/tar promises the bare value
			return nil
		case err != nil:
			a.broken.Add(stream.Malformed("tar: %w", err))
			a.blocks.refused()
			return nil
		}
		if a.left--; a.left < 0 {
			return stream.Exceeded("too many entries in a tar archive")
		}
		if err := a.in.Spend(stepsPerHeader); err != nil {
			return err
		}
		if !hasBody(h) {
			continue
		}
		if h.Size > maxSparse && isSparse(h) {
			a.broken.Add(stream.Unsupported("sparse file of %d bytes", h.Size))
			continue
		}
		broken, err := stream.Show(a.show, unwrap.Piece{Name: h.Name, Mode: fs.FileMode(h.Mode) & fs.ModePerm, Size: h.Size}, tr, a.src)
		if err != nil {
			return err
		}
		if broken != nil {
			a.broken.Add(stream.Malformed("tar: %w", broken))
		}
	}
}

// maxSparse bounds sparse files: a header of a few bytes may claim terabytes of holes, which would be shown as zeros.
const maxSparse = 256 << 20

// isSparse reports whether a file has holes, in any of the ways to say so.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// hasBody: whatever has a body and no meaning of its own is extracted as a file.
func hasBody(h *tar.Header) bool {
	switch h.Typeflag {
	case tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo, tar.TypeXGlobalHeader:
		return false
	}
	return true
}

// resume looks for another header behind the end of an archive, or behind a broken place, as tar does when it is told
// to ignore zeros. It reports whether there is one. What stands before it and is not zero is shown as a piece.
func (a *archive) resume() (bool, error) {
	if a.blocks.afterZeros() {
		return true, nil
	}
	for {
		if err := a.in.Spend(blockBytes); err != nil {
			return false, err
		}
		n, err := a.blocks.Read(a.blocks.scratch[:])
		block := a.blocks.scratch[:n]
		switch {
		case magic.Tar(block):
			a.blocks.repeat(block)
			return true, nil
		case !isZero(block):
			a.broken.Add(stream.Malformed("tar: bytes that belong to no entry"))
			a.blocks.repeat(block)
			rest := &rest{in: a.in, blocks: &a.blocks}
			broken, err := stream.Show(a.show, unwrap.Piece{Name: "rest", Size: -1}, rest, a.src)
			if err = cmp.Or(err, broken); err != nil {
				return false, err // of the budget
			}
			if _, err := io.Copy(io.Discard, rest); err != nil {
				return false, err
			}
		case err != nil:
			return false, a.src.Err()
		}
	}
}

// rest reads blocks up to a header, or the end.
type rest struct {
	in     unwrap.Input
	blocks *blocks
	buf    [blockBytes]byte
	ready  []byte
	ended  bool
}

func (r *rest) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if err := r.in.Spend(blockBytes); err != nil {
			return 0, err
		}
		n, err := r.blocks.Read(r.buf[:])
		if r.ready = r.buf[:n]; magic.Tar(r.ready) {
			r.blocks.repeat(r.ready)
			r.ready, err = nil, io.EOF
		}
		if r.ended = err == io.EOF; err != nil && !r.ended { //nolint:errorlint // blocks returns the bare value
			return 0, err
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// blocks hands on what it reads. It keeps the last block, so that it can be read again.
type blocks struct {
	r             io.Reader
	scratch, last [blockBytes]byte
	// length is that of last, which is short at the end.
	length int
	// zero is whether last is, before whether the block before it was; next is what is to be read again.
	zero, before bool
	next         []byte
}

// Read fills p if p is as long as a block.
func (b *blocks) Read(p []byte) (int, error) {
	if len(b.next) > 0 {
		n := copy(p, b.next)
		b.next = b.next[n:]
		return n, nil
	}
	if len(p) != blockBytes {
		b.zero = false
		return b.r.Read(p)
	}
	n, err := io.ReadFull(b.r, p)
	b.before, b.zero = b.zero, isZero(p[:n])
	b.length = copy(b.last[:], p[:n])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// afterZeros repeats the last block if it is a header that follows a block of zeros. A reader that takes one such block
// for half of an end would miss it.
func (b *blocks) afterZeros() bool {
	if !b.before || !magic.Tar(b.last[:b.length]) || len(b.next) > 0 {
		return false
	}
	b.repeat(b.last[:])
	return true
}

// refused repeats the last block, which is no header, so that it is seen.
func (b *blocks) refused() {
	if len(b.next) == 0 && !b.zero && !magic.Tar(b.last[:b.length]) {
		b.repeat(b.last[:b.length])
	}
}

func (b *blocks) repeat(block []byte) {
	b.length = copy(b.last[:], block)
	b.next = b.last[:b.length]
	b.before, b.zero = false, false
}

func isZero(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}
