// Package sqlite remembers inspections and verdicts in one SQLite file. Several processes may have the same file open:
// every run of the plugin is one.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/rogpeppe/go-internal/lockedfile"
	"modernc.org/sqlite" // also registers the driver "sqlite", which is its only way in
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// busyTimeout is how long a writer waits for another process before it fails.
	busyTimeout = 10 * time.Second
	// readers bounds connections that read; each has a page cache of its own.
	readers = 4
	// walLimit bounds, in bytes, what the write-ahead log keeps on disk after a burst.
	walLimit = 32 << 20
)

// Store is a memory in a file. It is safe for concurrent use.
type Store struct {
	path  string
	write *sql.DB
	read  *sql.DB
	now   func() time.Time
	// edges counts what was kept since all edges were bounded.
	edges atomic.Int64
	// notesMax is how many notes are kept; tests keep fewer.
	notesMax int
	// readOnly stores have one connection pool, and note no use.
	readOnly bool
}

// Open opens the store at path and brings its schema up to date. The file is made when it is missing, for its owner
// alone, and so is its folder.
func Open(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the store: %w", err)
	}
	// Two processes must not bring the schema up to date at once. The lock ends with the process.
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		return nil, fmt.Errorf("lock store %s: %w", path, err)
	}
	defer unlock()
	// SQLite gives its side files the mode of the database.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return connect(path)
}

func connect(path string) (*Store, error) {
	s := &Store{path: path, now: time.Now, notesMax: notesMax}
	var err error
	if s.write, err = sql.Open("sqlite", dsn(path, "immediate")); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s.write.SetMaxOpenConns(1)
	if err := migrate(s.write); err != nil {
		_ = s.write.Close()
		return nil, s.explain("open", err)
	}
	if s.read, err = sql.Open("sqlite", dsn(path, "deferred", "query_only(1)")); err != nil {
		_ = s.write.Close()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers) // a new one reads the schema again
	return s, nil
}

// OpenReadOnly opens the store at path to be read beside whoever writes to it, and changes nothing: no file, no schema. The
// schema must be this release's.
func OpenReadOnly(path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open store: %s is no file", path)
	}
	query := url.Values{"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "query_only(1)"}}
	if info, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		// Nobody has it open. Read as a file that does not change, it needs no files beside it, which would be of another owner.
		query.Set("immutable", "1")
	}
	s := &Store{path: path, now: time.Now, readOnly: true}
	if s.read, err = sql.Open("sqlite", uri(path, query)); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(readers)
	s.write = s.read
	if err := s.current(); err != nil {
		return nil, errors.Join(s.explain("open", err), s.read.Close())
	}
	return s, nil
}

// current reports an error unless the schema is this release's.
func (s *Store) current() error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var version int
	if err := s.read.QueryRowContext(context.Background(), `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version); err != nil {
		return err
	}
	switch {
	case version > len(files):
		return fmt.Errorf("%w: it is version %d, known here is %d", errNewer, version, len(files))
	case version < len(files):
		return fmt.Errorf("%w: it is version %d, and %d here", errOlder, version, len(files))
	}
	return nil
}

// Close waits for what is under way and gives the file free.
func (s *Store) Close() error {
	if s.readOnly {
		return s.read.Close()
	}
	return errors.Join(s.read.Close(), s.write.Close())
}

func dsn(path, lock string, pragmas ...string) string {
	query := url.Values{"_txlock": {lock}, "_pragma": append([]string{
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(NORMAL)",
		fmt.Sprintf("journal_size_limit(%d)", walLimit),
	}, pragmas...)}
	return uri(path, query)
}

func uri(path string, query url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a drive letter
		path = "/" + path
	}
	file := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	return file.String()
}

// errNewer: the file has a schema that this release does not know. errOlder: it has one that only writing would renew.
var (
	errNewer = errors.New("newer schema")
	errOlder = errors.New("older schema")
)

func migrate(db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	ctx := context.Background()
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("%w: it is version %d, known here is %d", errNewer, current, target)
	}
	if current == target {
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

// explain adds what to do where the operator can do something.
func (s *Store) explain(doing string, err error) error {
	var broken *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNewer):
		return fmt.Errorf("%s store: %s was written by a newer safepull: use that release, or move the file away to begin with an empty memory: %w", doing, s.path, err)
	case errors.Is(err, errOlder):
		return fmt.Errorf("%s store: %s was written by an older safepull: read it with that release, or start this release's proxy on it first: %w", doing, s.path, err)
	case errors.As(err, &broken) && (broken.Code()&0xff == sqlite3.SQLITE_CORRUPT || broken.Code()&0xff == sqlite3.SQLITE_NOTADB):
		return fmt.Errorf("%s store: %s is damaged or not a store: move the file away to begin with an empty memory, images are then inspected anew: %w", doing, s.path, err)
	}
	return fmt.Errorf("%s store %s: %w", doing, s.path, err)
}
