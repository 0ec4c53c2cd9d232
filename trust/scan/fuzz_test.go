package scan_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/safepull/safepull/trust"
)

// FuzzSnippet: whatever the content and wherever a buffer ends in it, hits are those of a plain search.
func FuzzSnippet(f *testing.F) {
	f.Add([]byte("x stratum+tcp://y aaaaaaaa"), uint32(0))
	f.Add([]byte("stratum+tcp://stratum+tcp://"), uint32(256<<10))
	f.Add([]byte("aaaaaa\x00\xff\xfe#!/bin/sh"), uint32(267_000))
	f.Fuzz(func(t *testing.T, text []byte, before uint32) {
		words := []string{"stratum+tcp://", "aaaaaa", "\x00\x00\x00\x00\x00\x00"}
		body := append([]byte(filler(int(before%600_000))), text...)
		r := &recorder{}
		s := newScanner(t, &toy{name: "a", literals: literals(words...), on: r.on, everyByte: true})
		if _, err := s.Snippet("", "f", trust.KindConfig, body); err != nil {
			t.Skip() // more hits than allowed
		}
		var want, got []int64
		for i, word := range words {
			for at := 0; at+len(word) <= len(body); at++ {
				if next := bytes.Index(body[at:], []byte(word)); next < 0 {
					break
				} else {
					at += next
				}
				want = append(want, int64(at)<<2|int64(i))
			}
		}
		for _, h := range r.hits {
			got = append(got, h.Offset<<2|int64(h.Literal))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Fatalf("hits %v, want %v", got, want)
		}
		checkWindows(t, string(body), r.hits)
		if !bytes.Equal(r.bytes, body) {
			t.Fatal("Bytes did not show every byte once")
		}
	})
}
