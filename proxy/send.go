package proxy

import (
	"io"
	"net/http"
)

// sendAtOnce is what goes out between two extensions of the time that a client gets. A client that takes less in
// stallTime is given up.
const sendAtOnce = 1 << 20

// ReadFrom implements io.ReaderFrom, by which a file goes to a TCP connection without being copied through this
// process. It counts, and ends an answer that its client does not take.
func (w *recorder) ReadFrom(r io.Reader) (n int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	whole, bounded := r.(*io.LimitedReader)
	if bounded {
		r = whole.R // net recognises a file behind one limit, not behind two
	}
	for {
		part := &io.LimitedReader{R: r, N: sendAtOnce}
		if bounded {
			part.N = min(part.N, whole.N)
		}
		if part.N == 0 {
			return n, nil
		}
		want := part.N
		w.extend()
		sent, err := to.ReadFrom(part)
		n, w.written = n+sent, w.written+sent
		if bounded {
			whole.N -= sent
		}
		if err != nil || sent < want {
			return n, err
		}
	}
}
