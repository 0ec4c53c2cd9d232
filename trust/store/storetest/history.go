package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
)

// testJudged: every verdict since a time, the newest first, over several pages.
func testJudged(t *testing.T, s Store) {
	const all = 40
	for i := 1; i <= all; i++ {
		keepVerdict(t, s, sum("judged", i), NewVerdict(fmt.Sprintf("h%d", i%3), i))
	}
	stop := errors.New("enough")
	for since, want := range map[int]int{1: all, 30: all - 29, all + 1: 0} {
		var seen []string
		last := start.Add(time.Hour)
		err := s.Judged(t.Context(), start.Add(time.Duration(since)*time.Second), func(v trust.Verdict) error {
			if v.At.After(last) {
				t.Errorf("%s comes after %s", v.At, last)
			}
			last, seen = v.At, append(seen, v.ID)
			return nil
		})
		if err != nil || len(seen) != want {
			t.Errorf("since %d: %d verdicts, %v, want %d: %s", since, len(seen), err, want, strings.Join(seen, " "))
		}
	}
	n := 0
	if err := s.Judged(t.Context(), time.Time{}, func(trust.Verdict) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}
