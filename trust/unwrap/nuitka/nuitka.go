// Package nuitka reads what Nuitka puts behind the executables that it makes of one file: files with their names, one
// behind the other, mostly compressed. They are shown as one piece, which holds every byte of them.
package nuitka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
)

const (
	plainMagic, packedMagic = "KAX", "KAY\x28\xb5\x2f\xfd"
)

// New makes the wrapper.
func New() unwrap.Wrapper { return wrapper{} }

type wrapper struct{}

func (wrapper) Name() string { return "nuitka" }

func (wrapper) Wraps(c unwrap.Content) bool {
	// The first file's name follows, up to a zero.
	return bytes.HasPrefix(c.Head, []byte(packedMagic)) || bytes.HasPrefix(c.Head, []byte(plainMagic)) && bytes.IndexByte(c.Head[:min(len(c.Head), 512)], 0) > len(plainMagic)
}

func (wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	magic := make([]byte, len(plainMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // only the bare values mean the end
			return fmt.Errorf("%w: ends early", trust.ErrMalformed)
		}
		return err //nolint:wrapcheck // as the interface demands
	}
	piece := unwrap.Piece{Name: "payload", Size: -1}
	if string(magic) == plainMagic {
		return show(piece, in) //nolint:wrapcheck // as the interface demands
	}
	packed := &source{r: in}
	z, err := decompress.Zstd.Open(packed, in)
	if err != nil {
		return decompress.Zstd.Classify(err) //nolint:wrapcheck // says what it means
	}
	defer z.Close()
	body := &source{r: z}
	if err := show(piece, body); err != nil {
		return err //nolint:wrapcheck // as the interface demands
	}
	switch {
	case packed.err != nil:
		return packed.err
	case body.err != nil:
		if err := decompress.Zstd.Classify(body.err); errors.Is(err, trust.ErrUnsupported) {
			return err //nolint:wrapcheck // says what it means
		}
	}
	return nil
}

// source remembers an error of the input, which a decompressor may hide.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
		s.err = err
	}
	return n, err //nolint:wrapcheck // a reader passes on errors as they are
}
