package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/safepull/safepull/trust"
)

func testNotes(t *testing.T, s Store) {
	ctx := t.Context()
	if body, found, err := s.Note(ctx, "a"); found || err != nil || len(body) != 0 {
		t.Errorf("an empty store: %q, %v, %v", body, found, err)
	}
	for i, key := range []string{"b 2", "a 1", "b 1", "c ü\x01", "b 1"} {
		if err := s.KeepNote(ctx, key, fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if body, found, err := s.Note(ctx, "b 1"); !found || err != nil || string(body) != "4" {
		t.Errorf("kept twice: %q, %v, %v", body, found, err)
	}
	for _, tt := range []struct {
		after string
		limit int
		want  string
	}{{"", 10, "a 1=1 b 1=4 b 2=0 c ü\x01=3"}, {"b ", 2, "b 1=4 b 2=0"}, {"b 1", 1, "b 2=0"}, {"d", 10, ""}, {"", 0, ""}, {"", -1, ""}} {
		notes, err := s.Notes(ctx, tt.after, tt.limit)
		var got []string
		for _, n := range notes {
			got = append(got, n.Key+"="+string(n.Body))
		}
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("after %q, %d at most: %q, %v", tt.after, tt.limit, got, err)
		}
	}
	if s.KeepNote(ctx, "", []byte("x")) == nil || s.KeepNote(ctx, "x", make([]byte, 256<<10+1)) == nil {
		t.Error("a note without a key, or too long, was kept")
	}
	testChangeNote(t, s)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, found, read := s.Note(gone, "a 1")
	_, list := s.Notes(gone, "", 1)
	if read == nil || found || list == nil || s.KeepNote(gone, "a 1", nil) == nil {
		t.Error("a store answers who has gone")
	}
}

func testChangeNote(t *testing.T, s Store) {
	t.Helper()
	ctx, own := t.Context(), errors.New("own")
	for i, step := range []struct {
		make  string // nothing leaves the note as it is
		err   error
		given string
	}{{"one", nil, ""}, {"", nil, "one"}, {"two", own, "one"}, {"three", nil, "one"}, {"", own, "three"}} {
		err := s.ChangeNote(ctx, "d", func(body []byte) ([]byte, error) {
			if string(body) != step.given || (body == nil) != (step.given == "") {
				t.Errorf("step %d: given %q, want %q", i, body, step.given)
			}
			if step.make == "" {
				return nil, step.err
			}
			return []byte(step.make), step.err
		})
		if !errors.Is(err, step.err) {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if body, _, err := s.Note(ctx, "d"); string(body) != "three" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if err := s.ChangeNote(ctx, "d", func([]byte) ([]byte, error) { return make([]byte, 256<<10+1), nil }); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := s.ChangeNote(ctx, "e", func(body []byte) ([]byte, error) { return append(body, '.'), nil }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if body, _, err := s.Note(ctx, "e"); len(body) != 20 || err != nil {
		t.Errorf("%d changes, %v", len(body), err)
	}
}
