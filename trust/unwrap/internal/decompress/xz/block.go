package xz

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"

	"github.com/safepull/safepull/trust"
)

// block is one block: what it holds, and what its header says of it.
type block struct {
	z *Reader
	r io.Reader
	// began is where in the file its data begins.
	began int64
	// header is the length of the header; packed and size are what it says, -1 if nothing.
	header       int64
	packed, size int64
	sum          hash.Hash
	// plain counts bytes; unpadded is known at the end.
	plain, unpadded uint64
}

// fields reads a header from memory.
type fields struct{ b []byte }

// ReadByte implements io.ByteReader.
func (f *fields) ReadByte() (byte, error) {
	if len(f.b) == 0 {
		return 0, malformed("block header ends too early")
	}
	b := f.b[0]
	f.b = f.b[1:]
	return b, nil
}

// coder is a filter with its properties.
type coder struct {
	id    uint64
	props []byte
}

// idLzma2 is the last coder of every block.
const idLzma2 = 0x21

// newBlock reads a header from behind its first byte and opens the data.
func (z *Reader) newBlock(f *fields, headerBytes int) (*block, error) {
	b := &block{z: z, began: z.position(), header: int64(headerBytes), packed: -1, size: -1}
	b.sum, _ = checkOf(z.flags[1])
	flags, err := f.ReadByte()
	if err != nil {
		return nil, err
	}
	if flags&0x3c != 0 {
		return nil, fmt.Errorf("%w: xz block flags %#x", trust.ErrUnsupported, flags)
	}
	if err := f.size(flags&0x40 != 0, &b.packed); err != nil {
		return nil, err
	}
	if err := f.size(flags&0x80 != 0, &b.size); err != nil {
		return nil, err
	}
	var coders []coder
	for range int(flags&3) + 1 {
		c, err := f.coder()
		if err != nil {
			return nil, err
		}
		coders = append(coders, c)
	}
	if slices.ContainsFunc(f.b, func(c byte) bool { return c != 0 }) {
		return nil, fmt.Errorf("%w: xz block header with unknown fields", trust.ErrUnsupported)
	}
	b.r, err = z.chain(coders)
	return b, err
}

func (f *fields) size(there bool, into *int64) error {
	if !there {
		return nil
	}
	n, err := number(f)
	if err != nil {
		return err
	}
	*into = int64(n) //nolint:gosec // of 63 bits
	return nil
}

func (f *fields) coder() (coder, error) {
	id, err := number(f)
	if err != nil {
		return coder{}, err
	}
	n, err := number(f)
	if err != nil {
		return coder{}, err
	}
	if n > uint64(len(f.b)) {
		return coder{}, malformed("filter properties")
	}
	c := coder{id, f.b[:n]}
	f.b = f.b[n:]
	return c, nil
}

// chain decodes data by the filters of a block, the last of which is nearest to the file.
func (z *Reader) chain(coders []coder) (io.Reader, error) {
	last := coders[len(coders)-1]
	if last.id != idLzma2 || len(last.props) != 1 {
		return nil, fmt.Errorf("%w: xz filter %#x", trust.ErrUnsupported, last.id)
	}
	r, err := z.lzma2(last.props[0])
	if err != nil {
		return nil, err
	}
	for _, c := range slices.Backward(coders[:len(coders)-1]) {
		if r = z.coders.Filter(c.id, c.props, r); r == nil {
			return nil, fmt.Errorf("%w: xz filter %#x", trust.ErrUnsupported, c.id)
		}
	}
	return r, nil
}

// lzma2 opens the data of a block, with the decoder of the last one where it asks for the same history: a file may have
// many blocks of a few bytes.
func (z *Reader) lzma2(props byte) (io.Reader, error) {
	if again, ok := z.decoder.(interface{ Restart() }); ok && props == z.asked {
		again.Restart()
		return z.decoder, nil
	}
	z.decoder = nil
	if err := z.held.Hold(-z.held.n); err != nil {
		return nil, err
	}
	d, err := z.coders.LZMA2(z.in, props, z.held)
	if err != nil {
		return nil, err
	}
	z.decoder, z.asked = d, props
	return d, nil
}

// Read implements io.Reader. It is at io.EOF where the block ends as it should.
func (b *block) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.plain += uint64(n)
	_, _ = b.sum.Write(p[:n])
	if b.size >= 0 && b.plain > uint64(b.size) {
		return n, malformed("block is longer than it says")
	}
	if err == io.EOF { //nolint:errorlint // only the bare value means the end
		err = b.end()
	}
	return n, err
}

// end reads the padding and the check behind the data.
func (b *block) end() error {
	packed := b.z.position() - b.began
	if b.packed >= 0 && packed != b.packed || b.size >= 0 && b.plain != uint64(b.size) {
		return malformed("block is shorter than it says")
	}
	b.unpadded = uint64(b.header + packed + int64(b.sum.Size())) //nolint:gosec // counted bytes
	for ; packed%4 != 0; packed++ {
		if c, err := b.z.in.ReadByte(); err != nil {
			return noEnd(err)
		} else if c != 0 {
			return malformed("padding of a block")
		}
	}
	want := make([]byte, b.sum.Size())
	if err := full(b.z.in, want); err != nil {
		return err
	}
	if !bytes.Equal(want, b.sum.Sum(nil)) {
		return malformed("check of a block")
	}
	return io.EOF
}

// checkOf is the check that stream flags name. It reports false where it is not known.
func checkOf(id byte) (hash.Hash, bool) {
	switch id {
	case 0:
		return none{}, true
	case 1:
		return reversed{crc32.NewIEEE()}, true
	case 4:
		return reversed{crc64.New(crc64.MakeTable(crc64.ECMA))}, true
	case 10:
		return sha256.New(), true
	}
	return nil, false
}

// reversed writes its sum with the lowest byte first.
type reversed struct{ hash.Hash }

// Sum implements hash.Hash.
func (r reversed) Sum(b []byte) []byte {
	at := len(b)
	b = r.Hash.Sum(b)
	slices.Reverse(b[at:])
	return b
}

// none is the check of streams that have none.
type none struct{}

// Write implements io.Writer.
func (none) Write(p []byte) (int, error) { return len(p), nil }

// Sum implements hash.Hash, as all below.
func (none) Sum(b []byte) []byte { return b }

// Reset does nothing.
func (none) Reset() {}

// Size is zero.
func (none) Size() int { return 0 }

// BlockSize is one.
func (none) BlockSize() int { return 1 }
