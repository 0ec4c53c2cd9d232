package all_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/all"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

var errSpent = fmt.Errorf("%w: all steps are spent", trust.ErrLimit)

// spent is an input whose engine allows no step of decoding.
type spent struct {
	unwraptest.Plenty
	*strings.Reader
	content unwrap.Content
	body    string
	asked   int64
}

func (s *spent) Content() unwrap.Content { return s.content }

func (s *spent) Spool() (io.ReaderAt, int64, error) {
	return strings.NewReader(s.body), int64(len(s.body)), nil
}

func (s *spent) Spend(n int64) error {
	s.asked += n
	return errSpent
}

// TestBudgetIsPassedOn: whoever decodes asks first, and ends with the engine's own error when it may not.
func TestBudgetIsPassedOn(t *testing.T) {
	t.Parallel()
	elf := installer(word)
	tail := elf[64:]
	for name, tt := range map[string]struct {
		wrapper string
		content unwrap.Content
		body    string
	}{
		"text":      {"encoded", unwrap.Content{Path: "run.py", Kind: trust.KindScript}, chain(1, "print('"+word+"')\n")},
		"words":     {"encoded", unwrap.Content{Path: "run.py", Kind: trust.KindScript}, "base64 " + strings.Repeat("someLongIdentifierOfAProgram ", 50)},
		"escapes":   {"encoded", unwrap.Content{Path: "run.py", Kind: trust.KindScript}, "x = '" + escaped(installerCode(word)) + "'\n"},
		"code":      {"pyc", unwrap.Content{Path: "run.pyc", Kind: trust.KindData}, installerCode(word)[:len(installerCode(word))-40] + strings.Repeat("N", 4000)},
		"installer": {"pyinstaller", unwrap.Content{Path: "program!/tail@64", Kind: trust.KindData}, tail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := tt.content
			c.Size, c.Head = int64(len(tt.body)), []byte(tt.body[:min(len(tt.body), unwrap.HeadBytes)])
			for _, w := range all.New() {
				if w.Name() != tt.wrapper {
					continue
				}
				if !w.Wraps(c) {
					t.Fatal("not taken for its own")
				}
				in := &spent{Reader: strings.NewReader(tt.body), content: c, body: tt.body}
				err := w.Unwrap(t.Context(), in, func(_ unwrap.Piece, r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
				switch {
				case in.asked == 0 && tt.wrapper == "pyc": // a small one asks at its end only
				case !errors.Is(err, errSpent):
					t.Errorf("error %v after %d steps", err, in.asked)
				}
			}
		})
	}
}
