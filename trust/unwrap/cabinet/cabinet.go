// Package cabinet unwraps Windows cabinets, packed with MSZIP or not at all.
// Source: [MS-CAB], and [MS-MCI] for MSZIP.
package cabinet

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	// maxName bounds the name of a file, in bytes.
	maxName = 1 << 10
	// blockBytes is the most that a block holds when it is unpacked.
	blockBytes  = 32 << 10
	headerBytes = 36
	// stepsPerFile is about what reading the record of a file costs.
	stepsPerFile = 1000
)

// How folders are packed. Others are Quantum and LZX.
const (
	plain = 0
	mszip = 1
)

// Wrapper reads cabinets.
type Wrapper struct{}

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "cabinet" }

// Wraps implements unwrap.Wrapper.
func (Wrapper) Wraps(c unwrap.Content) bool {
	return len(c.Head) >= headerBytes && bytes.HasPrefix(c.Head, []byte("MSCF\x00\x00\x00\x00")) && c.Head[25] == 1
}

// Unwrap implements unwrap.Wrapper.
func (Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	at, size, err := in.Spool()
	if err != nil {
		return err
	}
	a := &archive{in: in, show: show, at: stream.NewSpool(at), size: size}
	if err := a.header(); err != nil {
		return err
	}
	files, err := a.list()
	if a.broken.Add(err) || a.at.Err() != nil {
		return cmp.Or(a.at.Err(), a.broken.Err())
	}
	for i, f := range a.folders {
		if err := a.folder(f, files[i]); err != nil {
			return err
		}
	}
	return a.broken.Err()
}

// archive is one pass over one cabinet.
type archive struct {
	in      unwrap.Input
	show    unwrap.Show
	at      *stream.Spool
	size    int64
	broken  stream.Broken
	folders []folder
	// files is where their records begin, count how many there are, reserve what stands before the data of each block.
	files   int64
	count   int
	reserve int
}

type folder struct {
	at     int64
	blocks int
	method uint16
}

type file struct {
	name     string
	at, size int64
}

// text reads up to a zero.
func text(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return "", stream.Malformed("cabinet: a name without end")
		case c == 0:
			return b.String(), nil
		case b.Len() == maxName:
			return "", stream.Malformed("cabinet: a name that is too long")
		}
		b.WriteByte(c)
	}
}

// header reads the header and the folders' records.
func (a *archive) header() error {
	r := bufio.NewReader(io.NewSectionReader(a.at, 0, a.size))
	var b [headerBytes]byte
	if err := stream.Full(r, b[:]); err != nil {
		return err
	}
	le := binary.LittleEndian
	a.files, a.count = int64(le.Uint32(b[16:])), int(le.Uint16(b[28:]))
	flags, folderReserve := le.Uint16(b[30:]), 0
	if flags&4 != 0 {
		var sizes [4]byte
		if err := stream.Full(r, sizes[:]); err != nil {
			return err
		}
		folderReserve, a.reserve = int(sizes[2]), int(sizes[3])
		if err := stream.Skip(r, int64(le.Uint16(sizes[:]))); err != nil {
			return err
		}
	}
	names := 0
	if flags&1 != 0 {
		names += 2
	}
	if flags&2 != 0 {
		names += 2
	}
	for range names {
		if _, err := text(r); err != nil {
			return err
		}
	}
	for range le.Uint16(b[26:]) {
		var f [8]byte
		if err := stream.Full(r, f[:]); err != nil {
			return err
		}
		a.folders = append(a.folders, folder{at: int64(le.Uint32(f[:])), blocks: int(le.Uint16(f[4:])), method: le.Uint16(f[6:])})
		if err := stream.Skip(r, int64(folderReserve)); err != nil {
			return err
		}
	}
	return a.at.Err()
}

// list reads the files' records, of each folder in the order of their places. Files that go on in another cabinet are
// unsupported.
func (a *archive) list() ([][]file, error) {
	files := make([][]file, len(a.folders))
	if a.files > a.size {
		return files, stream.Malformed("cabinet: records outside the file")
	}
	r := bufio.NewReader(io.NewSectionReader(a.at, a.files, a.size-a.files))
	le := binary.LittleEndian
	var broken error
	for range a.count {
		if err := a.in.Spend(stepsPerFile); err != nil {
			return nil, err
		}
		var b [16]byte
		if broken = stream.Full(r, b[:]); broken != nil {
			break
		}
		name, err := text(r)
		if broken = err; err != nil {
			break
		}
		in := int(le.Uint16(b[8:]))
		if in >= len(files) {
			a.broken.Add(stream.Unsupported("cabinet: a file that goes on in another cabinet"))
			continue
		}
		files[in] = append(files[in], file{name: strings.ReplaceAll(name, `\`, "/"), at: int64(le.Uint32(b[4:])), size: int64(le.Uint32(b[:]))})
	}
	for _, list := range files {
		slices.SortStableFunc(list, func(a, b file) int { return cmp.Compare(a.at, b.at) })
	}
	return files, broken
}

// folder shows the files of a folder. What it takes to reach one again, because files overlap, is paid for.
func (a *archive) folder(f folder, files []file) error {
	if len(files) == 0 {
		return nil
	}
	if method := f.method & 0xf; method != plain && method != mszip {
		a.broken.Add(stream.Unsupported("cabinet: method %d", method))
		return nil
	}
	body := a.open(f)
	at := int64(0)
	for _, one := range files {
		if one.at < at {
			body, at = a.open(f), 0
		}
		if err := a.in.Spend(one.at - at); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, body, one.at-at); err != nil {
			if a.at.Err() != nil {
				return a.at.Err()
			}
			a.broken.Add(stream.Malformed("cabinet: a file behind the end of its folder"))
			return nil
		}
		part := &counted{r: io.LimitReader(body, one.size)}
		broken, err := stream.Show(a.show, unwrap.Piece{Name: one.name, Size: one.size}, part, a.at)
		if err != nil {
			return err
		}
		if broken == nil && part.ended && part.n < one.size {
			broken = stream.Malformed("cabinet: a file that is too short")
		}
		if broken != nil {
			a.broken.Add(stream.Malformed("cabinet: %w", broken))
			return nil
		}
		at = one.at + part.n
	}
	return nil
}

// counted counts what it hands on.
type counted struct {
	r     io.Reader
	n     int64
	ended bool
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.ended = c.ended || err == io.EOF //nolint:errorlint // only the bare value means the end
	return n, err
}

// open begins to read a folder.
func (a *archive) open(f folder) *blocks {
	return &blocks{a: a, f: f, at: f.at, left: f.blocks}
}

// blocks reads a folder, block by block.
type blocks struct {
	a    *archive
	f    folder
	at   int64
	left int
	// body is the last block, which the next one may refer to, and ready what of it was not read yet.
	body, ready []byte
	flate       io.ReadCloser
	err         error
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	for len(b.ready) == 0 {
		if b.err == nil {
			b.err = b.next()
		}
		if b.err != nil && len(b.ready) == 0 {
			return 0, b.err
		}
	}
	n := copy(p, b.ready)
	b.ready = b.ready[n:]
	return n, nil
}

func (b *blocks) next() error {
	if b.left == 0 {
		return io.EOF
	}
	b.left--
	a := b.a
	var head [8]byte
	if err := a.at.Full(head[:], b.at); err != nil {
		return err
	}
	size, want := int64(binary.LittleEndian.Uint16(head[4:])), int(binary.LittleEndian.Uint16(head[6:]))
	packed := make([]byte, size)
	b.at += int64(len(head) + a.reserve)
	if err := a.at.Full(packed, b.at); err != nil {
		return err
	}
	b.at += size
	if err := a.in.Spend(int64(want) + size); err != nil {
		return err
	}
	if b.f.method&0xf == plain {
		b.body, b.ready = packed, packed
		return nil
	}
	if !bytes.HasPrefix(packed, []byte("CK")) || want > blockBytes {
		return stream.Malformed("cabinet: a block that is none of MSZIP")
	}
	src := bytes.NewReader(packed[2:])
	if b.flate == nil {
		b.flate = flate.NewReader(src)
	} else if err := b.flate.(flate.Resetter).Reset(src, b.body); err != nil {
		return stream.Malformed("cabinet: %w", err)
	}
	out := make([]byte, want)
	n, err := io.ReadFull(b.flate, out)
	b.body, b.ready = out[:n], out[:n]
	if err != nil {
		return stream.Malformed("cabinet: %w", err)
	}
	return nil
}
