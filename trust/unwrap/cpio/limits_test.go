package cpio

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func TestEntriesAreBounded(t *testing.T) {
	t.Parallel()
	content := []byte(strings.Repeat("070707"+strings.Repeat("0", 12)+"100644"+strings.Repeat("0", 40)+"2"+strings.Repeat("0", 11)+"x\x00", 4))
	whole := func(r io.Reader) io.Reader { return r }
	for limit, want := range map[int]error{3: trust.ErrLimit, 4: nil} {
		_, err := unwraptest.Unwrap(t.Context(), Wrapper{maxEntries: limit}, unwraptest.Sample{Content: content}, whole)
		if !errors.Is(err, want) {
			t.Errorf("%d entries: %v, want %v", limit, err, want)
		}
	}
}
