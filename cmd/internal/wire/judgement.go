// Package wire introduces the parts to each other: it is the only place that names concrete stores, sources and
// indicators. It decides nothing.
package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust/indicator/all"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/namespace"
	"github.com/safepull/safepull/trust/policy"
	"github.com/safepull/safepull/trust/ruleset"
	"github.com/safepull/safepull/trust/scan"
)

// sources say where a judgement's data come from; an empty path means what is shipped.
type sources struct {
	policy string
	rules  string
	lists  []string
	// shippedList is true when the shipped trust list counts beside lists.
	shippedList bool
	limits      layer.Limits
	layers      int
}

// judgement assembles a judge over a memory.
func judgement(from sources, memory judge.Memory, lists *namespace.Lists) (*judge.Judge, error) {
	rules, err := loadRules(from.rules)
	if err != nil {
		return nil, err
	}
	indicators, err := all.New(rules)
	if err != nil {
		return nil, fmt.Errorf("rules %s: %w", cmp.Or(from.rules, "as shipped"), err)
	}
	scanner, err := scan.New(indicators, rules.Digest(), from.limits)
	if err != nil {
		return nil, err
	}
	decide, err := loadPolicy(from.policy)
	if err != nil {
		return nil, err
	}
	return judge.New(judge.Options{Scanner: scanner, Policy: decide, Lists: lists, Memory: memory, LayersInWork: from.layers})
}

func loadRules(path string) (*ruleset.Ruleset, error) {
	if path != "" {
		rules, err := ruleset.Load(os.DirFS(path))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return rules, nil
	}
	shipped, err := configs.Rules()
	if err != nil {
		return nil, err
	}
	return ruleset.Load(shipped)
}

func loadPolicy(path string) (*policy.Policy, error) {
	if path == "" {
		return policy.Load("shipped policy", bytes.NewReader(configs.DefaultPolicy()))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	loaded, err := policy.Load(path, f)
	return loaded, errors.Join(err, f.Close())
}

// loadLists reads the trust lists. A file that does not exist is an error, so that a mistyped path is not an empty list.
func loadLists(from sources) (*namespace.Lists, error) {
	var lists []*namespace.List
	add := func(name string, r io.Reader) error {
		list, err := namespace.Load(name, r)
		lists = append(lists, list)
		return err
	}
	if from.shippedList {
		if err := add("shipped trust list", bytes.NewReader(configs.DefaultTrust())); err != nil {
			return nil, err
		}
	}
	for _, path := range from.lists {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("trust list: %w", err)
		}
		if err := errors.Join(add(path, f), f.Close()); err != nil {
			return nil, err
		}
	}
	return namespace.Combine(lists...), nil
}

// existing keeps the paths that exist; files of the user's own folder are optional.
func existing(paths ...string) []string {
	var found []string
	for _, p := range paths {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			found = append(found, p)
		}
	}
	return found
}
