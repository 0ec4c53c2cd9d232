package scan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

// spoolMemory is how much of a spooled file is held in memory, at each depth, before a temporary file takes it.
const spoolMemory = 1 << 20

// input implements unwrap.Input over the file that a worker follows. What a wrapper reads is shown to the indicators on
// the way, so that the bytes are read once.
type input struct {
	ctx     context.Context
	w       *worker
	r       io.Reader
	content unwrap.Content
	// more is false after the last byte; err is an error of r or the end of the context.
	more bool
	err  error
	// pos is how far a wrapper has read in the worker's buffer.
	pos int
	// random is set when the content was spooled, and at is how far a wrapper has read in it.
	random io.ReaderAt
	size   int64
	at     int64
	file   *os.File
	// shown counts the pieces of the current wrapper, broken is the last one that could not be read to its end.
	shown  int
	broken error
	// pieces counts those of all wrappers; tail is true when one of them reached to the end of the file.
	pieces int
	tail   bool
	takers []unwrap.Wrapper
	// readers are the takers that showed something; when the file is read again, without any fault.
	readers []unwrap.Wrapper
	// held is what the current wrapper holds in memory, spooled what the spool does.
	held, spooled int64
}

// Content implements unwrap.Input.
func (in *input) Content() unwrap.Content { return in.content }

// Spend implements unwrap.Input.
func (in *input) Spend(n int64) error { return in.w.blob.nested.spend(in.ctx, 0, max(n, 0)) }

// Read implements unwrap.Input.
func (in *input) Read(p []byte) (int, error) {
	if in.random != nil {
		n, err := in.random.ReadAt(p, in.at)
		in.at += int64(n)
		if n > 0 && err == io.EOF { //nolint:errorlint // only the bare value means the end
			err = nil
		}
		return n, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for in.pos == in.w.n {
		if !in.next() {
			if in.err != nil {
				return 0, in.err
			}
			return 0, io.EOF
		}
	}
	n := copy(p, in.w.buf[in.pos:in.w.n])
	in.pos += n
	in.at += int64(n)
	return n, nil
}

// next brings the next part of the file into the buffer. It returns false at the end and after an error.
func (in *input) next() bool {
	if !in.more || in.err != nil {
		return false
	}
	if err := in.w.blob.nested.spend(in.ctx, 0, 0); err != nil {
		in.more = false
		if in.ctx.Err() != nil {
			in.err = err
		} else {
			in.w.note(fmt.Errorf("file %q: %w", trust.Sanitise(in.w.file.Path, 128), err))
		}
		return false
	}
	in.w.advance(false)
	in.pos = in.w.n
	in.more, in.err = in.w.fill(in.r)
	return true
}

// drain shows the rest of the file to the indicators, and its end to wrappers.
func (in *input) drain() {
	for (in.w.awake > 0 || in.w.scanner.tail > 0) && in.next() {
		in.pos = in.w.n
	}
	in.ends()
	in.w.advance(true)
	in.marked()
}

// marked reports what a mark in the middle of the content says about the rest of it, where no wrapper read that.
func (in *input) marked() {
	if in.err != nil {
		return
	}
	hidden := func(why string) {
		in.w.hides(trust.Finding{Strength: trust.Context, IfRun: trust.Strong, Class: trust.ClassOpaque, Why: why})
	}
	if in.w.disc && !slices.ContainsFunc(in.readers, func(t unwrap.Wrapper) bool { return t.Name() == discName }) {
		hidden("this is an image of a disc behind something else, which hides what it holds")
	}
	if in.w.script {
		hidden("this program holds a script that shc encrypted")
	}
}

// ends asks wrappers that did not take the file, or found nothing in it, whether its end is theirs: then it holds content
// that was not seen.
func (in *input) ends() {
	if in.err != nil || in.more || in.tail { // the end of a tail was looked at with it
		return
	}
	tail := in.w.buf[max(in.w.n-unwrap.TailBytes, 0):in.w.n]
	before := in.w.base + int64(in.w.n-len(tail))
	for _, u := range in.w.scanner.wrappers {
		ender, ok := u.(unwrap.Ender)
		if !ok || slices.ContainsFunc(in.readers, func(t unwrap.Wrapper) bool { return t.Name() == u.Name() }) {
			continue
		}
		ends := false
		if err := guarded(func() error { ends = ender.Ends(tail, before, in.pieces > 0); return nil }); err != nil {
			in.w.unwrapped(in, u, err)
		}
		if ends {
			in.w.hides(trust.Finding{
				Strength: trust.Context, IfRun: trust.Strong, Class: trust.ClassOpaque,
				Why: fmt.Sprintf("this ends as a %s, behind something else that hides what it holds", u.Name()),
			})
		}
	}
}

// Spool implements unwrap.Input.
func (in *input) Spool() (io.ReaderAt, int64, error) {
	if in.random != nil {
		return in.random, in.size, nil
	}
	if in.at > 0 {
		return nil, 0, fmt.Errorf("%w: content must be spooled before it is read", trust.ErrUnsupported)
	}
	limits := in.w.blob.nested.limits.Nested
	if in.content.Size > limits.Spool {
		return nil, 0, fmt.Errorf("%w: %d bytes are more than the %d that are kept to be read at random", trust.ErrLimit, in.content.Size, limits.Spool)
	}
	mem := in.w.spool[:0]
	for {
		part := in.w.buf[in.pos:in.w.n]
		in.pos = in.w.n
		in.size += int64(len(part))
		if err := in.w.blob.nested.spend(in.ctx, int64(len(part)), 0); err != nil {
			return nil, 0, err
		}
		if in.size > limits.Spool {
			return nil, 0, fmt.Errorf("%w: more than the %d bytes that are kept to be read at random", trust.ErrLimit, limits.Spool)
		}
		var err error
		if mem, err = in.store(mem, part); err != nil {
			return nil, 0, fmt.Errorf("%w: no room to unwrap content: %w", trust.ErrLimit, err)
		}
		if !in.next() {
			break
		}
	}
	if in.err != nil {
		return nil, 0, in.err
	}
	if in.w.spool = mem; in.file != nil {
		in.random = in.file
	} else {
		in.random = bytes.NewReader(mem)
	}
	return in.random, in.size, nil
}

// store appends a part to memory, or to a file where that becomes too much.
func (in *input) store(mem, part []byte) ([]byte, error) {
	if in.file == nil && len(mem)+len(part) <= spoolMemory && in.roomFor(len(mem)+len(part)) {
		if cap(mem) < len(mem)+len(part) {
			grown := make([]byte, len(mem), max(min(spoolMemory, 2*cap(mem)), len(mem)+len(part)))
			copy(grown, mem)
			mem = grown
		}
		return append(mem, part...), nil
	}
	if in.file == nil {
		f, err := os.CreateTemp("", "safepull-*")
		if err != nil {
			return mem, err
		}
		in.file = f
		_ = os.Remove(f.Name()) // where that is possible, nothing is left whatever happens
		if _, err := f.Write(mem); err != nil {
			return mem, err
		}
	}
	_, err := in.file.Write(part)
	return mem, err
}

// roomFor reports whether a spool in memory may become so large. The worker of the layer's own files has room of its own.
func (in *input) roomFor(n int) bool {
	more := int64(n) - in.spooled
	if more <= 0 || in.w.depth == 0 && in.w.peels == 0 {
		return true
	}
	more = max(more, int64(n)/2) // memory doubles
	if n := &in.w.blob.nested; n.held > n.limits.Nested.Memory/4 || !n.hold(more) {
		return false // a file does as well
	}
	in.spooled += more
	return true
}

// close gives up what was spooled.
func (in *input) close() {
	in.w.blob.nested.held -= in.spooled
	if in.spooled = 0; in.w.depth > 0 || in.w.peels > 0 {
		in.w.spool = nil // the next one asks again
	}
	if in.file != nil {
		_ = in.file.Close()
		_ = os.Remove(in.file.Name())
		in.file = nil
	}
	in.random = nil
}
