package rar

import (
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// An archive of version 5 in parts: its beginning, a file n without content, and its end.
const (
	beginning = "526172211a070100c51a333203010000"
	emptyFile = "b8a74f0b0a0200000000240001016e"
	ending    = "19b23a3503050000"
)

func files(n int) []byte {
	b, err := hex.DecodeString(beginning + strings.Repeat(emptyFile, n) + ending)
	if err != nil {
		panic(err)
	}
	return b
}

func TestFilesAreBounded(t *testing.T) {
	t.Parallel()
	whole := func(r io.Reader) io.Reader { return r }
	for limit, want := range map[int]error{3: trust.ErrLimit, 4: nil} {
		_, err := unwraptest.Unwrap(t.Context(), Wrapper{maxEntries: limit}, unwraptest.Sample{Content: files(4)}, whole)
		if !errors.Is(err, want) {
			t.Errorf("%d files: %v, want %v", limit, err, want)
		}
	}
}
