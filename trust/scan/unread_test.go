package scan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/scan"
)

// lazy gives up on files that hold the word "bait".
type lazy struct{ indicator.Indicator }

func (lazy) Name() string                         { return "lazy" }
func (lazy) Version() int                         { return 1 }
func (lazy) Literals() []indicator.Literal        { return []indicator.Literal{{Text: "bait, bait"}} }
func (lazy) Watch(indicator.File) indicator.Watch { return &lazyWatch{} }

type lazyWatch struct{ unread string }

func (w *lazyWatch) Hit(indicator.Hit)      { w.unread = "holds bait" }
func (w *lazyWatch) Close() []trust.Finding { return nil }
func (w *lazyWatch) Unread() string         { return w.unread }

func TestUnreadIsUnanswered(t *testing.T) {
	t.Parallel()
	s, err := scan.New([]indicator.Indicator{lazy{}}, nil, digest.FromString("rules"), scan.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snippet("", "config:command", trust.KindConfig, []byte("plain")); err != nil {
		t.Errorf("a text that was read: %v", err)
	}
	_, err = s.Snippet("", "config:command", trust.KindConfig, []byte("bait, bait"))
	if !errors.Is(err, trust.ErrLimit) || !strings.Contains(err.Error(), "lazy@1") || !strings.Contains(err.Error(), "holds bait") {
		t.Errorf("a text that was not read: %v", err)
	}
}
