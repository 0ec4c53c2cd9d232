package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/plugin"
	"github.com/safepull/safepull/plugin/render"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/all"
	"github.com/safepull/safepull/trust/indicator/clamav"
	"github.com/safepull/safepull/trust/indicator/yara"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/lookalike"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
	rules "github.com/safepull/safepull/trust/yara"
)

// maxTested bounds the files that are tested at one time, against a wrong folder.
const maxTested = 1 << 20

// ruling is the indicators in force, for people who ask about them.
type ruling struct {
	loaded     inForce
	indicators []indicator.Indicator
	scanner    *scan.Scanner
	names      *lookalike.Names
}

func (p *pluginParts) rules(ctx context.Context) (plugin.Rules, error) {
	from, err := p.sources(ctx)
	if err != nil {
		return nil, err
	}
	loaded, err := loadFiles(from)
	if err != nil {
		return nil, err
	}
	return newRules(loaded)
}

func newRules(loaded inForce) (*ruling, error) {
	indicators, err := loaded.indicators()
	if err != nil {
		return nil, err
	}
	scanner, err := loaded.scanner(indicators)
	if err != nil {
		return nil, err
	}
	names, err := loadNames()
	return &ruling{loaded, indicators, scanner, names}, err
}

// Checks implements plugin.Rules.
func (r *ruling) Checks() []render.Check {
	out := make([]render.Check, 0, len(r.indicators))
	for _, ind := range r.indicators {
		name := ind.Name()
		out = append(out, render.Check{
			Check: fmt.Sprintf("%s@%d", name, ind.Version()), Name: name, Version: ind.Version(),
			Group: r.loaded.policy.Group(name), Digest: r.loaded.rules.DigestOf(name),
			Data: r.loaded.rules.Counts(name), About: r.loaded.rules.About(name),
		})
		switch name {
		case clamav.Name:
			out[len(out)-1].About = aboutClamAV()
		case yara.Name:
			out[len(out)-1].About = aboutYARA()
		}
	}
	return r.withNames(out)
}

// Ruleset implements plugin.Rules.
func (r *ruling) Ruleset() digest.Digest { return r.loaded.rules.Digest() }

// Limits implements plugin.Rules: the numbers of scan.Limits, "nested.depth" for one within another.
func (r *ruling) Limits() map[string]int64 {
	out := map[string]int64{}
	text, err := json.Marshal(r.loaded.from.limits.WithDefaults())
	var plain map[string]any
	if err == nil {
		err = json.Unmarshal(text, &plain)
	}
	if err != nil {
		return out // numbers in structs only
	}
	flatten("", plain, out)
	return out
}

func flatten(prefix string, from map[string]any, into map[string]int64) {
	for key, value := range from {
		switch v := value.(type) {
		case float64:
			into[prefix+key] = int64(v)
		case map[string]any:
			flatten(prefix+key+".", v, into)
		}
	}
}

// Test implements plugin.Rules. The files of a folder are named from there, so that where it lies has no say.
func (r *ruling) Test(ctx context.Context, path string) (render.Tested, error) {
	t := render.Tested{Unanswered: map[string]string{}}
	var found []trust.Finding
	err := regularFiles(path, func(name, file string) error {
		if t.Files++; t.Files > maxTested {
			return fmt.Errorf("%s holds more than %d files: %w", path, maxTested, trust.ErrLimit)
		}
		here, err := r.file(ctx, name, file)
		found = append(found, here...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			t.Unanswered[name] = err.Error()
		}
		return nil
	})
	t.Findings = render.NewFindings(found)
	return t, err
}

func (r *ruling) file(ctx context.Context, name, file string) ([]trust.Finding, error) {
	f, err := os.Open(file) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	entry := layer.Entry{Path: name, Mode: info.Mode().Perm(), Size: info.Size()}
	found, err := r.scanner.File(ctx, "", entry, io.LimitReader(f, info.Size()), nil)
	return found, err
}

// regularFiles visits a file, or those below a folder in order of name. Links below a folder are not followed.
func regularFiles(path string, visit func(name, file string) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is neither a regular file nor a folder", path)
		}
		return visit(filepath.Base(path), path)
	}
	root := strings.TrimRight(path, "/") + "/" // a link to a folder is that folder
	return filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(name), file)
	})
}

// linter finds what is wrong with rule files of one kind.
type linter interface {
	// Takes reports whether a file is of the kind, by its name.
	Takes(name string) bool
	// Lint is what is wrong with a file.
	Lint(name string, body []byte) []*ruleset.Problem
}

// lint checks the rule files that a path stands for.
func lint(_ context.Context, path string) (render.Linted, error) {
	linters := []linter{yamlLinter{}, yaraLinter{}}
	out := render.Linted{Problems: []*ruleset.Problem{}}
	err := regularFiles(path, func(_, file string) error {
		for _, l := range linters {
			if !l.Takes(file) {
				continue
			}
			if out.Files++; out.Files > rules.MaxSources {
				return fmt.Errorf("%s holds more than %d rule files: %w", path, rules.MaxSources, trust.ErrLimit)
			}
			body, err := readStart(file, max(ruleset.MaxFileSize, rules.MaxFileSize)+1)
			if err != nil {
				return err
			}
			out.Problems = append(out.Problems, l.Lint(file, body)...)
			return nil
		}
		return nil
	})
	if err == nil && out.Files == 0 {
		err = fmt.Errorf("%s is no rule file and holds none: they end in .yaml, .yar or .yara", path)
	}
	return out, err
}

func readStart(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, limit))
}

// yamlLinter reads the rule files of our own indicators.
type yamlLinter struct{}

// Takes implements linter.
func (yamlLinter) Takes(name string) bool { return filepath.Ext(name) == ".yaml" }

// Lint implements linter.
func (yamlLinter) Lint(name string, body []byte) []*ruleset.Problem {
	base := filepath.Base(name)
	rules, err := ruleset.Parse(base, body)
	if err == nil {
		_, err = all.One(rules, strings.TrimSuffix(base, ".yaml"))
	}
	if err == nil {
		return nil
	}
	p := &ruleset.Problem{Line: 1, Column: 1, What: err.Error()}
	if known := new(ruleset.Problem); errors.As(err, &known) {
		p = &ruleset.Problem{Line: known.Line, Column: known.Column, What: known.What}
	}
	p.File = name
	return []*ruleset.Problem{p}
}

// yaraLinter reads users' own YARA rules.
type yaraLinter struct{}

// Takes implements linter.
func (yaraLinter) Takes(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yar" || ext == ".yara"
}

// yaraPlace is how errors of YARA rules begin, after the file's name.
var yaraPlace = regexp.MustCompile(`^:(\d+):(\d+): `)

// Lint implements linter.
func (yaraLinter) Lint(name string, body []byte) []*ruleset.Problem {
	_, err := yara.New(rules.Source{Name: name, Text: body})
	if err == nil {
		return nil
	}
	p := &ruleset.Problem{File: name, Line: 1, Column: 1, What: err.Error()}
	if rest, ok := strings.CutPrefix(p.What, name); ok {
		if m := yaraPlace.FindStringSubmatch(rest); m != nil {
			p.Line, _ = strconv.Atoi(m[1])
			p.Column, _ = strconv.Atoi(m[2])
			p.What = rest[len(m[0]):]
		}
	}
	return []*ruleset.Problem{p}
}
