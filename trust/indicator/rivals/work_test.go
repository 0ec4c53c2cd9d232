package rivals

import (
	"regexp"
	"testing"
)

// TestNamesWithoutEndAreReadOnce: where nothing kills, a part of a file is looked at once, however many names it holds.
func TestNamesWithoutEndAreReadOnce(t *testing.T) {
	t.Parallel()
	w := &watch{ind: &Indicator{kill: regexp.MustCompile(`\bpkill\b`)}}
	window := make([]byte, 5<<10)
	for i := range window {
		window[i] = 'x'
	}
	looks := 0
	for at := int64(0); at < 4<<10; at += 8 {
		before := w.quiet
		if w.kills(window, 0, int(at), int(at)+512) {
			t.Fatal("nothing kills")
		}
		if w.quiet != before {
			looks++
		}
	}
	if looks != 1 {
		t.Errorf("looked %d times", looks)
	}
	copy(window[100:], " pkill ")
	w.quiet = struct{ from, to int64 }{}
	if !w.kills(window, 0, 50, 200) || w.kills(window, 0, 300, 900) || !w.kills(window, 0, 90, 110) {
		t.Error("what kills is not found where it is")
	}
}
