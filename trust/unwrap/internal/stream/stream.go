// Package stream keeps apart whose error an error is while a wrapper decodes: the input's, the decoder's, or that of
// whom a piece is shown to.
package stream

import (
	"errors"
	"fmt"
	"io"

	"github.com/safepull/safepull/trust"
)

// Source reads the input of a wrapper for a decoder. It remembers the input's own error, because decoders replace
// errors, and must not ask again after one.
type Source struct {
	r    io.Reader
	err  error
	read int64
}

// NewSource begins to read in.
func NewSource(in io.Reader) *Source { return &Source{r: in} }

// Read implements io.Reader.
func (s *Source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.read += int64(n)
	s.err = err
	return n, err
}

// Offset is how many bytes were read.
func (s *Source) Offset() int64 { return s.read }

// Ended reports whether the input was read to its end.
func (s *Source) Ended() bool { return s.err == io.EOF } //nolint:errorlint // only the bare value means the end

// Err is the input's error; nil at its end.
func (s *Source) Err() error {
	if s.Ended() {
		return nil
	}
	return s.err
}

// Spool reads spooled input at random. It remembers the input's own error, as Source does.
type Spool struct {
	r   io.ReaderAt
	err error
}

// NewSpool begins to read what Spool of an input gave.
func NewSpool(r io.ReaderAt) *Spool { return &Spool{r: r} }

// ReadAt implements io.ReaderAt.
func (s *Spool) ReadAt(p []byte, at int64) (int, error) {
	n, err := s.r.ReadAt(p, at)
	if err != nil && err != io.EOF { //nolint:errorlint // only the bare value means the end
		s.err = err
	}
	return n, err
}

// Err is the input's error; nil at its end.
func (s *Spool) Err() error { return s.err }

// Full fills p from a place. What ends before is malformed.
func (s *Spool) Full(p []byte, at int64) error {
	if n, _ := s.ReadAt(p, at); n == len(p) {
		return nil
	}
	if s.err != nil {
		return s.err
	}
	return Malformed("ends too early")
}

// Body reads a piece. It remembers the decoder's error, and turns a panic of the decoder into one.
type Body struct {
	r    io.Reader
	err  error
	read int64
}

// NewBody reads a piece from a decoder.
func NewBody(decoder io.Reader) *Body { return &Body{r: decoder} }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	defer func() {
		if cause := recover(); cause != nil {
			n, err = 0, fmt.Errorf("%w: the decoder gave up: %v", trust.ErrMalformed, cause)
		}
		b.read += int64(n)
		b.err = err
	}()
	return b.r.Read(p)
}

// Size is how many bytes were read.
func (b *Body) Size() int64 { return b.read }

// Err is the decoder's error; nil at the end of the piece, or before it.
func (b *Body) Err() error {
	if b.err == io.EOF { //nolint:errorlint // only the bare value means the end
		return nil
	}
	return b.err
}

// Broken is the error of a wrapper that shows pieces which may fail one by one. Keep the first.
type Broken struct{ err error }

// Add remembers err unless there is an earlier one. It reports whether err must be returned at once: it is neither of
// the content, trust.ErrMalformed or trust.ErrUnsupported, nor nil.
func (b *Broken) Add(err error) bool {
	if err == nil {
		return false
	}
	if !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) || errors.Is(err, trust.ErrLimit) {
		b.err = err
		return true
	}
	if b.err == nil || errors.Is(err, trust.ErrUnsupported) && !errors.Is(b.err, trust.ErrUnsupported) {
		b.err = err // what is hidden weighs more than what is broken
	}
	return false
}

// Err is the first error, or the first of trust.ErrUnsupported.
func (b *Broken) Err() error { return b.err }

// Show shows a piece p that decoder gives; show and p are those of package unwrap. It returns show's error as it is, then the source's; the decoder's error is
// broken, which Show passes on without a change.
func Show[P any](show func(P, io.Reader) error, p P, decoder io.Reader, src interface{ Err() error }) (broken, err error) {
	body := NewBody(decoder)
	if err := show(p, body); err != nil {
		return nil, err
	}
	if err := src.Err(); err != nil {
		return nil, err
	}
	return body.Err(), nil
}

// ErrTrailing says that data ended as it should, and that there is more.
var ErrTrailing = fmt.Errorf("%w: bytes behind the end", trust.ErrMalformed)

// Malformed wraps trust.ErrMalformed.
func Malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrMalformed, fmt.Errorf(format, args...))
}

// Unsupported wraps trust.ErrUnsupported.
func Unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrUnsupported, fmt.Errorf(format, args...))
}

// Exceeded wraps trust.ErrLimit.
func Exceeded(format string, args ...any) error {
	return fmt.Errorf("%w: %w", trust.ErrLimit, fmt.Errorf(format, args...))
}

// Full reads exactly len(p) bytes. A source that ends before is malformed; any other error is passed on as it is.
func Full(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // ReadFull returns the bare value
		return Malformed("ends too early")
	}
	return err
}

// Skip reads n bytes away. A source that ends before is malformed; any other error is passed on as it is.
func Skip(r io.Reader, n int64) error {
	_, err := io.CopyN(io.Discard, r, n)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // CopyN returns the bare value
		return Malformed("ends too early")
	}
	return err
}
