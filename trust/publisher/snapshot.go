package publisher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/safepull/safepull/trust"
)

// MaxSnapshot bounds a snapshot, in bytes. One record at a time of it is in memory.
const MaxSnapshot = 1 << 30

// Limits on what is in a snapshot.
const (
	maxRecords = 1_000_000
	// aheadOf is what the reader of JSON may read before it needs it.
	aheadOf = 64 << 10
)

// snapshotVersion is that of the format.
const snapshotVersion = 1

// Snapshot is a file of records, for machines that cannot ask registries: when it was made, and how many it holds.
type Snapshot struct {
	Made    time.Time
	Records int
}

// WriteSnapshot writes records as of a time, a line each, and ends at the first error.
func WriteSnapshot(w io.Writer, at time.Time, records iter.Seq2[Record, error]) (Snapshot, error) {
	s := Snapshot{Made: at.UTC().Truncate(time.Second)}
	_, err := fmt.Fprintf(w, "{\"version\": %d, \"made\": %q, \"records\": [", snapshotVersion, s.Made.Format(time.RFC3339))
	for r, broken := range records {
		if err = errors.Join(err, broken); err != nil {
			return s, err
		}
		line, err := json.Marshal(r)
		if err != nil {
			return s, fmt.Errorf("write the record of %q: %w", r.Key, err)
		}
		comma := ","
		if s.Records == 0 {
			comma = ""
		}
		if _, err := fmt.Fprintf(w, "%s\n %s", comma, line); err != nil {
			return s, err
		}
		s.Records++
	}
	if err == nil {
		_, err = io.WriteString(w, "\n]}\n")
	}
	return s, err
}

// ReadSnapshot reads a file that WriteSnapshot wrote, strictly, and gives its records to do, one after the other, until one
// is refused. The time is now's: what says that it was told later is refused. Errors wrap trust.ErrMalformed or
// trust.ErrLimit, or are do's.
func ReadSnapshot(r io.Reader, now time.Time, do func(Record) error) (Snapshot, error) {
	in := newSnapshotReader(r, now, do)
	err := in.read()
	return in.snapshot, err
}

func newSnapshotReader(r io.Reader, now time.Time, do func(Record) error) *snapshotReader {
	s := &snapshotReader{limited: &limited{r: r, left: aheadOf, total: MaxSnapshot}, now: now, do: do, most: maxRecords}
	s.json = json.NewDecoder(s.limited)
	return s
}

// snapshotReader is a snapshot that is being read.
type snapshotReader struct {
	limited  *limited
	json     *json.Decoder
	now      time.Time
	do       func(Record) error
	most     int
	snapshot Snapshot
}

func (s *snapshotReader) read() error {
	if err := s.delimiter('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for s.json.More() {
		name, err := s.json.Token()
		if err != nil {
			return s.explain(err)
		}
		field, _ := name.(string)
		if seen[field] {
			return fmt.Errorf("%w: snapshot: %q stands there twice", trust.ErrMalformed, field)
		}
		seen[field] = true
		switch {
		case field == "version":
			err = s.version()
		case !seen["version"]:
			return fmt.Errorf("%w: snapshot: it must begin with its version", trust.ErrMalformed)
		case field == "made":
			err = s.made()
		case field == "records":
			err = s.records()
		default:
			return fmt.Errorf("%w: snapshot: %q is not known in version %d", trust.ErrMalformed, trust.Sanitise(field, 80), snapshotVersion)
		}
		if err != nil {
			return err
		}
	}
	if err := s.delimiter('}'); err != nil {
		return err
	}
	if !seen["version"] || !seen["records"] {
		return fmt.Errorf("%w: snapshot: it has no version or no records", trust.ErrMalformed)
	}
	switch _, err := s.json.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, trust.ErrLimit):
		return err
	default:
		return fmt.Errorf("%w: snapshot: there is something after its end", trust.ErrMalformed)
	}
}

func (s *snapshotReader) version() error {
	var version int
	if err := s.json.Decode(&version); err != nil {
		return s.explain(err)
	}
	if version != snapshotVersion {
		return fmt.Errorf("%w: snapshot of version %d: this safepull reads version %d: export it with a safepull of that version", trust.ErrMalformed, version, snapshotVersion)
	}
	return nil
}

func (s *snapshotReader) made() error {
	if err := s.json.Decode(&s.snapshot.Made); err != nil {
		return s.explain(err)
	}
	return s.past("it was made", s.snapshot.Made)
}

// past refuses what is still to come: nothing would be newer than that, ever.
func (s *snapshotReader) past(what string, at time.Time) error {
	if at.Sub(s.now) > slack {
		return fmt.Errorf("%w: snapshot: %s at %s, and it is %s here: one of the two clocks is wrong", trust.ErrMalformed, what, at.UTC().Format(time.RFC3339), s.now.UTC().Format(time.RFC3339))
	}
	return nil
}

func (s *snapshotReader) records() error {
	if err := s.delimiter('['); err != nil {
		return err
	}
	next := func() bool {
		s.limited.left = maxRecord + aheadOf
		return s.json.More()
	}
	for next() {
		if s.snapshot.Records++; s.snapshot.Records > s.most {
			return fmt.Errorf("a snapshot of more than %d records: %w", s.most, trust.ErrLimit)
		}
		var text json.RawMessage
		if err := s.json.Decode(&text); err != nil {
			return s.explain(err)
		}
		r, err := parseStrictly(text)
		if err == nil {
			err = s.past("it was told", r.Asked)
		}
		if err != nil {
			return fmt.Errorf("snapshot, record %d: %w", s.snapshot.Records, err)
		}
		if err := s.do(r); err != nil {
			return err
		}
	}
	return s.delimiter(']')
}

// parseStrictly reads a record of which every field is known.
func parseStrictly(text []byte) (Record, error) {
	if len(text) > maxRecord {
		return ParseRecord(text) // says so
	}
	known := json.NewDecoder(bytes.NewReader(text))
	known.DisallowUnknownFields()
	var r Record
	if err := known.Decode(&r); err != nil {
		return Record{}, fmt.Errorf("%w: %s", trust.ErrMalformed, describe(err))
	}
	return r, r.check()
}

func (s *snapshotReader) delimiter(want json.Delim) error {
	got, err := s.json.Token()
	if err != nil {
		return s.explain(err)
	}
	if got != want {
		return fmt.Errorf("%w: snapshot: byte %d: %q is missing", trust.ErrMalformed, s.json.InputOffset(), want.String())
	}
	return nil
}

func (s *snapshotReader) explain(err error) error {
	switch {
	case errors.Is(err, trust.ErrLimit):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: snapshot: it ends in the middle, after %d records: it was not copied as a whole", trust.ErrMalformed, max(0, s.snapshot.Records-1))
	case s.limited.failed != nil:
		return fmt.Errorf("read snapshot: %w", s.limited.failed)
	}
	return fmt.Errorf("%w: snapshot: %s", trust.ErrMalformed, describe(err))
}

// limited is a reader with an end for the whole, and one for what is read at a time.
type limited struct {
	r           io.Reader
	left, total int64
	failed      error
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	switch {
	case l.total <= 0:
		return 0, fmt.Errorf("a snapshot of more than %d bytes: %w", MaxSnapshot, trust.ErrLimit)
	case l.left <= 0:
		return 0, fmt.Errorf("a snapshot with a record of more than %d bytes: %w", maxRecord, trust.ErrLimit)
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left, l.total)])
	l.left, l.total = l.left-int64(n), l.total-int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		l.failed = err
	}
	return n, err
}

// describe says where a JSON text is wrong.
func describe(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("byte %d: %v", syntax.Offset, err)
	}
	return trust.Sanitise(err.Error(), 200)
}
