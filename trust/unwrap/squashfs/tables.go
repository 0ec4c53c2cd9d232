package squashfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	// metaBytes is the most that a block of a table holds, maxMeta how many are kept: memory.
	metaBytes = 8 << 10
	maxMeta   = 128
	// maxFolder bounds the listing of one folder, and maxBlocks the blocks of one file: memory.
	maxFolder = 64 << 20
	maxBlocks = 1 << 20
	// fragmentBytes is the size of a record of the fragment table.
	fragmentBytes = 16
)

// The kinds of inodes, basic ones; extended ones have seven more.
const (
	folderInode = 1
	fileInode   = 2
	extended    = 7
)

// unpack reads a block of at most most bytes when it is unpacked.
func (s *system) unpack(at, packed int64, plain bool, most int64) ([]byte, error) {
	if at < 0 || packed < 0 || packed > 2*most+1024 || at > s.size-packed {
		return nil, stream.Malformed("squashfs: a block outside the file")
	}
	held := decompress.Tab{Memory: s.in}
	defer held.Release()
	if err := held.Hold(packed + most); err != nil {
		return nil, err
	}
	b := make([]byte, packed)
	if err := s.at.Full(b, at); err != nil {
		return nil, err
	}
	if plain {
		return b[:min(packed, most)], nil
	}
	if s.format == decompress.Lz4 { // a bare block: a frame around it says so
		frame := append([]byte("\x04\x22\x4d\x18\x60\x70\x00"), binary.LittleEndian.AppendUint32(nil, uint32(packed))...) //nolint:gosec // at most a few MiB
		b = append(append(frame, b...), 0, 0, 0, 0)
	}
	z, err := s.format.Open(bytes.NewReader(b), &held)
	if err != nil {
		return nil, s.format.Classify(err)
	}
	defer z.Close()
	body := stream.NewBody(z)
	out, _ := io.ReadAll(io.LimitReader(body, most)) // body keeps the error
	if err := body.Err(); err != nil && !errors.Is(err, stream.ErrTrailing) {
		return nil, s.format.Classify(err)
	}
	return out, nil
}

// block is an unpacked block of a table, and where the next one begins.
type block struct {
	body []byte
	next int64
}

// table reads on from a place in a table, over the ends of blocks.
type table struct {
	s     *system
	at    int64
	ready []byte
}

// open begins in the block at a place, behind some bytes of it.
func (s *system) open(at int64, offset int) (*table, error) {
	t := &table{s: s, at: at}
	if err := t.fill(); err != nil {
		return nil, err
	}
	if offset > len(t.ready) {
		return nil, stream.Malformed("squashfs: a place outside its block")
	}
	t.ready = t.ready[offset:]
	return t, nil
}

func (t *table) fill() error {
	b, known := t.s.meta[t.at]
	if !known {
		var err error
		if b, err = t.s.metaBlock(t.at); err != nil {
			return err
		}
		if len(t.s.meta) >= maxMeta {
			clear(t.s.meta)
		}
		t.s.meta[t.at] = b
	}
	t.ready, t.at = b.body, b.next
	return nil
}

// metaBlock reads a block of a table.
func (s *system) metaBlock(at int64) (block, error) {
	var head [2]byte
	if at < superBytes || at > s.size-2 {
		return block{}, stream.Malformed("squashfs: a table outside the file")
	}
	if err := s.in.Spend(metaBytes); err != nil {
		return block{}, err
	}
	if err := s.at.Full(head[:], at); err != nil {
		return block{}, err
	}
	size := binary.LittleEndian.Uint16(head[:])
	packed := int64(size & 0x7fff)
	body, err := s.unpack(at+2, packed, size&0x8000 != 0, metaBytes)
	if err == nil && len(body) == 0 {
		err = stream.Malformed("squashfs: an empty block of a table")
	}
	return block{body, at + 2 + packed}, err
}

// take reads n bytes, which are valid until the next call.
func (t *table) take(n int) ([]byte, error) {
	if len(t.ready) >= n {
		b := t.ready[:n]
		t.ready = t.ready[n:]
		return b, nil
	}
	out := make([]byte, 0, min(n, metaBytes))
	for len(out) < n {
		if len(t.ready) == 0 {
			if err := t.fill(); err != nil {
				return nil, err
			}
		}
		k := min(n-len(out), len(t.ready))
		out = append(out, t.ready[:k]...)
		t.ready = t.ready[k:]
	}
	return out, nil
}

// inode is what is needed of one.
type inode struct {
	kind, mode uint16
	// of a file
	start, size, holes int64
	fragment, offset   uint32
	blocks             []uint32
	// of a folder
	list   int64 // in the folder table
	within int
}

// inode reads one by its reference: the place of a block in the table, and one in the block.
func (s *system) inode(ref uint64) (*inode, error) {
	t, err := s.open(s.inodes+int64(ref>>16&(1<<40-1)), int(ref&0xffff))
	if err != nil {
		return nil, err
	}
	head, err := t.take(16)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	f := &inode{kind: le.Uint16(head), mode: le.Uint16(head[2:]), fragment: none}
	switch f.kind {
	case folderInode, folderInode + extended:
		return f, t.folderInode(f)
	case fileInode, fileInode + extended:
		return f, t.fileInode(f, s.blockSize)
	}
	return f, nil
}

func (t *table) folderInode(f *inode) error {
	size := 16
	if f.kind != folderInode {
		size = 24
	}
	b, err := t.take(size)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if f.kind == folderInode {
		f.list, f.size, f.within = int64(le.Uint32(b)), int64(le.Uint16(b[8:])), int(le.Uint16(b[10:]))
	} else {
		f.size, f.list, f.within = int64(le.Uint32(b[4:])), int64(le.Uint32(b[8:])), int(le.Uint16(b[18:]))
	}
	f.kind = folderInode
	return nil
}

func (t *table) fileInode(f *inode, blockSize int64) error {
	size := 16
	if f.kind != fileInode {
		size = 40
	}
	b, err := t.take(size)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	if f.kind == fileInode {
		f.start, f.fragment, f.offset, f.size = int64(le.Uint32(b)), le.Uint32(b[4:]), le.Uint32(b[8:]), int64(le.Uint32(b[12:]))
	} else {
		f.start, f.size = int64(le.Uint64(b)), int64(le.Uint64(b[8:])) //nolint:gosec // checked below
		f.fragment, f.offset = le.Uint32(b[28:]), le.Uint32(b[32:])
	}
	f.kind = fileInode
	if f.start < 0 || f.size < 0 {
		return stream.Malformed("squashfs: a file of a size that cannot be")
	}
	count := f.size / blockSize
	if f.fragment == none && f.size%blockSize > 0 {
		count++
	}
	if count > maxBlocks {
		return stream.Exceeded("squashfs: a file of %d blocks", count)
	}
	for range count {
		b, err := t.take(4)
		if err != nil {
			return err
		}
		if f.blocks = append(f.blocks, le.Uint32(b)); le.Uint32(b) == 0 {
			f.holes += blockSize
		}
	}
	return nil
}

// fragment is the block that a fragment stands in.
func (s *system) fragment(index uint32) ([]byte, error) {
	if int64(index) >= s.count {
		return nil, stream.Malformed("squashfs: a fragment that there is not")
	}
	const each = metaBytes / fragmentBytes
	var pointer [8]byte
	at := s.fragments + 8*int64(index/each)
	if at > s.size-8 {
		return nil, stream.Malformed("squashfs: a fragment table outside the file")
	}
	if err := s.at.Full(pointer[:], at); err != nil {
		return nil, err
	}
	place := binary.LittleEndian.Uint64(pointer[:])
	if place > uint64(s.size) { //nolint:gosec // a size
		return nil, stream.Malformed("squashfs: a fragment table outside the file")
	}
	t, err := s.open(int64(place), int(index%each)*fragmentBytes) //nolint:gosec // checked above
	if err != nil {
		return nil, err
	}
	b, err := t.take(fragmentBytes)
	if err != nil {
		return nil, err
	}
	start, size := int64(binary.LittleEndian.Uint64(b)), binary.LittleEndian.Uint32(b[8:]) //nolint:gosec // unpack checks it
	if s.frag != nil && s.fragAt == start {
		return s.frag, nil
	}
	if err := s.in.Spend(s.blockSize); err != nil {
		return nil, err
	}
	body, err := s.unpack(start, int64(size&(1<<24-1)), size>>24&1 == 1, s.blockSize)
	if err == nil {
		s.frag, s.fragAt = body, start
	}
	return body, err
}

// entry is one of a folder.
type entry struct {
	ref  uint64
	kind uint16
	name string
}

// entries lists the folder of an inode.
func (s *system) entries(ref uint64) ([]entry, error) {
	f, err := s.inode(ref)
	switch {
	case err != nil:
		return nil, err
	case f.kind != folderInode:
		return nil, stream.Malformed("squashfs: a folder that is none")
	case f.size > maxFolder:
		return nil, stream.Exceeded("squashfs: a folder of %d bytes", f.size)
	case f.size <= 3: // as many as its length says too much
		return nil, nil
	}
	t, err := s.open(s.folders+f.list, f.within)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	var out []entry
	for left := f.size - 3; left > 0; {
		b, err := t.take(12)
		if err != nil {
			return out, err
		}
		left -= 12
		count, start := int(le.Uint32(b)), uint64(le.Uint32(b[4:]))
		if count > 1<<16 {
			return out, stream.Malformed("squashfs: a folder that cannot be")
		}
		for range count + 1 {
			if b, err = t.take(8); err != nil {
				return out, err
			}
			offset, kind, size := uint64(le.Uint16(b)), le.Uint16(b[4:]), int(le.Uint16(b[6:]))+1
			name, err := t.take(size)
			if err != nil {
				return out, err
			}
			if len(out) >= s.left {
				return out, stream.Exceeded("squashfs: too many entries")
			}
			out = append(out, entry{ref: start<<16 | offset, kind: kind, name: string(name)})
			if left -= 8 + int64(size); left < 0 {
				return out, stream.Malformed("squashfs: a folder that is too short")
			}
		}
	}
	return out, nil
}
