package publisher

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func yields(records []Record, err error) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// readAll reads a snapshot in June 2026.
func readAll(r io.Reader) (Snapshot, []Record, error) {
	var all []Record
	s, err := ReadSnapshot(r, on("2026-06-01"), func(r Record) error { all = append(all, r); return nil })
	return s, all, err
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	records := []Record{
		Record{}.Observe(account, Facts{ID: "1", Badge: new(BadgeVerified)}, on("2026-01-01")).Observe(account, Facts{Badge: new("")}, on("2026-01-03")),
		Record{}.Observe("repository docker.io/acme/app", Facts{Pulls: new(int64(7)), Stars: new(int64(2)), Created: on("2020-01-01")}, on("2026-01-01")),
	}
	var b bytes.Buffer
	want := Snapshot{Made: on("2026-02-01"), Records: 2}
	if s, err := WriteSnapshot(&b, on("2026-02-01"), yields(records, nil)); err != nil || s != want {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, r := range []io.Reader{bytes.NewReader(b.Bytes()), iotest.OneByteReader(bytes.NewReader(b.Bytes())), iotest.DataErrReader(bytes.NewReader(b.Bytes()))} {
		s, back, err := readAll(r)
		if diff := cmp.Diff(records, back); err != nil || diff != "" || s != want {
			t.Errorf("%+v, %v\n%s", s, err, diff)
		}
	}
	var none bytes.Buffer
	if _, err := WriteSnapshot(&none, on("2026-02-01"), yields(nil, nil)); err != nil {
		t.Fatal(err)
	}
	if s, _, err := readAll(&none); err != nil || s.Records != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	good := `{"key":"account docker.io/a","seen":"2026-01-01T00:00:00Z","asked":"2026-01-01T00:00:00Z"`
	for name, tt := range map[string]struct {
		body string
		want error
		says string
	}{
		"nothing":         {"", trust.ErrMalformed, "ends in the middle"},
		"a-list":          {"[]", trust.ErrMalformed, `"{" is missing`},
		"a-tomorrow's":    {`{"version": 2, "made": "2026-01-01T00:00:00Z", "records": {}}`, trust.ErrMalformed, "reads version 1"},
		"version-as-text": {`{"version": "1", "records": []}`, trust.ErrMalformed, "snapshot"},
		"version-later":   {`{"records": [], "version": 1}`, trust.ErrMalformed, "must begin with its version"},
		"no-records":      {`{"version": 1}`, trust.ErrMalformed, "no version or no records"},
		"twice":           {`{"version": 1, "records": [], "records": []}`, trust.ErrMalformed, "twice"},
		"unknown":         {`{"version": 1, "record": []}`, trust.ErrMalformed, `"record" is not known`},
		"unknown-inside":  {`{"version": 1, "records": [` + good + `,"trusted":true}]}`, trust.ErrMalformed, "trusted"},
		"cut":             {b.String()[:200], trust.ErrMalformed, "ends in the middle, after 0 records"},
		"cut-at-the-end":  {b.String()[:b.Len()-3], trust.ErrMalformed, "ends in the middle"},
		"odd-record":      {`{"version": 1, "records": [{"key": "account a\u001b"}]}`, trust.ErrMalformed, "record 1"},
		"wrong-type":      {`{"version": 1, "records": [{"key": 3}]}`, trust.ErrMalformed, "record 1"},
		"after-the-end":   {b.String() + "{}", trust.ErrMalformed, "after its end"},
		"of-the-future":   {`{"version": 1, "made": "2027-01-01T00:00:00Z", "records": []}`, trust.ErrMalformed, "one of the two clocks is wrong"},
		"told-in-future":  {`{"version": 1, "records": [` + strings.Replace(good, `"asked":"2026`, `"asked":"2036`, 1) + `}]}`, trust.ErrMalformed, "record 1"},
		"a-huge-record":   {`{"version": 1, "records": ["` + strings.Repeat("x", maxRecord+1<<20) + `"]}`, trust.ErrLimit, "a record of more than"},
		"a-large-record":  {`{"version": 1, "records": [{"key":"` + strings.Repeat("x", maxRecord) + `"}]}`, trust.ErrLimit, "record of"},
		"deep":            {`{"version": 1, "records": [` + strings.Repeat("[", 100_000), trust.ErrMalformed, "depth"},
		"endless-spaces":  {`{"version": 1` + strings.Repeat(" ", aheadOf+1<<10), trust.ErrLimit, "more than"},
		"no-json":         {"PK\x03\x04", trust.ErrMalformed, "byte 1"},
	} {
		if _, _, err := readAll(strings.NewReader(tt.body)); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	own := errors.New("own")
	if _, err := ReadSnapshot(bytes.NewReader(b.Bytes()), on("2026-06-01"), func(Record) error { return own }); !errors.Is(err, own) {
		t.Error(err)
	}
	if _, _, err := readAll(io.MultiReader(strings.NewReader(b.String()[:150]), iotest.ErrReader(own))); !errors.Is(err, own) {
		t.Error(err)
	}
	if _, err := WriteSnapshot(io.Discard, on("2026-06-01"), yields(records, own)); !errors.Is(err, own) {
		t.Error(err)
	}
}

// TestSnapshotHuge: many records have an end, and so have many bytes.
func TestSnapshotHuge(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	one := Record{}.Observe(account, Facts{ID: "1"}, on("2026-01-01"))
	if _, err := WriteSnapshot(&b, on("2026-02-01"), yields(slices.Repeat([]Record{one}, 3000), nil)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*snapshotReader){
		"good": func(*snapshotReader) {}, "records": func(s *snapshotReader) { s.most = 2999 }, "bytes": func(s *snapshotReader) { s.limited.total = int64(b.Len()) - 1 },
	} {
		n := 0
		s := newSnapshotReader(bytes.NewReader(b.Bytes()), on("2026-06-01"), func(Record) error { n++; return nil })
		change(s)
		if err := s.read(); errors.Is(err, trust.ErrLimit) != (name != "good") || (err == nil) != (name == "good") || n < 2900 {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
	}
}

func FuzzReadSnapshot(f *testing.F) {
	f.Add([]byte(`{"version":1,"made":"2026-01-01T00:00:00Z","records":[{"key":"account docker.io/a","seen":"2026-01-01T00:00:00Z","asked":"2026-01-01T00:00:00Z","now":{"badge":"x","pulls":-1}}]}`))
	f.Add([]byte(`{"version":1,"records":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, all, err := readAll(bytes.NewReader(body))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if _, err := WriteSnapshot(&b, s.Made, yields(all, nil)); err != nil {
			t.Fatal(err)
		}
		if _, again, err := readAll(&b); err != nil || !cmp.Equal(all, again) {
			t.Fatalf("%v\n%s", err, cmp.Diff(all, again))
		}
	})
}
