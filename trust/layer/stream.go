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
