package line

import (
	"testing"
)

func TestElide(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "abcdefg": "abcdefg", "abcdefgh": "abc…fgh", "ääääääää": "äää…äää"} {
		if got := Elide(in, 7); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
