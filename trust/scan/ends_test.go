package scan_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/scan"
)

// ending is a box that is found by its end, too.
type ending struct{ box }

func (ending) Ends(tail []byte, _ int64, _ bool) bool { return bytes.Contains(tail, []byte("THE END")) }

func TestEndOfAnotherFormatIsNotSilent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("anything ", 100_000)
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"short", "THE END", 1},
		{"behind much else", long + "THE END", 1},
		{"before the longest tail", long + "THE END" + long, 0},
		{"far from the end, in reach", long + "THE END" + long[:60_000], 1},
		{"taken by the wrapper itself", "ending x\nTHE END", 1}, // of the piece, which has the same end
		{"another end", long, 0},
	} {
		s := nestedScanner(t, scan.Limits{}, ending{box{name: "ending"}})
		blob := layerOf(t, entry{name: "file", body: tt.body})
		got, err := s.Layer(t.Context(), bytes.NewReader(blob), descriptor(blob))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range got.Findings {
			if f.Check == scan.UnwrapCheck && f.Class == trust.ClassOpaque && f.IfRun == trust.Strong {
				n++
			}
		}
		if n != tt.want {
			t.Errorf("%s: %d findings of hidden content, want %d: %v", tt.name, n, tt.want, got.Findings)
		}
	}
}
