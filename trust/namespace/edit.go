package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/safepull/safepull/trust"
)

// emptyList is what a new file begins as.
const emptyList = "version: 1\nentries:\n"

// File is a trust list that people edit. Every edit is atomic, waits for others of the same file, and is recorded in a
// history beside it.
type File struct {
	// Path is the file. It and its folder are made when they are missing.
	Path string
	// By is who edits, for the history.
	By string
}

// Add puts an entry into the list, or updates the entry that has the same pattern. Everything else in the file stays
// as it is, comments and order included. A file that Load would refuse is not touched. Where the entry stands, and
// why it lost, are of no concern.
func (f File) Add(entry trust.Entry) ([]Change, error) { return f.Import([]trust.Entry{entry}) }

// Import does what Add does for several entries at once, or for none of them.
func (f File) Import(entries []trust.Entry) ([]Change, error) {
	rules, err := checkEntries(entries)
	if err != nil {
		return nil, err
	}
	return f.edit(true, func(old []rule) []change { return additions(old, rules) })
}

// Preview is what Import would change. It writes nothing.
func (f File) Preview(entries []trust.Entry) ([]Change, error) {
	rules, err := checkEntries(entries)
	if err != nil {
		return nil, err
	}
	data, err := f.Text()
	if err != nil {
		return nil, err
	}
	_, changes, err := rewrite(f.Path, data, func(old []rule) []change { return additions(old, rules) })
	return changes, err
}

// Remove takes every entry with this pattern out of the list, with the comments directly above it. The pattern may be
// spelled in any way that means the same.
func (f File) Remove(pattern string) ([]Change, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return nil, fmt.Errorf("invalid pattern %s: %w%.0w", quote(pattern), err, trust.ErrMalformed)
	}
	return f.edit(false, func(rules []rule) []change {
		var changes []change
		for i := range rules {
			if rules[i].entry.Pattern == p.String() {
				changes = append(changes, change{at: i})
			}
		}
		return changes
	})
}

// change replaces the entry at an index; at the length of the list it appends. Without an entry it removes.
type change struct {
	at    int
	entry *trust.Entry
}

// additions put new rules in the places of those with the same pattern, and the rest at the end.
func additions(old, added []rule) []change {
	places := map[string][]int{}
	for i := range old {
		places[old[i].entry.Pattern] = append(places[old[i].entry.Pattern], i)
	}
	var changes, appended []change
	touched := map[string]bool{}
	for i := range added {
		e := &added[i].entry
		touched[e.Pattern] = true
		if free := places[e.Pattern]; len(free) > 0 {
			changes, places[e.Pattern] = append(changes, change{at: free[0], entry: e}), free[1:]
		} else {
			appended = append(appended, change{at: len(old), entry: e})
		}
	}
	for pattern := range touched {
		for _, i := range places[pattern] {
			changes = append(changes, change{at: i})
		}
	}
	return append(changes, appended...)
}

// apply is what the changes mean, for comparison with what the changed file says.
func apply(rules []rule, changes []change) []trust.Entry {
	var entries []trust.Entry
	for i := range len(rules) + 1 {
		kept := i < len(rules)
		for _, c := range changes {
			if c.at == i {
				kept = false
				if c.entry != nil {
					entries = append(entries, *c.entry)
				}
			}
		}
		if kept {
			entries = append(entries, rules[i].entry)
		}
	}
	return entries
}

func checkEntries(entries []trust.Entry) ([]rule, error) {
	rules := make([]rule, len(entries))
	for i, e := range entries {
		var err error
		if rules[i], err = checkEntry(e); err != nil {
			return nil, fmt.Errorf("entry %s: %w%.0w", quote(e.Pattern), err, trust.ErrMalformed)
		}
	}
	return rules, nil
}

// checkEntry holds an entry to the rules that Load has for one in a file.
func checkEntry(entry trust.Entry) (rule, error) {
	item, err := encodeEntry(entry)
	if err != nil {
		return rule{}, err
	}
	r, err := parseEntry(item)
	if err != nil {
		return rule{}, err
	}
	want := entry
	want.Pattern, want.List, want.Line = r.entry.Pattern, "", 0
	if !sameEntry(want, r.entry) {
		return rule{}, errors.New("the entry cannot be written to a list: leave out white space around its texts")
	}
	return r, nil
}

func sameEntry(a, b trust.Entry) bool {
	a.Level, b.Level, a.Because, b.Because = "", "", "", ""
	return content(a) == content(b)
}

// edit changes the file under a lock.
func (f File) edit(create bool, decide func([]rule) []change) ([]Change, error) {
	path, err := target(f.Path)
	if err != nil {
		return nil, err
	}
	if create {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, unchanged(path, err)
		}
	} else if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		return nil, unchanged(path, err)
	}
	defer unlock()
	share(path)
	data, err := readList(path, create)
	if err != nil {
		return nil, unchanged(path, err)
	}
	text, changes, err := rewrite(path, data, decide)
	if err != nil || bytes.Equal(text, data) {
		return changes, err
	}
	if err := replaceFile(path, text); err != nil {
		return nil, unchanged(path, err)
	}
	if err := f.record(path, changes); err != nil {
		return changes, fmt.Errorf("the trust list is changed, but its history is not written: %w", err)
	}
	return changes, nil
}

// share lets whoever may edit the list lock it too, also after root did so first. Where that is not allowed, they have to
// ask root again.
func share(path string) {
	info, err := os.Stat(path)
	if err != nil {
		return
	}
	if lock, err := os.OpenFile(path+".lock", os.O_RDWR, 0); err == nil {
		_ = keepOwner(lock, info)
		_ = lock.Chmod(info.Mode().Perm() | 0o200) // a list may be made one to be written again, and its lock must not hinder that
		_ = lock.Close()
	}
}

// unchanged says why a list stays as it is, without the names of files beside it: those are of no concern.
func unchanged(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("the trust list %s is not changed: %w", path, err)
}

// target follows a symbolic link, so that the file that it points at is replaced and not the link.
func target(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		return resolved, nil
	}
	if to, linked := os.Readlink(path); linked == nil && errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the trust list %s is a link to %s, which does not exist: make that file, or remove the link: %w", path, to, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return "", fmt.Errorf("find trust list: %w", err)
}

func readList(path string, create bool) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open trust list: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read trust list: %w", err)
	}
	return data, nil
}

// rewrite makes the changes in the text and proves that the new text says what was wanted and nothing else.
func rewrite(path string, data []byte, decide func([]rule) []change) ([]byte, []Change, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte(emptyList)
	}
	list, err := Load(path, bytes.NewReader(data))
	if err != nil {
		return nil, nil, fmt.Errorf("the trust list is not changed, because it is invalid as it stands: %w", err)
	}
	changes := decide(list.rules)
	if len(changes) == 0 {
		return data, nil, nil
	}
	want := apply(list.rules, changes)
	for _, write := range []func([]byte, []change) ([]byte, error){splice, reencode} {
		text, err := write(data, changes)
		if err != nil {
			continue
		}
		got, err := Load(path, bytes.NewReader(text))
		if err == nil && slices.EqualFunc(want, got.Entries(), sameEntry) {
			return text, Diff(list.Entries(), got.Entries()), nil
		}
	}
	return nil, nil, fmt.Errorf("the trust list %s cannot be changed by program: change it in an editor", path)
}

// replaceFile puts data in the place of the file in one step, with the file's permissions and, where allowed, owner. A
// file that may not be written to is not replaced either, though its folder would let us. The caller holds the lock.
func replaceFile(path string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	old, err := os.OpenFile(path, os.O_WRONLY, 0)
	var info fs.FileInfo
	if err == nil {
		info, err = old.Stat()
		err = errors.Join(err, old.Close())
	}
	switch {
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// The name is always the same, so that what a program left that was killed goes with the next edit.
	fresh := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(fresh)
		}
	}()
	_, err = f.Write(data)
	if err == nil && info != nil {
		err = keepOwner(f, info)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil && info != nil {
		err = later(f, info.ModTime())
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// later makes a file later than a time by a millisecond at least, whatever the clock says: the number of an organization's
// list is made of its file's time, and must grow.
func later(f *os.File, than time.Time) error {
	info, err := f.Stat()
	least := than.Truncate(time.Millisecond).Add(time.Millisecond)
	if err != nil || !info.ModTime().Before(least) {
		return err
	}
	return os.Chtimes(f.Name(), least, least)
}

// syncFolder makes a rename last. Where a folder cannot be synced, there is nothing to be done about it.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil //nolint:nilerr // the file is in its place
	}
	_ = d.Sync()
	return d.Close()
}
