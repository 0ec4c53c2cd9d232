package report

import (
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
)

// TestLongCommandsCostMore: what is matched against patterns is paid for by its length.
func TestLongCommandsCostMore(t *testing.T) {
	t.Parallel()
	r := New(indicator.File{Path: "run.sh", Kind: trust.KindScript})
	var b Budget
	for range 10 * MaxReads {
		if !b.Weigh(r, 0, commandBytes-1) {
			t.Fatal("ordinary commands are not free")
		}
	}
	n := 0
	for b.Spend(r, 0) && b.Weigh(r, 0, 5<<10) {
		n++
	}
	if most := MaxReads / (5 << 10 / commandBytes); n > most || n < most/2 || r.Unread() == "" {
		t.Errorf("%d long commands, want %d at most; unread %q", n, most, r.Unread())
	}
}
