// Package ar unwraps ar archives, and so Debian packages, whose members are further archives.
package ar

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

const (
	magic       = "!<arch>\n"
	headerBytes = 60
	bufferBytes = 32 << 10
	// maxNames bounds the table of long names, and a name that stands before its body: memory.
	maxNames = 4 << 20
	// maxEntries bounds the headers of one archive, which cost more than their bytes: time.
	maxEntries = 1 << 20
	// stepsPerHeader is about what reading a header costs.
	stepsPerHeader = 500
)

// Wrapper reads ar archives, with the long names of both GNU and BSD.
type Wrapper struct{ maxEntries, maxNames int }

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{maxEntries: maxEntries, maxNames: maxNames} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "ar" }

// Wraps implements unwrap.Wrapper.
func (Wrapper) Wraps(c unwrap.Content) bool { return bytes.HasPrefix(c.Head, []byte(magic)) }

// archive is one pass over one file.
type archive struct {
	Wrapper
	in   unwrap.Input
	show unwrap.Show
	src  *stream.Source
	r    *bufio.Reader
	// names is the table of long names.
	names []byte
}

// Unwrap implements unwrap.Wrapper.
func (w Wrapper) Unwrap(_ context.Context, in unwrap.Input, show unwrap.Show) error {
	a := &archive{Wrapper: w, in: in, show: show, src: stream.NewSource(in)}
	a.r = bufio.NewReaderSize(a.src, bufferBytes)
	err := stream.Skip(a.r, int64(len(magic)))
	for err == nil {
		if _, end := a.r.Peek(1); end == io.EOF { //nolint:errorlint // bufio returns the reader's value
			return nil
		}
		err = a.next()
	}
	if a.src.Err() != nil {
		return a.src.Err()
	}
	return err
}

// next reads a member.
func (a *archive) next() error {
	if err := a.in.Spend(stepsPerHeader); err != nil {
		return err
	}
	if a.maxEntries--; a.maxEntries < 0 {
		return stream.Exceeded("too many members in an ar archive")
	}
	var h [headerBytes]byte
	if err := stream.Full(a.r, h[:]); err != nil {
		return err
	}
	size, err := strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 || string(h[58:]) != "`\n" {
		return stream.Malformed("ar header")
	}
	mode, err := strconv.ParseUint(strings.TrimRight(string(h[40:48]), " "), 8, 32)
	if err != nil {
		mode = 0
	}
	odd := size & 1
	name, size, err := a.name(strings.TrimRight(string(h[:16]), " "), size)
	if err != nil {
		return err
	}
	if err := a.body(name, fs.FileMode(mode)&fs.ModePerm, size); err != nil {
		return err
	}
	if _, end := a.r.Peek(1); odd == 1 && end == nil { // the last one's padding is often missing
		return stream.Skip(a.r, 1)
	}
	return nil
}

// name finds a member's name and returns what is left of its size.
func (a *archive) name(field string, size int64) (string, int64, error) {
	if length, ok := strings.CutPrefix(field, "#1/"); ok { // BSD: before the body
		n, err := strconv.ParseInt(length, 10, 64)
		switch {
		case err != nil || n < 0 || n > size:
			return "", 0, stream.Malformed("ar name %q", field)
		case n > int64(a.maxNames):
			return "", 0, stream.Exceeded("name of %d bytes in an ar archive", n)
		}
		name := make([]byte, n)
		err = stream.Full(a.r, name)
		return string(bytes.TrimRight(name, "\x00")), size - n, err
	}
	if at, ok := strings.CutPrefix(field, "/"); ok && at != "" && at != "/" { // GNU: in the table
		if n, err := strconv.ParseUint(at, 10, 32); err == nil && n < uint64(len(a.names)) {
			name, _, _ := bytes.Cut(a.names[n:], []byte("\n"))
			return strings.TrimSuffix(string(name), "/"), size, nil
		}
	}
	if name := strings.TrimSuffix(field, "/"); name != "" && field != "//" {
		return name, size, nil
	}
	return field, size, nil
}

// body shows a member. The table of long names is kept too.
func (a *archive) body(name string, mode fs.FileMode, size int64) error {
	body := &io.LimitedReader{R: a.r, N: size}
	var r io.Reader = body
	if name == "//" {
		if size > int64(a.maxNames) {
			return stream.Exceeded("table of %d bytes of names in an ar archive", size)
		}
		if err := a.in.Hold(size - int64(len(a.names))); err != nil {
			return err
		}
		a.names = make([]byte, size)
		if err := stream.Full(body, a.names); err != nil {
			return err
		}
		r = bytes.NewReader(a.names)
	}
	if _, err := stream.Show(a.show, unwrap.Piece{Name: name, Mode: mode, Size: size}, r, a.src); err != nil {
		return err
	}
	return stream.Skip(a.r, body.N)
}
