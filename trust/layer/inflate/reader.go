// Package inflate undoes gzip, zlib and raw deflate in one stream, at about twice the speed of other readers in safe Go.
//
// It accepts exactly what compress/gzip, compress/zlib and compress/flate accept, with the same bytes; FUZZING.md says
// how long that was tried. The scheme is the one of libdeflate: a buffer of 64 bits, tables whose entries hold all that
// a symbol means, and room behind every buffer, so that the inner loop needs few checks of its own.
package inflate

import (
	"errors"
	"hash/crc32"
	"io"
)

// What is wrong with a stream. A stream that is cut off is io.ErrUnexpectedEOF.
var (
	ErrCorrupt  = errors.New("corrupt deflate data")
	ErrHeader   = errors.New("invalid header")
	ErrChecksum = errors.New("checksum or length does not hold")
)

// Sizes of buffers: memory of one Reader, whatever it reads.
const (
	// windowBytes are the history that a match may reach back into, as RFC 1951 has it.
	windowBytes = 32 << 10
	outBytes    = 256 << 10
	// outRoom is for what one round of the fast loop writes beyond the end: two literals, the longest match, and the 15
	// bytes that copying in steps of 16 writes too many.
	outRoom = 2 + maxMatch + 15
	outEnd  = windowBytes + outBytes

	inBytes = 128 << 10
	// keptBytes stay before the next byte when input moves to the front: what the bit buffer holds can be given back.
	keptBytes = 8

	maxMatch = 258
)

// maxIdleReads protects against readers that keep answering "no bytes, no error".
const maxIdleReads = 100

// format is what is around the deflate data.
type format int

const (
	gzipFormat format = iota
	zlibFormat
	rawFormat
)

// state is what comes next in the input.
type state int

const (
	atHeader state = iota
	atBlock
	inStored
	inSymbols
	atTrailer
)

// A Reader undoes the compression of one stream. It needs about 430 KiB, so reuse it with Reset. It reads ahead of what
// it returns, and returns io.EOF only where the stream ends as it should. It is not safe for concurrent use.
type Reader struct {
	src    io.Reader
	format format
	state  state
	// members counts headers of gzip members; begins is where in the stream the last one stands.
	members int
	begins  int64
	// read is where the member stands that the output is of; before is where the last but one stands.
	read, before int64
	// sum is what the trailer of a member or stream is compared with.
	sum checksum
	// err is what ended the stream, after the bytes before it are read.
	err error

	in [inBytes]byte
	// in[ip:il] was read from src and not yet used. At the end of src, srcErr says why it ended.
	ip, il int
	// moved counts the bytes that lie before in.
	moved  int64
	eof    bool
	srcErr error
	// bits holds the next nbits bits of the input, the first one lowest; those above are zero between calls.
	bits  uint64
	nbits uint

	out [outEnd + outRoom]byte
	// out[rp:op] is not yet returned; out[sp:op] is not yet in sum; matches may begin at out[history].
	rp, sp, op int
	history    int

	final  bool
	stored int
	// lit and dist are the tables of this block: the Reader's own or the fixed ones, which are made when first needed.
	lit   *litTable
	dist  *distTable
	codes codes
	fixed *fixedCodes
}

// NewGzip reads a file of gzip members, one after the other up to the end of src, as compress/gzip does.
func NewGzip(src io.Reader) *Reader { return newReader(src, gzipFormat) }

// NewZlib reads one zlib stream without a dictionary, as compress/zlib does. It does not look at what follows: see Unread.
func NewZlib(src io.Reader) *Reader { return newReader(src, zlibFormat) }

// NewRaw reads one raw deflate stream, as compress/flate does. It does not look at what follows: see Unread.
func NewRaw(src io.Reader) *Reader { return newReader(src, rawFormat) }

func newReader(src io.Reader, f format) *Reader {
	r := &Reader{format: f}
	r.Reset(src)
	return r
}

// Reset makes r a new Reader of src, for the same format. Nothing of the old stream can show in the new one.
func (r *Reader) Reset(src io.Reader) {
	r.src, r.state, r.members, r.err = src, atHeader, 0, nil
	r.ip, r.il, r.moved, r.eof, r.srcErr = 0, 0, 0, false, nil
	r.begins, r.read, r.before = 0, 0, 0
	r.bits, r.nbits = 0, 0
	r.rp, r.sp, r.op, r.history = 0, 0, 0, 0
	r.final, r.stored = false, 0
}

// Unread are the bytes that were taken from src and lie behind the end of a zlib or raw stream. It is valid once Read
// returned io.EOF, until Reset.
func (r *Reader) Unread() []byte { return r.in[r.ip:r.il] }

// Read implements io.Reader. Bytes before a fault are returned before the fault is.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.rp == r.op && r.err == nil {
		r.more()
	}
	if r.rp == r.op {
		return 0, r.err
	}
	n := copy(p, r.out[r.rp:r.op])
	r.rp += n
	return n, nil
}

// Member is where in the stream the gzip member begins that the bytes of the last Read came from. One Read never returns
// bytes of two members.
func (r *Reader) Member() int64 { return r.read }

// LastMembers is where in the stream the last two gzip members begin that were read so far, empty ones too.
func (r *Reader) LastMembers() (before, last int64) { return r.before, r.begins }

// more fills the output buffer, but not beyond a gzip member, or ends the stream.
func (r *Reader) more() {
	if drop := r.op - windowBytes; drop > 0 {
		copy(r.out[:windowBytes], r.out[drop:r.op])
		r.op = windowBytes
		r.history = max(0, r.history-drop)
	}
	r.rp, r.sp = r.op, r.op
	for r.op < outEnd && r.err == nil {
		if r.state == atHeader && r.op > r.rp {
			break
		}
		r.err = r.step()
		if r.op > r.rp {
			r.read = r.begins
		}
	}
	r.summarise()
}

// step does what the state asks for; each call uses up input, fills the buffer or fails.
func (r *Reader) step() error {
	switch r.state {
	case atHeader:
		return r.header()
	case atBlock:
		return r.block()
	case inStored:
		return r.copyStored()
	case inSymbols:
		return r.symbols()
	default:
		return r.trailer()
	}
}

// summarise adds what is new in the output to the checksum.
func (r *Reader) summarise() {
	r.sum.add(r.format, r.out[r.sp:r.op])
	r.sp = r.op
}

// fill sees to it that at least n bytes of input are there, or all that are left.
func (r *Reader) fill(n int) {
	if r.il-r.ip >= n || r.eof {
		return
	}
	keep := max(0, r.ip-keptBytes)
	copy(r.in[:], r.in[keep:r.il])
	r.ip, r.il, r.moved = r.ip-keep, r.il-keep, r.moved+int64(keep)
	for idle := 0; r.il-r.ip < n && !r.eof; idle++ {
		k, err := r.src.Read(r.in[r.il:])
		r.il += k
		switch {
		case err == io.EOF: //nolint:errorlint // a wrapped io.EOF is an error of the reader
			r.eof = true
		case err != nil:
			r.eof, r.srcErr = true, err
		case k > 0:
			idle = 0
		case idle == maxIdleReads:
			r.eof, r.srcErr = true, io.ErrNoProgress
		}
	}
}

// next takes n bytes of input, at most inBytes-keptBytes, at a byte border. They are valid until the next call.
func (r *Reader) next(n int) ([]byte, error) {
	r.fill(n)
	if r.il-r.ip < n {
		return nil, r.cut()
	}
	p := r.in[r.ip : r.ip+n]
	r.ip += n
	return p, nil
}

// cut is the error of input that ends too early.
func (r *Reader) cut() error {
	if r.srcErr != nil {
		return r.srcErr
	}
	return io.ErrUnexpectedEOF
}

// need makes at least n bits available, n at most 32.
func (r *Reader) need(n uint) bool {
	for r.nbits < n {
		if r.ip == r.il {
			if r.fill(1); r.ip == r.il {
				return false
			}
		}
		r.bits |= uint64(r.in[r.ip]) << r.nbits
		r.ip++
		r.nbits += 8
	}
	return true
}

// take removes n bits that are available.
func (r *Reader) take(n uint) int {
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.nbits -= n
	return int(v)
}

// align drops the rest of a byte and gives the whole bytes in the bit buffer back to the input.
func (r *Reader) align() {
	r.ip -= int(r.nbits >> 3)
	r.bits, r.nbits = 0, 0
}

// checksum is what a trailer says about the content.
type checksum struct {
	value uint32
	size  uint32 // modulo 2^32, as in the gzip format
}

func (c *checksum) add(f format, p []byte) {
	switch f {
	case gzipFormat:
		c.value = crc32.Update(c.value, crc32.IEEETable, p)
	case zlibFormat:
		c.value = adler(c.value, p)
	}
	c.size += uint32(len(p))
}
