package scan

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/layer"
)

const (
	// chunkBytes is how much of a file is read and searched at once.
	chunkBytes = 256 << 10
	// headBytes decide about the kind of a file.
	headBytes = 512
	// hitsPerFile and hitsPerBlob bound how often content may wake indicators, with one more for every bytesPerHit:
	// a literal repeated without end would cost a window's work for every few bytes. More is trust.ErrLimit.
	hitsPerFile = 1 << 16
	hitsPerBlob = 1 << 20
	bytesPerHit = 512
)

// worker follows one file after another of one blob. All its memory is used again; it belongs to one goroutine.
type worker struct {
	scanner *Scanner
	blob    digest.Digest
	kept    keeper
	// fault is the first failure of an indicator or of the scanner's own limits.
	fault error

	file    indicator.File
	watches []watch
	awake   int // watches that are still asked

	// buf[:n] is the part of the file that is still needed; its first byte is at offset base of the file. Everything
	// before fresh was searched already.
	buf   []byte
	n     int
	base  int64
	fresh int
	// pending are hits whose window is not complete, in the order of their offsets.
	pending []pendingHit
	hits    int64
	// blobHits and blobBytes count all files before this one.
	blobHits, blobBytes int64
}

// watch is one indicator's view of the file; a nil Watch asks for nothing.
type watch struct {
	indicator.Watch
	bytes indicator.ByteWatch // nil unless it wants every byte
}

type pendingHit struct {
	offset  int64
	pattern int
	length  int
}

func (s *Scanner) newWorker() *worker {
	carried := indicator.WindowBefore + indicator.WindowAfter + 2*s.set.MaxLen()
	return &worker{scanner: s, watches: make([]watch, len(s.checks)), buf: make([]byte, carried+chunkBytes)}
}

// File implements layer.Visitor. Failures of indicators are kept in fault, so that the rest of the blob is still
// looked at; only errors of r end the walk.
func (w *worker) File(_ context.Context, e layer.Entry, r io.Reader) error {
	w.reset()
	more, err := w.fill(r)
	head := w.buf[:min(w.n, headBytes)]
	w.begin(indicator.File{Path: e.Path, Kind: kindOf(e.Path, e.Mode, head), Size: e.Size})
	w.advance(!more)
	for more && err == nil && w.awake > 0 {
		more, err = w.fill(r)
		w.advance(!more)
	}
	w.end() // also after an error: what was seen counts
	return err
}

// reset forgets the file before.
func (w *worker) reset() {
	w.blobHits += w.hits
	w.blobBytes += w.base + int64(w.n)
	w.n, w.base, w.fresh, w.hits = 0, 0, 0, 0
	w.pending = w.pending[:0]
}

// fill reads until the buffer is full or the file ends, and reports whether there may be more.
func (w *worker) fill(r io.Reader) (more bool, err error) {
	for w.n < len(w.buf) {
		n, err := r.Read(w.buf[w.n:])
		w.n += n
		if err == io.EOF { //nolint:errorlint // only the bare value means the end
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// begin asks every indicator whether the file is its concern.
func (w *worker) begin(file indicator.File) {
	w.file, w.awake = file, 0
	for i := range w.watches {
		w.watches[i] = watch{}
		w.guard(i, func() {
			seen := w.scanner.checks[i].Watch(file)
			if seen == nil {
				return
			}
			w.watches[i].Watch = seen
			w.watches[i].bytes, _ = seen.(indicator.ByteWatch)
		})
		if w.watches[i].Watch != nil {
			w.awake++
		}
	}
}

// advance shows what is new in the buffer and makes room. After the last call, last, nothing is pending.
func (w *worker) advance(last bool) {
	if w.awake > 0 {
		w.showBytes()
		w.search()
		w.showHits(last)
	}
	w.fresh = w.n
	if last {
		return
	}
	// The next search needs the bytes in which a literal may have begun; hits to come and hits pending need the
	// window before them.
	keep := w.n - (w.scanner.set.MaxLen() - 1)
	if len(w.pending) > 0 {
		keep = min(keep, int(w.pending[0].offset-w.base))
	}
	keep = min(max(keep-indicator.WindowBefore, 0), w.n)
	copy(w.buf, w.buf[keep:w.n])
	w.base += int64(keep)
	w.n -= keep
	w.fresh -= keep
}

func (w *worker) showBytes() {
	if w.fresh == w.n {
		return
	}
	for i := range w.watches {
		if w.watches[i].bytes != nil {
			w.guard(i, func() { w.watches[i].bytes.Bytes(w.buf[w.fresh:w.n:w.n]) })
		}
	}
}

// search adds the literals that end in the new bytes to pending.
func (w *worker) search() {
	set := w.scanner.set
	if w.fresh == w.n || set.MaxLen() == 0 {
		return
	}
	seen := w.base + int64(w.n)
	budget := min(hitsPerFile+seen/bytesPerHit, hitsPerBlob+(w.blobBytes+seen)/bytesPerHit-w.blobHits)
	from := max(w.fresh-set.MaxLen()+1, 0)
	set.Scan(w.buf[from:w.n], func(pattern, start int) {
		length := w.scanner.lengths[pattern]
		start += from
		if start+length <= w.fresh || !w.wanted(pattern) {
			return // seen before, or of no interest
		}
		if w.hits++; w.hits > budget {
			return
		}
		w.pending = append(w.pending, pendingHit{offset: w.base + int64(start), pattern: pattern, length: length})
	})
	if w.hits > budget {
		w.note(fmt.Errorf("%w: more literals than the %d allowed up to byte %d of file %q", trust.ErrLimit, budget, seen, trust.Sanitise(w.file.Path, 128)))
	}
	slices.SortFunc(w.pending, func(a, b pendingHit) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.pattern, b.pattern))
	})
}

// wanted reports whether anyone still watches for the pattern.
func (w *worker) wanted(pattern int) bool {
	for _, wake := range w.scanner.wakes[pattern] {
		if w.watches[wake.check].Watch != nil {
			return true
		}
	}
	return false
}

// showHits shows the hits whose windows are complete; at the end of the file all are.
func (w *worker) showHits(last bool) {
	done := 0
	for ; done < len(w.pending); done++ {
		hit := w.pending[done]
		at := int(hit.offset - w.base)
		end := at + hit.length + indicator.WindowAfter
		if end > w.n {
			if !last {
				break
			}
			end = w.n
		}
		begin := max(at-indicator.WindowBefore, 0)
		for _, wake := range w.scanner.wakes[hit.pattern] {
			seen := w.watches[wake.check].Watch
			if seen == nil {
				continue
			}
			w.guard(wake.check, func() {
				seen.Hit(indicator.Hit{Literal: wake.literal, Offset: hit.offset, Window: w.buf[begin:end:end], At: at - begin})
			})
		}
	}
	w.pending = append(w.pending[:0], w.pending[done:]...)
}

// end closes the watches and keeps their findings.
func (w *worker) end() {
	for i := range w.watches {
		seen := w.watches[i].Watch
		if seen == nil {
			continue
		}
		var found []trust.Finding
		w.guard(i, func() { found = seen.Close() })
		if bounded, ok := seen.(indicator.Bounded); ok {
			w.guard(i, func() {
				if unread := bounded.Unread(); unread != "" {
					w.note(fmt.Errorf("%w: indicator %s: file %q %s", trust.ErrLimit, w.scanner.checks[i].id, trust.Sanitise(w.file.Path, 128), unread))
				}
			})
		}
		w.watches[i] = watch{}
		if err := w.keep(i, found); err != nil {
			w.note(err)
		}
	}
	w.reset()
}

// guard runs the code of an indicator. One that panics is not asked about this file again, and the blob is unanswered.
func (w *worker) guard(i int, f func()) {
	defer func() {
		if r := recover(); r != nil {
			if w.watches[i].Watch != nil {
				w.awake--
			}
			w.watches[i] = watch{}
			w.note(fmt.Errorf("%w: indicator %s failed on file %q: %s", trust.ErrUnsupported,
				w.scanner.checks[i].id, trust.Sanitise(w.file.Path, 128), trust.Sanitise(fmt.Sprint(r), 256)))
		}
	}()
	f()
}

func (w *worker) note(err error) {
	if w.fault == nil {
		w.fault = err
	}
}
