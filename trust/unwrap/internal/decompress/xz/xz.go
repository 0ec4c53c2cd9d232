// Package xz decodes .xz files, several streams of them with padding between. It follows the description of the format at
// tukaani.org/xz/xz-file-format.txt. The history grows with what was decoded, so that data which only claims to need much
// costs little. It needs no memory for the index of a stream.
package xz

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/safepull/safepull/trust"
)

const (
	// Magic begins a stream, endMagic ends it.
	Magic    = "\xfd7zXZ\x00"
	endMagic = "YZ"

	headerBytes, footerBytes = 12, 12
	bufferBytes              = 16 << 10
	// maxBlocks bounds the blocks of a stream, which cost more than their bytes: time.
	maxBlocks = 1 << 20
)

// Reader decodes one file.
type Reader struct {
	src    *source
	in     *bufio.Reader
	coders Coders
	held   *held
	// decoder is that of the last block, and asked the history that it asked for.
	decoder io.Reader
	asked   byte
	// flags are those of the stream: the kind of check.
	flags [2]byte
	// open is set within a stream.
	open bool
	// block is what is read of the current one, nil between two.
	block *block
	// seen sums up the blocks of the stream, to be compared with the index.
	seen   records
	blocks int
	err    error
}

// records sums up the sizes of blocks in order, without keeping them.
type records struct {
	count uint64
	sum   hash.Hash32
}

func (r *records) add(unpadded, plain uint64) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], unpadded)
	binary.LittleEndian.PutUint64(b[8:], plain)
	r.count++
	_, _ = r.sum.Write(b[:])
}

// source counts what was read from the file.
type source struct {
	r io.Reader
	n int64
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	return n, err //nolint:wrapcheck // the file's own
}

// position is how much of the file was used.
func (z *Reader) position() int64 { return z.src.n - int64(z.in.Buffered()) }

// held is what the decoder of the current block holds, which the next one gives back.
type held struct {
	Memory
	n int64
}

// Hold implements Memory.
func (h *held) Hold(n int64) error {
	if err := h.Memory.Hold(n); err != nil {
		return err //nolint:wrapcheck // the grantor's own
	}
	h.n += n
	return nil
}

// Memory grants n bytes, or says why not; n is negative where they are given back.
type Memory interface{ Hold(n int64) error }

// Coders undo what a block was packed with.
type Coders struct {
	// LZMA2 opens data from r, of which it must not read more than it needs, if r is a bufio.Reader of 16 KiB. Where the
	// result has a method Restart, it may be used again behind its end.
	LZMA2 func(r io.Reader, props byte, memory Memory) (io.Reader, error)
	// Filter is nil for one that is not known.
	Filter func(id uint64, props []byte, r io.Reader) io.Reader
}

// NewReader reads the header of the first stream.
func NewReader(r io.Reader, coders Coders, memory Memory) (*Reader, error) {
	src := &source{r: r}
	z := &Reader{src: src, in: bufio.NewReaderSize(src, bufferBytes), coders: coders, held: &held{Memory: memory}}
	if err := z.begin(); err != nil {
		return nil, err
	}
	return z, nil
}

// Read implements io.Reader.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for z.err == nil {
		switch {
		case !z.open:
			z.err = z.between()
		case z.block == nil:
			z.err = z.next()
		default:
			n, err := z.block.Read(p)
			if err == io.EOF { //nolint:errorlint // only the bare value means the end
				z.seen.add(z.block.unpadded, z.block.plain)
				z.block, err = nil, nil
			}
			if z.err = err; n > 0 {
				return n, nil
			}
		}
	}
	return 0, z.err
}

// ErrTrailing says that something else follows the last stream and its padding, and was not read.
var ErrTrailing = fmt.Errorf("%w: bytes behind the end of xz", trust.ErrMalformed)

// Buffer is what is left behind an error.
func (z *Reader) Buffer() *bufio.Reader { return z.in }

// between reads the padding behind a stream, and the header of the next one.
func (z *Reader) between() error {
	for n := 0; ; n++ {
		b, err := z.in.Peek(len(Magic))
		switch {
		case len(b) == 0 && err == io.EOF && n%4 == 0: //nolint:errorlint // bufio returns the reader's value
			return io.EOF
		case len(b) == 0:
			return noEnd(err)
		case string(b) == Magic && n%4 == 0:
			return z.begin()
		case b[0] != 0:
			return ErrTrailing
		}
		_, _ = z.in.ReadByte() // it was peeked at
	}
}

// begin reads the header of a stream.
func (z *Reader) begin() error {
	var h [headerBytes]byte
	if err := full(z.in, h[:]); err != nil {
		return err
	}
	if string(h[:6]) != Magic || crc32.ChecksumIEEE(h[6:8]) != binary.LittleEndian.Uint32(h[8:]) {
		return malformed("stream header")
	}
	z.flags = [2]byte(h[6:8])
	if _, ok := checkOf(z.flags[1]); z.flags[0] != 0 || !ok {
		return fmt.Errorf("%w: xz stream flags %x", trust.ErrUnsupported, z.flags)
	}
	z.open, z.seen = true, records{sum: crc32.New(castagnoli())}
	return nil
}

// castagnoli is another sum than the one that streams carry.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// next begins the next block, or reads the index and the end of the stream.
func (z *Reader) next() error {
	size, err := z.in.ReadByte()
	if err != nil {
		return noEnd(err)
	}
	if size == 0 {
		return z.end()
	}
	if z.blocks++; z.blocks > maxBlocks {
		return fmt.Errorf("%w: more than %d blocks of xz", trust.ErrLimit, maxBlocks)
	}
	h := make([]byte, (int(size)+1)*4)
	h[0] = size
	if err := full(z.in, h[1:]); err != nil {
		return err
	}
	body := h[:len(h)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(h[len(h)-4:]) {
		return malformed("block header")
	}
	z.block, err = z.newBlock(&fields{b: body[1:]}, len(h))
	return err
}

// end reads the index, whose first byte was read, and the footer.
func (z *Reader) end() error {
	at, sum := z.position()-1, crc32.NewIEEE()
	_, _ = sum.Write([]byte{0})
	r := &summing{r: z.in, sum: sum}
	count, err := number(r)
	if err != nil {
		return err
	}
	listed := records{sum: crc32.New(castagnoli())}
	if count != z.seen.count {
		return malformed("index of %d blocks behind %d", count, z.seen.count)
	}
	for range count {
		unpadded, err := number(r)
		if err != nil {
			return err
		}
		plain, err := number(r)
		if err != nil {
			return err
		}
		listed.add(unpadded, plain)
	}
	for (z.position()-at)%4 != 0 {
		if b, err := r.ReadByte(); err != nil {
			return noEnd(err)
		} else if b != 0 {
			return malformed("padding of the index")
		}
	}
	var tail [4 + footerBytes]byte
	indexBytes := z.position() - at + 4
	if err := full(z.in, tail[:]); err != nil {
		return err
	}
	footer := tail[4:]
	switch {
	case binary.LittleEndian.Uint32(tail[:]) != sum.Sum32() || listed.sum.Sum32() != z.seen.sum.Sum32():
		return malformed("index")
	case crc32.ChecksumIEEE(footer[4:10]) != binary.LittleEndian.Uint32(footer), !bytes.Equal(footer[8:10], z.flags[:]),
		string(footer[10:]) != endMagic, (int64(binary.LittleEndian.Uint32(footer[4:]))+1)*4 != indexBytes:
		return malformed("stream footer")
	}
	z.open = false
	return nil
}

// summing sums the bytes that it hands on.
type summing struct {
	r   io.ByteReader
	sum hash.Hash32
}

func (s *summing) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		_, _ = s.sum.Write([]byte{b})
	}
	return b, err //nolint:wrapcheck // the reader's own
}

// number reads one of variable length, of 63 bits at most and as short as it can be.
func number(r io.ByteReader) (uint64, error) {
	var v uint64
	for i := range 9 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, noEnd(err)
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			if b == 0 && i > 0 {
				break
			}
			return v, nil
		}
	}
	return 0, malformed("number")
}

// malformed wraps trust.ErrMalformed.
func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: xz: %w", trust.ErrMalformed, fmt.Errorf(format, args...))
}

// full fills p. A source that ends before is malformed; any other error is passed on as it is.
func full(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	return noEnd(err)
}

func noEnd(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // the bare value
		return malformed("ends too early")
	}
	return err
}
