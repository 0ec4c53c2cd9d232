package wire

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/safepull/safepull/trust/indicator/yara"
	yararules "github.com/safepull/safepull/trust/yara"
)

// maxYARAEntries bounds the files that are looked at to find rules below a folder, against a wrong folder.
const maxYARAEntries = 10_000

// loadYARA compiles the rules in files and folders; nil when there are none. Whatever is wrong with one rule is an
// error, so that nobody believes in rules that are not in force.
func loadYARA(paths []string) (*yara.Indicator, error) {
	var sources []yararules.Source
	for _, path := range paths {
		files, err := yaraFiles(path)
		if err != nil {
			return nil, fmt.Errorf("YARA rules: %w", err)
		}
		for _, file := range files {
			text, err := readRules(file)
			if err != nil {
				return nil, fmt.Errorf("YARA rules: %w", err)
			}
			sources = append(sources, yararules.Source{Name: file, Text: text})
		}
	}
	if len(sources) == 0 {
		return nil, nil //nolint:nilnil // no rules is no error
	}
	return yara.New(sources...)
}

// yaraFiles are the rule files that a path stands for, in order of their names.
func yaraFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	seen := 0
	root := strings.TrimRight(path, "/") + "/" // a link to a folder is that folder
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > maxYARAEntries {
			return fmt.Errorf("%s holds more than %d files: name a smaller folder", path, maxYARAEntries)
		}
		hidden := p != root && strings.HasPrefix(d.Name(), ".")
		switch ext := filepath.Ext(p); {
		case hidden && d.IsDir():
			return fs.SkipDir
		case hidden, d.IsDir():
		case ext == ".yar" || ext == ".yara":
			files = append(files, p)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(files) == 0:
		return nil, fmt.Errorf("%s holds no *.yar or *.yara file: add one, or remove the folder", path)
	case len(files) > yararules.MaxSources:
		return nil, fmt.Errorf("%s holds more than %d rule files", path, yararules.MaxSources)
	}
	return files, nil
}

func readRules(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, yararules.MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text, nil
}
