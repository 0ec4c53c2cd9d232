package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/unwrap"
)

// UnwrapCheck is the name under which the scanner reports content that hides what it holds.
const UnwrapCheck = "unwrap@1"

// Limits bound what the inspection of one blob may cost. A field that is not positive means its default. Meeting a limit
// is trust.ErrLimit: the blob is unanswered, never clean.
type Limits struct {
	Layer  layer.Limits `json:"layer"`
	Nested NestedLimits `json:"nested"`
	// FileTime bounds the work on one file of a layer with all that is nested in it, without the time that its bytes
	// take to arrive. It is the last resort: the other limits do not depend on the machine.
	FileTime time.Duration `json:"fileTime"`
}

// NestedLimits bound what is unwrapped.
type NestedLimits struct {
	// Depth bounds archives within archives, Peels encodings within encodings: memory, a buffer each.
	Depth int `json:"depth"`
	Peels int `json:"peels"`
	// Bytes bounds what wrappers show and spool of one blob, all depths together: CPU time and disk. Layer.Ratio bounds it
	// too, by the bytes of the layer's files so far, once it is more than Layer.RatioFloor.
	Bytes int64 `json:"bytes"`
	// Pieces bounds how many pieces are shown of one blob: work per piece.
	Pieces int `json:"pieces"`
	// Steps bounds the decoding of one file, in nanoseconds or so, beyond the bytes that come out.
	Steps int64 `json:"steps"`
	// Memory bounds what one layer in work holds that depends on its content, at all depths together, in bytes: histories
	// of decompressors, the layer's own among them, lists, findings, the tree, and buffers for what is nested.
	Memory int64 `json:"memory"`
	// Spool bounds the content that is kept in a temporary file to be read at random, in bytes.
	Spool int64 `json:"spool"`
}

// DefaultLimits are met by practically no honest image.
func DefaultLimits() Limits {
	return Limits{
		Layer: layer.DefaultLimits(),
		Nested: NestedLimits{
			Depth: 6, Peels: 64, Bytes: 16 << 30, Pieces: 1 << 20, Steps: 20e9, Memory: 48 << 20, Spool: 2 << 30,
		},
		FileTime: 5 * time.Minute,
	}
}

// WithDefaults is l with the default in the place of every field that is not positive.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	n := l.Nested
	return Limits{
		Layer: l.Layer.WithDefaults(),
		Nested: NestedLimits{
			Depth: positive(n.Depth, d.Nested.Depth), Peels: positive(n.Peels, d.Nested.Peels),
			Bytes: positive(n.Bytes, d.Nested.Bytes), Pieces: positive(n.Pieces, d.Nested.Pieces),
			Steps: positive(n.Steps, d.Nested.Steps), Memory: positive(n.Memory, d.Nested.Memory),
			Spool: positive(n.Spool, d.Nested.Spool),
		},
		FileTime: positive(l.FileTime, d.FileTime),
	}
}

func positive[T ~int | ~int64](n, otherwise T) T {
	if n > 0 {
		return n
	}
	return otherwise
}

// nested counts what was unwrapped of one blob, and in the current file of it.
type nested struct {
	limits Limits
	// outer counts the bytes of the layer's own files.
	outer     int64
	bytes     int64
	pieces    int
	steps     int64
	held      int64
	began     time.Time
	arrival   time.Duration // spent waiting for the bytes of the current file
	passwords []string
	// again is for files that are read once more; see unwrap.Content.
	again bool
}

func (n *nested) beginFile() { n.steps, n.began, n.arrival = 0, time.Now(), 0 }

// spend charges bytes and steps.
func (n *nested) spend(ctx context.Context, bytes, steps int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n.bytes += bytes
	n.steps += steps
	switch l := n.limits; {
	case n.bytes > l.Nested.Bytes:
		return fmt.Errorf("%w: more than %d bytes unwrapped", trust.ErrLimit, l.Nested.Bytes)
	case n.bytes > l.Layer.RatioFloor && n.bytes/l.Layer.Ratio > n.outer:
		return fmt.Errorf("%w: more than %d times its size unwrapped", trust.ErrLimit, l.Layer.Ratio)
	case n.steps > l.Nested.Steps:
		return fmt.Errorf("%w: more than %d steps of decoding in one file", trust.ErrLimit, l.Nested.Steps)
	case time.Since(n.began)-n.arrival > l.FileTime:
		return fmt.Errorf("%w: more than %v of work on one file", trust.ErrLimit, l.FileTime)
	}
	return nil
}

// clock takes the time that bytes of a layer's file take to arrive.
type clock struct {
	r      io.Reader
	nested *nested
}

func (c *clock) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := c.r.Read(p)
	c.nested.outer += int64(n)
	c.nested.arrival += time.Since(began)
	return n, err
}

// unwrap asks the wrappers that take the file for their own. What goes wrong is a fault of the blob, an error of the
// input, or a finding.
func (w *worker) unwrap(in *input) {
	c := unwrap.Content{
		Path: w.file.Path, Kind: w.file.Kind, Size: w.file.Size,
		Head: w.buf[:min(w.n, unwrap.HeadBytes)], Passwords: w.blob.nested.passwords,
		Again: w.blob.nested.again && w.depth == 0,
	}
	var takers []unwrap.Wrapper
	for _, u := range w.scanner.wrappers {
		if err := guarded(func() error {
			if u.Wraps(c) {
				takers = append(takers, u)
			}
			return nil
		}); err != nil {
			w.unwrapped(in, u, err)
		}
	}
	if len(takers) == 0 {
		return
	}
	c.Head = append([]byte(nil), c.Head...) // the buffer moves on
	in.content, in.takers = c, takers
	defer in.close()
	if len(takers) > 1 {
		if _, _, err := in.Spool(); err != nil {
			w.unwrapped(in, takers[0], err)
			return
		}
	}
	for _, u := range takers {
		in.at, in.shown, in.broken = 0, 0, nil
		err := guarded(func() error { return u.Unwrap(in.ctx, in, in.show) })
		in.giveBack()
		err = errors.Join(err, in.broken) // neither hides a limit that the other met
		w.unwrapped(in, u, err)
		if in.shown > 0 && (err == nil || !c.Again) {
			in.readers = append(in.readers, u)
		}
	}
}

var errFailed = errors.New("unwrapping failed")

// guarded runs the code of a wrapper, which hostile bytes may make panic.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %s", errFailed, trust.Sanitise(fmt.Sprint(r), 256))
		}
	}()
	return f()
}

// unwrapped takes the outcome of one wrapper.
func (w *worker) unwrapped(in *input, u unwrap.Wrapper, err error) {
	switch {
	case err == nil || in.err != nil:
	case in.ctx.Err() != nil:
		in.err = in.ctx.Err()
	case errors.Is(err, errFailed):
		w.note(fmt.Errorf("%w: file %q: %s: %w", trust.ErrUnsupported, trust.Sanitise(w.file.Path, 128), u.Name(), err))
	case errors.Is(err, trust.ErrLimit):
		w.note(fmt.Errorf("file %q: %s: %w", trust.Sanitise(w.file.Path, 128), u.Name(), err))
	case errors.Is(err, trust.ErrUnsupported):
		w.hides(trust.Finding{
			Strength: trust.Context, IfRun: trust.Strong, Class: trust.ClassOpaque,
			Why: fmt.Sprintf("this %s holds content that cannot be read: %v", u.Name(), err),
		})
	case errors.Is(err, trust.ErrMalformed):
		if in.shown > 0 { // else it only looked like one
			w.hides(trust.Finding{
				Strength: trust.Context, IfRun: trust.Weak,
				Why: fmt.Sprintf("this %s is damaged: %v", u.Name(), err),
			})
		}
	default:
		w.note(fmt.Errorf("%w: file %q: %s: %w", trust.ErrLimit, trust.Sanitise(w.file.Path, 128), u.Name(), err))
	}
}

// hides keeps a finding of the scanner's own about the current file.
func (w *worker) hides(f trust.Finding) {
	f.Check, f.Kind, f.Layer = UnwrapCheck, w.file.Kind, w.blob.digest
	f.Path, f.Why = trust.Sanitise(w.file.Path, pathLimit), trust.Sanitise(f.Why, whyLimit)
	w.blob.kept.add([]trust.Finding{f})
}

// show implements unwrap.Show: it inspects a piece with a worker of its own.
func (in *input) show(p unwrap.Piece, r io.Reader) error {
	w := in.w
	n := &w.blob.nested
	depth, peels := w.depth+1, w.peels
	if p.Encoding {
		depth, peels = w.depth, w.peels+1
	}
	in.shown++
	in.pieces++
	in.tail = in.tail || p.Tail
	if n.pieces++; n.pieces > n.limits.Nested.Pieces {
		return fmt.Errorf("%w: more than %d pieces unwrapped", trust.ErrLimit, n.limits.Nested.Pieces)
	}
	if depth > n.limits.Nested.Depth || peels > n.limits.Nested.Peels {
		return fmt.Errorf("%w: nested deeper than %d archives or %d encodings", trust.ErrLimit, n.limits.Nested.Depth, n.limits.Nested.Peels)
	}
	name := pieceName(p.Name)
	s := subject{path: w.file.Path + trust.Nested + name, name: name, mode: p.Mode, size: p.Size}
	if len(s.path) > 2*pathLimit {
		return fmt.Errorf("%w: path of a nested file has %d bytes", trust.ErrLimit, len(s.path))
	}
	if p.Encoding {
		s.within = w.file.Kind
	}
	// A depth has a buffer of its own, and decoders have small ones.
	need := int64(w.scanner.bufferBytes()) + decoderBytes
	if err := in.Hold(need); err != nil {
		return err
	}
	defer func() { _ = in.Hold(-need) }()
	child := w.scanner.workers.Get().(*worker)
	child.blob, child.depth, child.peels = w.blob, depth, peels
	defer w.scanner.release(child)
	m := &metered{ctx: in.ctx, r: r, nested: n}
	err := child.follow(in.ctx, s, m)
	for err == nil && m.err == nil {
		_, _ = m.Read(child.buf) // the budget counts what nobody wanted to see
	}
	switch {
	case in.err != nil:
		return in.err
	case in.ctx.Err() != nil:
		return in.ctx.Err()
	case m.over != nil:
		return m.over
	case m.err != io.EOF: //nolint:errorlint // only the bare value means the end
		if !errors.Is(in.broken, trust.ErrUnsupported) && !errors.Is(in.broken, trust.ErrLimit) { // those say more
			in.broken = fmt.Errorf("%w: %s: %w", trust.ErrMalformed, name, m.err)
		}
	}
	return nil
}

// decoderBytes is about what a decoder and the reader of a piece keep that do not ask for it.
const decoderBytes = 160 << 10

// pieceName is the name of a piece as a path without beginning.
func pieceName(name string) string {
	name = strings.TrimLeft(path.Clean("/"+name), "/")
	return cmp.Or(name, "content")
}

// metered is the content of a piece, counted.
type metered struct {
	ctx    context.Context
	r      io.Reader
	nested *nested
	// err is what ended it; over is the limit or the end of the context that did.
	err, over error
	idle      int
}

func (m *metered) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.r.Read(p)
	if m.idle++; n > 0 {
		m.idle = 0
	} else if err == nil && m.idle == maxIdleReads {
		err = fmt.Errorf("%w: no progress", trust.ErrMalformed)
	}
	if over := m.nested.spend(m.ctx, int64(n), 0); over != nil {
		m.over, err = over, over
	}
	m.err = err
	return n, err
}

// maxIdleReads without a byte and without an error are no reader.
const maxIdleReads = 100
