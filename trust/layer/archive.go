package layer

import (
	"errors"
	"io"
)

// blockBytes is what tar archives come in multiples of.
const blockBytes = 512

var errClosed = errors.New("file was read after its visit")

// archive is the tar stream as the tar reader sees it. It bounds what the reader may take for one header, and counts
// zeros, so that the true end of the archive is known.
type archive struct {
	r        io.Reader
	limit    int64
	inHeader bool
	header   int64
	// n counts all bytes; zeros is the length of the run of zeros that it ends with, since the last header began.
	n, zeros int64
	err      error
}

func (a *archive) beginHeader() { a.inHeader, a.header, a.zeros = true, 0, 0 }
func (a *archive) endHeader()   { a.inHeader = false }

func (a *archive) Read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.r.Read(p)
	a.n += int64(n)
	a.err = err
	if a.inHeader {
		if a.header += int64(n); a.header > a.limit {
			a.err = exceeded("header of more than %d bytes", a.limit)
		}
	}
	if a.inHeader || a.zeros > 0 {
		a.countZeros(p[:n])
	}
	return n, a.err
}

func (a *archive) countZeros(p []byte) {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] != 0 {
			a.zeros = int64(len(p) - 1 - i)
			return
		}
	}
	a.zeros += int64(len(p))
}

// body is one file's content, as the visitor reads it.
type body struct {
	w   *walk
	r   io.Reader
	err error
}

func (b *body) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	defer func() {
		if r := recover(); r != nil {
			n, b.err = 0, malformed("tar reader failed: %v", r)
			err = b.err
		}
	}()
	if b.err = b.w.ctx.Err(); b.err != nil {
		return 0, b.err
	}
	n, err = b.r.Read(p)
	b.w.bodies += int64(n)
	b.w.index.body(p[:n])
	switch {
	case err != nil && err != io.EOF: //nolint:errorlint // only the bare value means the end
		b.err = b.w.explain(err)
	case b.w.bodies > b.w.limits.Bytes:
		b.err = exceeded("file bodies of more than %d bytes", b.w.limits.Bytes)
	default:
		b.err = err
	}
	return n, b.err
}
