package scan

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

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
	hitsPerBlob = 1 << 18
	bytesPerHit = 512
)

// discMagic is the mark of ISO 9660 file systems, which stands at discAt and so tells nothing by the beginning of a file.
// Whatever stands before it, mount and its like find it. discName is the wrapper of the format.
const (
	discMagic = "\x01CD001\x01"
	discAt    = 32 << 10
	discName  = "iso9660"
	shcName   = "shc"
)

// shcMark is what every program says that shc makes of a script, which is encrypted in it. It is put together when it is
// needed, so that this program does not say it.
func shcMark() string { return strings.Join([]string{"neither", "argv[0] nor", "$_ works"}, " ") }

// worker follows one file after another of one blob, at one depth of nesting. All its memory is used again; it belongs to
// one goroutine.
type worker struct {
	scanner *Scanner
	// blob is shared with the workers of what is nested in the file.
	blob *blob
	// depth and peels count the containers and the encodings that the content stands in.
	depth, peels int

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
	// disc is true for a file that holds the mark of an ISO 9660 file system where it belongs.
	disc bool
	// script is true for a program that holds an encrypted script.
	script bool
	// spool is memory for the content of one file at a time.
	spool []byte
}

// blob is what all workers of one blob write to.
type blob struct {
	digest digest.Digest
	kept   keeper
	// fault is the first failure of an indicator, a wrapper or of the scanner's own limits.
	fault error
	// hits and bytes count all files before the current ones.
	hits, bytes int64
	nested      nested
	tree        tree
}

// watch is one indicator's view of the file; a nil Watch that is not idle asks for nothing.
type watch struct {
	indicator.Watch
	bytes indicator.ByteWatch // nil unless it wants every byte
	idle  bool                // begins with the first hit
}

func (w *watch) asks() bool { return w.Watch != nil || w.idle }

type pendingHit struct {
	offset  int64
	pattern int
	length  int
}

func (s *Scanner) newWorker() *worker {
	return &worker{scanner: s, watches: make([]watch, len(s.checks)), buf: make([]byte, s.bufferBytes())}
}

// bufferBytes is what a worker holds of a file.
func (s *Scanner) bufferBytes() int {
	carried := indicator.WindowBefore + indicator.WindowAfter + 2*s.set.MaxLen()
	return max(carried, s.tail) + chunkBytes
}

// File implements layer.Visitor. Failures of indicators are kept in the blob's fault, so that the rest of the blob is
// still looked at; only errors of r end the walk.
func (w *worker) File(ctx context.Context, e layer.Entry, r io.Reader) error {
	w.blob.nested.beginFile()
	clock := &clock{r: r, nested: &w.blob.nested}
	return w.follow(ctx, subject{path: e.Path, name: e.Path, mode: e.Mode, size: e.Size}, clock)
}

// subject is a file before its kind is known.
type subject struct {
	// path is the whole one, name the part that tells the kind.
	path, name string
	mode       fs.FileMode
	size       int64
	// kind is empty unless it is known.
	kind trust.Kind
	// within is the kind of the text that the content stood encoded in, else empty.
	within trust.Kind
}

// follow shows a file to the indicators and what is nested in it too.
func (w *worker) follow(ctx context.Context, s subject, r io.Reader) error {
	w.reset()
	more, err := w.fill(r)
	kind := s.kind
	if kind == "" {
		kind = kindOf(s.name, s.mode, w.buf[:min(w.n, headBytes)])
	}
	if s.within != "" && (kind == trust.KindText || kind == trust.KindData) {
		kind = s.within // text that stands encoded in a program is a part of the program
	}
	w.begin(indicator.File{Path: s.path, Kind: kind, Size: s.size})
	if w.depth == 0 && w.peels == 0 {
		w.blob.tree.seen(kind, w.buf[:w.n])
	}
	in := &input{ctx: ctx, w: w, r: r, more: more, err: err}
	if err == nil {
		w.unwrap(in)
	}
	in.drain()
	w.end() // also after an error: what was seen counts
	return in.err
}

// reset forgets the file before.
func (w *worker) reset() {
	w.blob.hits += w.hits
	w.blob.bytes += w.base + int64(w.n)
	w.n, w.base, w.fresh, w.hits, w.disc, w.script = 0, 0, 0, 0, false, false
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
			if idler := w.scanner.checks[i].idler; idler != nil && idler.Idle(file) {
				w.watches[i].idle = true
				return
			}
			w.wake(i)
		})
		if w.watches[i].asks() {
			w.awake++
		}
	}
}

// wake begins the watch of a check.
func (w *worker) wake(i int) {
	seen := w.scanner.checks[i].Watch(w.file)
	if seen == nil {
		return
	}
	w.watches[i].Watch = seen
	w.watches[i].bytes, _ = seen.(indicator.ByteWatch)
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
	keep = min(max(min(keep-indicator.WindowBefore, w.n-w.scanner.tail), 0), w.n)
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
	budget := min(hitsPerFile+seen/bytesPerHit, hitsPerBlob+(w.blob.bytes+seen)/bytesPerHit-w.blob.hits)
	from := max(w.fresh-set.MaxLen()+1, 0)
	set.Scan(w.buf[from:w.n], func(pattern, start int) {
		length := w.scanner.lengths[pattern]
		start += from
		switch name := w.scanner.names[pattern]; {
		case name == discName:
			w.disc = w.disc || w.base+int64(start) == discAt
		case name == shcName:
			w.script = w.script || w.file.Kind == trust.KindExecutable
		case name != "" && w.depth == 0 && w.peels == 0:
			w.blob.tree.is(name)
		}
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
		if w.watches[wake.check].asks() {
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
			watch := &w.watches[wake.check]
			if !watch.asks() {
				continue
			}
			w.guard(wake.check, func() {
				if watch.idle {
					w.wake(wake.check)
					if watch.idle = false; watch.Watch == nil {
						w.awake--
						return
					}
				}
				watch.Hit(indicator.Hit{Literal: wake.literal, Offset: hit.offset, Window: w.buf[begin:end:end], At: at - begin})
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
			if w.watches[i].asks() {
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
	if w.blob.fault == nil {
		w.blob.fault = err
	}
}
