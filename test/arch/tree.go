package arch

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the path that every import inside the house begins with.
const Module = "github.com/safepull/safepull"

// A problem is one broken rule, at one place.
type problem struct {
	where string // file:line, or a folder
	what  string
}

func (p problem) String() string { return p.where + ": " + p.what }

// A tree is all Go source of one module, parsed.
type tree struct {
	fset     *token.FileSet
	packages map[string]*pkg // by folder, "." is the root
}

// A pkg is the source of one folder.
type pkg struct {
	dir   string
	name  string
	code  []*file
	tests []*file
}

// A file is one parsed source file.
type file struct {
	name      string // path from the root of the module
	syntax    *ast.File
	lines     int
	generated bool
}

// load parses every Go file below the root of fsys. Folders that the go command skips (testdata, and names that begin
// with a dot or an underscore) and other modules (folders with their own go.mod) are skipped.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{fset: token.NewFileSet(), packages: map[string]*pkg{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(fsys, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		return t.add(fsys, name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	return t, nil
}

// enter says whether a folder belongs to this module.
func enter(fsys fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	switch _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); {
	case err == nil:
		return fs.SkipDir
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return err
	}
}

func (t *tree) add(fsys fs.FS, name string) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	p := t.packages[dir]
	if p == nil {
		p = &pkg{dir: dir}
		t.packages[dir] = p
	}
	f := &file{name: name, syntax: syntax, lines: bytes.Count(src, []byte("\n")), generated: ast.IsGenerated(syntax)}
	if strings.HasSuffix(name, "_test.go") {
		p.tests = append(p.tests, f)
		return nil
	}
	p.name = syntax.Name.Name
	p.code = append(p.code, f)
	return nil
}

// sorted are the packages in order of their folders.
func (t *tree) sorted() []*pkg {
	var all []*pkg
	for _, p := range t.packages {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pkg) int { return cmp.Compare(a.dir, b.dir) })
	return all
}

// at is the place of a node, for a problem.
func (t *tree) at(n ast.Node) string {
	p := t.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// isTestKit reports whether a folder holds a suite or a fake that only tests import: everything below test, and the
// suite beside the implementations of an interface, which is called after their parent (trust/store/storetest).
func isTestKit(dir string) bool {
	return dir == "test" || strings.HasPrefix(dir, "test/") || path.Base(dir) == path.Base(path.Dir(dir))+"test"
}
