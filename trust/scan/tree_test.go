package scan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/scan"
)

func treeOf(t testing.TB, s *scan.Scanner, entries ...entry) (trust.Tree, bool) {
	t.Helper()
	got, err := inspect(t, s, layerOf(t, entries...))
	if err != nil {
		t.Fatal(err)
	}
	return got.Tree, got.TreeCut
}

func TestTree(t *testing.T) {
	t.Parallel()
	s := nestedScanner(t, scan.Limits{}, box{name: "box"})
	script := "#!/bin/sh\nexec /x\n"
	tree, cut := treeOf(t, s,
		entry{name: "run", body: script, mode: 0o755},
		entry{name: "opt/.wh.gone"},
		entry{name: "bin/x", body: "\x7fELF\x00", mode: 0o755},
		entry{name: "etc/crontab", body: "* * * * * root x\n"},
		entry{name: "app/notes", body: "a=b"},
		entry{name: "usr/share/doc/x/README.sh", body: script},
		entry{name: "srv/node_modules/a/index.js", body: "x()"},
		entry{name: "srv/app.js", body: "x()"},
		entry{name: "srv/big.sh", body: script + strings.Repeat("#", 70<<10)},
		entry{name: "wrapped", body: "box in.sh\n#!/bin/sh\n"},
		entry{name: "empty"},
	)
	var got []string
	for e := range tree.All() {
		got = append(got, fmt.Sprintf("%s %s %d/%d", e.Path, e.Kind, len(e.Body), e.Size))
	}
	want := []string{
		"run script 18/18", "opt/.wh.gone  0/0", "bin/x executable 0/5", "etc/crontab script 17/17", "app/notes text 3/3",
		"usr/share/doc/x/README.sh script 0/18", "srv/node_modules/a/index.js script 0/3", "srv/app.js script 3/3",
		"srv/big.sh script 65536/71698", "wrapped text 20/20", "empty text 0/0",
	}
	if diff := cmp.Diff(want, got); diff != "" || cut {
		t.Error(cut, diff)
	}
}

// However many files there are, the tree stays small, and what is missing is said.
func TestTreeIsBounded(t *testing.T) {
	t.Parallel()
	s := nestedScanner(t, scan.Limits{})
	body := "#!/bin/sh\n" + strings.Repeat("x", 60<<10)
	var files []entry
	for i := range 100 {
		files = append(files, entry{name: fmt.Sprintf("run%d.sh", i), body: body, mode: 0o755})
	}
	tree, cut := treeOf(t, s, files...)
	kept := 0
	for e := range tree.All() {
		kept += len(e.Body)
	}
	if cut || tree.Len() != 100 || kept > 3<<20 || kept < 2<<20 {
		t.Errorf("cut %t, %d entries, %d bytes of bodies", cut, tree.Len(), kept)
	}
	files = files[:0]
	for i := range 4000 {
		files = append(files, entry{name: fmt.Sprintf("%04d/%s", i, strings.Repeat("long/", 780)+"x")})
	}
	if tree, cut = treeOf(t, s, files...); !cut || tree.Len() >= len(files) || tree.Bytes() > 12<<20 {
		t.Errorf("cut %t, %d entries, %d bytes", cut, tree.Len(), tree.Bytes())
	}
	if all := slices.Collect(tree.All()); len(all) != tree.Len() {
		t.Errorf("%d of %d entries can be read", len(all), tree.Len())
	}
}
