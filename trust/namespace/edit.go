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

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/safepull/safepull/trust"
)

// emptyList is what a new file begins as.
const emptyList = "version: 1\nentries:\n"

// Add puts an entry into the list at path, or updates the entry that has the same pattern; the file and its folder
// are made when they are missing. Everything else in the file stays as it is, comments and order included. A file
// that Load would refuse is not touched. entry.List and entry.Line are of no concern.
func Add(path string, entry trust.Entry) error {
	r, err := checkEntry(entry)
	if err != nil {
		return err
	}
	_, err = edit(path, true, func(rules []rule) []change { return additions(rules, r) })
	return err
}

// Remove takes every entry with this pattern out of the list at path, with the comments directly above it, and tells
// how many there were. The pattern may be spelled in any way that means the same.
func Remove(path, pattern string) (int, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return 0, fmt.Errorf("invalid pattern %s: %w", quote(pattern), err)
	}
	return edit(path, false, func(rules []rule) []change {
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

func additions(rules []rule, r rule) []change {
	var changes []change
	for i := range rules {
		if rules[i].entry.Pattern != r.entry.Pattern {
			continue
		}
		if len(changes) == 0 {
			changes = append(changes, change{at: i, entry: &r.entry})
		} else {
			changes = append(changes, change{at: i})
		}
	}
	if len(changes) == 0 {
		changes = append(changes, change{at: len(rules), entry: &r.entry})
	}
	return changes
}

// apply is what the changes mean, for comparison with what the changed file says.
func apply(rules []rule, changes []change) []trust.Entry {
	var entries []trust.Entry
	for i := range len(rules) + 1 {
		k := slices.IndexFunc(changes, func(c change) bool { return c.at == i })
		switch {
		case k >= 0 && changes[k].entry != nil:
			entries = append(entries, *changes[k].entry)
		case k < 0 && i < len(rules):
			entries = append(entries, rules[i].entry)
		}
	}
	return entries
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

// edit changes the file under a lock. It returns how many entries were changed.
func edit(path string, create bool, decide func([]rule) []change) (int, error) {
	path, err := target(path)
	if err != nil {
		return 0, err
	}
	if create {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return 0, fmt.Errorf("make the folder of trust list: %w", err)
		}
	} else if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		return 0, fmt.Errorf("lock trust list %s: %w", path, err)
	}
	defer unlock()
	data, err := readList(path, create)
	if err != nil {
		return 0, err
	}
	changed, count, err := rewrite(path, data, decide)
	if err != nil || bytes.Equal(changed, data) {
		return count, err
	}
	if err := replaceFile(path, changed); err != nil {
		return 0, fmt.Errorf("write trust list: %w", err)
	}
	return count, nil
}

// target follows a symbolic link, so that the file that it points at is replaced and not the link.
func target(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", fmt.Errorf("find trust list: %w", err)
	}
	return resolved, nil
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
func rewrite(path string, data []byte, decide func([]rule) []change) ([]byte, int, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte(emptyList)
	}
	list, err := Load(path, bytes.NewReader(data))
	if err != nil {
		return nil, 0, fmt.Errorf("the trust list is not changed, because it is invalid as it stands: %w", err)
	}
	changes := decide(list.rules)
	if len(changes) == 0 {
		return data, 0, nil
	}
	want := apply(list.rules, changes)
	for _, write := range []func([]byte, []change) ([]byte, error){splice, reencode} {
		text, err := write(data, changes)
		if err != nil {
			continue
		}
		got, err := Load(path, bytes.NewReader(text))
		if err == nil && slices.EqualFunc(want, Combine(got).Entries(), sameEntry) {
			return text, len(changes), nil
		}
	}
	return nil, 0, fmt.Errorf("the trust list %s cannot be changed by program: change it in an editor", path)
}

// replaceFile puts data in the place of the file in one step, with the file's permissions and, where allowed, owner.
func replaceFile(path string, data []byte) (err error) {
	mode := fs.FileMode(0o644)
	info, err := os.Stat(path)
	if err == nil {
		mode = info.Mode().Perm()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil && info != nil {
		err = keepOwner(f, info)
	}
	if err == nil {
		err = f.Chmod(mode)
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
	return os.Rename(f.Name(), path)
}
