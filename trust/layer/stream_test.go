package layer

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

type hostile func([]byte) (int, error)

func (h hostile) Read(p []byte) (int, error) { return h(p) }

// Whatever a decompressor does wrong on hostile bytes is the content's fault, never a crash or a clean answer.
func TestStreamOfAFailingDecompressor(t *testing.T) {
	t.Parallel()
	for name, dec := range map[string]hostile{
		"panics":   func([]byte) (int, error) { var table []int; return table[len(table)], nil },
		"negative": func([]byte) (int, error) { return -1, nil },
		"too-many": func(p []byte) (int, error) { return len(p) + 1, nil },
		"idle":     func([]byte) (int, error) { return 0, nil },
		"cut":      func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF },
		"leaves":   func([]byte) (int, error) { return 0, io.EOF }, // packed bytes are left
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := &source{ctx: t.Context(), r: strings.NewReader("left"), hash: sha256.New()}
			src.want.Size = 4
			s := &stream{ctx: t.Context(), src: src, packed: bufio.NewReader(src), dec: dec, hash: sha256.New(), limits: DefaultLimits()}
			buf := make([]byte, 16)
			n, err := s.Read(buf)
			for range 2 * maxIdleReads {
				if n == 0 && err == nil {
					n, err = s.Read(buf)
				}
			}
			_, again := s.Read(buf)
			if n != 0 || !errors.Is(err, trust.ErrMalformed) || !errors.Is(again, trust.ErrMalformed) {
				t.Errorf("%d, %v, %v", n, err, again)
			}
		})
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		head string
		want compression
	}{
		"empty": {"", plain}, "text": {"#!/bin/sh\n", plain}, "gzip": {"\x1f\x8b\x08", gzipped}, "gzip-cut": {"\x1f\x8b", plain},
		"gzip-other-method": {"\x1f\x8b\x07", plain}, "zstd": {"\x28\xb5\x2f\xfd", zstandard}, "bzip2": {"BZh9", bzipped},
		"skippable": {"\x50\x2a\x4d\x18\x00\x00\x00\x00", zstandard}, "skippable-last": {"\x5f\x2a\x4d\x18\x00\x00\x00\x00", zstandard},
		"skippable-cut": {"\x50\x2a\x4d\x18\x00\x00\x00", plain}, "not-skippable": {"\x60\x2a\x4d\x18\x00\x00\x00\x00", plain},
		"xz": {"\xfd7zXZ\x00", xzipped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := head(tc.head).compression(); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
			if head(tc.head).isTar() {
				t.Error("too short to be a tar header")
			}
		})
	}
	if head(make([]byte, headBytes)).isTar() {
		t.Error("zeros are no tar header")
	}
}

// tiny has parts of one byte each.
type tiny struct{ n int64 }

func (d *tiny) Read(p []byte) (int, error) {
	p[0] = 0
	d.n++
	return 1, nil
}

func (d *tiny) part() int64 { return d.n }

// Members or frames of nothing much cost no memory, and those that a reader needs are kept.
func TestStreamOfManyParts(t *testing.T) {
	t.Parallel()
	src := &source{ctx: t.Context(), r: strings.NewReader(""), hash: sha256.New(), n: 1 << 40}
	s := &stream{ctx: t.Context(), src: src, packed: bufio.NewReader(src), dec: &tiny{}, limits: DefaultLimits()}
	buf := make([]byte, 16)
	for i := range int64(3 * maxParts) {
		if _, err := s.Read(buf); err != nil || len(s.parts) > maxParts {
			t.Fatalf("after %d bytes: %d parts, %v", i, len(s.parts), err)
		}
	}
	at := s.n - plainBuffer
	if p, next := s.partAt(at); p.plain != at || p.packed != at+1 || next != at+1 {
		t.Errorf("the part at %d is %+v, the next at %d", at, p, next)
	}
}
