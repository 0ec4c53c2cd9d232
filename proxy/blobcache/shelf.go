package blobcache

import "github.com/safepull/safepull/proxy/blobcache/inventory"

// sum is a SHA-256, which names an entry. Content under other digests is not kept.
type sum = [32]byte

// none is the place of no entry.
const none int32 = -1

// slot is one entry of a shelf, which holds a million of them in some 120 MB without giving the garbage collector
// anything to follow.
type slot struct {
	sum        sum
	size       int64
	prev, next int32  // towards the most, and the least, recently used; next is the next free one when not in use
	open       int32  // readers; an entry being read is not evicted
	used       uint32 // Unix seconds
	noted      uint32 // as in the inventory
	verified   uint32 // when this process last saw that the bytes are right; 0 when it did not
	scrubbed   uint32 // when this process last looked whether they are
	sweep      uint8  // the sweep that saw it
	dead       bool   // taken out while it was open
}

// shelf keeps entries in the order of their last use. Places stay the same while an entry is there or open.
type shelf struct {
	slots       []slot
	places      map[sum]int32
	first, last int32 // the most, and the least, recently used
	free        int32
}

func newShelf() *shelf {
	return &shelf{places: map[sum]int32{}, first: none, last: none, free: none}
}

// grow makes room for n entries in an empty shelf, and some more.
func (s *shelf) grow(n int) {
	s.slots = make([]slot, 0, n+n/8)
	s.places = make(map[sum]int32, n+n/8)
}

func (s *shelf) len() int { return len(s.places) }

// at is valid until the next add.
func (s *shelf) at(place int32) *slot { return &s.slots[place] }

// find returns none when there is no such entry.
func (s *shelf) find(of sum) int32 {
	if place, ok := s.places[of]; ok {
		return place
	}
	return none
}

// add puts an entry that is not there at the front, or at the end.
func (s *shelf) add(of sum, size int64, used uint32, front bool) int32 {
	place := s.free
	if place != none {
		s.free = s.slots[place].next
	} else {
		place = int32(len(s.slots)) //nolint:gosec // a disk has fewer files
		s.slots = append(s.slots, slot{})
	}
	s.slots[place] = slot{sum: of, size: size, used: used, noted: used}
	s.places[of] = place
	if front {
		s.link(place, none, s.first)
	} else {
		s.link(place, s.last, none)
	}
	return place
}

// touch makes an entry the most recently used one.
func (s *shelf) touch(place int32, now uint32) {
	s.slots[place].used = now
	if s.first != place {
		s.unlink(place)
		s.link(place, none, s.first)
	}
}

// remove takes an entry out. Its place is used again when nobody reads it any more.
func (s *shelf) remove(place int32) {
	e := &s.slots[place]
	s.unlink(place)
	delete(s.places, e.sum)
	if e.open > 0 {
		e.dead = true
		return
	}
	s.release(place)
}

// close ends one reading.
func (s *shelf) close(place int32) {
	e := &s.slots[place]
	e.open--
	if e.dead && e.open == 0 {
		s.release(place)
	}
}

func (s *shelf) release(place int32) {
	s.slots[place] = slot{next: s.free}
	s.free = place
}

func (s *shelf) link(place, prev, next int32) {
	s.slots[place].prev, s.slots[place].next = prev, next
	if prev != none {
		s.slots[prev].next = place
	} else {
		s.first = place
	}
	if next != none {
		s.slots[next].prev = place
	} else {
		s.last = place
	}
}

func (s *shelf) unlink(place int32) {
	prev, next := s.slots[place].prev, s.slots[place].next
	if prev != none {
		s.slots[prev].next = next
	} else {
		s.first = next
	}
	if next != none {
		s.slots[next].prev = prev
	} else {
		s.last = prev
	}
}

// all yields the entries, the least recently used first.
func (s *shelf) all(yield func(inventory.Record) bool) {
	for place := s.last; place != none; place = s.slots[place].prev {
		e := &s.slots[place]
		if !yield(inventory.Record{Sum: e.sum, Size: e.size, Used: e.used}) {
			return
		}
	}
}
