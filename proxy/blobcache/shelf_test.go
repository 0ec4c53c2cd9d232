package blobcache

import (
	"slices"
	"testing"

	"github.com/safepull/safepull/proxy/blobcache/inventory"
)

// model does what a shelf does, slowly.
type model struct {
	order []sum // the most recently used first
	open  map[sum]int
}

func (m *model) drop(of sum) {
	m.order = slices.DeleteFunc(m.order, func(o sum) bool { return o == of })
}

func same(t *testing.T, s *shelf, m *model) {
	t.Helper()
	var got []sum
	s.all(func(r inventory.Record) bool {
		got = append(got, r.Sum)
		return true
	})
	slices.Reverse(got)
	if !slices.Equal(got, m.order) || s.len() != len(m.order) {
		t.Fatalf("%d entries in the order %v, want %v", s.len(), got, m.order)
	}
	for _, of := range m.order {
		if place := s.find(of); place == none || s.at(place).sum != of || int(s.at(place).open) != m.open[of] {
			t.Fatalf("%x is at %d", of[:1], place)
		}
	}
}

// FuzzShelf does whatever the bytes say to a shelf and to a model.
func FuzzShelf(f *testing.F) {
	f.Add([]byte{0, 1, 8, 2, 16, 3, 1, 4, 9, 5})
	f.Add([]byte("a shelf under any sequence of changes keeps its order"))
	f.Fuzz(func(t *testing.T, steps []byte) {
		s, m := newShelf(), &model{open: map[sum]int{}}
		dead := map[int32]int{} // places taken out while open, and how often
		for _, step := range steps {
			of := sum{step >> 3}
			place := s.find(of)
			switch op := step & 7; {
			case op <= 1 && place == none:
				s.add(of, 1, 0, op == 0)
				if op == 0 {
					m.order = slices.Insert(m.order, 0, of)
				} else {
					m.order = append(m.order, of)
				}
				m.open[of] = 0
			case op == 2 && place != none:
				s.touch(place, 1)
				m.drop(of)
				m.order = slices.Insert(m.order, 0, of)
			case op == 3 && place != none:
				if n := m.open[of]; n > 0 {
					dead[place] = n
				}
				s.remove(place)
				m.drop(of)
			case op == 4 && place != none:
				s.at(place).open++
				m.open[of]++
			case op == 5 && place != none && m.open[of] > 0:
				s.close(place)
				m.open[of]--
			case op == 6:
				for place := range dead {
					s.close(place)
					if dead[place]--; dead[place] == 0 {
						delete(dead, place)
					}
					break
				}
			}
			for place := range dead {
				if !s.at(place).dead {
					t.Fatalf("place %d is used again while it is open", place)
				}
			}
			same(t, s, m)
		}
		if len(s.slots) > 32+len(steps) {
			t.Errorf("%d places for %d entries", len(s.slots), s.len())
		}
	})
}
