package render

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/safepull/safepull/trust"
)

// SignedList is an organization's list as JSON, with the enrolment where there is one.
type SignedList struct {
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

// SignedList prints a list, a verb first.
func (t Text) SignedList(w io.Writer, verb string, d SignedList) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %s, list %d with %d entries\n", verb, clean(d.Name), d.Sequence, d.Entries)
	fresh := "fresh"
	if d.Stale {
		fresh = t.paint(string(trust.Warn), "stale")
	}
	fmt.Fprintf(out, "Issued:   %s, %s until %s\n", moment(d.Issued), fresh, moment(d.Until))
	if d.URL != "" {
		fmt.Fprintf(out, "From:     %s\nKey:      %s\nFetched:  %s\n", clean(d.URL), clean(d.KeyID), moment(d.Fetched))
	}
	if d.Problem != "" {
		fmt.Fprintf(out, "Problem:  %s: %s (%s)\n", t.paint(string(trust.Warn), "no newer list was taken"), clean(d.Problem), moment(d.Tried))
	}
	return flush(out)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
