// Package rar unwraps RAR archives of versions 1.5 to 7.
package rar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/nwaples/rardecode/v2"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/magic"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	signature = "Rar!\x1a\x07"
	// maxWindow is how far back compressed data may refer, in bytes, and minWindow what the decoder keeps at least; it makes
	// all of it at once. As much of it as there is memory for is allowed.
	maxWindow, minWindow = 16 << 20, 256 << 10
	// filterBytes is what filters keep beside, and tables.
	filterBytes = 1 << 20
	// maxEntries bounds the files of one archive, which cost more than their bytes: time.
	maxEntries = 1 << 18
	// maxPasswords bounds what is tried: time, for each derives a key slowly.
	maxPasswords = 8
	// oldBytes is what the text model of versions before 5 may ask for, which the data says where nobody looks before.
	oldBytes = 350 << 20

	stepsPerEntry    = 5000
	stepsPerPassword = 50_000_000
)

// Wrapper reads RAR archives. Volumes of an archive that is split are not joined.
type Wrapper struct{ maxEntries int }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxEntries: maxEntries} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "rar" }

// Wraps implements unwrap.Wrapper.
func (Wrapper) Wraps(c unwrap.Content) bool {
	return bytes.HasPrefix(c.Head, []byte(signature)) || bytes.Contains(c.Head, []byte(signature)) && !magic.Archive(c.Head)
}

// archive is one pass over one file.
type archive struct {
	in   unwrap.Input
	show unwrap.Show
	// shown is how many files were shown before, with another password.
	shown int
	left  int
}

// errLocked says that a password is missing or wrong.
var errLocked = errors.New("locked")

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	c := in.Content()
	if bytes.Contains(c.Head, []byte(signature+"\x00")) {
		if err := in.Hold(oldBytes); err != nil {
			return err
		}
	}
	a := &archive{in: in, show: show, left: w.maxEntries}
	if len(c.Passwords) == 0 {
		return final(a.walk(stream.NewSource(in)))
	}
	at, size, err := in.Spool()
	if err != nil {
		return err
	}
	spool := stream.NewSpool(at)
	err = a.walk(stream.NewSource(io.NewSectionReader(spool, 0, size)))
	for _, password := range c.Passwords[:min(len(c.Passwords), maxPasswords)] {
		if !errors.Is(err, errLocked) {
			break
		}
		if err := in.Spend(stepsPerPassword); err != nil {
			return err
		}
		err = a.walk(stream.NewSource(io.NewSectionReader(spool, 0, size)), rardecode.Password(password))
	}
	return final(err)
}

// final is what it means that no password was right.
func final(err error) error {
	if errors.Is(err, errLocked) {
		return stream.Unsupported("rar archive is encrypted")
	}
	return err
}

// walk shows the files that were not shown yet.
func (a *archive) walk(src *stream.Source, options ...rardecode.Option) error {
	window, err := newWindow(a.in)
	if err != nil {
		return err
	}
	defer window.close()
	options = append(options, rardecode.MaxDictionarySize(window.most), rardecode.FileSystem(nothing{}))
	r, err := open(src, options)
	seen := 0
	var locked error
	for err == nil {
		var h *rardecode.FileHeader
		if err := window.open(); err != nil {
			return err
		}
		if h, err = next(r); err != nil {
			break
		}
		window.fit(h)
		if a.left--; a.left < 0 {
			return stream.Exceeded("too many files in a rar archive")
		}
		if err := a.in.Spend(stepsPerEntry); err != nil {
			return err
		}
		if seen++; h.IsDir || seen <= a.shown {
			continue
		}
		body := stream.NewBody(r)
		var first [1]byte
		n, _ := body.Read(first[:])
		if failed := classify(body.Err()); n == 0 && errors.Is(failed, errLocked) {
			locked = failed // others may be open
			continue
		}
		size := h.UnPackedSize
		if h.UnKnownSize {
			size = -1
		}
		broken, err := stream.Show(a.show, unwrap.Piece{Name: h.Name, Mode: h.Mode() & fs.ModePerm, Size: size}, io.MultiReader(bytes.NewReader(first[:n]), body), src)
		if err != nil {
			return err
		}
		if locked == nil {
			a.shown = seen
		}
		if broken != nil {
			return classify(broken)
		}
	}
	if src.Err() != nil {
		return src.Err()
	}
	if err != nil && err != io.EOF { //nolint:errorlint // next returns the bare value
		return classify(err)
	}
	return locked
}

// open and next turn a panic of the library, on what it does not expect, into an error.
func open(src *stream.Source, options []rardecode.Option) (r *rardecode.Reader, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = gaveUp(cause)
		}
	}()
	return rardecode.NewReader(src, options...)
}

func next(r *rardecode.Reader) (h *rardecode.FileHeader, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = gaveUp(cause)
		}
	}()
	return r.Next()
}

func gaveUp(cause any) error { return stream.Malformed("the decoder gave up: %v", cause) }

// classify says what an error of the library means, in terms of package trust.
func classify(err error) error {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return nil
	case is(trust.ErrLimit, trust.ErrUnsupported, trust.ErrMalformed):
		return err
	case is(rardecode.ErrArchiveEncrypted, rardecode.ErrArchivedFileEncrypted, rardecode.ErrBadPassword):
		return errLocked
	case is(rardecode.ErrDictionaryTooLarge):
		return stream.Unsupported("rar: %w", err)
	case is(rardecode.ErrMultiVolume, rardecode.ErrUnsupportedDecoder, rardecode.ErrUnknownDecoder, rardecode.ErrUnknownVersion,
		rardecode.ErrUnknownEncryptMethod, rardecode.ErrUnknownFilter, rardecode.ErrMultipleDecoders):
		return stream.Unsupported("rar: %w", err)
	}
	return stream.Malformed("rar: %w", err)
}

// nothing is where other volumes are looked for.
type nothing struct{}

// Open implements fs.FS.
func (nothing) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}
