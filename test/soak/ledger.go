//go:build linux

package main

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// span is bytes from a up to b.
type span struct{ a, b int64 }

// cover adds a span to others and joins those that meet. The result is sorted.
func cover(spans []span, s span) []span {
	if s.a >= s.b {
		return spans
	}
	all := append(slices.Clone(spans), s)
	slices.SortFunc(all, func(x, y span) int { return int(x.a - y.a) })
	out := all[:1]
	for _, next := range all[1:] {
		if last := &out[len(out)-1]; next.a <= last.b {
			last.b = max(last.b, next.b)
		} else {
			out = append(out, next)
		}
	}
	return out
}

// ledger counts what happened. It may be used from any goroutine.
type ledger struct {
	mu       sync.Mutex
	counts   map[string]int64
	wrong    []string
	arrived  map[digest.Digest][]span // of layers that must not arrive
	blocked  []string
	private  []string
	surprise []string
	broke    []string
}

// keepWords bounds how many examples of one kind are kept for the person who reads them.
const keepWords = 20

func newLedger() *ledger {
	return &ledger{counts: map[string]int64{}, arrived: map[digest.Digest][]span{}}
}

func (l *ledger) count(what string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what] += n
}

func (l *ledger) total(what string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[what]
}

// compare checks bytes that arrived as those of content from an offset on. What is missing at the end is no matter:
// connections break.
func (l *ledger) compare(where string, got, content []byte, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts["bytes"] += int64(len(got))
	if offset > int64(len(content)) || !bytes.HasPrefix(content[offset:], got) {
		l.counts["wrong"]++
		if len(l.wrong) < keepWords {
			l.wrong = append(l.wrong, fmt.Sprintf("%s: %d bytes from %d are not the image's", where, len(got), offset))
		}
	}
}

// part remembers what arrived of a layer that must not arrive, and notes when all of it has.
func (l *ledger) part(where string, d digest.Digest, offset, n, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrived[d] = cover(l.arrived[d], span{offset, offset + n})
	l.counts["refused bytes"] += n
	if s := l.arrived[d]; len(s) == 1 && s[0] == (span{0, size}) {
		l.counts["blocked"]++
		if len(l.blocked) < keepWords {
			l.blocked = append(l.blocked, fmt.Sprintf("%s: all %d bytes of %s", where, size, d))
		}
	}
}

// stranger notes that somebody got what only another may read.
func (l *ledger) stranger(direction, where string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[direction]++
	if len(l.private) < keepWords {
		l.private = append(l.private, fmt.Sprintf("%s: %s, %d bytes", direction, where, n))
	}
}

// odd keeps an answer that nobody should get, such as a complete one that is shorter than it says.
func (l *ledger) odd(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts["odd"]++
	if len(l.surprise) < keepWords {
		l.surprise = append(l.surprise, what)
	}
}

// broken keeps an answer by which the proxy says that it has a fault itself.
func (l *ledger) broken(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts["broken"]++
	if len(l.broke) < keepWords {
		l.broke = append(l.broke, what)
	}
}
