package judge

import (
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxBounded bounds the values of one bounded memory, whatever they weigh.
const maxBounded = 1 << 14

// bounded keeps what was used last, as much as fits into so many bytes. It may be used by any number of goroutines.
type bounded[K comparable, V any] struct {
	mu   sync.Mutex
	kept *simplelru.LRU[K, weighty[V]]
	room int // bytes that are left
	all  int
}

type weighty[V any] struct {
	value V
	bytes int
}

func newBounded[K comparable, V any](bytes int) (*bounded[K, V], error) {
	b := &bounded[K, V]{room: bytes, all: bytes}
	kept, err := simplelru.NewLRU(maxBounded, func(_ K, w weighty[V]) { b.room += w.bytes })
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	b.kept = kept
	return b, nil
}

func (b *bounded[K, V]) get(key K) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w, ok := b.kept.Get(key)
	return w.value, ok
}

// add keeps a value that takes so many bytes, in place of an earlier one, unless it is larger than all the room.
func (b *bounded[K, V]) add(key K, value V, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept.Remove(key)
	if bytes > b.all {
		return
	}
	for b.room < bytes {
		b.kept.RemoveOldest()
	}
	b.room -= bytes
	b.kept.Add(key, weighty[V]{value, bytes})
}
