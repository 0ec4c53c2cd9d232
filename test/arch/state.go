package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strconv"
	"strings"
)

// guarded are types that exist only to be changed: a package-level variable of one is state.
var guarded = []string{"sync.Mutex", "sync.RWMutex", "sync.Map", "sync.Once", "sync.WaitGroup", "sync.Cond", "atomic."}

// state checks every package for init functions, package-level state and panics.
func (t *tree) state() []problem {
	var out []problem
	for _, p := range t.sorted() {
		if len(p.code) == 0 {
			continue
		}
		info := t.resolve(p)
		for _, f := range p.code {
			for _, d := range f.syntax.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					out = append(out, t.function(d, info, isTestKit(p.dir))...)
				case *ast.GenDecl:
					out = append(out, t.variables(d)...)
				}
			}
		}
	}
	return out
}

// resolve finds out which name means what inside one package. Imports are not read: what they hold stays unknown,
// which no rule here depends on.
func (t *tree) resolve(p *pkg) *types.Info {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: blind{}, Error: func(error) {}, DisableUnusedImportCheck: true}
	var files []*ast.File
	for _, f := range p.code {
		files = append(files, f.syntax)
	}
	// The error is that imports hold nothing; what was resolved is in info.
	_, _ = config.Check(p.dir, t.fset, files, info)
	return info
}

// blind imports every package as an empty one.
type blind struct{}

// Import implements types.Importer.
func (blind) Import(importPath string) (*types.Package, error) {
	pkg := types.NewPackage(importPath, path.Base(importPath))
	pkg.MarkComplete()
	return pkg, nil
}

func (t *tree) function(d *ast.FuncDecl, info *types.Info, kit bool) []problem {
	if d.Recv == nil && d.Name.Name == "init" {
		return []problem{{t.at(d), "no init functions: let cmd say what starts"}}
	}
	if d.Body == nil {
		return nil
	}
	var out []problem
	may := kit || strings.HasPrefix(d.Name.Name, "Must") || strings.HasPrefix(d.Name.Name, "must")
	ast.Inspect(d.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, target := range n.Lhs {
					out = append(out, t.write(target, info)...)
				}
			}
		case *ast.IncDecStmt:
			out = append(out, t.write(n.X, info)...)
		case *ast.RangeStmt:
			if n.Tok == token.ASSIGN {
				out = append(out, t.write(n.Key, info)...)
				out = append(out, t.write(n.Value, info)...)
			}
		case *ast.CallExpr:
			id, ok := n.Fun.(*ast.Ident)
			if _, builtin := info.Uses[id].(*types.Builtin); ok && builtin {
				out = append(out, t.call(n, id.Name, info, may)...)
			}
		}
		return true
	})
	return out
}

// call looks at a built-in function that ends the program or changes its first argument.
func (t *tree) call(n *ast.CallExpr, name string, info *types.Info, mayPanic bool) []problem {
	switch {
	case name == "panic" && !mayPanic:
		return []problem{{t.at(n), "no panic outside Must… and tests: return an error"}}
	case slices.Contains([]string{"delete", "clear", "copy"}, name) && len(n.Args) > 0:
		return t.write(n.Args[0], info)
	}
	return nil
}

// write finds assignments to package-level variables, also through an index, a field or a pointer.
func (t *tree) write(target ast.Expr, info *types.Info) []problem {
	for {
		switch x := target.(type) {
		case *ast.IndexExpr:
			target = x.X
		case *ast.SelectorExpr:
			target = x.X
		case *ast.StarExpr:
			target = x.X
		case *ast.ParenExpr:
			target = x.X
		case *ast.SliceExpr:
			target = x.X
		case *ast.Ident:
			v, ok := info.Uses[x].(*types.Var)
			if !ok || v.Pkg() == nil || v.Parent() != v.Pkg().Scope() {
				return nil
			}
			return []problem{{t.at(x), fmt.Sprintf("package-level variable %s is changed: keep state in a value", x.Name)}}
		default:
			return nil
		}
	}
}

// variables finds package-level locks, maps for many goroutines and atomics.
func (t *tree) variables(d *ast.GenDecl) []problem {
	if d.Tok != token.VAR {
		return nil
	}
	var out []problem
	for _, s := range d.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		if name := typeName(v); slices.ContainsFunc(guarded, func(g string) bool {
			return name == g || strings.HasSuffix(g, ".") && strings.HasPrefix(name, g)
		}) {
			out = append(out, problem{t.at(v), "package-level " + name + ": keep state in a value"})
		}
	}
	return out
}

// typeName is "package.Name" of a variable's declared or composed type.
func typeName(v *ast.ValueSpec) string {
	typ := v.Type
	if typ == nil && len(v.Values) == 1 {
		value := v.Values[0]
		if u, ok := value.(*ast.UnaryExpr); ok && u.Op == token.AND {
			value = u.X
		}
		if c, ok := value.(*ast.CompositeLit); ok {
			typ = c.Type
		}
	}
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	sel, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if id, ok := sel.X.(*ast.Ident); ok {
		return id.Name + "." + sel.Sel.Name
	}
	return strconv.Quote(sel.Sel.Name)
}
