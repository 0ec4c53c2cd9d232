package zip

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func whole(r io.Reader) io.Reader { return r }

func of(n int, body string, flags uint16) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range n {
		f, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i), Method: zip.Deflate, Flags: flags})
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(f, body)
	}
	_ = w.Close()
	return b.Bytes()
}

func TestEntriesAreBounded(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]error{3: trust.ErrLimit, 4: nil} {
		w := New()
		w.maxEntries = limit
		if _, err := unwraptest.Unwrap(t.Context(), w, unwraptest.Sample{Content: of(4, "x", 0)}, whole); !errors.Is(err, want) {
			t.Errorf("%d entries: %v, want %v", limit, err, want)
		}
	}
}

func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	e := extents{limit: 8, hold: unwraptest.Plenty{}.Hold}
	for i := range int64(3) {
		if err := e.add(1000*i, 1000*i+10); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(100) { // they are joined when there are too many
		if err := e.add(1000*(i%3), 1000*(i%3)+10); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for i := range int64(8) {
		err = errors.Join(err, e.add(5000-100*i, 5000-100*i+10))
	}
	if !errors.Is(err, trust.ErrLimit) {
		t.Errorf("too many places: %v", err)
	}
}

// spender is input with a budget.
type spender struct {
	unwraptest.Plenty
	content []byte
	left    int64
	words   []string
}

func (s *spender) Read([]byte) (int, error) { return 0, io.EOF }
func (s *spender) Content() unwrap.Content {
	return unwrap.Content{Head: s.content, Passwords: s.words}
}
func (s *spender) Spool() (io.ReaderAt, int64, error) {
	return bytes.NewReader(s.content), int64(len(s.content)), nil
}

func (s *spender) Spend(n int64) error {
	if s.left -= n; s.left < 0 {
		return errSpent
	}
	return nil
}

var errSpent = fmt.Errorf("%w: budget", trust.ErrLimit)

func ignore(unwrap.Piece, io.Reader) error { return nil }

// TestWorkThatShowsNothingCosts: content that is decoded to see whether it is encrypted, what is searched for headers,
// and passwords.
func TestWorkThatShowsNothingCosts(t *testing.T) {
	t.Parallel()
	bomb := of(1, strings.Repeat("x", 10<<20), 1)
	many := make([]string, 100)
	for name, c := range map[string]struct {
		in   spender
		want int64
	}{
		"flagged bomb": {spender{content: bomb}, 10 << 20},
		"search":       {spender{content: append([]byte("PK\x03\x04"), make([]byte, 4<<20)...)}, 1 << 20},
		"passwords":    {spender{content: sealed(), words: many}, maxPasswords * derivationSteps},
	} {
		c.in.left = c.want
		if err := New().Unwrap(t.Context(), &c.in, ignore); !errors.Is(err, errSpent) {
			t.Errorf("%s: %v", name, err)
		}
		c.in.left = 4 * c.want
		if err := New().Unwrap(t.Context(), &c.in, ignore); errors.Is(err, errSpent) {
			t.Errorf("%s costs more than it should", name)
		}
	}
}

// sealed is an archive with an entry that no password opens.
func sealed() []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "a", Method: methodAES, Flags: 1, Extra: []byte("\x01\x99\x07\x00\x02\x00AE\x03\x08\x00"), CompressedSize64: 64})
	if err != nil {
		panic(err)
	}
	_, _ = f.Write(make([]byte, 64))
	_ = w.Close()
	return b.Bytes()
}
