package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target is one fuzz function.
type target struct{ dir, name string }

// String is how the record and the rows name it.
func (t target) String() string { return t.dir + " " + t.name }

// targets finds the fuzz functions of the module at root. Folders that are modules of their own, and folders with a
// dot, are left out.
func targets(root string) ([]target, error) {
	var all []target
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || isModule(path)):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(d.Name(), "_test.go"):
			return nil
		}
		names, err := fuzzFunctions(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, name := range names {
			all = append(all, target{filepath.ToSlash(dir), name})
		}
		return nil
	})
	slices.SortFunc(all, func(a, b target) int { return cmp.Compare(a.String(), b.String()) })
	return all, err
}

func isModule(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, "go.mod"))
	return err == nil && len(found) > 0
}

func fuzzFunctions(file string) ([]string, error) {
	syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range syntax.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
			names = append(names, f.Name.Name)
		}
	}
	return names, nil
}

// runner runs targets.
type runner struct {
	root    string
	each    time.Duration
	workers int
	log     io.Writer
}

// outcome is what one run came to. Its error says what was found, or why nothing was run.
type outcome struct {
	ran        time.Duration
	executions int64
	err        error
}

func (r runner) fuzz(ctx context.Context, t target) outcome {
	//nolint:gosec // the names of folders and functions of this repository
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", r.each.String(),
		"-fuzzminimizetime", "1s", "-parallel", strconv.Itoa(r.workers), "./"+t.dir)
	cmd.Dir = r.root
	var text strings.Builder
	cmd.Stdout = io.MultiWriter(&text, r.log)
	cmd.Stderr = cmd.Stdout
	err := cmd.Run()
	out := parse(text.String())
	if out.err = err; err == nil && out.executions == 0 {
		out.err = errors.New("nothing was executed")
	}
	return out
}

// progress is a line of `go test -fuzz`.
var progress = regexp.MustCompile(`(?m)^fuzz: elapsed: (\S+), execs: (\d+) `)

// parse reads how long a run took and how often it executed from its last line of progress.
func parse(text string) (out outcome) {
	all := progress.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return outcome{}
	}
	last := all[len(all)-1]
	var err error
	if out.ran, err = time.ParseDuration(last[1]); err != nil {
		return outcome{err: fmt.Errorf("elapsed: %w", err)}
	}
	out.executions, err = strconv.ParseInt(last[2], 10, 64)
	out.err = err
	return out
}
