package decompress

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust/layer/zstdframe"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const zstdMagic = "\x28\xb5\x2f\xfd"

// zstdBytes is what a decoder keeps beside the history of its frame: blocks on the way in and out, and tables.
const zstdBytes = 1 << 20

// zstdReader reads frames one by one, so that it is known what history each asks for before there is any.
type zstdReader struct {
	in    *bufio.Reader
	d     *zstd.Decoder
	frame *zstdframe.Reader
	mem   Memory
	held  int64
	// began is set behind the first frame.
	began bool
}

func newZstd(r *bufio.Reader, mem Memory) (io.ReadCloser, error) {
	if err := mem.Hold(zstdBytes); err != nil {
		return nil, err //nolint:wrapcheck // the grantor's own
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, err
	}
	return &zstdReader{in: r, d: d, mem: mem}, nil
}

// Close implements io.Closer.
func (z *zstdReader) Close() error {
	z.d.Close()
	return nil
}

// Read implements io.Reader.
func (z *zstdReader) Read(p []byte) (int, error) {
	for {
		if z.frame == nil {
			if err := z.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := z.d.Read(p)
		if err == io.EOF { //nolint:errorlint // only the bare value means the end
			if !z.frame.Ended() {
				return n, stream.Malformed("zstd frame is longer than its blocks")
			}
			if z.frame, err = nil, nil; n == 0 {
				continue
			}
		}
		return n, err
	}
}

// next begins the next frame, or skips one without data.
func (z *zstdReader) next() error {
	head, err := z.in.Peek(8)
	switch {
	case len(head) == 0:
		return err
	case z.began && (len(head) < 4 || string(head[:4]) != zstdMagic && !isSkippable(append(head[:4:4], 0, 0, 0, 0))):
		return stream.ErrTrailing
	}
	z.began = true
	if len(head) == 8 && isSkippable(head) {
		return stream.Skip(z.in, 8+int64(binary.LittleEndian.Uint32(head[4:])))
	}
	z.frame = zstdframe.NewReader(z.in)
	window, err := z.frame.Window()
	if err != nil {
		return err
	}
	if window > maxZstdWindow {
		return zstd.ErrWindowSizeExceeded
	}
	if n := window - z.held; n > 0 {
		if err := z.mem.Hold(n); err != nil {
			return err //nolint:wrapcheck // the grantor's own
		}
		z.held = window
	}
	return z.d.Reset(z.frame)
}
