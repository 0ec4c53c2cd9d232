package layer

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer/toc"
)

// maxIdleReads protects against readers that keep answering "no bytes, no error".
const maxIdleReads = 100

// hashes are the digest algorithms of the image specification that every engine has.
var hashes = map[digest.Algorithm]func() hash.Hash{digest.SHA256: sha256.New, digest.SHA512: sha512.New}

// source reads the blob as it was sent. It hands on at most as many bytes as the descriptor promises, and keeps apart
// what the reader failed with from what is wrong with the content.
type source struct {
	ctx  context.Context
	r    io.Reader
	want ocispec.Descriptor
	hash hash.Hash
	n    int64
	// broken is the reader's or the context's error; it is never io.EOF.
	broken error
	eof    bool
	// excess is set when the reader had more than the descriptor's size.
	excess bool
	// end holds the last bytes that were read.
	end []byte
}

func newSource(ctx context.Context, r io.Reader, desc ocispec.Descriptor) (*source, error) {
	if err := desc.Digest.Validate(); errors.Is(err, digest.ErrDigestUnsupported) {
		return nil, fmt.Errorf("%w: digest algorithm of %.128q", trust.ErrUnsupported, desc.Digest.String())
	} else if err != nil {
		return nil, malformed("digest %.128q: %v", desc.Digest.String(), err)
	}
	if desc.Size < 0 {
		return nil, malformed("blob %s: size %d", desc.Digest, desc.Size)
	}
	newHash := hashes[desc.Digest.Algorithm()]
	if newHash == nil {
		return nil, fmt.Errorf("%w: digest algorithm of %.128q", trust.ErrUnsupported, desc.Digest.String())
	}
	return &source{ctx: ctx, r: r, want: desc, hash: newHash()}, nil
}

// Read returns io.EOF at the end of the blob and after as many bytes as it may have.
func (s *source) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for idle := 0; ; idle++ {
		if s.broken != nil {
			return 0, s.broken
		}
		if s.eof {
			return 0, io.EOF
		}
		if err := s.ctx.Err(); err != nil {
			s.broken = err
			continue
		}
		if idle == maxIdleReads {
			s.broken = io.ErrNoProgress
			continue
		}
		if n := s.read(p); n > 0 {
			return n, nil
		}
	}
}

// read does one read of the reader and keeps its outcome.
func (s *source) read(p []byte) int {
	left := s.want.Size - s.n
	var probe [1]byte
	if left == 0 {
		p = probe[:] // is this the end?
	} else if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := s.r.Read(p)
	if n < 0 || n > len(p) {
		s.broken = fmt.Errorf("reader returned %d of %d bytes", n, len(p))
		return 0
	}
	switch {
	case err == io.EOF: //nolint:errorlint // a wrapped io.EOF is an error of the reader
		s.eof = true
	case err != nil:
		s.broken = err
	}
	if left == 0 {
		if n > 0 {
			s.eof, s.excess = true, true
		}
		return 0
	}
	s.hash.Write(p[:n])
	s.n += int64(n)
	s.end = append(s.end, p[max(0, n-toc.TailBytes):n]...)
	s.end = append(s.end[:0], s.end[max(0, len(s.end)-toc.TailBytes):]...)
	return n
}

// finish reads what is left and says whether the blob is the one that the descriptor means.
func (s *source) finish() error {
	buf := make([]byte, 64<<10)
	for s.broken == nil && !s.eof {
		_, _ = s.Read(buf)
	}
	if s.broken != nil {
		return s.broken
	}
	if s.excess {
		return fmt.Errorf("%w: longer than its %d bytes", trust.ErrIntegrity, s.want.Size)
	}
	if s.n != s.want.Size {
		return fmt.Errorf("%w: ends after %d of %d bytes", trust.ErrIntegrity, s.n, s.want.Size)
	}
	if got := digest.NewDigest(s.want.Digest.Algorithm(), s.hash); got != s.want.Digest {
		return fmt.Errorf("%w: content has digest %s", trust.ErrIntegrity, got)
	}
	return nil
}
