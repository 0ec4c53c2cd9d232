package trustlist

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/plugin/render/internal/line"
	"github.com/safepull/safepull/trust"
)

// Signed is an organization's list as JSON, with the enrolment where there is one.
type Signed struct {
	Schema   int       `json:"schema"`
	Name     string    `json:"name"`
	Sequence uint64    `json:"sequence"`
	Entries  int       `json:"entries"`
	Issued   time.Time `json:"issued"`
	Until    time.Time `json:"until"`
	Stale    bool      `json:"stale"`
	URL      string    `json:"url,omitempty"`
	KeyID    string    `json:"keyId,omitempty"`
	Fetched  time.Time `json:"fetched,omitzero"`
	Tried    time.Time `json:"tried,omitzero"`
	Problem  string    `json:"problem,omitempty"`
}

// Text prints the list, a verb first.
func (d Signed) Text(w io.Writer, t render.Text, verb string) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %s, list %d with %d entries\n", verb, line.Clean(d.Name), d.Sequence, d.Entries)
	fresh := "fresh"
	if d.Stale {
		fresh = t.Paint(string(trust.Warn), "stale")
	}
	fmt.Fprintf(out, "Issued:   %s, %s until %s\n", line.Moment(d.Issued), fresh, line.Moment(d.Until))
	if d.URL != "" {
		fmt.Fprintf(out, "From:     %s\nKey:      %s\nFetched:  %s\n", line.Clean(d.URL), line.Clean(d.KeyID), line.Moment(d.Fetched))
	}
	if d.Problem != "" {
		fmt.Fprintf(out, "Problem:  %s: %s (%s)\n", t.Paint(string(trust.Warn), "no newer list was taken"), line.Clean(d.Problem), line.Moment(d.Tried))
	}
	return line.Flush(out)
}
