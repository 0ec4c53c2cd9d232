// Package upx unpacks ELF executables that UPX packed, without running the stub. It follows the public description of the
// format: after the program headers stand three headers and then blocks, each with its two sizes and its method. What the
// first two headers say is not needed, so that executables whose magic was overwritten are unpacked too.
package upx

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

const (
	// maxBlock bounds the memory of one block: an executable is packed as a few blocks of a segment each.
	maxBlock = 48 << 20
	// maxBlocks bounds the work for blocks that hold next to nothing.
	maxBlocks = 1 << 16
	// maxGap bounds the zeros between two segments, which are shown so that offsets are right.
	maxGap = 64 << 10

	magic = "UPX!"
	// infoBytes is the length of the two headers before the blocks, blockHead that of a block's own.
	infoBytes, blockHead = 24, 12
)

// New makes the wrapper.
func New() unwrap.Wrapper { return wrapper{} }

type wrapper struct{}

func (wrapper) Name() string { return "upx" }

func (wrapper) Wraps(c unwrap.Content) bool {
	_, ok := parse(c.Head)
	return ok
}

// packed is what the beginning of a packed executable says.
type packed struct {
	order  binary.ByteOrder
	wide   bool
	blocks int64 // the offset of the first block
	// named is true if the packer's magic is there.
	named bool
}

// parse reads the beginning of an executable. It reports false if none is packed like this.
func parse(head []byte) (packed, bool) {
	var p packed
	if len(head) < 64 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return p, false
	}
	p.order, p.wide = binary.LittleEndian, head[4] == 2
	if head[5] == 2 {
		p.order = binary.BigEndian
	}
	end := 52 + 32*int(p.order.Uint16(head[44:]))
	if p.wide {
		end = 64 + 56*int(p.order.Uint16(head[56:]))
	}
	// Some versions leave room behind the program headers.
	for at := end; at <= end+128 && at+infoBytes+blockHead <= len(head); at += 4 {
		named := string(head[at+4:at+8]) == magic
		b := p.block(head[at+infoBytes:])
		if named || at == end && b.headers(p) {
			p.blocks, p.named = int64(at+infoBytes), named
			return p, true
		}
	}
	return p, false
}

// block is the header of a block.
type block struct {
	size, packed int64
	method       byte
	filter, cto  byte
}

func (p packed) block(b []byte) block {
	return block{
		size: int64(p.order.Uint32(b)), packed: int64(p.order.Uint32(b[4:])), method: b[8], filter: b[9], cto: b[10],
	}
}

// headers reports whether the block may hold the headers of an executable, which are packed by themselves.
func (b block) headers(p packed) bool {
	head, each := int64(52), int64(32)
	if p.wide {
		head, each = 64, 56
	}
	n := (b.size - head) / each
	return (b.size-head)%each == 0 && n >= 1 && n <= 32 && b.packed > 16 && b.packed <= b.size && b.sane()
}

// sane reports whether the sizes and the method are possible.
func (b block) sane() bool {
	return b.size > 0 && b.packed > 0 && b.packed <= b.size && (b.method >= 2 && b.method <= 10 || b.method == methodLZMA || b.method == methodDeflate)
}

func (wrapper) Unwrap(ctx context.Context, in unwrap.Input, show unwrap.Show) error {
	p, ok := parse(in.Content().Head)
	if !ok {
		return fmt.Errorf("%w: not packed by UPX", trust.ErrMalformed)
	}
	u := &unpacker{ctx: ctx, in: in, r: bufio.NewReaderSize(in, 16<<10), packed: p}
	first, err := u.first()
	if err != nil {
		return err
	}
	u.layout(first)
	u.out = first
	if err := show(unwrap.Piece{Name: "unpacked", Mode: 0o755, Size: -1}, u); err != nil {
		return err //nolint:wrapcheck // as the interface demands
	}
	if u.err == io.EOF { //nolint:errorlint // only the bare value means the end
		return nil
	}
	return u.err
}

// unpacker reads the unpacked executable, block after block.
type unpacker struct {
	packed
	ctx context.Context
	in  unwrap.Input
	r   *bufio.Reader

	out    []byte // decoded and not read
	room   []byte
	count  int
	at     int64 // the offset in the unpacked file
	spans  []span
	gap    int64 // zeros that come before the next block
	err    error
	inputs error // of the input itself
}

// span is where a segment stands in the unpacked file.
type span struct{ from, to int64 }

// first unpacks the headers. What looks packed, but not by a method that is known, is unsupported if it has the packer's
// magic.
func (u *unpacker) first() ([]byte, error) {
	if _, err := io.CopyN(io.Discard, u.r, u.blocks); err != nil {
		if err == io.EOF { //nolint:errorlint // only the bare value means the end
			return nil, fmt.Errorf("%w: ends early", trust.ErrMalformed)
		}
		return nil, err //nolint:wrapcheck // as the interface demands
	}
	b, err := u.next()
	if err == nil && len(b) < 4 || err == nil && string(b[:4]) != "\x7fELF" || err == io.EOF { //nolint:errorlint // the bare value
		err = fmt.Errorf("%w: the first block holds no executable", trust.ErrMalformed)
	}
	switch {
	case u.inputs != nil:
		return nil, u.inputs
	case err != nil && u.named:
		return nil, fmt.Errorf("%w: packed by a changed UPX: %w", trust.ErrUnsupported, err)
	}
	return bytes.Clone(b), err
}

// layout reads where the segments stand in the unpacked file. Without it blocks are shown one behind the other.
func (u *unpacker) layout(headers []byte) {
	u.at = int64(len(headers))
	at, each := 52, 32
	if u.wide {
		at, each = 64, 56
	}
	for ; at+each <= len(headers); at += each {
		h := headers[at:]
		if u.order.Uint32(h) != 1 { // PT_LOAD
			continue
		}
		from, size := int64(u.order.Uint32(h[4:])), int64(u.order.Uint32(h[16:]))
		if u.wide {
			from, size = int64(u.order.Uint64(h[8:])), int64(u.order.Uint64(h[32:]))
		}
		if from < 0 || size < 0 || from+size < 0 {
			u.spans = nil
			return
		}
		u.spans = append(u.spans, span{from, from + size})
	}
}

// Read implements io.Reader.
func (u *unpacker) Read(p []byte) (int, error) {
	for len(u.out) == 0 && u.gap == 0 && u.err == nil {
		if u.out, u.err = u.next(); u.err == nil {
			u.place(int64(len(u.out)))
		}
	}
	n := int(min(u.gap, int64(len(p))))
	clear(p[:n])
	u.gap -= int64(n)
	if u.gap == 0 {
		k := copy(p[n:], u.out)
		u.out = u.out[k:]
		n += k
	}
	if n == 0 && len(p) > 0 {
		return 0, u.err
	}
	return n, nil
}

// place finds how many zeros stand before a block of n bytes: those between the end of one segment and the next.
func (u *unpacker) place(n int64) {
	for len(u.spans) > 0 && u.at >= u.spans[0].to {
		u.spans = u.spans[1:]
	}
	if len(u.spans) > 0 && u.at < u.spans[0].from && u.spans[0].from-u.at <= maxGap {
		u.gap = u.spans[0].from - u.at
	}
	u.at += u.gap + n
}

// next decodes the next block. It returns io.EOF where the blocks end: at a block of no size, or where the stub begins.
func (u *unpacker) next() ([]byte, error) {
	h, err := u.r.Peek(blockHead)
	if err != nil {
		return nil, u.failed(err)
	}
	b := u.block(h)
	if !b.sane() {
		if u.count == 0 {
			return nil, fmt.Errorf("%w: a block of %d bytes in %d by method %d", trust.ErrMalformed, b.size, b.packed, b.method)
		}
		return nil, io.EOF
	}
	if b.size > maxBlock {
		return nil, fmt.Errorf("%w: a block of %d bytes", trust.ErrLimit, b.size)
	}
	if u.count++; u.count > maxBlocks {
		return nil, fmt.Errorf("%w: more than %d blocks", trust.ErrLimit, maxBlocks)
	}
	if err := u.ctx.Err(); err != nil {
		return nil, fmt.Errorf("upx: %w", err)
	}
	if err := u.in.Spend(4 * b.size); err != nil {
		u.inputs = err
		return nil, err //nolint:wrapcheck // as the interface demands
	}
	_, _ = u.r.Discard(blockHead) // it was peeked at
	if int64(cap(u.room)) < b.size {
		if err := u.in.Hold(b.size - int64(cap(u.room))); err != nil {
			return nil, err //nolint:wrapcheck // says what it means
		}
		u.room = make([]byte, b.size)
	}
	out := u.room[:b.size]
	body := &io.LimitedReader{R: u.r, N: b.packed}
	if err := decode(out, body, b); err != nil {
		return nil, u.failed(err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return nil, u.failed(err)
	}
	unfilter(out, b.filter, b.cto)
	return out, nil
}

// failed tells an error of the input from one of the content.
func (u *unpacker) failed(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // only the bare values mean the end
		if u.count == 0 {
			return fmt.Errorf("%w: blocks end early", trust.ErrMalformed)
		}
		return io.EOF
	}
	return err
}
