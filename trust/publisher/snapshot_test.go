package publisher

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := NewSnapshot([]Record{
		Record{}.Observe(account, Facts{ID: "1", Badge: new(BadgeVerified)}, on("2026-01-01")).Observe(account, Facts{Badge: new("")}, on("2026-01-03")),
		Record{}.Observe("repository docker.io/acme/app", Facts{Pulls: new(int64(7)), Stars: new(int64(2)), Created: on("2020-01-01")}, on("2026-01-01")),
	}, on("2026-02-01"))
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	back, err := ReadSnapshot(bytes.NewReader(b.Bytes()))
	if diff := cmp.Diff(s, back); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, tt := range map[string]struct {
		body string
		want error
		says string
	}{
		"nothing":       {"", trust.ErrMalformed, "snapshot"},
		"a-tomorrow's":  {`{"version": 2}`, trust.ErrMalformed, "reads version 1"},
		"cut":           {b.String()[:200], trust.ErrMalformed, "byte"},
		"odd-record":    {`{"version": 1, "records": [{"key": "account a\u001b"}]}`, trust.ErrMalformed, "record 1"},
		"wrong-type":    {`{"version": 1, "records": [{"key": 3}]}`, trust.ErrMalformed, "snapshot"},
		"after-the-end": {b.String() + "{}", trust.ErrMalformed, "snapshot"},
		"too-many":      {`{"version": 1, "records": [` + strings.Repeat("{},", maxRecords) + `{}]}`, trust.ErrLimit, "records"},
		"too-long":      {strings.Repeat(" ", maxSnapshot+1), trust.ErrLimit, "bytes"},
	} {
		if _, err := ReadSnapshot(strings.NewReader(tt.body)); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadSnapshot(f *testing.F) {
	f.Add([]byte(`{"version":1,"made":"2026-01-01T00:00:00Z","records":[{"key":"account docker.io/a","seen":"2026-01-01T00:00:00Z","asked":"2026-01-01T00:00:00Z","now":{"badge":"x","pulls":-1}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := ReadSnapshot(bytes.NewReader(body))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			t.Skip() // a time that JSON has no words for
		}
		if _, err := ReadSnapshot(&b); err != nil {
			t.Error(err)
		}
	})
}
