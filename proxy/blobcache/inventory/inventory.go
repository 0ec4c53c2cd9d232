// Package inventory remembers on disk what a cache holds, so that a start need not look at every file: a snapshot, and
// a journal of what changed since. It is a hint: whoever uses it must be ready for entries that are not there and for
// files that are not listed. What is damaged is not used.
package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sync"
)

// ErrDamaged says that a snapshot is not what was written.
var ErrDamaged = errors.New("the inventory is damaged")

const (
	snapshotName = "snapshot"
	journalName  = "journal"
	// compactAt is the number of changes after which a snapshot is due, if there are more changes than entries.
	compactAt = 1 << 16
)

// Record is one entry.
type Record struct {
	// Sum is a SHA-256.
	Sum  [32]byte
	Size int64
	// Used is when the entry was used last, in Unix seconds.
	Used uint32
}

// Change is what happened to an entry.
type Change byte

// The changes.
const (
	Added Change = 'A'
	Used  Change = 'U'
	Gone  Change = 'G'
)

// Inventory is a folder with a snapshot and a journal. Its methods are safe for concurrent use, and one process at a
// time may use a folder.
type Inventory struct {
	dir string

	mu      sync.Mutex
	id      [idBytes]byte // the snapshot's
	journal *os.File      // nil when it cannot be written
	changes int
	err     error // why
}

// Holder is told what an inventory holds.
type Holder interface {
	// Expect tells how many entries the snapshot has, before they come.
	Expect(n int)
	// Apply is called for every entry of the snapshot, the least recently used first, and then for every change since.
	Apply(Change, Record)
}

// Open reads the folder, which is made if need be, and tells the holder. The error wraps ErrDamaged when the snapshot
// cannot be used, and os.ErrNotExist too when there is none: nothing was applied then, and the inventory begins empty.
// Any other error means that there is no inventory.
func Open(dir string, h Holder) (*Inventory, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // nothing secret
		return nil, fmt.Errorf("inventory: %w", err)
	}
	v := &Inventory{dir: dir}
	damaged := v.read(h)
	if damaged != nil && !errors.Is(damaged, ErrDamaged) {
		return nil, fmt.Errorf("inventory: %w", damaged)
	}
	if damaged != nil {
		if err := v.Write(func(func(Record) bool) {}, 0); err != nil {
			return nil, err
		}
		return v, fmt.Errorf("inventory: %w", damaged)
	}
	return v, nil
}

// read applies the snapshot, then the journal that continues it, and leaves the journal open for more.
func (v *Inventory) read(h Holder) error {
	file, err := os.Open(filepath.Join(v.dir, snapshotName))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: there is no snapshot: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was read
	id, n, err := check(bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		return err
	}
	v.id = id
	h.Expect(n)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := records(bufio.NewReaderSize(file, 1<<20), io.Discard, func(r Record) { h.Apply(Added, r) }); err != nil {
		return err
	}
	return v.readJournal(h.Apply)
}

// readJournal stops at the first change that is not whole, which a process that was killed has left, and cuts the
// file there.
func (v *Inventory) readJournal(apply func(Change, Record)) error {
	file, err := os.OpenFile(filepath.Join(v.dir, journalName), os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // nothing secret
	if err != nil {
		return err
	}
	n, good := changes(bufio.NewReaderSize(file, 1<<20), v.id, apply)
	err = file.Truncate(good)
	if err == nil {
		_, err = file.Seek(good, io.SeekStart)
	}
	if err == nil && good == 0 {
		_, err = file.Write(journalHeader(v.id))
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	v.journal, v.changes = file, n
	return nil
}

// Note adds a change to the journal. It reports whether a new snapshot of so many entries is due. What cannot be
// written is lost: the next Write mends it.
func (v *Inventory) Note(c Change, r Record, entries int) (due bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.journal == nil {
		return false
	}
	if _, err := v.journal.Write(appendChange(make([]byte, 0, changeBytes), c, r)); err != nil {
		v.drop(err) // what follows a gap would tell of another state
		return true
	}
	v.changes++
	return v.changes == max(compactAt, entries)
}

// Write makes a snapshot of exactly n entries, the least recently used first, and an empty journal.
func (v *Inventory) Write(entries iter.Seq[Record], n int) (err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	beside := filepath.Join(v.dir, snapshotName+".new")
	file, err := os.Create(beside) //nolint:gosec // our own folder
	if err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("inventory: %w", errors.Join(err, os.Remove(beside)))
		}
	}()
	id, err := writeSnapshot(file, entries, n)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	// Between these two steps the old journal does not fit the new snapshot, and is not used.
	if err := os.Rename(beside, filepath.Join(v.dir, snapshotName)); err != nil {
		return err
	}
	v.id = id
	v.drop(nil)
	journal, err := os.Create(filepath.Join(v.dir, journalName)) //nolint:gosec // our own folder
	if err != nil {
		return nil //nolint:nilerr // the snapshot is there; changes are not noted
	}
	if _, err := journal.Write(journalHeader(id)); err != nil {
		_ = journal.Close()
		return nil //nolint:nilerr // as above
	}
	v.journal, v.changes = journal, 0
	return nil
}

// drop stops the journal. The caller holds mu.
func (v *Inventory) drop(err error) {
	if v.journal != nil {
		_ = v.journal.Close()
		v.journal = nil
	}
	v.err = err
}

// Close writes nothing more.
func (v *Inventory) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.err
	v.drop(nil)
	return err
}
