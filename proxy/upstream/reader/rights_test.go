package reader

import (
	"strconv"
	"testing"
	"time"
)

// TestAnswersThatCountNoMoreMakeRoom: somebody who asks with a new login each time fills no memory with what is over.
func TestAnswersThatCountNoMoreMakeRoom(t *testing.T) {
	t.Parallel()
	r, err := newRights()
	if err != nil {
		t.Fatal(err)
	}
	nth := func(i int) (of id) {
		copy(of[:], strconv.Itoa(i))
		return of
	}
	over := time.Now().Add(-time.Second)
	for i := range 1000 {
		r.keep(nth(i), answer{until: over})
	}
	if n := r.answers.Len(); n > 1 {
		t.Errorf("%d answers that count no more are kept", n)
	}
	good := time.Now().Add(time.Minute)
	for i := range maxAnswers + 10 {
		r.keep(nth(i), answer{until: good})
	}
	if n := r.answers.Len(); n != maxAnswers {
		t.Errorf("%d answers are kept, want %d", n, maxAnswers)
	}
	if err, ok := r.known(nth(maxAnswers)); err != nil || !ok {
		t.Errorf("the newest are not known: %v, %v", err, ok)
	}
}
