// Package progress shows a person how far the reading of an image is: bars on a terminal, a line for each step
// otherwise.
//
// UI rules: progress is written to standard error only; a line begins with the layer's short digest as docker pull's
// does; nothing here is needed to understand the result, so that every mode may drop it.
package progress

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client/pkg/jsonmessage"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
)

// Mode is a way to show progress.
type Mode string

// The modes that a person can ask for.
const (
	Auto  Mode = "auto"
	Plain Mode = "plain"
	Quiet Mode = "quiet"
)

// lineLimit bounds one line of text that came from outside.
const lineLimit = 300

// backlog is how many updates may wait for a slow terminal before readers wait too.
const backlog = 64

// ParseMode reads the word.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, Plain, Quiet:
		return m, nil
	}
	return "", fmt.Errorf("unknown progress %q: use auto, plain or quiet", s)
}

// Output is where progress goes. Terminal says whether FD may be drawn on.
type Output struct {
	Writer   io.Writer
	FD       uintptr
	Terminal bool
}

// Display shows progress. It is safe for concurrent use; after Close it is silent.
type Display struct {
	mu       sync.Mutex
	closed   bool
	show     func(jsonstream.Message)
	finish   func()
	bars     bool
	doing    string
	done     string
	interval time.Duration
}

// New begins a display. The caller must call Close before it writes results.
func New(mode Mode, out Output) *Display {
	d := &Display{doing: "Reading", done: "Read", finish: func() {}, interval: 100 * time.Millisecond}
	switch {
	case mode == Quiet:
		d.show = func(jsonstream.Message) {}
	case mode == Auto && out.Terminal:
		d.bars = true
		d.draw(out)
	default:
		d.show = func(m jsonstream.Message) { _ = jsonmessage.Display(m, out.Writer, false, 0) }
	}
	return d
}

// draw hands messages to the terminal in a goroutine of its own, which ends with finish.
func (d *Display) draw(out Output) {
	messages, drawn := make(chan jsonstream.Message, backlog), make(chan struct{})
	var stream iter.Seq2[jsonstream.Message, error] = func(yield func(jsonstream.Message, error) bool) {
		for m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}
	go func() {
		defer close(drawn)
		_ = jsonmessage.DisplayJSONMessages(stream, out.Writer, out.FD, true, nil)
		for range messages { // The terminal is gone: keep the senders going.
		}
	}()
	d.show = func(m jsonstream.Message) { messages <- m }
	d.finish = func() { close(messages); <-drawn }
}

// Say shows one line.
func (d *Display) Say(format string, args ...any) {
	d.send(jsonstream.Message{Status: trust.Sanitise(fmt.Sprintf(format, args...), lineLimit)})
}

// Phase names what reading means from now on: "Inspecting" and, at the end of a layer, "Inspected".
func (d *Display) Phase(doing, done string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doing, d.done = doing, done
}

// Close ends the display. Calling it again does nothing.
func (d *Display) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		d.finish()
	}
}

func (d *Display) send(m jsonstream.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.show(m)
	}
}

func (d *Display) words() (doing, done string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doing, d.done
}

// Source is next, with the reading of its layers shown.
func (d *Display) Source(next trust.Source) trust.Source { return source{Source: next, display: d} }

type source struct {
	trust.Source
	display *Display
}

func (s source) Fetch(ctx context.Context, ref trust.Reference, desc ocispec.Descriptor) (io.ReadCloser, error) {
	r, err := s.Source.Fetch(ctx, ref, desc)
	if err != nil || !isLayer(desc.MediaType) || desc.Digest.Validate() != nil {
		return r, err
	}
	doing, done := s.display.words()
	id := desc.Digest.Encoded()
	m := &meter{ReadCloser: r, display: s.display, id: id[:min(12, len(id))], doing: doing, done: done, total: desc.Size, start: time.Now()}
	m.begin()
	return m, nil
}

// isLayer tells layers from manifests, indexes, configs and the artifacts that nobody waits for.
func isLayer(mediaType string) bool {
	return strings.Contains(mediaType, ".layer.") || strings.Contains(mediaType, "rootfs")
}

// meter counts what one reader reads.
type meter struct {
	io.ReadCloser
	display      *Display
	id           string
	doing, done  string
	total, count int64
	start, shown time.Time
	ended        bool
}

func (m *meter) begin() {
	m.display.send(jsonstream.Message{ID: m.id, Status: m.doing, Progress: m.at()})
}

// at is the position; without bars it stays empty, since lines do not count.
func (m *meter) at() *jsonstream.Progress {
	if !m.display.bars {
		return &jsonstream.Progress{}
	}
	return &jsonstream.Progress{Current: m.count, Total: m.total, Start: m.start.Unix()}
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	m.count += int64(n)
	switch {
	case err == io.EOF:
		m.end(m.done)
	case err != nil:
		m.end("Failed")
	case m.display.bars && time.Since(m.shown) >= m.display.interval:
		m.shown = time.Now()
		m.display.send(jsonstream.Message{ID: m.id, Status: m.doing, Progress: m.at()})
	}
	return n, err
}

// Close of a reader that was not read to its end but to its size is an end too.
func (m *meter) Close() error {
	if m.count == m.total {
		m.end(m.done)
	} else {
		m.end("Stopped")
	}
	return m.ReadCloser.Close()
}

func (m *meter) end(word string) {
	if m.ended {
		return
	}
	m.ended = true
	m.display.send(jsonstream.Message{ID: m.id, Status: word, Progress: &jsonstream.Progress{}})
}
