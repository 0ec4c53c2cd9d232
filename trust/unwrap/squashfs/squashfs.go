// Package squashfs unwraps squashfs file systems, as AppImages, snaps and boot images have them.
// Source: Documentation/filesystems/squashfs.rst of Linux, and the format as it is described by its users.
package squashfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	// maxEntries bounds the entries of all folders: time, and memory of a few words each.
	maxEntries = 1 << 18
	// maxDepth bounds folders in folders.
	maxDepth = 128
	// maxSparse bounds holes, which cost nothing to write down.
	maxSparse = 256 << 20
	// maxBlockLog is that of the largest block that there is, 1 MiB.
	maxBlockLog = 20
	// minTail is the least behind a file system that can hold a program.
	minTail = 48

	superBytes = 96
	none       = 1<<32 - 1 // no fragment
)

// Wrapper reads file systems of version 4, the only one that kernels of this century mount.
type Wrapper struct{ maxEntries int }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxEntries: maxEntries} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "squashfs" }

// Wraps implements unwrap.Wrapper. The size of blocks stands there twice; versions before have other places for it.
func (Wrapper) Wraps(c unwrap.Content) bool {
	h := c.Head
	if len(h) < superBytes {
		return false
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(h[:4]) {
	case "hsqs":
	case "sqsh", "shsq": // as big-endian machines write it, and with another LZMA
		order = binary.BigEndian
	default:
		return false
	}
	version, log := order.Uint16(h[28:]), order.Uint16(h[22:])
	return version >= 1 && version <= 4 && (version < 4 || log >= 12 && log <= maxBlockLog && order.Uint32(h[12:]) == 1<<log)
}

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	at, size, err := in.Spool()
	if err != nil {
		return err
	}
	s := &system{
		in: in, show: show, at: stream.NewSpool(at), size: size, left: w.maxEntries,
		known: map[uint64]bool{}, meta: map[int64]block{},
	}
	if err := s.super(); err != nil {
		return err
	}
	if err := s.folder(s.root, "", 0); err != nil {
		return err
	}
	if err := s.behind(); err != nil {
		return err
	}
	return s.broken.Err()
}

// system is one pass over one file system.
type system struct {
	in     unwrap.Input
	show   unwrap.Show
	at     *stream.Spool
	size   int64
	broken stream.Broken
	left   int

	format                            decompress.Format
	blockSize                         int64
	root                              uint64
	used                              int64
	inodes, folders, fragments, count int64
	// known are inodes that were shown, or are being shown: they may have several names.
	known map[uint64]bool
	// meta are some blocks of the tables, by their place; frag is the fragment block that was used last.
	meta   map[int64]block
	frag   []byte
	fragAt int64
}

// compressors are those of the format by number; LZO is read nowhere here.
func compressors() map[uint16]decompress.Format {
	return map[uint16]decompress.Format{1: decompress.Zlib, 2: decompress.Lzma, 4: decompress.Xz, 5: decompress.Lz4, 6: decompress.Zstd}
}

// super reads the superblock.
func (s *system) super() error {
	var b [superBytes]byte
	if err := s.at.Full(b[:], 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	if string(b[:4]) != "hsqs" || le.Uint16(b[28:]) != 4 {
		return stream.Unsupported("squashfs of a version before 4")
	}
	number := le.Uint16(b[20:])
	if s.format = compressors()[number]; s.format == "" {
		return stream.Unsupported("squashfs with compressor %d", number)
	}
	if s.blockSize = int64(le.Uint32(b[12:])); s.blockSize < 4<<10 || s.blockSize > 1<<maxBlockLog {
		return stream.Malformed("squashfs with blocks of %d bytes", s.blockSize)
	}
	s.count = int64(le.Uint32(b[16:]))
	s.root = le.Uint64(b[32:])
	for i, p := range []*int64{&s.used, nil, nil, &s.inodes, &s.folders, &s.fragments} {
		if p == nil {
			continue
		}
		*p = int64(le.Uint64(b[40+8*i:])) //nolint:gosec // checked in the next line
		if none := i == 5 && s.count == 0; !none && (*p < superBytes || *p > s.size) {
			return stream.Malformed("squashfs: a table outside the file")
		}
	}
	return nil
}

// behind shows what follows the file system, unless it is padding.
func (s *system) behind() error {
	buf := make([]byte, 4096)
	for at := s.used; s.size-at >= minTail; {
		p := buf[:min(int64(len(buf)), s.size-at)]
		if err := s.at.Full(p, at); err != nil {
			return err
		}
		zeros := len(p) - len(bytes.TrimLeft(p, "\x00"))
		if at += int64(zeros); zeros == len(p) {
			if err := s.in.Spend(int64(zeros) / 16); err != nil {
				return err
			}
			continue
		}
		if s.size-at < minTail {
			return nil
		}
		r := io.NewSectionReader(s.at, at, s.size-at)
		broken, err := stream.Show(s.show, unwrap.Piece{Name: fmt.Sprintf("tail@%d", at), Size: s.size - at, Tail: true}, r, s.at)
		if err != nil {
			return err
		}
		return broken
	}
	return nil
}

// folder shows what the folder of an inode holds. Only limits and errors of others end it.
func (s *system) folder(ref uint64, name string, depth int) error {
	if depth > maxDepth {
		return stream.Exceeded("squashfs: folders are more than %d deep", maxDepth)
	}
	entries, err := s.entries(ref)
	if s.broken.Add(err) || s.at.Err() != nil {
		return first(s.at.Err(), s.broken.Err())
	}
	for _, e := range entries {
		if s.left--; s.left < 0 {
			return stream.Exceeded("squashfs: too many entries")
		}
		if s.known[e.ref] {
			continue
		}
		s.known[e.ref] = true
		switch e.kind {
		case folderInode:
			err = s.folder(e.ref, path.Join(name, e.name), depth+1)
		case fileInode:
			err = s.file(e.ref, path.Join(name, e.name))
		default:
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// file shows the content of a file.
func (s *system) file(ref uint64, name string) error {
	f, err := s.inode(ref)
	if s.broken.Add(err) || s.at.Err() != nil {
		return first(s.at.Err(), s.broken.Err())
	}
	switch {
	case err != nil: // remembered
		return s.at.Err()
	case f.kind != fileInode:
		return nil
	case f.holes > maxSparse:
		s.broken.Add(stream.Unsupported("squashfs: a file with holes of %d bytes", f.holes))
		return nil
	}
	broken, err := stream.Show(s.show, unwrap.Piece{Name: name, Mode: fs.FileMode(f.mode) & fs.ModePerm, Size: f.size}, &content{s: s, f: f, left: f.size, at: f.start}, s.at)
	if err != nil {
		return err
	}
	if s.broken.Add(broken) {
		return s.broken.Err()
	}
	return nil
}

// content reads the blocks of a file.
type content struct {
	s     *system
	f     *inode
	left  int64
	at    int64
	next  int
	ready []byte
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		if c.left <= 0 {
			return 0, io.EOF
		}
		if err := c.block(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// block brings the next block.
func (c *content) block() error {
	want := min(c.left, c.s.blockSize)
	if err := c.s.in.Spend(want / 4); err != nil {
		return err
	}
	var b []byte
	var err error
	switch {
	case c.next < len(c.f.blocks):
		size := c.f.blocks[c.next]
		c.next++
		packed := int64(size & (1<<24 - 1))
		if packed == 0 { // a hole
			b = make([]byte, want)
			break
		}
		b, err = c.s.unpack(c.at, packed, size>>24&1 == 1, c.s.blockSize)
		c.at += packed
	case c.f.fragment != none:
		if b, err = c.s.fragment(c.f.fragment); err == nil && int64(c.f.offset)+want > int64(len(b)) {
			err = stream.Malformed("squashfs: a fragment that is too short")
		} else if err == nil {
			b = b[c.f.offset : int64(c.f.offset)+want]
		}
	default:
		err = stream.Malformed("squashfs: a file that is too short")
	}
	if err != nil {
		return err
	}
	c.ready = b[:min(int64(len(b)), want)]
	if c.left -= want; int64(len(c.ready)) < want {
		return stream.Malformed("squashfs: a block that is too short")
	}
	return nil
}
