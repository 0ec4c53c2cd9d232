package yara

import (
	"cmp"
	"math"
	"slices"
)

const (
	// placesOfString and placesOfFile bound the matches that are kept of one string and of one file. What lies before
	// the first one that was dropped is still known exactly. A block has less than placesOfString/2 places, so that
	// the first block of a file never drops any of a single string.
	placesOfString = 1 << 17
	placesOfFile   = 1 << 18
	// excerptBytes are kept of a string's first match.
	excerptBytes = 64
)

// span is one match.
type span struct {
	start  int64
	length int32
}

// sighting is what is known of one string in one file.
type sighting struct {
	hit     bool
	first   span
	excerpt []byte
	// spans are kept for strings of which places matter; sorted and without repetition when the file has ended.
	spans []span
	// known is the offset up to which all matches are known; complete when they are known everywhere.
	known int64
}

const complete = math.MaxInt64

func (s *sighting) reset() {
	*s = sighting{excerpt: s.excerpt[:0], spans: s.spans[:0], known: complete}
}

// add keeps a match. It is false when the match had to be dropped.
func (s *sighting) add(sp span, places, greedy bool, room int) bool {
	s.hit = true
	if !places {
		return true
	}
	if len(s.spans) >= min(room, placesOfString) {
		s.sort(greedy)
		if len(s.spans) >= min(room, placesOfString*3/4) {
			return false
		}
	}
	s.spans = append(s.spans, sp)
	return true
}

// sort brings the spans in order, one for each start: of several the longest or the shortest.
func (s *sighting) sort(greedy bool) {
	slices.SortFunc(s.spans, func(a, b span) int {
		n := cmp.Compare(a.length, b.length)
		if greedy {
			n = -n
		}
		return cmp.Or(cmp.Compare(a.start, b.start), n)
	})
	s.spans = slices.CompactFunc(s.spans, func(a, b span) bool { return a.start == b.start })
}

// end drops what is known only in part.
func (s *sighting) end(greedy bool) {
	s.sort(greedy)
	if s.known == complete {
		return
	}
	n, _ := s.search(s.known)
	s.spans = s.spans[:n]
}

// search is the index of the first span that begins at offset or later, and whether it begins there.
func (s *sighting) search(offset int64) (int, bool) {
	return slices.BinarySearchFunc(s.spans, offset, func(sp span, at int64) int { return cmp.Compare(sp.start, at) })
}

func (s *sighting) found() value {
	if !s.hit && s.known != complete {
		return value{state: unread}
	}
	return truth(s.hit)
}

func (s *sighting) at(v value) value {
	if w, ok := gap(v, v); ok {
		return w
	}
	if _, ok := s.search(v.i); ok {
		return truth(true)
	}
	if s.known != complete && v.i >= s.known {
		return value{state: unread}
	}
	return truth(false)
}

func (s *sighting) countAll() value {
	if s.known != complete {
		return value{state: atLeast, i: int64(len(s.spans))}
	}
	return whole(int64(len(s.spans)))
}

// count is how many matches begin from low to high, both included.
func (s *sighting) count(low, high value) value {
	if v, ok := gap(low, high); ok {
		return v
	}
	from, _ := s.search(low.i)
	to := len(s.spans)
	if high.i < math.MaxInt64 {
		to, _ = s.search(high.i + 1)
	}
	n := int64(max(to-from, 0))
	if s.known != complete && high.i >= s.known && high.i >= low.i {
		return value{state: atLeast, i: n}
	}
	return whole(n)
}

// place is the offset or the length of the match that index names, from 1.
func (s *sighting) place(index value, length bool) value {
	if v, ok := gap(index, index); ok {
		return v
	}
	switch n := int64(len(s.spans)); {
	case index.i < 1:
		return value{state: undefined}
	case index.i > n && s.known != complete:
		return value{state: unread}
	case index.i > n:
		return value{state: undefined}
	}
	sp := s.spans[index.i-1]
	if length {
		return whole(int64(sp.length))
	}
	return whole(sp.start)
}
