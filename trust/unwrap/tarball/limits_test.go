package tarball

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func TestEntriesAreBounded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for range 4 {
		_ = w.WriteHeader(&tar.Header{Name: "n"})
	}
	_ = w.Close()
	whole := func(r io.Reader) io.Reader { return r }
	for limit, want := range map[int]error{3: trust.ErrLimit, 4: nil} {
		_, err := unwraptest.Unwrap(t.Context(), Wrapper{maxEntries: limit}, unwraptest.Sample{Content: b.Bytes()}, whole)
		if !errors.Is(err, want) {
			t.Errorf("%d entries: %v, want %v", limit, err, want)
		}
	}
}

// TestSearchesCost shows that bytes which are no headers are paid for.
func TestSearchesCost(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "n"})
	_ = w.Close()
	in := &counter{Reader: io.MultiReader(&b, bytes.NewReader(make([]byte, 1<<20)))}
	if err := New().Unwrap(t.Context(), in, nopShow); err != nil {
		t.Fatal(err)
	}
	if in.steps < 1<<20 {
		t.Errorf("%d steps for a mebibyte of nothing", in.steps)
	}
}

// counter is input that counts steps.
type counter struct {
	unwraptest.Plenty
	io.Reader
	steps int64
}

func (c *counter) Content() unwrap.Content            { return unwrap.Content{} }
func (c *counter) Spool() (io.ReaderAt, int64, error) { return nil, 0, io.ErrNoProgress }
func (c *counter) Spend(n int64) error {
	c.steps += n
	return nil
}

func nopShow(_ unwrap.Piece, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
