package layer

import (
	"compress/gzip"
	"fmt"
	"io"
	"sync"

	kgzip "github.com/klauspost/compress/gzip"

	"github.com/safepull/safepull/trust/layer/inflate"
)

// The implementations that can undo gzip. All give the same answers; they differ in speed, and in how long they were
// tried: trust/layer/inflate/FUZZING.md says when the fast one becomes the default.
const (
	InflateFast      = "fast"
	InflateKlauspost = "klauspost"
	InflateStdlib    = "stdlib"
)

// Inflate undoes gzip for any number of walks, one after the other or at one time, and keeps what decoders need
// between them. Nil means InflateKlauspost, with nothing kept.
type Inflate struct {
	open func() gunzip
	free sync.Pool
}

// gunzip is a decoder that can be used again.
type gunzip interface {
	io.Reader
	Reset(r io.Reader) error
}

// NewInflate makes the implementation of that name; an empty name means InflateKlauspost.
func NewInflate(name string) (*Inflate, error) {
	switch name {
	case InflateFast:
		return &Inflate{open: func() gunzip { return fastGzip{inflate.NewGzip(nil)} }}, nil
	case InflateKlauspost, "":
		return &Inflate{open: openKlauspost}, nil
	case InflateStdlib:
		return &Inflate{open: func() gunzip { return new(gzip.Reader) }}, nil
	}
	return nil, fmt.Errorf("no inflate of the name %q: use %s, %s or %s", name, InflateFast, InflateKlauspost, InflateStdlib)
}

func openKlauspost() gunzip { return new(kgzip.Reader) }

func (f *Inflate) reader(r io.Reader) (io.ReadCloser, error) {
	p := &pooled{from: f}
	if f == nil {
		p.dec = openKlauspost()
	} else if dec, ok := f.free.Get().(gunzip); ok {
		p.dec = dec
	} else {
		p.dec = f.open()
	}
	if err := p.dec.Reset(r); err != nil {
		return nil, err
	}
	return p, nil
}

// pooled is a decoder while one walk has it. Only one that came to the end of a stream is used again: hostile bytes
// may have left another in a state that nobody thought of.
type pooled struct {
	dec   gunzip
	from  *Inflate
	ended bool
}

func (p *pooled) Read(b []byte) (int, error) {
	n, err := p.dec.Read(b)
	p.ended = err == io.EOF //nolint:errorlint // only the bare value means the end
	return n, err
}

func (p *pooled) Close() error {
	if p.ended && p.from != nil {
		p.from.free.Put(p.dec)
	}
	p.dec = nil
	return nil
}

type fastGzip struct{ *inflate.Reader }

func (g fastGzip) Reset(r io.Reader) error {
	g.Reader.Reset(r)
	return nil
}
