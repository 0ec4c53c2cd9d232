package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// verified passes content through and keeps the last bytes back until size and digest have proved right, so that what
// is wrong never arrives whole.
type verified struct {
	io.ReadCloser
	desc     ocispec.Descriptor
	verifier digest.Verifier
	left     int64
	err      error // what every further Read answers
}

// verify wraps a reader of a descriptor's content. The digest must be valid.
func verify(r io.ReadCloser, desc ocispec.Descriptor) *verified {
	return &verified{ReadCloser: r, desc: desc, verifier: desc.Digest.Verifier(), left: desc.Size}
}

// Read implements io.Reader. It fails with trust.ErrIntegrity in place of handing over the last bytes.
func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if v.left == 0 { // empty content, or a descriptor that says so
		v.err = v.finish()
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > v.left {
		p = p[:v.left]
	}
	n, err := v.ReadCloser.Read(p)
	if _, werr := v.verifier.Write(p[:n]); werr != nil {
		v.err = werr
		return 0, v.err
	}
	v.left -= int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		v.err = err
		return 0, v.err
	case v.left == 0:
		if v.err = v.finish(); !errors.Is(v.err, io.EOF) {
			return 0, v.err
		}
		return n, v.err
	case err != nil:
		v.err = fmt.Errorf("%w: %s ends %d bytes early", trust.ErrIntegrity, v.desc.Digest, v.left)
		return 0, v.err
	}
	return n, nil
}

// finish makes sure that nothing follows and that the digest holds; io.EOF means that all is well.
func (v *verified) finish() error {
	var one [1]byte
	switch n, err := io.ReadFull(v.ReadCloser, one[:]); {
	case n > 0:
		return fmt.Errorf("%w: %s is longer than %d bytes", trust.ErrIntegrity, v.desc.Digest, v.desc.Size)
	case !errors.Is(err, io.EOF):
		return err
	case !v.verifier.Verified():
		return fmt.Errorf("%w: content is not %s", trust.ErrIntegrity, v.desc.Digest)
	}
	return io.EOF
}
