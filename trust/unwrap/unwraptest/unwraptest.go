// Package unwraptest is the suite that every wrapper passes, and a small engine to run one on bytes in memory.
package unwraptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

// Sample is content and what a wrapper shows of it.
type Sample struct {
	Name    string
	Content []byte
	// Path and Kind are those of the content; the zero kind is trust.KindData.
	Path      string
	Kind      trust.Kind
	Passwords []string
	// Want are the pieces, by name. Pieces of one name are joined in order.
	Want map[string]string
	// Err is what the error wraps; nil means none.
	Err error
}

// Run checks that w takes every sample for its own and shows what the sample wants, however the bytes come and whether
// or not they are spooled; that it takes none of the twins; and that it passes on errors of those whom it calls.
func Run(t *testing.T, w unwrap.Wrapper, samples, twins []Sample) {
	t.Helper()
	for _, s := range samples {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			if !w.Wraps(s.content()) {
				t.Fatal("not taken for its own")
			}
			for _, chunk := range []func(io.Reader) io.Reader{whole, iotest.OneByteReader, iotest.HalfReader} {
				got, err := Unwrap(t.Context(), w, s, chunk)
				if !errors.Is(err, s.Err) {
					t.Fatalf("error %v, want %v", err, s.Err)
				}
				if diff := cmp.Diff(s.Want, got); diff != "" && (len(got) > 0 || len(s.Want) > 0) {
					t.Fatal(diff)
				}
			}
			passesOn(t, w, s)
			asksForMemory(t, w, s)
		})
	}
	for _, s := range twins {
		t.Run("twin-"+s.Name, func(t *testing.T) {
			t.Parallel()
			if w.Wraps(s.content()) {
				t.Error("taken for its own")
			}
		})
	}
}

func passesOn(t *testing.T, w unwrap.Wrapper, s Sample) {
	t.Helper()
	broke := errors.New("broke")
	in := &input{content: s.content(), r: iotest.ErrReader(broke), spoolErr: broke, memory: 1 << 40}
	if err := w.Unwrap(t.Context(), in, discard); !errors.Is(err, broke) {
		t.Errorf("an error of the input became %v", err)
	}
	if len(s.Want) == 0 {
		return
	}
	in = newInput(s, whole)
	if err := w.Unwrap(t.Context(), in, func(unwrap.Piece, io.Reader) error { return broke }); !errors.Is(err, broke) {
		t.Errorf("an error of show became %v", err)
	}
}

// asksForMemory: where there is none, a wrapper says so, or needs none, and it never gives back more than it took.
func asksForMemory(t *testing.T, w unwrap.Wrapper, s Sample) {
	t.Helper()
	for _, most := range []int64{0, 64 << 10, 1 << 20, 1 << 40} {
		in := newInput(s, whole)
		in.memory = most
		got := map[string]string{}
		err := w.Unwrap(t.Context(), in, func(p unwrap.Piece, r io.Reader) error {
			body, _ := io.ReadAll(io.LimitReader(r, 64<<20))
			got[p.Name] += string(body)
			return nil
		})
		if in.held < 0 || in.held > most {
			t.Errorf("holds %d bytes of %d", in.held, most)
		}
		if in.refused && !errors.Is(err, trust.ErrUnsupported) && !cmp.Equal(s.Want, got) {
			t.Errorf("with %d bytes of memory: error %v, pieces %v", most, err, got)
		}
	}
}

func whole(r io.Reader) io.Reader { return r }

func discard(_ unwrap.Piece, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	if err != nil {
		return fmt.Errorf("piece: %w", err)
	}
	return nil
}

// Unwrap runs w on a sample and returns the pieces by name. Errors of the pieces' readers are ignored, as the engine
// does, unless Unwrap returns them too.
func Unwrap(ctx context.Context, w unwrap.Wrapper, s Sample, chunk func(io.Reader) io.Reader) (map[string]string, error) {
	got := map[string]string{}
	err := w.Unwrap(ctx, newInput(s, chunk), func(p unwrap.Piece, r io.Reader) error {
		body, _ := io.ReadAll(io.LimitReader(r, 64<<20))
		got[p.Name] += string(body)
		return nil
	})
	return got, err
}

// UnwrapWithin is Unwrap with so much memory to hold.
func UnwrapWithin(ctx context.Context, w unwrap.Wrapper, s Sample, memory int64) (map[string]string, error) {
	in := newInput(s, whole)
	in.memory = memory
	got := map[string]string{}
	err := w.Unwrap(ctx, in, func(p unwrap.Piece, r io.Reader) error {
		body, _ := io.ReadAll(io.LimitReader(r, 64<<20))
		got[p.Name] += string(body)
		return nil
	})
	return got, err
}

func (s Sample) content() unwrap.Content {
	kind := s.Kind
	if kind == "" {
		kind = trust.KindData
	}
	return unwrap.Content{
		Path: s.Path, Kind: kind, Size: int64(len(s.Content)), Head: s.Content[:min(len(s.Content), unwrap.HeadBytes)], Passwords: s.Passwords,
	}
}

type input struct {
	content  unwrap.Content
	r        io.Reader
	body     []byte
	spoolErr error
	steps    int64
	// memory is what may be held.
	memory, held int64
	refused      bool
}

// maxSteps is more than any honest sample needs.
const maxSteps = 1 << 30

func newInput(s Sample, chunk func(io.Reader) io.Reader) *input {
	return &input{content: s.content(), r: chunk(bytes.NewReader(s.Content)), body: s.Content, memory: 1 << 40}
}

func (in *input) Read(p []byte) (int, error) { return in.r.Read(p) }

func (in *input) Content() unwrap.Content { return in.content }

func (in *input) Spool() (io.ReaderAt, int64, error) {
	return bytes.NewReader(in.body), int64(len(in.body)), in.spoolErr
}

func (in *input) Spend(n int64) error {
	if in.steps += n; in.steps > maxSteps {
		return fmt.Errorf("%w: decoder steps", trust.ErrLimit)
	}
	return nil
}

// Hold implements unwrap.Input.
func (in *input) Hold(n int64) error {
	if n > in.memory-in.held && n > 0 {
		in.refused = true
		return fmt.Errorf("%w: memory", trust.ErrUnsupported)
	}
	in.held += n
	return nil
}

// Plenty has all the memory that is asked for.
type Plenty struct{}

// Hold is that of unwrap.Input.
func (Plenty) Hold(int64) error { return nil }
