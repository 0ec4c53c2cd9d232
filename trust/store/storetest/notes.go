package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
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
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, found, read := s.Note(gone, "a 1")
	_, list := s.Notes(gone, "", 1)
	if read == nil || found || list == nil || s.KeepNote(gone, "a 1", nil) == nil {
		t.Error("a store answers who has gone")
	}
}
