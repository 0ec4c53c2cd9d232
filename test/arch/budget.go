package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"slices"
	"strings"
)

// A budget has a soft limit, which is reported, and a hard one, which fails.
type budget struct {
	what       string
	soft, hard int
}

// The budgets of code outside tests. The numbers come from projects that stayed readable for years.
var (
	fileLines     = budget{"lines a file", 250, 500}
	funcLines     = budget{"lines a function", 40, 80}
	ifaceMethods  = budget{"methods an interface", 3, 5}
	packageSize   = budget{"exported types and functions a package", 12, 25}
	importDepth   = budget{"imports in a chain inside the house", 5, 6}
	testPerMille  = 700 // test lines for every 1000 lines of code, in every room below
	testedRooms   = []string{"plugin", "proxy", "trust"}
	topLevelNames = []string{
		"cmd", "plugin", "proxy", "trust", "configs", "test", "go.mod", "go.sum", "README.md", "LICENSE", "Makefile",
		"CONTRIBUTING.md", "SECURITY.md", "DECISIONS.md", "CHANGELOG.md", ".ci", ".git", ".gitignore", ".gitattributes",
		".editorconfig", ".golangci.yaml",
		"bin", ".tools", // built, never committed
	}
)

// A ledger collects what the budgets say.
type ledger struct {
	hard, soft []problem
}

func (l *ledger) enter(b budget, where string, n int) {
	switch {
	case n > b.hard:
		l.hard = append(l.hard, problem{where, fmt.Sprintf("%d %s, the limit is %d", n, b.what, b.hard)})
	case n > b.soft:
		l.soft = append(l.soft, problem{where, fmt.Sprintf("%d %s, aim at %d", n, b.what, b.soft)})
	}
}

// budgets measures files, functions, interfaces, packages and import chains.
func (t *tree) budgets() ledger {
	var l ledger
	known := map[string][]string{}
	for _, p := range t.sorted() {
		for _, f := range p.code {
			if f.generated {
				continue
			}
			l.enter(fileLines, f.name, f.lines)
			t.measure(&l, f)
		}
		if !isTestKit(p.dir) {
			l.enter(packageSize, p.dir, exported(p))
		}
		if c := t.chain(p.dir, known); len(c) > 0 {
			l.enter(importDepth, strings.Join(c, " → "), len(c)-1)
		}
	}
	return l
}

func (t *tree) measure(l *ledger, f *file) {
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			first, last := t.fset.Position(n.Pos()).Line, t.fset.Position(n.End()).Line
			l.enter(funcLines, t.at(n)+" "+n.Name.Name, last-first+1)
		case *ast.InterfaceType:
			l.enter(ifaceMethods, t.at(n), countMethods(n))
		}
		return true
	})
}

// countMethods counts methods and embedded interfaces; terms of a type set are no methods.
func countMethods(n *ast.InterfaceType) int {
	count := 0
	for _, m := range n.Methods.List {
		switch m.Type.(type) {
		case *ast.BinaryExpr, *ast.UnaryExpr:
		default:
			count += max(1, len(m.Names))
		}
	}
	return count
}

// exported counts types and functions; methods, constants and variables come with them.
func exported(p *pkg) int {
	count := 0
	for _, f := range p.code {
		for _, d := range f.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() {
					count++
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok && s.Name.IsExported() {
						count++
					}
				}
			}
		}
	}
	return count
}

// testShare is how many test lines a room has for every 1000 lines of code. Suites for implementations count as tests.
func (t *tree) testShare(room string) (perMille, code int) {
	tests := 0
	for _, p := range t.sorted() {
		if top(p.dir) != room {
			continue
		}
		for _, f := range p.code {
			switch {
			case f.generated:
			case isTestKit(p.dir):
				tests += f.lines
			default:
				code += f.lines
			}
		}
		for _, f := range p.tests {
			tests += f.lines
		}
	}
	if code == 0 {
		return 0, 0
	}
	return tests * 1000 / code, code
}

// layout checks what stands at the top level of the house.
func layout(fsys fs.FS) ([]problem, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read the top level: %w", err)
	}
	var out []problem
	for _, e := range entries {
		if !slices.Contains(topLevelNames, e.Name()) {
			out = append(out, problem{e.Name(), "not a room of the house: see topLevelNames in test/arch/budget.go"})
		}
	}
	return out, nil
}

// docs checks that every package says what it is for, and that everything exported is documented.
func (t *tree) docs() []problem {
	var out []problem
	for _, p := range t.sorted() {
		if len(p.code) == 0 {
			continue
		}
		if why := packageDoc(p); why != "" {
			out = append(out, problem{p.dir, why})
		}
		if p.name == "main" {
			continue
		}
		for _, f := range p.code {
			for _, d := range f.syntax.Decls {
				out = append(out, t.bare(d)...)
			}
		}
	}
	return out
}

func packageDoc(p *pkg) string {
	var found []string
	for _, f := range p.code {
		if text := f.syntax.Doc.Text(); text != "" {
			found = append(found, text)
		}
	}
	want := "Package " + p.name + " "
	if p.name == "main" {
		want = "Command "
	}
	switch {
	case len(found) == 0:
		return "no package comment: say in one sentence what the package is for"
	case len(found) > 1:
		return "several package comments: keep one"
	case !strings.HasPrefix(found[0], want):
		return fmt.Sprintf("the package comment must begin with %q", want)
	}
	return ""
}

// bare finds exported names without a comment. A comment on a group documents every constant and variable in it.
func (t *tree) bare(d ast.Decl) []problem {
	var out []problem
	lack := func(n ast.Node, name string) {
		out = append(out, problem{t.at(n), "exported " + name + " has no comment"})
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			lack(d, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
					lack(s, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						lack(s, name.Name)
					}
				}
			}
		}
	}
	return out
}

// exportedReceiver is true for functions, and for methods of exported types.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return token.IsExported(x.Name)
		default:
			return false
		}
	}
}
