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

var errOther = errors.New("other")

// counted fails the test when it is asked again after an error.
type counted struct {
	t    *testing.T
	r    io.Reader
	done bool
}

func (c *counted) Read(p []byte) (int, error) {
	if c.done {
		c.t.Error("asked again after an error")
	}
	n, err := c.r.Read(p)
	c.done = err != nil
	return n, err
}

func TestSource(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		r     io.Reader
		body  string
		err   error
		ended bool
	}{
		"whole":         {strings.NewReader("abc"), "abc", nil, true},
		"empty":         {strings.NewReader(""), "", nil, true},
		"end-with-data": {iotest.DataErrReader(strings.NewReader("abc")), "abc", nil, true},
		"by-bytes":      {iotest.OneByteReader(strings.NewReader("abc")), "abc", nil, true},
		"error":         {io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(errOther)), "ab", errOther, false},
		"wrapped-end":   {io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(fmt.Errorf("x: %w", io.EOF))), "ab", io.EOF, false},
		"short":         {iotest.ErrReader(io.ErrUnexpectedEOF), "", io.ErrUnexpectedEOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stream.NewSource(&counted{t: t, r: tc.r})
			if s.Err() != nil || s.Ended() || s.Offset() != 0 {
				t.Error("a new source is not at its beginning")
			}
			var got []byte
			for range 10 { // decoders ask again
				p := make([]byte, 2)
				n, _ := s.Read(p)
				got = append(got, p[:n]...)
			}
			if string(got) != tc.body || s.Offset() != int64(len(tc.body)) || s.Ended() != tc.ended || !errors.Is(s.Err(), tc.err) || tc.err == nil && s.Err() != nil {
				t.Errorf("%q, offset %d, ended %t, error %v", got, s.Offset(), s.Ended(), s.Err())
			}
		})
	}
}

type breaksFar struct{ io.ReaderAt }

func (f breaksFar) ReadAt(p []byte, at int64) (int, error) {
	if at >= 100 {
		return 0, errOther
	}
	return f.ReaderAt.ReadAt(p, at)
}

func TestSpool(t *testing.T) {
	t.Parallel()
	body := []byte("0123456789")
	for _, tc := range []struct {
		at   int64
		n    int
		want error
	}{{0, 10, nil}, {0, 0, nil}, {10, 0, nil}, {9, 1, nil}, {9, 2, trust.ErrMalformed}, {10, 1, trust.ErrMalformed}, {50, 1, trust.ErrMalformed}, {100, 1, errOther}} {
		s := stream.NewSpool(breaksFar{bytes.NewReader(body)})
		p := make([]byte, tc.n)
		err := s.Full(p, tc.at)
		if !errors.Is(err, tc.want) || tc.want == nil && (err != nil || string(p) != string(body[tc.at:int(tc.at)+tc.n])) {
			t.Errorf("%d bytes at %d: %q, %v", tc.n, tc.at, p, err)
		}
		if own := s.Err(); errors.Is(tc.want, errOther) != errors.Is(own, errOther) || !errors.Is(tc.want, errOther) && own != nil {
			t.Errorf("%d bytes at %d: the input's error is %v", tc.n, tc.at, own)
		}
	}
}

type panicking struct{ cause any }

func (p panicking) Read([]byte) (int, error) { panic(p.cause) }

func TestBody(t *testing.T) {
	t.Parallel()
	b := stream.NewBody(strings.NewReader("abcde"))
	if got, err := io.ReadAll(b); string(got) != "abcde" || err != nil || b.Size() != 5 || b.Err() != nil {
		t.Errorf("%q, %v, %d bytes, %v", got, err, b.Size(), b.Err())
	}
	for _, cause := range []any{"text", errOther, 7} {
		b = stream.NewBody(io.MultiReader(strings.NewReader("ab"), panicking{cause}))
		got, err := io.ReadAll(b)
		if string(got) != "ab" || !errors.Is(err, trust.ErrMalformed) || !errors.Is(b.Err(), trust.ErrMalformed) || b.Size() != 2 {
			t.Errorf("panic %v: %q, %v, %v", cause, got, err, b.Err())
		}
		if n, again := b.Read(make([]byte, 1)); n != 0 || !errors.Is(again, trust.ErrMalformed) {
			t.Error("a decoder that gave up was asked again")
		}
	}
	b = stream.NewBody(&counted{t: t, r: io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(errOther))})
	for range 4 {
		_, _ = b.Read(make([]byte, 4))
	}
	if !errors.Is(b.Err(), errOther) {
		t.Error(b.Err())
	}
}

func TestBroken_order(t *testing.T) {
	t.Parallel()
	malformed, unsupported, limit := stream.Malformed("m"), stream.Unsupported("u"), stream.Exceeded("l")
	both := fmt.Errorf("%w: %w", limit, malformed)
	for name, tc := range map[string]struct {
		errs []error
		want error
		stop int // which one must be returned at once; -1 if none
	}{
		"none":               {nil, nil, -1},
		"nil":                {[]error{nil, nil}, nil, -1},
		"malformed":          {[]error{malformed}, malformed, -1},
		"first-malformed":    {[]error{malformed, stream.Malformed("later")}, malformed, -1},
		"hidden-weighs-more": {[]error{malformed, unsupported}, unsupported, -1},
		"hidden-stays":       {[]error{unsupported, malformed, stream.Unsupported("later")}, unsupported, -1},
		"limit":              {[]error{malformed, limit}, limit, 1},
		"limit-in-malformed": {[]error{both}, both, 0},
		"other":              {[]error{nil, errOther}, errOther, 1},
		"end":                {[]error{io.EOF}, io.EOF, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b stream.Broken
			stop := -1
			for i, err := range tc.errs {
				if b.Add(err) {
					stop = i
					break
				}
			}
			if stop != tc.stop || !errors.Is(b.Err(), tc.want) || tc.want == nil && b.Err() != nil {
				t.Errorf("stops at %d with %v", stop, b.Err())
			}
		})
	}
}

type source struct{ err error }

func (s source) Err() error { return s.err }

func TestShow_whoseError(t *testing.T) {
	t.Parallel()
	broken := stream.Malformed("broken")
	decoder := func() io.Reader { return io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)) }
	read := func(_ unwrap.Piece, r io.Reader) error { _, _ = io.ReadAll(r); return nil }
	for name, tc := range map[string]struct {
		show        unwrap.Show
		src         error
		broken, err error
	}{
		"decoder":           {read, nil, broken, nil},
		"not-read-so-far":   {func(_ unwrap.Piece, r io.Reader) error { return stream.Skip(r, 2) }, nil, nil, nil},
		"show":              {func(unwrap.Piece, io.Reader) error { return errOther }, nil, nil, errOther},
		"source":            {read, errOther, nil, errOther},
		"show-comes-first":  {func(unwrap.Piece, io.Reader) error { return trust.ErrLimit }, errOther, nil, trust.ErrLimit},
		"show-passes-it-on": {func(_ unwrap.Piece, r io.Reader) error { return stream.Skip(r, 9) }, nil, nil, broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gotBroken, err := stream.Show(tc.show, unwrap.Piece{Name: "x"}, decoder(), source{tc.src})
			if !errors.Is(gotBroken, tc.broken) || !errors.Is(err, tc.err) || tc.broken == nil && gotBroken != nil || tc.err == nil && err != nil {
				t.Errorf("broken %v, error %v", gotBroken, err)
			}
		})
	}
}

func TestFullAndSkip_edges(t *testing.T) {
	t.Parallel()
	input := func() io.Reader { return io.MultiReader(strings.NewReader("abcd"), iotest.ErrReader(errOther)) }
	for n, want := range map[int]error{0: nil, 1: nil, 4: nil, 5: errOther} {
		if err := stream.Full(input(), make([]byte, n)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("full of %d: %v", n, err)
		}
		if err := stream.Skip(input(), int64(n)); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("skip of %d: %v", n, err)
		}
	}
	for _, n := range []int{1, 5, 1 << 16} {
		if err := stream.Full(strings.NewReader("abcd"[:min(n-1, 4)]), make([]byte, n)); !errors.Is(err, trust.ErrMalformed) || errors.Is(err, io.EOF) {
			t.Errorf("full of %d: %v", n, err)
		}
		if err := stream.Skip(strings.NewReader("abcd"[:min(n-1, 4)]), int64(n)); !errors.Is(err, trust.ErrMalformed) || errors.Is(err, io.EOF) {
			t.Errorf("skip of %d: %v", n, err)
		}
	}
}

// Each kind of error is of its own kind alone, and says its cause.
func TestKinds(t *testing.T) {
	t.Parallel()
	kinds := []error{trust.ErrMalformed, trust.ErrUnsupported, trust.ErrLimit}
	for i, kind := range []func(string, ...any) error{stream.Malformed, stream.Unsupported, stream.Exceeded} {
		err := kind("cause %d: %w", 7, errOther)
		for j, k := range kinds {
			if errors.Is(err, k) != (i == j) {
				t.Errorf("%v is of kind %v: %t", err, k, i != j)
			}
		}
		if !errors.Is(err, errOther) || !strings.Contains(err.Error(), "cause 7: other") {
			t.Error(err)
		}
	}
}
