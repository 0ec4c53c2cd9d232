package distribution

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kept is content of which reading fails when there is a file for it.
type kept struct {
	io.Reader
	file *os.File
}

func (k kept) File() *os.File { return k.file }

// taker notes what it is sent by ReadFrom.
type taker struct {
	bytes.Buffer
	from []io.Reader
}

func (s *taker) ReadFrom(r io.Reader) (int64, error) {
	s.from = append(s.from, r.(*io.LimitedReader).R)
	return s.Buffer.ReadFrom(r)
}

func TestSendLeavesFilesToTheWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(2, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var to taker
	if err := send(&to, kept{nil, f}, 5, false); err != nil || to.String() != "23456" || len(to.from) != 1 || to.from[0] != io.Reader(f) {
		t.Errorf("%q from %v, %v", to.String(), to.from, err)
	}
	if err := send(&to, kept{nil, f}, 5, true); !errors.Is(err, io.EOF) {
		t.Errorf("a file that is too short: %v", err)
	}
	to = taker{}
	if err := send(&to, kept{strings.NewReader("abc"), nil}, 3, true); err != nil || to.String() != "abc" || len(to.from) > 0 {
		t.Errorf("without a file: %q, %v", to.String(), err)
	}
}
