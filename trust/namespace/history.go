package namespace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/safepull/safepull/trust"
)

const (
	// historyRead bounds what of a history is read, from its end: it only grows.
	historyRead = 4 << 20
	// historyMode keeps the history to those who may edit, since it names people.
	historyMode = 0o640
)

// Change is a difference between two lists: an entry added (no Before), removed (no After) or changed.
type Change struct {
	Before *trust.Entry `json:"before,omitempty"`
	After  *trust.Entry `json:"after,omitempty"`
}

// Word says what the change is.
func (c Change) Word() string {
	switch {
	case c.Before == nil:
		return "added"
	case c.After == nil:
		return "removed"
	}
	return "changed"
}

// Pattern is the pattern of the entry that changed.
func (c Change) Pattern() string {
	if c.After != nil {
		return c.After.Pattern
	}
	return c.Before.Pattern
}

// Diff is what makes one list the other, in order of the new list and then of the old one. The order of entries, and
// where they stand, make no difference.
func Diff(before, after []trust.Entry) []Change {
	old := map[string][]trust.Entry{}
	for _, e := range before {
		old[e.Pattern] = append(old[e.Pattern], e)
	}
	var fresh []trust.Entry
	for _, e := range after {
		if i := slices.IndexFunc(old[e.Pattern], func(o trust.Entry) bool { return sameEntry(o, e) }); i >= 0 {
			old[e.Pattern] = slices.Delete(old[e.Pattern], i, i+1)
		} else {
			fresh = append(fresh, e)
		}
	}
	var changes []Change
	for _, e := range fresh {
		c := Change{After: &e}
		if was := old[e.Pattern]; len(was) > 0 {
			c.Before, old[e.Pattern] = &was[0], was[1:]
		}
		changes = append(changes, c)
	}
	for _, e := range before {
		if was := old[e.Pattern]; len(was) > 0 {
			changes, old[e.Pattern] = append(changes, Change{Before: &was[0]}), was[1:]
		}
	}
	return changes
}

// Edit is one change of a list that people edit.
type Edit struct {
	At time.Time `json:"at"`
	By string    `json:"by"`
	Change
}

// record appends changes to the history. The caller holds the lock.
func (f File) record(path string, changes []Change) error {
	var text []byte
	at := time.Now().UTC().Truncate(time.Second)
	for _, c := range changes {
		line, err := json.Marshal(Edit{At: at, By: trust.Sanitise(f.By, textLimit), Change: c.bare()})
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	return appendWhole(historyOf(path), path, text)
}

// appendWhole adds lines to a file, all of them or none. What is left of a line that somebody else did not finish is
// ended first. The file belongs to whom the file beside it belongs.
func appendWhole(name, beside string, text []byte) error {
	h, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_RDWR, historyMode)
	if err != nil {
		return err
	}
	end, err := h.Seek(0, io.SeekEnd)
	last := []byte{'\n'}
	if err == nil && end > 0 {
		_, err = h.ReadAt(last, end-1)
	}
	if last[0] != '\n' {
		text = append([]byte{'\n'}, text...)
	}
	if err == nil && end == 0 {
		if info, serr := os.Stat(beside); serr == nil {
			err = errors.Join(keepOwner(h, info), h.Chmod(historyMode|info.Mode().Perm()&0o060))
		}
	}
	if err == nil {
		if _, err = h.Write(text); err == nil {
			err = h.Sync()
		}
		if err != nil {
			err = errors.Join(err, h.Truncate(end))
		}
	}
	return errors.Join(err, h.Close())
}

// bare is the change without where the entries stood.
func (c Change) bare() Change {
	for _, e := range []**trust.Entry{&c.Before, &c.After} {
		if *e != nil {
			without := **e
			without.List, without.Line = "", 0
			*e = &without
		}
	}
	return c
}

func historyOf(path string) string { return path + ".history" }

// Text is the file as it is, up to what Load reads; nothing when there is none.
func (f File) Text() ([]byte, error) { return readList(f.Path, true) }

// History is what was edited, newest first, as far back as historyRead reaches. A file without history has none. Records
// that cannot be read are left out, and the error says so beside the others.
func (f File) History() ([]Edit, error) {
	path, err := target(f.Path)
	if err != nil {
		return nil, err
	}
	h, err := os.Open(historyOf(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	defer h.Close() //nolint:errcheck // only read
	end, err := h.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	start := max(end-historyRead, 0)
	body, err := io.ReadAll(io.NewSectionReader(h, start, end-start))
	if err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	if start > 0 {
		_, body, _ = bytes.Cut(body, []byte("\n"))
	}
	return parseHistory(historyOf(path), body)
}

func parseHistory(path string, body []byte) ([]Edit, error) {
	var edits []Edit
	damaged := 0
	for line := range bytes.Lines(body) {
		var e Edit
		line = bytes.TrimSpace(line)
		if err := json.Unmarshal(line, &e); len(line) > 0 && (err != nil || e.Before == nil && e.After == nil) {
			damaged++
		} else if len(line) > 0 {
			edits = append(edits, e)
		}
	}
	slices.Reverse(edits)
	if damaged > 0 {
		return edits, fmt.Errorf("%s: %d records are damaged and left out: %w", path, damaged, trust.ErrMalformed)
	}
	return edits, nil
}
