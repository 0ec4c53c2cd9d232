package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

var errBroke = errors.New("broke")

func all(_ unwrap.Piece, r io.Reader) error {
	_, _ = io.Copy(io.Discard, r)
	return nil
}

func TestSourceKeepsItsError(t *testing.T) {
	t.Parallel()
	s := stream.NewSource(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errBroke)))
	got, err := io.ReadAll(s)
	if string(got) != "abc" || !errors.Is(err, errBroke) || !errors.Is(s.Err(), errBroke) || s.Ended() || s.Offset() != 3 {
		t.Errorf("%q, %v, %v, %v, %d", got, err, s.Err(), s.Ended(), s.Offset())
	}
	s = stream.NewSource(strings.NewReader("abc"))
	if _, err := io.ReadAll(s); err != nil || s.Err() != nil || !s.Ended() {
		t.Errorf("%v, %v, %v", err, s.Err(), s.Ended())
	}
}

// failing is a spool.
type failing struct{ err error }

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at > 0 {
		return 0, f.err
	}
	return copy(p, "ab"), io.EOF
}

func TestSpoolKeepsItsError(t *testing.T) {
	t.Parallel()
	s := stream.NewSpool(failing{errBroke})
	p := make([]byte, 2)
	if err := s.Full(p, 0); err != nil || string(p) != "ab" {
		t.Errorf("%q, %v", p, err)
	}
	if err := s.Full(make([]byte, 3), 0); !errors.Is(err, trust.ErrMalformed) || s.Err() != nil {
		t.Errorf("too short: %v, %v", err, s.Err())
	}
	if err := s.Full(p, 1); !errors.Is(err, errBroke) || !errors.Is(s.Err(), errBroke) {
		t.Errorf("%v, %v", err, s.Err())
	}
}

// panics is a decoder that does.
type panics struct{}

func (panics) Read([]byte) (int, error) { panic("index out of range") }

func TestShow(t *testing.T) {
	t.Parallel()
	broken := func(err error) *stream.Source {
		s := stream.NewSource(iotest.ErrReader(err))
		_, _ = s.Read(make([]byte, 1))
		return s
	}
	no := func(unwrap.Piece, io.Reader) error { return errBroke }
	for name, c := range map[string]struct {
		show        unwrap.Show
		decoder     io.Reader
		src         *stream.Source
		broken, err error
	}{
		"fine":              {all, strings.NewReader("x"), broken(io.EOF), nil, nil},
		"decoder fails":     {all, iotest.ErrReader(io.ErrUnexpectedEOF), broken(io.EOF), io.ErrUnexpectedEOF, nil},
		"decoder panics":    {all, panics{}, broken(io.EOF), trust.ErrMalformed, nil},
		"input fails":       {all, iotest.ErrReader(io.ErrUnexpectedEOF), broken(errBroke), nil, errBroke},
		"show fails":        {no, strings.NewReader("x"), broken(io.EOF), nil, errBroke},
		"show reads naught": {func(unwrap.Piece, io.Reader) error { return nil }, panics{}, broken(io.EOF), nil, nil},
	} {
		b, err := stream.Show(c.show, unwrap.Piece{}, c.decoder, c.src)
		if !errors.Is(b, c.broken) || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v; want %v, %v", name, b, err, c.broken, c.err)
		}
	}
}

func TestBodyCounts(t *testing.T) {
	t.Parallel()
	b := stream.NewBody(iotest.DataErrReader(strings.NewReader("abc")))
	if _, err := io.Copy(io.Discard, b); err != nil || b.Size() != 3 || b.Err() != nil {
		t.Errorf("%v, %d, %v", err, b.Size(), b.Err())
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // the bare value is the contract
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	first, second := stream.Malformed("first"), stream.Malformed("second")
	hidden, limit := stream.Unsupported("hidden"), stream.Exceeded("limit")
	for name, c := range map[string]struct {
		add  []error
		want error
		stop bool
	}{
		"none":             {[]error{nil, nil}, nil, false},
		"first":            {[]error{first, second}, first, false},
		"hidden wins":      {[]error{first, hidden, second}, hidden, false},
		"limit stops":      {[]error{first, limit}, limit, true},
		"others stop":      {[]error{first, errBroke}, errBroke, true},
		"limit and others": {[]error{fmt.Errorf("%w: %w", trust.ErrMalformed, limit)}, limit, true},
	} {
		var b stream.Broken
		stop := false
		for _, err := range c.add {
			stop = b.Add(err)
		}
		if stop != c.stop || !errors.Is(b.Err(), c.want) {
			t.Errorf("%s: %v, %v", name, b.Err(), stop)
		}
	}
}

func TestFullAndSkip(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(io.Reader) error{
		"full": func(r io.Reader) error { return stream.Full(r, make([]byte, 3)) },
		"skip": func(r io.Reader) error { return stream.Skip(r, 3) },
	} {
		for _, c := range []struct {
			r    io.Reader
			want error
		}{
			{bytes.NewReader([]byte("abc")), nil},
			{bytes.NewReader([]byte("ab")), trust.ErrMalformed},
			{bytes.NewReader(nil), trust.ErrMalformed},
			{iotest.ErrReader(errBroke), errBroke},
		} {
			if err := f(c.r); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
	}
}
