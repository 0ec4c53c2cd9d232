package zip_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/safepull/safepull/trust/unwrap"
	zipwrapper "github.com/safepull/safepull/trust/unwrap/zip"
)

// counted is input that counts what is read of it, and what it is charged.
type counted struct {
	free
	read, steps *int64
}

func (c counted) Spool() (io.ReaderAt, int64, error) { return c, int64(len(c.b)), nil }
func (c counted) Spend(n int64) error                { *c.steps += n; return nil }
func (c counted) ReadAt(p []byte, at int64) (int, error) {
	n, err := bytes.NewReader(c.b).ReadAt(p, at)
	*c.read += int64(n)
	return n, err
}

func TestHeadersWithoutEndAreCheap(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	nameless := append([]byte("PK\x03\x04"), make([]byte, 26)...)
	long := bytes.Clone(nameless)
	long[26], long[27], long[28], long[29] = 1, 0, 0xff, 0xff // a name of one byte and 64 KiB of extra fields
	for _, unit := range []string{"PK\x03\x04", "PK\x03\x04 ", string(nameless), string(long)} {
		var read, steps int64
		in := counted{free: free{bytes.Repeat([]byte(unit), size/len(unit))}, read: &read, steps: &steps}
		_ = zipwrapper.New().Unwrap(t.Context(), in, func(_ unwrap.Piece, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if read > 8*size && read > 8*steps {
			t.Errorf("%q: %d bytes read of %d, %d steps charged", unit, read, size, steps)
		}
	}
}
