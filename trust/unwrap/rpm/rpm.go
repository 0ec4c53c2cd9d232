// Package rpm unwraps RPM packages: what follows the headers is one compressed archive.
package rpm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	leadMagic   = "\xed\xab\xee\xdb"
	headerMagic = "\x8e\xad\xe8"
	leadBytes   = 96
	bufferBytes = 32 << 10
	// maxHeader bounds a header, as rpm itself does: a larger one is no header.
	maxHeader = 256 << 20
)

// Wrapper shows the payload.
type Wrapper struct{}

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "rpm" }

// Wraps implements unwrap.Wrapper.
func (Wrapper) Wraps(c unwrap.Content) bool { return bytes.HasPrefix(c.Head, []byte(leadMagic)) }

// Unwrap implements unwrap.Wrapper. The headers are part of the content, where their texts are seen as they are, so
// only the payload is a piece.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	src := stream.NewSource(in)
	r := bufio.NewReaderSize(src, bufferBytes)
	err := stream.Skip(r, leadBytes)
	if err == nil {
		var size int64
		if size, err = skipHeader(r); err == nil { // signatures, padded
			err = stream.Skip(r, (8-size%8)%8)
		}
	}
	if err == nil {
		_, err = skipHeader(r)
	}
	if src.Err() != nil {
		return src.Err()
	}
	if err != nil {
		return err
	}
	_, err = stream.Show(show, unwrap.Piece{Name: "payload", Size: -1}, r, src)
	return err
}

// skipHeader reads a header away and returns how long it was.
func skipHeader(r *bufio.Reader) (int64, error) {
	var h [16]byte
	if err := stream.Full(r, h[:]); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix(h[:], []byte(headerMagic)) {
		return 0, stream.Malformed("rpm header")
	}
	size := 16*int64(binary.BigEndian.Uint32(h[8:])) + int64(binary.BigEndian.Uint32(h[12:]))
	if size > maxHeader {
		return 0, stream.Malformed("rpm header of %d bytes", size)
	}
	return 16 + size, stream.Skip(r, size)
}
