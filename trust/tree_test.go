package trust_test

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
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
		{Path: "null", Type: trust.TypeOther},
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
		"long-text":    {pack(t, []byte{0, 200, 'a', 'f', 0, 0, 0, 0, 0}), trust.ErrMalformed},
		"long-prefix":  {pack(t, []byte{3, 1, 'a', 'f', 0, 0, 0, 0, 0}), trust.ErrMalformed},
		"unknown-kind": {pack(t, []byte{0, 1, 'a', 'f', 99, 0, 0, 0, 0}), trust.ErrMalformed},
		"bomb":         {pack(t, make([]byte, 65<<20)), trust.ErrLimit},
		"good":         {pack(t, []byte{0, 1, 'a', 'f', 0, 0, 0, 0, 0}), nil},
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
