// Package cpio unwraps cpio archives: newc, newc with checksums, the portable octal format, and the old binary one.
package cpio

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"strconv"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	bufferBytes = 32 << 10
	// maxName bounds the name of an entry: memory.
	maxName = 16 << 10
	// maxEntries bounds the headers of one archive, which cost more than their bytes: time.
	maxEntries = 1 << 20
	// stepsPerHeader is about what reading a header costs.
	stepsPerHeader = 500

	trailer = "TRAILER!!!"
)

// File types in the mode of an entry.
const (
	typeMask    = 0o170000
	typeRegular = 0o100000
)

// Wrapper reads cpio archives. Several may stand behind each other, as in an initial RAM file system; what follows and is
// no such archive is shown as a piece, because the kernel unpacks it too if it is compressed.
type Wrapper struct{ maxEntries int }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxEntries: maxEntries} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "cpio" }

// Wraps implements unwrap.Wrapper. The magic number of the binary format is short, so the rest of its header must make
// sense.
func (Wrapper) Wraps(c unwrap.Content) bool {
	f := detect(c.Head)
	return f != nil && (f.magic != "" || plausible(f, c))
}

func plausible(f *format, c unwrap.Content) bool {
	if len(c.Head) < f.size {
		return false
	}
	e, ok := f.parse(c.Head)
	if !ok || e.name < 2 || e.name > 1024 || f.size+int(e.name) > len(c.Head) || c.Size >= 0 && e.size > c.Size {
		return false
	}
	name := c.Head[f.size : f.size+int(e.name)]
	return e.mode&typeMask != 0 && name[len(name)-1] == 0 && !bytes.Contains(name[:len(name)-1], []byte{0})
}

// format is one of the four.
type format struct {
	// magic is a text; binary headers have a number in either order.
	magic string
	order binary.ByteOrder
	// size is that of a header, align what names and bodies are padded to.
	size  int
	align int64
	parse func(h []byte) (entry, bool)
}

// entry is what a header says; name is the length of the name with its final zero.
type entry struct {
	mode uint32
	name int64
	size int64
}

// detect tells the format of the header that b begins with.
func detect(b []byte) *format {
	switch {
	case bytes.HasPrefix(b, []byte("070701")), bytes.HasPrefix(b, []byte("070702")):
		return &format{magic: string(b[:6]), size: 110, align: 4, parse: newc}
	case bytes.HasPrefix(b, []byte("070707")):
		return &format{magic: "070707", size: 76, align: 1, parse: octal}
	case bytes.HasPrefix(b, []byte{0xc7, 0x71}):
		return old(binary.LittleEndian)
	case bytes.HasPrefix(b, []byte{0x71, 0xc7}):
		return old(binary.BigEndian)
	}
	return nil
}

func newc(h []byte) (e entry, ok bool) {
	field := func(i int) int64 {
		n, err := strconv.ParseUint(string(h[6+8*i:14+8*i]), 16, 32)
		ok = ok && err == nil
		return int64(n)
	}
	ok = true
	e.mode, e.size, e.name = uint32(field(1)), field(6), field(11)
	return e, ok
}

func octal(h []byte) (e entry, ok bool) {
	field := func(from, to int) int64 {
		n, err := strconv.ParseUint(string(h[from:to]), 8, 63)
		ok = ok && err == nil
		return int64(n)
	}
	ok = true
	e.mode, e.name, e.size = uint32(field(18, 24)), field(59, 65), field(65, 76)
	return e, ok
}

func old(order binary.ByteOrder) *format {
	return &format{order: order, size: 26, align: 2, parse: func(h []byte) (entry, bool) {
		half := func(at int) uint32 { return uint32(order.Uint16(h[at:])) }
		return entry{mode: half(6), name: int64(half(20)), size: int64(half(22))<<16 | int64(half(24))}, true
	}}
}

// archive is one pass over one file.
type archive struct {
	in     unwrap.Input
	show   unwrap.Show
	src    *stream.Source
	r      *bufio.Reader
	at     int64
	broken stream.Broken
	left   int
}

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	a := &archive{in: in, show: show, src: stream.NewSource(in), left: w.maxEntries}
	a.r = bufio.NewReaderSize(a.src, bufferBytes)
	for {
		more, err := a.next()
		if a.src.Err() != nil {
			return a.src.Err()
		}
		if err != nil {
			return err
		}
		if !more {
			return a.broken.Err()
		}
	}
}

// next shows an entry, or what follows the archive. It reports whether to go on.
func (a *archive) next() (bool, error) {
	if err := a.in.Spend(stepsPerHeader); err != nil {
		return false, err
	}
	begin, _ := a.r.Peek(6)
	if len(begin) == 0 {
		return false, a.broken.Err()
	}
	f := detect(begin)
	if f == nil {
		return a.follows(begin[0] == 0)
	}
	if a.left--; a.left < 0 {
		return false, stream.Exceeded("too many entries in a cpio archive")
	}
	e, name, err := a.header(f)
	if err != nil {
		return false, err
	}
	if name == trailer {
		return true, a.skip(e.size + padding(e.size, f.align))
	}
	return true, a.body(f, e, name)
}

// header reads a header and the name behind it.
func (a *archive) header(f *format) (entry, string, error) {
	begin := a.at
	h := make([]byte, f.size)
	if err := a.full(h); err != nil {
		return entry{}, "", err
	}
	e, ok := f.parse(h)
	switch {
	case !ok || e.name == 0:
		return entry{}, "", stream.Malformed("cpio header")
	case e.name > maxName:
		return entry{}, "", stream.Exceeded("name of %d bytes in a cpio archive", e.name)
	}
	name := make([]byte, e.name)
	if err := a.full(name); err != nil {
		return entry{}, "", err
	}
	name, _, _ = bytes.Cut(name, []byte{0})
	return e, string(name), a.skip(padding(a.at-begin, f.align))
}

// body shows the body of a regular file and skips that of any other, which is the target of a link. Only what has no
// type at all is taken for a file, as a body says that it is one.
func (a *archive) body(f *format, e entry, name string) error {
	r := &io.LimitedReader{R: a.r, N: e.size}
	if t := e.mode & typeMask; (t == typeRegular || t == 0) && (e.size > 0 || t != 0) {
		p := unwrap.Piece{Name: name, Mode: fs.FileMode(e.mode) & fs.ModePerm, Size: e.size}
		if _, err := stream.Show(a.show, p, r, a.src); err != nil {
			return err
		}
	}
	a.at += e.size - r.N
	return a.skip(r.N + padding(e.size, f.align))
}

// follows skips zeros between archives, and shows the rest of the file when it is none.
func (a *archive) follows(zeros bool) (bool, error) {
	if zeros {
		n, _ := a.r.Peek(1)
		for len(n) > 0 && n[0] == 0 {
			buffered, _ := a.r.Peek(a.r.Buffered())
			count := len(buffered) - len(bytes.TrimLeft(buffered, "\x00"))
			_ = a.skip(int64(count))
			n, _ = a.r.Peek(1)
		}
		return len(n) > 0, nil
	}
	if a.at == 0 {
		return false, stream.Malformed("no cpio archive")
	}
	_, err := stream.Show(a.show, unwrap.Piece{Name: "rest", Size: -1}, a.r, a.src)
	return false, err
}

func (a *archive) full(p []byte) error {
	a.at += int64(len(p))
	return stream.Full(a.r, p)
}

func (a *archive) skip(n int64) error {
	a.at += n
	return stream.Skip(a.r, n)
}

// padding is how many bytes follow n to reach a multiple of align.
func padding(n, align int64) int64 { return (align - n%align) % align }
