package layer

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"sync"

	kgzip "github.com/klauspost/compress/gzip"

	"github.com/safepull/safepull/trust/layer/inflate"
)

// The implementations that can undo gzip. All give the same answers; they differ in speed, and in how long they were
// tried: trust/layer/inflate/FUZZING.md has the four hours after which the fast one became the default.
const (
	InflateFast      = "fast"
	InflateKlauspost = "klauspost"
	InflateStdlib    = "stdlib"
)

// Inflate undoes gzip for any number of walks, one after the other or at one time, and keeps what decoders need
// between them. Nil means InflateFast, with nothing kept.
type Inflate struct {
	open func() gunzip
	free sync.Pool
}

// gunzip is a decoder that can be used again.
type gunzip interface {
	io.Reader
	Reset(r io.Reader) error
}

// single is a decoder that can stop at the end of each member.
type single interface{ Multistream(ok bool) }

// NewInflate makes the implementation of that name; an empty name means InflateFast.
func NewInflate(name string) (*Inflate, error) {
	switch name {
	case InflateFast, "":
		return &Inflate{open: openFast}, nil
	case InflateKlauspost:
		return &Inflate{open: openKlauspost}, nil
	case InflateStdlib:
		return &Inflate{open: func() gunzip { return new(gzip.Reader) }}, nil
	}
	return nil, fmt.Errorf("no inflate of the name %q: use %s, %s or %s", name, InflateFast, InflateKlauspost, InflateStdlib)
}

func openFast() gunzip { return fastGzip{inflate.NewGzip(nil)} }

func openKlauspost() gunzip { return new(kgzip.Reader) }

func openGzip(r *bufio.Reader, position func() int64, limits Limits, _ func(int64) error) (io.ReadCloser, error) {
	from := limits.Inflate
	m := &members{from: from, packed: r, position: position}
	if from == nil {
		m.dec = openFast()
	} else if dec, ok := from.free.Get().(gunzip); ok {
		m.dec = dec
	} else {
		m.dec = from.open()
	}
	return m, m.begin()
}

// members reads gzip members up to the end of the blob, while one walk has the decoder. Only a decoder that came to the
// end of a blob is used again: hostile bytes may have left another in a state that nobody thought of.
type members struct {
	dec      gunzip
	from     *Inflate
	packed   *bufio.Reader
	position func() int64
	// at is where the member that is read begins; before and last are where the last two begin, empty ones too.
	at           int64
	before, last int64
	ended        bool
}

// begin starts a member, or, with a decoder that does not stop between them, all.
func (m *members) begin() error {
	m.before, m.last = m.last, m.position()
	if err := m.dec.Reset(m.packed); err != nil {
		return err
	}
	if s, ok := m.dec.(single); ok {
		s.Multistream(false)
	}
	return nil
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.dec.Read(p)
		if _, ok := m.dec.(single); !ok {
			m.follow()
			m.ended = err == io.EOF //nolint:errorlint // only the bare value means the end
			return n, err
		}
		m.at = m.last
		if err != io.EOF { //nolint:errorlint // only the bare value means the end
			return n, err
		}
		if n > 0 {
			return n, nil // the end of the member shows again
		}
		if _, err := m.packed.Peek(1); err != nil {
			m.ended = err == io.EOF //nolint:errorlint // only the bare value means the end
			return 0, err
		}
		if err := m.begin(); err != nil {
			return 0, noEOF(err)
		}
	}
}

// follow takes over where our own decoder is: it reads all members by itself.
func (m *members) follow() {
	f, ok := m.dec.(fastGzip)
	if !ok {
		return
	}
	m.at = f.Member()
	m.before, m.last = f.LastMembers()
}

func (m *members) part() int64               { return m.at }
func (m *members) lastParts() (int64, int64) { return m.before, m.last }

func (m *members) Close() error {
	if m.ended && m.from != nil {
		m.from.free.Put(m.dec)
	}
	m.dec = nil
	return nil
}

type fastGzip struct{ *inflate.Reader }

func (g fastGzip) Reset(r io.Reader) error {
	g.Reader.Reset(r)
	return nil
}
