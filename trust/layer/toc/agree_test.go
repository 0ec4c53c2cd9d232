package toc

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
)

// A made file is an entry of an archive with its objects in a table.
type made struct {
	entry  Entry
	chunks []Chunk
	whole  Digest
	items  []map[string]any
}

func randomDigest(rng *rand.Rand) Digest {
	return sha256.Sum256([]byte{byte(rng.Uint32()), byte(rng.Uint32())})
}

func randomEntry(rng *rand.Rand, i int) made {
	kinds := []string{"reg", "reg", "reg", "dir", "symlink", "hardlink", "char", "block", "fifo"}
	m := made{entry: Entry{Type: kinds[rng.IntN(len(kinds))], Name: fmt.Sprintf("dir/f%d", i), Mode: int64(rng.IntN(0o10000))}}
	item := map[string]any{"type": m.entry.Type, "name": m.entry.Name, "mode": m.entry.Mode, "uid": rng.IntN(9), "xattrs": map[string]string{"user.x": "eA=="}}
	switch m.entry.Type {
	case "symlink", "hardlink":
		m.entry.Link = fmt.Sprintf("dir/f%d", rng.IntN(i+1))
		item["linkName"] = m.entry.Link
	case "reg":
		n := rng.IntN(4)
		at := int64(0)
		m.whole = randomDigest(rng)
		for k := range n {
			c := Chunk{Offset: at, Size: 1 + int64(rng.IntN(100)), Packed: int64(1000*i + 10*k), Digest: randomDigest(rng)}
			if n == 1 {
				c.Digest = m.whole
			}
			m.chunks = append(m.chunks, c)
			at += c.Size
		}
		m.entry.Size = at
		item["size"], item["digest"] = at, fmt.Sprintf("sha256:%x", m.whole)
	}
	m.items = append(m.items, item)
	for k, c := range m.chunks {
		if k > 0 {
			item = map[string]any{"type": "chunk", "name": m.entry.Name, "chunkOffset": c.Offset}
			m.items = append(m.items, item)
		}
		item["offset"], item["chunkSize"], item["chunkDigest"] = c.Packed, c.Size, fmt.Sprintf("sha256:%x", c.Digest)
	}
	return m
}

func archiveOf(all []made) *Record {
	r := &Record{}
	for _, m := range all {
		r.Begin(m.entry)
		for _, c := range m.chunks {
			r.Chunk(c)
		}
		r.End(m.whole)
	}
	return r
}

func writeTable(t testing.TB, all []made) string {
	t.Helper()
	items := []map[string]any{}
	for _, m := range all {
		items = append(items, m.items...)
	}
	text, err := json.Marshal(map[string]any{"version": 1, "entries": items})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTablesAgree: a table of an archive's entries agrees with it, in any order of files; with any one thing changed that
// a lazy puller acts on, it does not.
func TestTablesAgree(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	changes := map[string]func(item map[string]any) bool{
		"type": func(it map[string]any) bool { it["type"] = "socket"; return true },
		"name": func(it map[string]any) bool { it["name"] = "other"; return true },
		"mode": func(it map[string]any) bool {
			mode, ok := it["mode"].(int64)
			it["mode"] = mode ^ 0o4000
			return ok
		},
		"size": func(it map[string]any) bool {
			size, ok := it["size"].(int64)
			it["size"] = size + 1
			return ok
		},
		"link": func(it map[string]any) bool {
			_, ok := it["linkName"]
			it["linkName"] = "etc/shadow"
			return ok
		},
		"digest": func(it map[string]any) bool {
			_, ok := it["digest"]
			it["digest"] = fmt.Sprintf("sha256:%064x", 7)
			return ok && it["size"] != int64(0)
		},
		"offset": func(it map[string]any) bool {
			at, ok := it["offset"].(int64)
			it["offset"] = at + 1
			return ok
		},
		"inner": func(it map[string]any) bool {
			_, ok := it["offset"]
			it["innerOffset"] = 1
			return ok
		},
		"chunk-offset": func(it map[string]any) bool {
			_, ok := it["offset"]
			at, _ := it["chunkOffset"].(int64)
			it["chunkOffset"] = at + 1
			return ok
		},
		"chunk-size": func(it map[string]any) bool {
			size, ok := it["chunkSize"].(int64)
			it["chunkSize"] = size + 1
			return ok
		},
		"chunk-digest": func(it map[string]any) bool {
			_, ok := it["chunkDigest"]
			it["chunkDigest"] = fmt.Sprintf("sha256:%064x", 8)
			return ok
		},
	}
	tried := map[string]int{}
	for range 300 {
		var all []made
		for i := range 1 + rng.IntN(12) {
			all = append(all, randomEntry(rng, i))
		}
		record := archiveOf(all)
		if err := Compare(strings.NewReader(writeTable(t, all)), record); err != nil {
			t.Fatalf("%v\n%s", err, writeTable(t, all))
		}
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if err := Compare(strings.NewReader(writeTable(t, all)), record); err != nil {
			t.Fatalf("in another order: %v\n%s", err, writeTable(t, all))
		}
		last := len(all) - 1
		for what, table := range map[string][]made{"one is missing": all[:last], "one stands twice": append(all[:last:last], all[last], all[last])} {
			if err := Compare(strings.NewReader(writeTable(t, table)), record); !errors.Is(err, trust.ErrIntegrity) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		for name, change := range changes {
			m := all[rng.IntN(len(all))]
			k := rng.IntN(len(m.items))
			old := m.items[k]
			m.items[k] = map[string]any{}
			for key, v := range old {
				m.items[k][key] = v
			}
			if change(m.items[k]) {
				tried[name]++
				err := Compare(strings.NewReader(writeTable(t, all)), record)
				if !errors.Is(err, trust.ErrIntegrity) && !errors.Is(err, trust.ErrUnsupported) {
					t.Fatalf("another %s: %v\nof %v", name, err, old)
				}
			}
			m.items[k] = old
		}
	}
	for name := range changes {
		if tried[name] < 10 {
			t.Errorf("%s was changed %d times only", name, tried[name])
		}
	}
}

// TestComparisonCounts compares with a count of each.
func TestComparisonCounts(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		record, left := &Record{}, map[sum]int{}
		for range rng.IntN(9) {
			s := sum{byte(rng.IntN(4))}
			record.sums = append(record.sums, s)
			left[s]++
		}
		c := comparison{record: record}
		missing := len(record.sums)
		var ticked []byte
		for i := range rng.IntN(12) {
			s := sum{byte(rng.IntN(4))}
			if i < len(record.sums) && rng.IntN(3) > 0 { // mostly in order
				s = record.sums[i]
			}
			ticked = append(ticked, s[0])
			want := left[s] > 0
			if want {
				left[s]--
				missing--
			}
			if got := c.tick(s); got != want || c.left() != missing {
				t.Fatalf("%v of %v: %t with %d left, want %t with %d", ticked, record.sums, got, c.left(), want, missing)
			}
		}
	}
}

// TestNamesThatLeadToOnePath: two spellings of one path are the same, and nothing leaves the root.
func TestNamesThatLeadToOnePath(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"a", "a/", "./a", "/a", "//a", "a//", "a/.", "a/b", "a/../a", "../a", "../../a", "./../a/", "", ".", "/", "..", "./", "a/b/../..", "...", "a/...", ".a", "a.", " ", "a\\b", "a\x00b", "é", "\xff",
	} {
		want := path.Clean("/" + name)
		if got := string(appendClean([]byte("x"), name)); got != "x"+want {
			t.Errorf("%q leads to %q, want %q", name, got[1:], want)
		}
		var s summer
		s.begin(Entry{Type: "dir", Name: name})
		a := s.end(Digest{})
		s.begin(Entry{Type: "dir", Name: want})
		if b := s.end(Digest{}); a != b {
			t.Errorf("%q and %q differ", name, want)
		}
	}
}

// TestSumsDiffer: no two entries that differ in what counts have one sum, however their parts are cut.
func TestSumsDiffer(t *testing.T) {
	t.Parallel()
	one, two := sha256.Sum256([]byte("1")), sha256.Sum256([]byte("2"))
	type whole struct {
		e      Entry
		chunks []Chunk
		d      Digest
	}
	seen := map[sum]int{}
	var s summer
	for i, w := range []whole{
		{e: Entry{Type: "dir", Name: "ab"}},
		{e: Entry{Type: "di", Name: "rab"}},
		{e: Entry{Type: "dir", Name: "ab", Mode: 1}},
		{e: Entry{Type: "symlink", Name: "ab", Link: "c"}},
		{e: Entry{Type: "symlink", Name: "ab", Link: "/c"}}, // a link's text counts as it is
		{e: Entry{Type: "symlink", Name: "abc"}},
		{e: Entry{Type: "hardlink", Name: "ab", Link: "c"}},
		{e: Entry{Type: "reg", Name: "ab"}},
		{e: Entry{Type: "reg", Name: "ab", Size: 1}, d: one},
		{e: Entry{Type: "reg", Name: "ab", Size: 1}, d: two},
		{e: Entry{Type: "reg", Name: "ab", Size: 1}, d: one, chunks: []Chunk{{Size: 1, Digest: one}}},
		{e: Entry{Type: "reg", Name: "ab", Size: 1}, d: one, chunks: []Chunk{{Size: 1, Digest: two}}},
		{e: Entry{Type: "reg", Name: "ab", Size: 1}, d: one, chunks: []Chunk{{Size: 1, Packed: 1, Digest: one}}},
		{e: Entry{Type: "reg", Name: "ab", Size: 1}, d: one, chunks: []Chunk{{Size: 1, Inner: 1, Digest: one}}},
		{e: Entry{Type: "reg", Name: "ab", Size: 1}, d: one, chunks: []Chunk{{Offset: 1, Digest: one}}},
		{e: Entry{Type: "reg", Name: "ab", Size: 2}, d: one, chunks: []Chunk{{Size: 1, Digest: one}, {Size: 1, Digest: two}}},
		{e: Entry{Type: "reg", Name: "ab", Size: 2}, d: one, chunks: []Chunk{{Size: 1, Digest: two}, {Size: 1, Digest: one}}},
	} {
		s.begin(w.e)
		for _, c := range w.chunks {
			s.chunk(c)
		}
		sum := s.end(w.d)
		if before, ok := seen[sum]; ok {
			t.Errorf("entries %d and %d have one sum", before, i)
		}
		seen[sum] = i
	}
	// What does not count: a size or a link where there is none, bits above the permissions, content of nothing.
	for a, b := range map[Entry]Entry{
		{Type: "dir", Name: "a", Size: 9, Link: "x"}:      {Type: "dir", Name: "a"},
		{Type: "reg", Name: "a", Mode: 0o100644}:          {Type: "reg", Name: "a", Mode: 0o644},
		{Type: "hardlink", Name: "a", Link: "./b//c/../"}: {Type: "hardlink", Name: "/a/", Link: "b"},
	} {
		s.begin(a)
		first := s.end(one)
		s.begin(b)
		if s.end(two) != first {
			t.Errorf("%+v and %+v differ", a, b)
		}
	}
}
