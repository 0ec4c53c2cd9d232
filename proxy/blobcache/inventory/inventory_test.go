package inventory_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/proxy/blobcache/inventory"
)

// list is what a user of the inventory keeps: entries in the order of their use.
type list []inventory.Record

// Expect implements inventory.Holder.
func (*list) Expect(int) {}

// Apply implements inventory.Holder.
func (l *list) Apply(c inventory.Change, r inventory.Record) {
	at := slices.IndexFunc(*l, func(o inventory.Record) bool { return o.Sum == r.Sum })
	if at >= 0 {
		*l = slices.Delete(*l, at, at+1)
	}
	if c != inventory.Gone {
		*l = append(*l, r)
	}
}

func (l *list) all() iter.Seq[inventory.Record] { return slices.Values(*l) }

func record(i int) inventory.Record {
	return inventory.Record{Sum: sha256.Sum256(fmt.Append(nil, i)), Size: int64(i) * 1000, Used: uint32(1_700_000_000 + i)}
}

func fresh(t *testing.T, dir string) *inventory.Inventory {
	t.Helper()
	var l list
	v, err := inventory.Open(dir, &l)
	if !errors.Is(err, inventory.ErrDamaged) || v == nil || len(l) > 0 {
		t.Fatalf("an empty folder: %v", err)
	}
	return v
}

func reopen(t *testing.T, dir string) (list, *inventory.Inventory) {
	t.Helper()
	var l list
	v, err := inventory.Open(dir, &l)
	if err != nil {
		t.Fatal(err)
	}
	return l, v
}

func TestSurvives(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	v := fresh(t, dir)
	var want list
	note := func(c inventory.Change, r inventory.Record) {
		want.Apply(c, r)
		if v.Note(c, r, len(want)) {
			t.Error("a snapshot is due too soon")
		}
	}
	for i := range 10 {
		note(inventory.Added, record(i))
	}
	note(inventory.Gone, record(3))
	used := record(4)
	used.Used++
	note(inventory.Used, used)
	for range 3 { // as after kill -9: nothing is closed
		got, again := reopen(t, dir)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
		v = again
		note(inventory.Added, record(len(want)+100))
	}
	if err := v.Write(want.all(), len(want)); err != nil {
		t.Fatal(err)
	}
	note(inventory.Gone, record(7))
	if err := errors.Join(v.Close(), v.Close()); err != nil {
		t.Fatal(err)
	}
	if v.Note(inventory.Added, record(1), 1) {
		t.Error("a closed inventory notes")
	}
	got, v := reopen(t, dir)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := v.Write(want.all(), len(want)+1); err == nil {
		t.Error("a snapshot with an entry too few")
	}
	got, _ = reopen(t, dir)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDueAfterManyChanges(t *testing.T) {
	t.Parallel()
	v := fresh(t, t.TempDir())
	defer v.Close()
	due := 0
	for i := range 1<<16 + 10 {
		if v.Note(inventory.Used, record(i%5), 5) {
			due++
		}
	}
	if due != 1 {
		t.Errorf("due %d times", due)
	}
}

// Whatever happens to the files, an entry that was never noted does not appear, and a damaged snapshot says so.
func TestDamage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file   string
		change func([]byte) []byte
		want   int // entries; -1 when the snapshot must be refused
	}{
		"whole":                  {"journal", func(b []byte) []byte { return b }, 8},
		"snapshot-bit":           {"snapshot", func(b []byte) []byte { b[100] ^= 1; return b }, -1},
		"snapshot-checksum":      {"snapshot", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, -1},
		"snapshot-magic":         {"snapshot", func(b []byte) []byte { b[0] ^= 1; return b }, -1},
		"snapshot-cut":           {"snapshot", func(b []byte) []byte { return b[:len(b)-10] }, -1},
		"snapshot-cut-header":    {"snapshot", func(b []byte) []byte { return b[:5] }, -1},
		"snapshot-empty":         {"snapshot", func([]byte) []byte { return nil }, -1},
		"snapshot-goes-on":       {"snapshot", func(b []byte) []byte { return append(b, 0) }, -1},
		"snapshot-zeroes":        {"snapshot", func(b []byte) []byte { return make([]byte, len(b)) }, -1},
		"journal-torn":           {"journal", func(b []byte) []byte { return b[:len(b)-1] }, 7},
		"journal-torn-first":     {"journal", func(b []byte) []byte { return b[:len(b)-50] }, 6},
		"journal-bit":            {"journal", func(b []byte) []byte { b[len(b)-60] ^= 1; return b }, 6},
		"journal-unknown-change": {"journal", func(b []byte) []byte { b[24] = 'X'; return b }, 5},
		"journal-cut-header":     {"journal", func(b []byte) []byte { return b[:10] }, 5},
		"journal-empty":          {"journal", func([]byte) []byte { return nil }, 5},
		"journal-of-another":     {"journal", func(b []byte) []byte { b[10] ^= 1; return b }, 5},
		"journal-zeroes":         {"journal", func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, 8},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			v := fresh(t, dir)
			var all list
			for i := range 8 {
				all.Apply(inventory.Added, record(i))
				if i == 4 {
					if err := v.Write(all.all(), len(all)); err != nil {
						t.Fatal(err)
					}
				}
				if i > 4 {
					v.Note(inventory.Added, record(i), i)
				}
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, tt.file)
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, tt.change(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			var got list
			v, err = inventory.Open(dir, &got)
			if errors.Is(err, inventory.ErrDamaged) != (tt.want < 0) || len(got) != max(tt.want, 0) {
				t.Fatalf("%d entries, %v, want %d", len(got), err, tt.want)
			}
			// It goes on from there.
			v.Note(inventory.Added, record(50), 1)
			if err := v.Close(); err != nil {
				t.Error(err)
			}
			if got, _ := reopen(t, dir); len(got) != max(tt.want, 0)+1 {
				t.Errorf("%d entries at the next start", len(got))
			}
		})
	}
}

func TestFoolishSnapshot(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		count  uint64
		size   uint64
		before int // good entries
	}{"too-many": {1<<24 + 1, 1, 0}, "negative": {1 << 63, 1, 0}, "size": {1, 1<<50 + 1, 0}, "negative-size": {1, 1 << 63, 0}, "second": {2, 1 << 60, 1}}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			b := binary.LittleEndian.AppendUint64([]byte("SPINVS01"), tt.count)
			for range tt.before {
				b = append(b, make([]byte, 44)...)
			}
			b = append(b, make([]byte, 32)...)
			b = binary.LittleEndian.AppendUint64(b, tt.size)
			b = append(b, 0, 0, 0, 0)
			sum := sha256.Sum256(b)
			if err := os.WriteFile(filepath.Join(dir, "snapshot"), append(b, sum[:]...), 0o600); err != nil {
				t.Fatal(err)
			}
			var l list
			if v, err := inventory.Open(dir, &l); !errors.Is(err, inventory.ErrDamaged) || v == nil || len(l) > 0 {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := inventory.Open(file, nil); v != nil || err == nil || errors.Is(err, inventory.ErrDamaged) {
		t.Errorf("error %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	v := fresh(t, dir)
	if v.Note(inventory.Added, record(1), 1) {
		t.Error("noted without a journal")
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

// files makes a folder of these bytes.
func files(t *testing.T, snapshot, journal []byte) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(os.WriteFile(filepath.Join(dir, "snapshot"), snapshot, 0o600), os.WriteFile(filepath.Join(dir, "journal"), journal, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// FuzzOpen opens whatever is on disk, and what it makes of it must be the same when it is opened again.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	v, _ := inventory.Open(dir, nil)
	all := list{record(1), record(2)}
	if err := v.Write(all.all(), len(all)); err != nil {
		f.Fatal(err)
	}
	v.Note(inventory.Added, record(3), 3)
	v.Note(inventory.Gone, record(1), 2)
	snapshot, err := os.ReadFile(filepath.Join(dir, "snapshot"))
	if err != nil {
		f.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(snapshot, journal, false)
	f.Add(snapshot, journal, true)
	f.Add(snapshot[:40], journal[:40], true)
	f.Add([]byte{}, []byte{}, true)
	f.Fuzz(func(t *testing.T, snapshot, journal []byte, mend bool) {
		if mend && len(snapshot) > 32 { // let the fuzzer past the checksum
			sum := sha256.Sum256(snapshot[:len(snapshot)-32])
			copy(snapshot[len(snapshot)-32:], sum[:])
			if len(journal) > 24 {
				copy(journal[8:24], sum[:])
			}
		}
		dir := files(t, snapshot, journal)
		var first list
		v, err := inventory.Open(dir, &first)
		if v == nil {
			t.Fatal(err)
		}
		if errors.Is(err, inventory.ErrDamaged) && len(first) > 0 {
			t.Error("entries of a damaged inventory")
		}
		for _, r := range first {
			if r.Size < 0 || r.Size > 1<<50 {
				t.Errorf("size %d", r.Size)
			}
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		second, v := reopen(t, dir)
		if d := cmp.Diff(first, second); d != "" {
			t.Error(d)
		}
		_ = v.Close()
	})
}
