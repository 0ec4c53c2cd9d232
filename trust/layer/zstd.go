package layer

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust/layer/zstdframe"
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
	frame    *zstdframe.Reader
	at       int64
	// window is held already, of limit at most.
	window, limit int64
	hold          func(int64) error
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

func openZstd(r *bufio.Reader, position func() int64, limits Limits, hold func(int64) error) (io.ReadCloser, error) {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(max(limits.Window, zstd.MinWindowSize))))
	if err != nil {
		return nil, err
	}
	return &frames{d: d, packed: r, position: position, limit: limits.Window, hold: hold}, nil
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
			if !f.frame.Ended() {
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
	f.frame = zstdframe.NewReader(f.packed)
	window, err := f.frame.Window()
	if err != nil {
		return err
	}
	if n := min(window, f.limit) - f.window; n > 0 { // what asks for more is refused by the decoder
		if err := f.hold(n); err != nil {
			return err
		}
		f.window += n
	}
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
		if tables { // the footer is small
			if err := f.hold(s.size - int64(len(f.kept[0].content))); err != nil {
				return err
			}
		}
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
