package line

import (
	"testing"
)

func TestElideLeavesWordsWhole(t *testing.T) {
	t.Parallel()
	const sentence = "holds six constants of the RandomX mining algorithm close together"
	for limit, want := range map[int]string{
		40: "holds six … close together",
		12: "holds…gether",
		99: sentence,
	} {
		if got := Elide(sentence, limit); got != want {
			t.Errorf("%d: %q, want %q", limit, got, want)
		}
	}
}

func TestElide(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "abcdefg": "abcdefg", "abcdefgh": "abc…fgh", "ääääääää": "äää…äää"} {
		if got := Elide(in, 7); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
