package layer

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Magic numbers of RFC 8878.
const (
	frameMagic     = 0xfd2fb528
	skippableMagic = 0x184d2a50 // and 15 more
)

// maxPackedTOC bounds the content of a skippable frame that is kept because it may be a table of contents: memory. Two
// are kept, and the footer.
const maxPackedTOC = 8 << 20

// frames reads zstd frames up to the end of the blob, each by itself, so that it is known where they begin, and keeps
// what skippable frames at the end hold. Whether a frame is well-formed is the decoder's to say; frames only follows the
// sizes of its blocks.
type frames struct {
	d        *zstd.Decoder
	packed   *bufio.Reader
	position func() int64
	frame    *frame
	at       int64
	// kept are the last skippable frames that hold zstd frames; footer is the content of the last one of all, if that is
	// the last of the blob and small.
	kept   [2]skipped
	footer []byte
}

// skipped is the content of a skippable frame and where in the blob it begins. It is nil if it was too long to keep.
type skipped struct {
	offset, size int64
	content      []byte
}

func openZstd(r *bufio.Reader, position func() int64, limits Limits) (io.ReadCloser, error) {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(max(limits.Window, zstd.MinWindowSize))))
	if err != nil {
		return nil, err
	}
	return &frames{d: d, packed: r, position: position}, nil
}

func (f *frames) part() int64 { return f.at }

func (f *frames) Close() error {
	f.d.Close()
	return nil
}

func (f *frames) Read(p []byte) (int, error) {
	for {
		if f.frame == nil {
			if err := f.next(); err != nil {
				return 0, err
			}
			if f.frame == nil {
				continue // it was a skippable one
			}
		}
		n, err := f.d.Read(p)
		if err == io.EOF { //nolint:errorlint // only the bare value means the end
			if !f.frame.ended() {
				return n, malformed("zstd frame is longer than its blocks")
			}
			f.frame = nil
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

// next begins the next frame, or skips one. It returns io.EOF only at the end of the blob.
func (f *frames) next() error {
	head, err := f.packed.Peek(4)
	if len(head) < 4 {
		if err == io.EOF && len(head) > 0 { //nolint:errorlint // bufio returns the reader's value
			return io.ErrUnexpectedEOF
		}
		return err
	}
	magic := binary.LittleEndian.Uint32(head)
	if magic&^0xf == skippableMagic {
		return f.skip()
	}
	f.footer = nil
	if magic != frameMagic {
		return malformed("bytes after the end of a zstd frame")
	}
	f.at = f.position()
	f.frame = &frame{r: f.packed}
	return f.d.Reset(f.frame)
}

// skip reads a skippable frame.
func (f *frames) skip() error {
	var head [8]byte
	if _, err := io.ReadFull(f.packed, head[:]); err != nil {
		return noEOF(err)
	}
	s := skipped{offset: f.position(), size: int64(binary.LittleEndian.Uint32(head[4:]))}
	begin, _ := f.packed.Peek(4)
	tables := len(begin) == 4 && s.size >= 4 && binary.LittleEndian.Uint32(begin) == frameMagic
	f.footer = nil
	if tables && s.size <= maxPackedTOC || s.size <= maxFooter {
		s.content = make([]byte, s.size)
		if _, err := io.ReadFull(f.packed, s.content); err != nil {
			return noEOF(err)
		}
	} else if _, err := io.CopyN(io.Discard, f.packed, s.size); err != nil {
		return noEOF(err)
	}
	if s.size <= maxFooter {
		f.footer = s.content
	}
	if tables {
		f.kept[0], f.kept[1] = f.kept[1], s
	}
	return nil
}

// maxFooter is more than any footer of a table of contents has.
const maxFooter = 128

// frame is one zstd frame: it hands on bytes up to its end, as the headers of its blocks say.
type frame struct {
	r *bufio.Reader
	// head holds bytes of headers that were looked at and are not handed on yet; left are bytes that follow them.
	head   []byte
	left   int64
	began  bool
	closed bool
	check  bool
	buf    [32]byte
}

func (f *frame) ended() bool { return f.closed && f.left == 0 && len(f.head) == 0 }

func (f *frame) Read(p []byte) (int, error) {
	if len(f.head) == 0 && f.left == 0 {
		if f.closed {
			return 0, io.EOF
		}
		if err := f.follow(); err != nil {
			return 0, err
		}
	}
	if len(f.head) > 0 {
		n := copy(p, f.head)
		f.head = f.head[n:]
		return n, nil
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, noEOF(err)
}

// take reads n bytes of a header, to be handed on.
func (f *frame) take(n int) ([]byte, error) {
	at := len(f.head)
	f.head = f.buf[:at+n]
	if _, err := io.ReadFull(f.r, f.head[at:]); err != nil {
		f.head = nil
		return nil, noEOF(err)
	}
	return f.head[at:], nil
}

// follow reads the next header: the frame's, or a block's.
func (f *frame) follow() error {
	f.head = f.buf[:0]
	if !f.began {
		f.began = true
		return f.header()
	}
	b, err := f.take(3)
	if err != nil {
		return err
	}
	h := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	f.left = int64(h >> 3)
	if h>>1&3 == 1 { // one byte, repeated
		f.left = 1
	}
	if h&1 == 1 {
		f.closed = true
		if f.check {
			f.left += 4
		}
	}
	return nil
}

// header reads the magic number and the frame header, RFC 8878 section 3.1.1.1.
func (f *frame) header() error {
	b, err := f.take(5)
	if err != nil {
		return err
	}
	desc := b[4]
	single := desc>>5&1 == 1
	n := [...]int{0, 1, 2, 4}[desc&3]
	switch {
	case desc>>6 > 0:
		n += 1 << (desc >> 6)
	case single:
		n++
	}
	if !single {
		n++
	}
	f.check = desc>>2&1 == 1
	_, err = f.take(n)
	return err
}
