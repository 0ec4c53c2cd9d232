package main

import (
	"testing"

	"github.com/safepull/safepull/test/corpus"
)

// Every generated mining image is stopped and every clean twin let through without a word, with two seeds. `make detect`
// judges the same, and benign software too.
func TestGenerated(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{corpus.Seed, 7} {
		j, err := newJudge()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples(seed) {
			v, err := verdict(t.Context(), j, s.Repository, s.Image)
			if err != nil {
				t.Fatal(err)
			}
			if !s.right(v) {
				t.Errorf("seed %d: %s", seed, describe(s.Group+"/"+s.Name, s.Mining, v))
			}
		}
	}
}
