package toc

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
)

func recordOf(names ...string) *Record {
	r := &Record{}
	for _, name := range names {
		r.Begin(Entry{Type: "reg", Name: name, Size: 1})
		d := sha256.Sum256([]byte(name))
		r.Chunk(Chunk{Size: 1, Packed: 7, Digest: d})
		r.End(d)
	}
	return r
}

func tableOf(t testing.TB, names ...string) string {
	entries := []map[string]any{}
	for _, name := range names {
		entries = append(entries, map[string]any{
			"type": "reg", "name": name, "size": 1, "offset": 7, "digest": fmt.Sprintf("%x", sha256.Sum256([]byte(name))),
		})
	}
	text, err := json.Marshal(map[string]any{"version": 1, "entries": entries})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Entries count as often as they stand, in whatever order.
func TestCompare(t *testing.T) {
	t.Parallel()
	if err := Compare(strings.NewReader(`{"entries":null,"version":1}`), recordOf()); err != nil {
		t.Error(err)
	}
	for name, tc := range map[string]struct {
		archive, table []string
		same           bool
	}{
		"none":       {nil, nil, true},
		"same":       {[]string{"a", "b", "c"}, []string{"a", "b", "c"}, true},
		"order":      {[]string{"a", "b", "c", "d"}, []string{"a", "d", "b", "c"}, true},
		"equal":      {[]string{"a", "a", "b", "a"}, []string{"a", "b", "a", "a"}, true},
		"once-more":  {[]string{"a", "b", "a"}, []string{"a", "b", "a", "a"}, false},
		"once-less":  {[]string{"a", "b", "a", "a"}, []string{"b", "a", "a"}, false},
		"other":      {[]string{"a", "b"}, []string{"a", "c"}, false},
		"other-last": {[]string{"a", "b"}, []string{"b", "c"}, false},
		"empty":      {[]string{"a"}, nil, false},
	} {
		err := Compare(iotest.HalfReader(strings.NewReader(tableOf(t, tc.table...))), recordOf(tc.archive...))
		if (err == nil) != tc.same || err != nil && !errors.Is(err, trust.ErrIntegrity) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A table is read as a stream, up to its limit.
func TestCompareLimits(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1,", `"` + strings.Repeat("long", 10_000) + `",`} { // many tokens, many bytes
		long := io.MultiReader(strings.NewReader(`{"version":1,"x":[`), &repeated{text: text})
		if err := compare(long, recordOf(), 1<<20, 100_000); !errors.Is(err, trust.ErrLimit) {
			t.Errorf("endless: %v", err)
		}
	}
	var members strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&members, `"%d":0,`, i)
	}
	if err := Compare(strings.NewReader(`{"version":1,"entries":[{`+members.String()+`"name":"x"}]}`), recordOf()); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("members: %v", err)
	}
	broken := errors.New("broken")
	if err := Compare(iotest.ErrReader(broken), recordOf()); !errors.Is(err, broken) {
		t.Errorf("reader: %v", err)
	}
}

// repeated is its text without end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	n = copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// FuzzCompare: any text ends in a known error, or is a table of just the record's entries.
func FuzzCompare(f *testing.F) {
	for _, text := range []string{
		tableOf(f, "a"), tableOf(f, "a", "b"), tableOf(f), `{"version":1,"entries":[{"type":"chunk"}]}`, `{"version":1,"entries":[{"type":"reg","size":9}]}`,
		`{"version":1,"entries":[{"type":"reg","name":"a","size":9,"chunkSize":1,"chunkDigest":"sha256:00"},{"type":"chunk","chunkOffset":1}],"x":{"y":[1,{}]}}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := Compare(strings.NewReader(text), recordOf("a"))
		switch {
		case err == nil && !strings.Contains(text, "entries"):
			t.Fatal("no table, but no error")
		case err != nil && !errors.Is(err, trust.ErrIntegrity) && !errors.Is(err, trust.ErrMalformed) &&
			!errors.Is(err, trust.ErrLimit) && !errors.Is(err, trust.ErrUnsupported):
			t.Fatalf("unknown error %v", err)
		}
	})
}
