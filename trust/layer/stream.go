package layer

import (
	"bufio"
	"context"
	"hash"
	"io"
)

// Buffers of one layer in work; with the largest zstd window they stay well below 64 MiB.
const (
	packedBuffer = 64 << 10
	plainBuffer  = 64 << 10
)

// stream is the uncompressed content: hashed, counted, and cut off at the limits.
type stream struct {
	ctx    context.Context
	src    *source
	packed *bufio.Reader
	dec    io.Reader
	// parts are where the pieces of packed bytes begin that can be unpacked by themselves: gzip members, zstd frames.
	// Those before the one that is being read are dropped.
	parts []part
	// begun counts all parts.
	begun int
	// hash is nil when the packed bytes are the plain ones, so that source hashes them already.
	hash   hash.Hash
	limits Limits
	n      int64
	idle   int
	// err is what ended the stream; io.EOF only if every packed byte was used.
	err error
}

func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if err := s.ctx.Err(); err != nil {
		s.err = err
		return 0, s.err
	}
	n, err := s.decode(p)
	s.notePart(n)
	s.n += int64(n)
	if err == nil {
		err = s.overLimit()
	}
	if s.idle++; n > 0 {
		s.idle = 0
	} else if err == nil && s.idle == maxIdleReads {
		err = malformed("decompressor makes no progress")
	}
	if err != nil {
		s.err = s.explain(err)
	}
	if s.hash != nil {
		s.hash.Write(p[:n])
	}
	return n, s.err // bytes before a fault are shown: what is found in them counts
}

// part is a gzip member or zstd frame: where it begins in the blob, and where what it holds begins in the content.
type part struct{ packed, plain int64 }

// parted is a decompressor that never returns bytes of two parts at once.
type parted interface {
	// part is where in the blob the part begins that the bytes of the last Read came from.
	part() int64
}

// maxParts is more than can begin in what was read ahead of the walk, 2*plainBuffer at most.
const maxParts = 4 * plainBuffer

// notePart keeps where a part begins when its first bytes arrive.
func (s *stream) notePart(n int) {
	d, ok := s.dec.(parted)
	if !ok || n == 0 {
		return
	}
	if at := d.part(); s.begun == 0 || s.parts[len(s.parts)-1].packed != at {
		if len(s.parts) == maxParts {
			s.partAt(s.n - 2*plainBuffer)
		}
		s.parts = append(s.parts, part{packed: at, plain: s.n})
		s.begun++
	}
}

// partAt is the part that the byte at plain belongs to, which must be read already, and the plain offset of the next
// one that is known, or -1. Parts before it are dropped.
func (s *stream) partAt(plain int64) (p part, next int64) {
	i := 0
	for i+1 < len(s.parts) && s.parts[i+1].plain <= plain {
		i++
	}
	s.parts = append(s.parts[:0], s.parts[i:]...)
	if len(s.parts) == 0 {
		return part{packed: -1}, -1
	}
	if len(s.parts) > 1 {
		return s.parts[0], s.parts[1].plain
	}
	return s.parts[0], -1
}

// decode is one Read of the decompressor. Hostile bytes may make it panic.
func (s *stream) decode(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, malformed("decompressor failed: %v", r)
		}
	}()
	n, err = s.dec.Read(p)
	if n < 0 || n > len(p) {
		return 0, malformed("decompressor returned %d of %d bytes", n, len(p))
	}
	return n, err
}

func (s *stream) overLimit() error {
	if s.n > s.limits.Bytes {
		return exceeded("more than %d bytes uncompressed", s.limits.Bytes)
	}
	if s.n > s.limits.RatioFloor && s.n/s.limits.Ratio > s.src.n {
		return exceeded("more than %d times its compressed size", s.limits.Ratio)
	}
	return nil
}

// explain finds out what an error of the decompressor comes from.
func (s *stream) explain(err error) error {
	if s.src.broken != nil {
		return s.src.broken
	}
	if err != io.EOF { //nolint:errorlint // only the bare value means the end
		return classify(err)
	}
	if limit := s.overLimit(); limit != nil {
		return limit
	}
	if _, err := s.packed.ReadByte(); err == nil {
		return malformed("bytes after the end of the compressed data")
	} else if s.src.broken != nil {
		return s.src.broken
	}
	return io.EOF
}
