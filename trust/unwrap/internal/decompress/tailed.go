package decompress

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"io"

	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lz4"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/xz"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// Tailed decompresses content that more may follow. After an error of Read, Rest tells whether the compressed data had
// ended as it should before.
type Tailed struct {
	io.ReadCloser
	in *bufio.Reader
	// recent is set where the decoder takes bytes of what follows: the last that it took.
	recent *recent
	// taken is how many bytes the decoder took behind the end, -1 if that is not known from its error.
	taken func(error) int
}

// OpenTailed is Open, with an end that is found where the compressed data ends. Compressions that have no end of their own
// have no rest either.
func (f Format) OpenTailed(r io.Reader, mem Memory) (*Tailed, error) {
	in := bufio.NewReaderSize(r, bufferBytes)
	t := &Tailed{in: in, taken: func(err error) int {
		if errors.Is(err, stream.ErrTrailing) {
			return 0
		}
		return -1
	}}
	var err error
	switch f {
	case Zstd:
		t.ReadCloser, err = newZstd(in, mem)
	case Bzip2:
		t.record(16)
		t.taken = func(err error) int {
			if errors.Is(err, bzip2.StructuralError("bad magic value in continuation file")) {
				return 2
			}
			return -1
		}
		if err = mem.Hold(bzip2Bytes); err == nil {
			t.ReadCloser = io.NopCloser(bzip2.NewReader(t.recent))
		}
	case Xz:
		t.taken = taking(xz.ErrTrailing, 0)
		var d *xz.Reader
		if d, err = newXz(r, mem); err == nil {
			t.ReadCloser, t.in = io.NopCloser(d), d.Buffer()
		}
	case Lz4:
		t.taken = taking(lz4.ErrTrailing, 0)
		t.ReadCloser = io.NopCloser(lz4.NewReader(in, mem))
	case Zlib, Lzma:
		t.ReadCloser, err = f.Open(in, mem)
	default:
		t.ReadCloser, err = f.Open(in, mem)
		t.taken = func(error) int { return -1 }
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tailed) record(size int) { t.recent = &recent{r: t.in, ring: make([]byte, size)} }

func taking(what error, n int) func(error) int {
	return func(err error) int {
		if errors.Is(err, what) {
			return n
		}
		return -1
	}
}

// Rest is what follows the compressed data, after this error of Read, and how many bytes of it were taken from the input
// before; nil if the data did not end.
func (t *Tailed) Rest(err error) (rest io.Reader, buffered int) {
	n := t.taken(err)
	if n < 0 {
		return nil, 0
	}
	if n == 0 {
		return t.in, t.in.Buffered()
	}
	return io.MultiReader(bytes.NewReader(t.recent.last(n)), t.in), n + t.in.Buffered()
}

// recent remembers the last bytes that were read.
type recent struct {
	r    *bufio.Reader
	ring []byte
	at   int64
}

// Read implements io.Reader. It never brings bytes and an error at once.
func (r *recent) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	for kept := p[max(0, n-len(r.ring)):n]; len(kept) > 0; {
		from := (r.at + int64(n-len(kept))) % int64(len(r.ring))
		kept = kept[copy(r.ring[from:], kept):]
	}
	r.at += int64(n)
	return n, err
}

// ReadByte implements io.ByteReader.
func (r *recent) ReadByte() (byte, error) {
	b, err := r.r.ReadByte()
	if err == nil {
		r.ring[r.at%int64(len(r.ring))] = b
		r.at++
	}
	return b, err
}

// last are the last n bytes, or as many as there are.
func (r *recent) last(n int) []byte {
	n = int(min(int64(n), r.at, int64(len(r.ring))))
	out := make([]byte, n)
	for i := range out {
		out[i] = r.ring[(r.at-int64(n)+int64(i))%int64(len(r.ring))]
	}
	return out
}
