package render

import (
	"bufio"
	"crypto/ed25519"
	"fmt"
	"io"
	"time"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/namespace/signed"
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

// NewSignedList describes a list, at a time.
func NewSignedList(s signed.Statement, e *signed.Enrolment, now time.Time) (SignedList, error) {
	list, err := s.Entries()
	if err != nil {
		return SignedList{}, err
	}
	doc := SignedList{
		Schema: Schema, Name: clean(s.Name), Sequence: s.Sequence, Entries: len(list.Entries()),
		Issued: s.Issued.UTC(), Until: s.Until().UTC(), Stale: !s.Until().After(now),
	}
	if e == nil {
		return doc, nil
	}
	var key ed25519.PublicKey
	if key, err = signed.ParsePublic(e.Key); err == nil {
		doc.KeyID = signed.KeyID(key)
	}
	doc.URL, doc.Fetched, doc.Tried, doc.Problem = clean(e.URL), e.Fetched.UTC(), e.Tried.UTC(), clean(e.Problem)
	return doc, err
}

// SignedList prints a list, a verb first.
func (t Text) SignedList(w io.Writer, verb string, d SignedList) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s: %s, list %d with %d entries\n", verb, d.Name, d.Sequence, d.Entries)
	fresh := "fresh"
	if d.Stale {
		fresh = t.paint(string(trust.Warn), "stale")
	}
	fmt.Fprintf(out, "Issued:   %s, %s until %s\n", moment(d.Issued), fresh, moment(d.Until))
	if d.URL != "" {
		fmt.Fprintf(out, "From:     %s\nKey:      %s\nFetched:  %s\n", d.URL, d.KeyID, moment(d.Fetched))
	}
	if d.Problem != "" {
		fmt.Fprintf(out, "Problem:  %s: %s (%s)\n", t.paint(string(trust.Warn), "no newer list was taken"), d.Problem, moment(d.Tried))
	}
	return flush(out)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
