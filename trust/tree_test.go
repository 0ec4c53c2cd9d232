package trust_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
)

func entries() []trust.TreeEntry {
	return []trust.TreeEntry{
		{Path: ".", Type: trust.TypeDir, Mode: 0o755},
		{Path: "usr/bin/a", Type: trust.TypeFile, Mode: 0o4755, Size: 1 << 40, Kind: trust.KindExecutable},
		{Path: "usr/bin/ab", Type: trust.TypeSymlink, Target: "../\xff\x00x"},
		{Path: "usr/\xfe\n", Type: trust.TypeHardlink, Target: "usr/bin/a"},
		{Path: "etc/.wh.x", Type: trust.TypeFile},
		{Path: "run.sh", Type: trust.TypeFile, Size: 12, Kind: trust.KindScript, Body: "#!/bin/sh\n\xff"},
		{Path: "null", Type: trust.TypeOther}, {Path: "usr/bin/sh2", Type: trust.TypeFile, Kind: trust.KindExecutable, Program: "bash", Like: 1<<64 - 1},
	}
}

func TestTree(t *testing.T) {
	t.Parallel()
	var tree trust.Tree
	if !tree.IsZero() || tree.Len() != 0 {
		t.Error("the zero tree is not empty")
	}
	for _, e := range entries() {
		tree.Add(e)
	}
	if diff := cmp.Diff(entries(), slices.Collect(tree.All())); diff != "" || tree.Len() != len(entries()) || tree.IsZero() {
		t.Error(diff)
	}
	for range tree.All() {
		break
	}
	body, err := json.Marshal(trust.Inspection{Tree: tree})
	if err != nil {
		t.Fatal(err)
	}
	var got trust.Inspection
	if err := json.Unmarshal(body, &got); err != nil || !got.Tree.Equal(tree) {
		t.Error(err)
	}
	got.Tree.Add(trust.TreeEntry{Path: "nul"})
	if all := slices.Collect(got.Tree.All()); all[len(all)-1].Path != "nul" {
		t.Error("a tree that was read cannot be added to")
	}
	if body, err = json.Marshal(trust.Inspection{}); err != nil || strings.Contains(string(body), "tree") {
		t.Errorf("an empty tree is written: %s, %v", body, err)
	}
	if !entries()[0].Whole() || entries()[5].Whole() {
		t.Error("Whole is wrong")
	}
}

func pack(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTree_damaged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text []byte
		want error
	}{
		"no-string":    {[]byte(`{}`), trust.ErrMalformed},
		"no-flate":     {[]byte(`"AAAA"`), trust.ErrMalformed},
		"cut":          {pack(t, []byte{0, 1, 'a', 'f', 0}), trust.ErrMalformed},
		"long-text":    {pack(t, []byte{0, 200, 'a', 'f', 0, 0, 0, 0, 0, 0, 0}), trust.ErrMalformed},
		"long-prefix":  {pack(t, []byte{3, 1, 'a', 'f', 0, 0, 0, 0, 0, 0, 0}), trust.ErrMalformed},
		"unknown-kind": {pack(t, []byte{0, 1, 'a', 'f', 99, 0, 0, 0, 0, 0, 0}), trust.ErrMalformed},
		"bomb":         {pack(t, make([]byte, 65<<20)), trust.ErrLimit},
		"good":         {pack(t, []byte{0, 1, 'a', 'f', 0, 0, 0, 0, 0, 0, 0}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tree trust.Tree
			if err := json.Unmarshal(tc.text, &tree); !errors.Is(err, tc.want) {
				t.Error(err)
			}
		})
	}
}

func FuzzTree(f *testing.F) {
	var tree trust.Tree
	for _, e := range entries() {
		tree.Add(e)
	}
	seed, err := json.Marshal(tree)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, text []byte) {
		var got trust.Tree
		if json.Unmarshal(text, &got) != nil {
			return
		}
		var again trust.Tree
		for e := range got.All() {
			again.Add(e)
		}
		if again.Len() != got.Len() {
			t.Fatalf("%d entries, then %d", got.Len(), again.Len())
		}
	})
}

func randomEntries(rng *rand.Rand) []trust.TreeEntry {
	types := []trust.FileType{trust.TypeFile, trust.TypeDir, trust.TypeSymlink, trust.TypeHardlink, trust.TypeOther}
	kinds := []trust.Kind{"", trust.KindConfig, trust.KindExecutable, trust.KindScript, trust.KindText, trust.KindData}
	text := func(most int) string {
		b := make([]byte, rng.IntN(most))
		for i := range b {
			b[i] = "ab/\xff\x00"[rng.IntN(5)]
		}
		return string(b)
	}
	var all []trust.TreeEntry
	for range rng.IntN(30) {
		all = append(all, trust.TreeEntry{
			Path: text(12), Type: types[rng.IntN(len(types))], Mode: rng.Uint32() >> rng.IntN(32), Size: int64(rng.Uint64() >> 1 >> rng.IntN(63)),
			Target: text(6), Kind: kinds[rng.IntN(len(kinds))], Body: text(300),
		})
	}
	return all
}

// TestTree_properties: whatever was added comes back, in order, from memory and from JSON; reading goes on from anywhere.
func TestTree_properties(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		want := randomEntries(rng)
		var tree trust.Tree
		for i, e := range want {
			before := tree.Bytes()
			tree.Add(e)
			if tree.Len() != i+1 || tree.Bytes() <= before {
				t.Fatalf("%d entries in %d bytes, after %d", tree.Len(), tree.Bytes(), before)
			}
		}
		text, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		read := trust.Tree{}
		read.Add(trust.TreeEntry{Path: "overwritten"})
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]*trust.Tree{"in memory": &tree, "from JSON": &read} {
			if diff := cmp.Diff(want, slices.Collect(got.All())); diff != "" || got.Len() != len(want) || got.IsZero() != (len(want) == 0) {
				t.Fatalf("%s: %s", name, diff)
			}
		}
		if !read.Equal(tree) || !tree.Equal(read) {
			t.Fatal("a tree differs from what was read of it")
		}
		if len(want) == 0 {
			continue
		}
		stop, seen := rng.IntN(len(want)), 0
		for range tree.All() {
			if seen++; seen > stop {
				break
			}
		}
		tree.Add(want[0])
		if seen != stop+1 || tree.Equal(read) || read.Len() != len(want) {
			t.Fatal("a tree that was read changes with the one that was written")
		}
	}
}

// TestTree_cut cuts a packed tree everywhere: it is either a shorter tree or no tree, and what was there before stays.
func TestTree_cut(t *testing.T) {
	t.Parallel()
	var tree trust.Tree
	ends := map[int]int{0: 0}
	for i, e := range entries() {
		tree.Add(e)
		ends[tree.Bytes()] = i + 1
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var compressed []byte
	if err := json.Unmarshal(text, &compressed); err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(compressed)))
	if err != nil || len(plain) != tree.Bytes() {
		t.Fatalf("%d bytes, %v", len(plain), err)
	}
	for n := range plain {
		got := trust.Tree{}
		got.Add(trust.TreeEntry{Path: "before"})
		err := json.Unmarshal(pack(t, plain[:n]), &got)
		if entries, whole := ends[n]; whole != (err == nil) || whole && got.Len() != entries {
			t.Errorf("%d of %d bytes: %d entries, %v", n, len(plain), got.Len(), err)
		}
		if err != nil && (!errors.Is(err, trust.ErrMalformed) || got.Len() != 1) {
			t.Errorf("%d of %d bytes: %v, %d entries", n, len(plain), err, got.Len())
		}
	}
	for n := range compressed {
		short, err := json.Marshal(compressed[:n])
		if err != nil {
			t.Fatal(err)
		}
		var got trust.Tree
		if err := json.Unmarshal(short, &got); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%d of %d compressed bytes: %v", n, len(compressed), err)
		}
	}
}

// TestTree_numbers: what does not fit is refused, and the greatest that fits is read.
func TestTree_numbers(t *testing.T) {
	t.Parallel()
	entry := func(mode, size uint64) []byte {
		b := append([]byte{0, 1, 'a', 'f', 0}, binary.AppendUvarint(nil, mode)...)
		return append(binary.AppendUvarint(b, size), 0, 0, 0, 0)
	}
	for name, c := range map[string]struct {
		plain []byte
		ok    bool
	}{
		"mode":      {entry(1<<32-1, 0), true},
		"mode-more": {entry(1<<32, 0), false},
		"size":      {entry(0, 1<<63-1), true},
		"size-more": {entry(0, 1<<63), false},
		"overflow":  {append([]byte{0, 1, 'a', 'f', 0}, bytes.Repeat([]byte{0xff}, 11)...), false},
		"no-end":    {[]byte{0x80}, false},
		"text":      {append([]byte{0}, binary.AppendUvarint(nil, 1<<64-1)...), false},
		"prefix":    {append(entry(0, 0), 2, 0, 'f', 0, 0, 0, 0, 0, 0, 0), false},
		"same":      {append(entry(0, 0), 1, 0, 'f', 0, 0, 0, 0, 0, 0, 0), true},
	} {
		var tree trust.Tree
		if err := json.Unmarshal(pack(t, c.plain), &tree); (err == nil) != c.ok || err != nil && !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var tree trust.Tree
	tree.Add(trust.TreeEntry{Path: "a", Size: -5, Kind: "unheard of"})
	if e := slices.Collect(tree.All())[0]; e.Size != 0 || e.Kind != "" || !e.Whole() {
		t.Errorf("%+v", e)
	}
}
