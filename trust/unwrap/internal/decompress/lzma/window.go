package lzma

import (
	"fmt"

	"github.com/safepull/safepull/trust"
)

// pageBytes is how much of a history is made at once.
const pageBytes = 64 << 10

// window is the history, which is also where bytes wait to be read: a ring of pages that are made as content comes.
type window struct {
	pages [][]byte
	// page is the one that is written to, number its number, and at where in it the next byte goes.
	page   []byte
	number int
	at     int
	// size is that of all pages, limit what it may become.
	size, limit int
	memory      Memory
	// refused is why the history is shorter than the data asks for.
	refused error
	// total counts all bytes, since those since the history was forgotten.
	total, since int64
}

// over makes the window of the bytes of b, which are enough.
func (w *window) over(b []byte) {
	for w.size = len(b); len(b) > 0; {
		n := min(len(b), pageBytes)
		w.pages = append(w.pages, b[:n:n])
		b = b[n:]
	}
	w.limit = w.size
	if len(w.pages) > 0 {
		w.page = w.pages[0]
	}
}

// room is how many bytes can be put in one piece.
func (w *window) room() int {
	if w.at == len(w.page) {
		w.turn()
	}
	return len(w.page) - w.at
}

// turn goes to the next page: a new one, or the oldest.
func (w *window) turn() {
	next := w.number + 1
	if w.page == nil {
		next = 0
	}
	if next == len(w.pages) && w.size < w.limit {
		n := min(pageBytes, w.limit-w.size)
		if err := w.hold(n); err == nil || w.size == 0 {
			w.pages, w.size = append(w.pages, make([]byte, n)), w.size+n
			if err == nil {
				next = len(w.pages) - 1
			}
		} else {
			w.refused, w.limit = fmt.Errorf("history of %d bytes: %w", w.limit, err), w.size
		}
	}
	if next >= len(w.pages) {
		next = 0
	}
	w.number, w.page, w.at = next, w.pages[next], 0
}

func (w *window) hold(n int) error {
	if w.memory == nil {
		return nil
	}
	return w.memory.Hold(int64(n)) //nolint:wrapcheck // the grantor's own
}

func (w *window) put(b byte) {
	w.page[w.at] = b
	w.at++
	w.total++
	w.since++
}

// has reports whether the history goes back as far as distance, which is 0 for the last byte.
func (w *window) has(distance uint32) bool {
	return int64(distance) < w.since && int64(distance) < int64(w.size)
}

// missing is why the history does not go back that far.
func (w *window) missing(distance uint32, otherwise string) error {
	if w.refused != nil && int64(distance) < w.since {
		return w.refused
	}
	return fmt.Errorf("%w: %s", trust.ErrMalformed, otherwise)
}

// place is where in the ring the byte is that a distance leads to.
func (w *window) place(distance uint32) int {
	i := w.number*pageBytes + w.at - int(distance) - 1
	if i < 0 {
		i += w.size
	}
	return i
}

func (w *window) back(distance uint32) byte {
	i := w.place(distance)
	return w.pages[i/pageBytes][i%pageBytes]
}

// last is the byte before, 0 at the beginning.
func (w *window) last() byte {
	switch {
	case w.since == 0:
		return 0
	case w.at > 0:
		return w.page[w.at-1]
	}
	return w.back(0)
}

// repeat copies n bytes from a distance; there is room for them.
func (w *window) repeat(distance uint32, n int) {
	w.total += int64(n)
	w.since += int64(n)
	for from := w.place(distance); n > 0; {
		source := w.pages[from/pageBytes][from%pageBytes:]
		k := min(n, len(source), int(distance)+1) // what was copied may be copied again
		copy(w.page[w.at:w.at+k], source[:k])
		w.at += k
		n -= k
		if from += k; from == w.size {
			from = 0
		}
	}
}
