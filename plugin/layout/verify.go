package layout

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// verified is r, which fails in place of its end when size or digest is not the descriptor's, and at once when the
// context ends. The descriptor's digest must be valid.
func verified(ctx context.Context, r io.ReadCloser, desc ocispec.Descriptor) io.ReadCloser {
	return &verifier{ReadCloser: r, ctx: ctx, desc: desc, sum: desc.Digest.Verifier()}
}

type verifier struct {
	io.ReadCloser
	ctx   context.Context
	desc  ocispec.Descriptor
	sum   digest.Verifier
	count int64
	err   error
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err == nil {
		v.err = v.ctx.Err()
	}
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.ReadCloser.Read(p)
	v.count += int64(n)
	_, _ = v.sum.Write(p[:n]) // A hash never fails.
	switch {
	case v.count > v.desc.Size:
		v.err = fmt.Errorf("%s is longer than %d bytes: %w", v.desc.Digest, v.desc.Size, trust.ErrIntegrity)
		return 0, v.err
	case errors.Is(err, io.EOF) && v.count < v.desc.Size:
		err = fmt.Errorf("%s ends after %d of %d bytes: %w", v.desc.Digest, v.count, v.desc.Size, trust.ErrUnavailable)
	case errors.Is(err, io.EOF) && !v.sum.Verified():
		err = fmt.Errorf("content is not %s: %w", v.desc.Digest, trust.ErrIntegrity)
	}
	v.err = err
	return n, err
}
