package layer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"github.com/safepull/safepull/trust"
)

// compression is how the bytes of a blob are packed; its media type has no say, as it has none in engines.
type compression int

const (
	plain compression = iota
	gzipped
	zstandard
	bzipped
	xzipped
)

// headBytes are looked at to tell what a blob is: one block of a tar archive.
const headBytes = 512

// head is how a blob begins: at most headBytes.
type head []byte

// compression looks for the same magic bytes as the engines do.
func (h head) compression() compression {
	switch {
	case bytes.HasPrefix(h, []byte{0x1f, 0x8b, 0x08}):
		return gzipped
	case bytes.HasPrefix(h, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstandard
	case len(h) >= 8 && binary.LittleEndian.Uint32(h)&^0xf == 0x184d2a50: // a skippable frame
		return zstandard
	case bytes.HasPrefix(h, []byte("BZh")):
		return bzipped
	case bytes.HasPrefix(h, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return xzipped
	}
	return plain
}

// isTar reports whether a tar reader takes h for the beginning of an archive. The reader itself is asked, as engines
// ask it: a second opinion about headers would be a way past the walk.
func (h head) isTar() bool {
	if len(h) < headBytes {
		return false
	}
	_, err := tar.NewReader(bytes.NewReader(h)).Next()
	return !errors.Is(err, tar.ErrHeader) && !errors.Is(err, io.EOF) // zeros are an archive of nothing
}

// decompressor turns packed bytes into plain ones and returns io.EOF only where the packed bytes end as they should.
// It need not bound its output, but must read all of its input to the end; it may panic and starts no goroutine.
// position tells how many bytes of the blob were taken from packed.
// It asks hold for memory that depends on what the packed bytes want.
type decompressor func(packed *bufio.Reader, position func() int64, limits Limits, hold func(int64) error) (io.ReadCloser, error)

// decompressors is the one place that knows which implementation reads what.
var decompressors = map[compression]decompressor{
	plain: func(r *bufio.Reader, _ func() int64, _ Limits, _ func(int64) error) (io.ReadCloser, error) {
		return io.NopCloser(r), nil
	},
	gzipped: openGzip,
	bzipped: func(r *bufio.Reader, _ func() int64, _ Limits, _ func(int64) error) (io.ReadCloser, error) {
		return io.NopCloser(bzip2.NewReader(r)), nil
	},
	zstandard: openZstd,
	xzipped:   openXz,
}

// openXz reads xz streams, one after the other, with padding between and behind them. The decoder would take the end of
// its input for the end of the last stream if the two came in one read; those of packed, smaller than its buffer, never
// bring both.
func openXz(r *bufio.Reader, _ func() int64, limits Limits, hold func(int64) error) (io.ReadCloser, error) {
	if err := hold(min(limits.Window, maxXzWindow)); err != nil {
		return nil, err
	}
	d, err := xz.NewReader(r, uint32(min(limits.Window, maxXzWindow)))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(d), nil
}

// maxXzWindow is the most that Window allows an xz block; it also fits the decoder's parameter.
const maxXzWindow = 1 << 30

// classify tells what an error of a decompressor means.
func classify(err error) error {
	switch {
	case errors.Is(err, trust.ErrLimit), errors.Is(err, trust.ErrUnsupported), errors.Is(err, trust.ErrMalformed):
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return exceeded("zstd frame: %v", err)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return fmt.Errorf("%w: zstd frame: %w", trust.ErrUnsupported, err)
	case errors.Is(err, xz.ErrMemlimit):
		return exceeded("xz block: %v", err)
	case errors.Is(err, xz.ErrOptions), errors.Is(err, xz.ErrUnsupportedCheck):
		return fmt.Errorf("%w: xz stream: %w", trust.ErrUnsupported, err)
	}
	return malformed("compressed data: %v", err)
}
