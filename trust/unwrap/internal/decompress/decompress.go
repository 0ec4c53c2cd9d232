// Package decompress names the compressions that wrappers read, tells them by their magic bytes, and opens them. It is
// the one place below trust/unwrap that knows which implementation reads what.
package decompress

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lz4"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzma"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzw"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/xz"
	"github.com/safepull/safepull/trust/unwrap/internal/filter"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// MaxWindow is how far back LZMA may refer, in bytes: all that its formats can ask for. What there is of that is made as
// content comes, as far as there is memory for it.
const MaxWindow = 1 << 32

// maxZstdWindow is that of zstd frames, which the decoder makes at once: four times what the highest ordinary level asks
// for. What asks for more is trust.ErrUnsupported.
const maxZstdWindow = 32 << 20

// bufferBytes is more than any decoder here reads at once.
const bufferBytes = 32 << 10

// Format is a compression.
type Format string

// The compressions.
const (
	None  Format = ""
	Gzip  Format = "gzip"
	Zlib  Format = "zlib"
	Zstd  Format = "zstd"
	Bzip2 Format = "bzip2"
	Xz    Format = "xz"
	Lzma  Format = "lzma"
	Lz4   Format = "lz4"
	Lzw   Format = "compress"
)

// Detect tells the compression of content by its first bytes, 18 if there are as many.
func Detect(head []byte) Format {
	begins := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case begins("\x1f\x8b\x08"):
		return Gzip
	case begins("\x28\xb5\x2f\xfd"), isSkippable(head):
		return Zstd
	case begins("BZh") && len(head) >= 10 && head[3] >= '1' && head[3] <= '9' && isBlock(head[4:10]):
		return Bzip2
	case begins("\xfd7zXZ\x00"):
		return Xz
	case begins(lz4.FrameMagic), begins(lz4.LegacyMagic):
		return Lz4
	case begins(lzw.Magic) && len(head) > 2 && head[2]&0x60 == 0 && head[2]&0x1f >= 9 && head[2]&0x1f <= 16:
		return Lzw
	case isZlib(head):
		return Zlib
	case isLzma(head):
		return Lzma
	}
	return None
}

// isSkippable: a frame without data may stand before the others.
func isSkippable(head []byte) bool {
	return len(head) >= 8 && binary.LittleEndian.Uint32(head)&^0xf == 0x184d2a50
}

// isBlock: the digits of π begin a block of bzip2, those of its root end the stream.
func isBlock(b []byte) bool {
	return string(b) == "\x31\x41\x59\x26\x53\x59" || string(b) == "\x17\x72\x45\x38\x50\x90"
}

// isZlib: deflate with a window of 32 KiB, no dictionary, a valid check of the two bytes, and a first block of a type
// that exists.
func isZlib(head []byte) bool {
	return len(head) >= 8 && head[0] == 0x78 && head[1]&0x20 == 0 && binary.BigEndian.Uint16(head)%31 == 0 && head[2]>>1&3 != 3
}

// isLzma: a header of .lzma has no magic number, but encoders choose the size of the history from few, and the data
// begins with a zero.
func isLzma(head []byte) bool {
	if len(head) < lzma.AloneHeaderBytes+1 || head[0] >= 9*5*5 || head[0]%9+head[0]/9%5 > 4 || head[lzma.AloneHeaderBytes] != 0 {
		return false // the bounds are those of liblzma
	}
	history := binary.LittleEndian.Uint32(head[1:])
	low := history & -history
	size := int64(binary.LittleEndian.Uint64(head[5:]))
	return (history == low || history == 3*low || history == 1<<32-1) && history >= 4<<10 && (size == -1 || size > 0 && size < 1<<38)
}

// Trial is how many bytes must decode without a fault, unless the content ends before, until the beginning is believed:
// other content begins alike where there is no magic number worth the name. It is 0 where there is.
func (f Format) Trial(head []byte) int {
	const usual = 0x5d // the properties that practically every encoder uses
	switch {
	case f == Zlib:
		return 64
	case f == Lzma && head[0] != usual:
		return 4 << 10
	}
	return 0
}

// Suffixes are those of file names, each with what replaces it.
func (f Format) Suffixes() map[string]string {
	switch f {
	case Gzip:
		return map[string]string{".gz": "", ".tgz": ".tar", ".taz": ".tar", ".svgz": ".svg"}
	case Zlib:
		return map[string]string{".zz": "", ".zlib": ""}
	case Zstd:
		return map[string]string{".zst": "", ".zstd": "", ".tzst": ".tar"}
	case Bzip2:
		return map[string]string{".bz2": "", ".bz": "", ".tbz": ".tar", ".tbz2": ".tar"}
	case Xz:
		return map[string]string{".xz": "", ".txz": ".tar"}
	case Lzw:
		return map[string]string{".z": "", ".taz": ".tar"}
	case Lz4:
		return map[string]string{".lz4": ""}
	case Lzma:
		return map[string]string{".lzma": "", ".tlz": ".tar"}
	}
	return nil
}

// Memory grants n bytes of memory, or says why not; n is negative where they are given back. It is unwrap.Input's.
type Memory interface{ Hold(n int64) error }

// Tab is a Memory that remembers what was taken, so that a decoder need not be closed.
type Tab struct {
	Memory Memory
	n      int64
}

// Hold implements Memory.
func (t *Tab) Hold(n int64) error {
	if err := t.Memory.Hold(n); err != nil {
		return err //nolint:wrapcheck // the grantor's own
	}
	t.n += n
	return nil
}

// Release gives back all that is held.
func (t *Tab) Release() {
	_ = t.Memory.Hold(-t.n) // giving back does not fail
	t.n = 0
}

func bounds(mem Memory) lzma.Bounds { return lzma.Bounds{Limit: MaxWindow, Memory: mem} }

// NewLzma decodes raw LZMA with the bounds of this package; see lzma.Bounds.
func NewLzma(r io.Reader, props []byte, size int64, mem Memory) (io.Reader, error) {
	return bounds(mem).NewReader(r, props, size)
}

// NewLzma2 decodes raw LZMA2 with the bounds of this package; see lzma.Bounds.
func NewLzma2(r io.Reader, props byte, mem Memory) (io.Reader, error) {
	return bounds(mem).NewReader2(r, props)
}

func newXz(r io.Reader, mem Memory) (*xz.Reader, error) {
	return xz.NewReader(r, xz.Coders{LZMA2: lzma2, Filter: xzFilter}, mem)
}

func lzma2(r io.Reader, props byte, mem xz.Memory) (io.Reader, error) { return NewLzma2(r, props, mem) }

// xzFilter is what an identifier stands for in xz.
func xzFilter(id uint64, props []byte, r io.Reader) io.Reader {
	const delta = 0x03
	kinds := map[uint64]filter.Kind{0x04: filter.X86, 0x05: filter.PPC, 0x07: filter.ARM, 0x08: filter.Thumb, 0x09: filter.SPARC, 0x0a: filter.ARM64}
	kind, branches := kinds[id]
	switch {
	case id == delta && len(props) == 1:
		return filter.NewDelta(r, props)
	case branches && len(props) == 0:
		return filter.New(r, kind, 0)
	case branches && len(props) == 4:
		return filter.New(r, kind, binary.LittleEndian.Uint32(props))
	}
	return nil
}

// What decoders keep that is the same for all content, in bytes.
const (
	bzip2Bytes = 4 << 20 // a block of 900 kB, four bytes for each of its own
	lzwBytes   = 512 << 10
)

// Open decompresses r, which it reads in pieces of at most 32 KiB. The result is at io.EOF only where the compressed
// data ends as it should and r ends with it. What it keeps in memory beyond 128 KiB is taken from mem, and for mem's owner
// to give back. It may panic on what it does not expect: read it through stream.Body. Errors are to be given to Classify.
func (f Format) Open(r io.Reader, mem Memory) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, bufferBytes)
	switch f {
	case Gzip:
		return gzip.NewReader(buffered)
	case Zlib:
		return whole(buffered, zlib.NewReader)
	case Zstd:
		return newZstd(buffered, mem)
	case Bzip2:
		if err := mem.Hold(bzip2Bytes); err != nil {
			return nil, err //nolint:wrapcheck // the grantor's own
		}
		return io.NopCloser(bzip2.NewReader(buffered)), nil
	case Xz:
		d, err := newXz(buffered, mem)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(d), nil
	case Lzw:
		if err := mem.Hold(lzwBytes); err != nil {
			return nil, err //nolint:wrapcheck // the grantor's own
		}
		d, err := lzw.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(d), nil
	case Lz4:
		return io.NopCloser(lz4.NewReader(buffered, mem)), nil
	case Lzma:
		return whole(buffered, func(r io.Reader) (io.ReadCloser, error) {
			d, err := bounds(mem).NewAlone(r)
			return io.NopCloser(d), err
		})
	}
	return nil, stream.Unsupported("compression %q", f)
}

// Gunzips keeps decoders of gzip between files, because images hold thousands of small ones. The zero value is ready.
type Gunzips struct{ free sync.Pool }

// Open does what Gzip.Open does. The result must be closed, and not be used after that. Where something else than another
// member follows one, Read returns stream.ErrTrailing.
func (g *Gunzips) Open(r io.Reader) (*Tailed, error) {
	z, ok := g.free.Get().(*gunzip)
	if !ok {
		z = &gunzip{buffered: bufio.NewReaderSize(nil, bufferBytes), home: &g.free}
	}
	z.buffered.Reset(r)
	if err := z.Reset(z.buffered); err != nil {
		g.free.Put(z)
		return nil, err
	}
	z.Multistream(false)
	return &Tailed{ReadCloser: z, in: z.buffered, taken: taking(stream.ErrTrailing, 0)}, nil
}

type gunzip struct {
	gzip.Reader
	buffered *bufio.Reader
	home     *sync.Pool
}

// Read implements io.Reader over all members.
func (z *gunzip) Read(p []byte) (int, error) {
	for {
		n, err := z.Reader.Read(p)
		if n > 0 || err != io.EOF { //nolint:errorlint // only the bare value means the end
			if err == io.EOF { //nolint:errorlint // it comes again
				err = nil
			}
			return n, err
		}
		switch head, err := z.buffered.Peek(3); {
		case len(head) == 0:
			return 0, err
		case string(head) != "\x1f\x8b\x08":
			return 0, stream.ErrTrailing
		}
		if err := z.Reset(z.buffered); err != nil {
			return 0, err
		}
		z.Multistream(false)
	}
}

// Close implements io.Closer.
func (z *gunzip) Close() error {
	z.buffered.Reset(nil) // holds on to nothing
	z.home.Put(z)
	return nil
}

// whole takes what follows the one stream of a format for garbage.
func whole(r *bufio.Reader, open func(io.Reader) (io.ReadCloser, error)) (io.ReadCloser, error) {
	d, err := open(r)
	if err != nil {
		return nil, err
	}
	return &single{ReadCloser: d, rest: r}, nil
}

type single struct {
	io.ReadCloser
	rest *bufio.Reader
}

func (s *single) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != io.EOF { //nolint:errorlint // only the bare value means the end
		return n, err
	}
	if _, err := s.rest.Peek(1); err != io.EOF { //nolint:errorlint // bufio returns the reader's value
		if err == nil {
			err = stream.ErrTrailing
		}
		return n, err
	}
	return n, io.EOF
}

// Classify says what an error of a decompressor means, in terms of package trust.
func (f Format) Classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, trust.ErrLimit), errors.Is(err, trust.ErrUnsupported), errors.Is(err, trust.ErrMalformed):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return stream.Unsupported("%s: %w", f, err)
	case errors.Is(err, zstd.ErrUnknownDictionary), errors.Is(err, zlib.ErrDictionary):
		return stream.Unsupported("%s: %w", f, err)
	}
	return stream.Malformed("%s: %w", f, err)
}
