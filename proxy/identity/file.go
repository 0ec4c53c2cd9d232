package identity

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// maxFile bounds a file of logins, and maxName a name in it.
	maxFile = 4 << 20
	maxName = 255
	// lookEvery is how often a file is looked at, however many ask.
	lookEvery = time.Second
)

// file is a table of names and hashes that is read again when the file changed. A changed file that cannot be read is
// reported, and the last good one counts on: a file that is being written must not lock everyone out.
type file struct {
	path  string
	parse func(name, hash string) error
	log   logrus.FieldLogger

	mu     sync.Mutex
	looked time.Time
	seen   os.FileInfo
	table  map[string]string
}

// openFile reads the file. parse refuses a line whose name or hash is not what it should be.
func openFile(path string, parse func(name, hash string) error, log logrus.FieldLogger) (*file, error) {
	f := &file{path: path, parse: parse, log: log}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = time.Now()
	return f, f.read()
}

// lines are name → hash as the file is now. The caller must not change the map.
func (f *file) lines() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookEvery {
		return f.table
	}
	f.looked = time.Now()
	info, err := os.Stat(f.path)
	if err == nil && f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return f.table
	}
	if err := f.read(); err != nil {
		f.log.WithError(err).Warn("a file of logins changed and cannot be used: the old one counts on")
	}
	return f.table
}

// read replaces the table. The caller holds mu.
func (f *file) read() error {
	body, info, err := readBounded(f.path)
	if err != nil {
		return err
	}
	table, err := f.scan(body)
	if err != nil {
		return err
	}
	f.table, f.seen = table, info
	return nil
}

func readBounded(path string) ([]byte, os.FileInfo, error) {
	opened, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, nil, fmt.Errorf("file of logins: %w", err)
	}
	defer opened.Close() //nolint:errcheck // only read
	info, err := opened.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("file of logins: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("file of logins: %w", err)
	case len(body) > maxFile:
		return nil, nil, fmt.Errorf("file of logins %q has more than %d bytes", path, maxFile)
	}
	return body, info, nil
}

// scan reads lines name:hash; empty ones and those that begin with # say nothing. Errors name the line, not the hash.
func (f *file) scan(body []byte) (map[string]string, error) {
	table := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, maxFile+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" || len(name) > maxName {
			return nil, fmt.Errorf("%s:%d: a line must be NAME:HASH", f.path, n)
		}
		if err := f.parse(name, hash); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", f.path, n, err)
		}
		if _, twice := table[name]; twice {
			return nil, fmt.Errorf("%s:%d: %q stands in the file twice: keep one", f.path, n, name)
		}
		table[name] = hash
	}
	return table, lines.Err()
}
