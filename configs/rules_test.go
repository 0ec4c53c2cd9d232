package configs

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestRulesAreTheSources(t *testing.T) {
	t.Parallel()
	archive, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	want, got := contents(t, os.DirFS("rules")), contents(t, archive)
	if len(want) == 0 {
		t.Fatal("no rule files")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules.zip is not what rules/ holds; run go generate ./configs\n%s", diff)
	}
}

// Both signs stand in the rules as they are; neither may stand in the archive.
func TestArchiveHidesTheSigns(t *testing.T) {
	t.Parallel()
	for _, sign := range []string{"stratum+tcp", "donate-level", "RandomX"} {
		if bytes.Contains(rulesArchive, []byte(sign)) {
			t.Errorf("%q stands in the archive", sign)
		}
	}
}

func TestRulesIsAFileSystem(t *testing.T) {
	t.Parallel()
	archive, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(archive, "stratum.yaml", "algorithm.yaml"); err != nil {
		t.Error(err)
	}
}

func contents(t *testing.T, fsys fs.FS) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(p) != ".yaml" { // beside the rules there are their schemas and a README
			return err
		}
		body, err := fs.ReadFile(fsys, p)
		out[p] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
