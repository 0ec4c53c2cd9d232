package unwraptest

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

// fuzzBytes is how much a wrapper may show of one input while it is fuzzed.
const fuzzBytes = 4 << 20

// Fuzz gives w whatever it takes for its own. It must not panic, must end, and its errors must be of package trust.
func Fuzz(f *testing.F, w unwrap.Wrapper, samples []Sample) {
	f.Helper()
	for _, s := range samples {
		if len(s.Content) < fuzzBytes/16 {
			f.Add(s.Content)
		}
	}
	enough := errors.New("enough was shown")
	f.Fuzz(func(t *testing.T, content []byte) {
		s := Sample{Path: "f", Content: content, Passwords: []string{"secret"}}
		if !w.Wraps(s.content()) {
			return
		}
		left := int64(fuzzBytes)
		err := w.Unwrap(t.Context(), newInput(s, whole), func(_ unwrap.Piece, r io.Reader) error {
			n, _ := io.Copy(io.Discard, io.LimitReader(r, left))
			if left -= n + 1; left <= 0 {
				return enough
			}
			return nil
		})
		ours := []error{nil, enough, trust.ErrLimit, trust.ErrMalformed, trust.ErrUnsupported}
		if !slices.ContainsFunc(ours, func(e error) bool { return errors.Is(err, e) }) {
			t.Errorf("error %v", err)
		}
	})
}
