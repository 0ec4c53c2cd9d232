package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// header is the first line of the record.
const header = "date\tcommit\tpackage\ttarget\tworkers\tran\texecutions\toutcome\n"

// entry is one run of one target: a line of the record.
type entry struct {
	date, commit string
	target       target
	workers      int
	ran          time.Duration
	executions   int64
	// outcome is "nothing" or "found".
	outcome string
}

// line is the entry as it stands in the record.
func (e entry) line() string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\n", e.date, e.commit, e.target.dir, e.target.name, e.workers, e.ran, e.executions, e.outcome)
}

// readRecord reads a record; one that is not there is empty.
func readRecord(file string) ([]entry, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	body, ok := strings.CutPrefix(string(text), header)
	if !ok {
		return nil, fmt.Errorf("%s: its first line is not %q", file, strings.TrimSpace(header))
	}
	var all []entry
	for number, line := range strings.Split(strings.TrimSuffix(body, "\n"), "\n") {
		if line == "" {
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number+2, err)
		}
		all = append(all, e)
	}
	return all, nil
}

func parseEntry(line string) (e entry, err error) {
	f := strings.Split(line, "\t")
	if len(f) != 8 {
		return entry{}, fmt.Errorf("%d columns, not 8", len(f))
	}
	e = entry{date: f[0], commit: f[1], target: target{f[2], f[3]}, outcome: f[7]}
	if e.workers, err = strconv.Atoi(f[4]); err != nil {
		return entry{}, fmt.Errorf("workers: %w", err)
	}
	if e.ran, err = time.ParseDuration(f[5]); err != nil {
		return entry{}, fmt.Errorf("ran: %w", err)
	}
	if e.executions, err = strconv.ParseInt(f[6], 10, 64); err != nil {
		return entry{}, fmt.Errorf("executions: %w", err)
	}
	return e, nil
}

// appendRecord adds a line, and the header to a new file.
func appendRecord(file string, e entry) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644) //nolint:gosec // part of the repository, for everyone
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	text := e.line()
	if info.Size() == 0 {
		text = header + text
	}
	_, err = f.WriteString(text)
	return err
}
