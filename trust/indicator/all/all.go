// Package all names every indicator. A folder below trust/indicator that is missing here fails this package's test.
package all

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/algorithm"
	"github.com/safepull/safepull/trust/indicator/anonymizer"
	"github.com/safepull/safepull/trust/indicator/commandline"
	"github.com/safepull/safepull/trust/indicator/download"
	"github.com/safepull/safepull/trust/indicator/minerbinary"
	"github.com/safepull/safepull/trust/indicator/minerconfig"
	"github.com/safepull/safepull/trust/indicator/stratum"
	"github.com/safepull/safepull/trust/indicator/wallet"
	"github.com/safepull/safepull/trust/ruleset"
)

// maker knows how one indicator is made of its rules, and what type those are of.
type maker struct {
	name string
	construction
}

// makers name every indicator, in order of name.
func makers() []maker {
	return []maker{
		{"algorithm", with(algorithm.New)},
		{"anonymizer", with(anonymizer.New)},
		{"commandline", with(commandline.New)},
		{"download", with(download.New)},
		{"minerbinary", with(minerbinary.New)},
		{"minerconfig", with(minerconfig.New)},
		{"stratum", with(stratum.New)},
		{"wallet", with(wallet.New)},
	}
}

// New makes every indicator with its rules, in order of name.
func New(rules *ruleset.Ruleset) ([]indicator.Indicator, error) {
	out := make([]indicator.Indicator, 0, len(makers()))
	for _, m := range makers() {
		ind, err := m.make(rules, m.name)
		if err != nil {
			return nil, fmt.Errorf("indicator %s: %w", m.name, err)
		}
		out = append(out, ind)
	}
	return out, nil
}

// One makes one indicator. Its error is a ruleset.Problem where the rules are wrong.
func One(rules *ruleset.Ruleset, name string) (indicator.Indicator, error) {
	for _, m := range makers() {
		if m.name == name {
			ind, err := m.make(rules, name)
			if err != nil {
				return nil, rules.Locate(name, err)
			}
			return ind, nil
		}
	}
	return nil, fmt.Errorf("there is no indicator %q: use one of %s", name, strings.Join(Names(), ", "))
}

// Names are the indicators', sorted.
func Names() []string {
	var names []string
	for _, m := range makers() {
		names = append(names, m.name)
	}
	return names
}

// Schema is the JSON Schema of one indicator's rule file.
func Schema(name string) ([]byte, error) {
	for _, m := range makers() {
		if m.name == name {
			return ruleset.Schema(name, m.rules)
		}
	}
	return nil, fmt.Errorf("there is no indicator %q", name)
}

type construction struct {
	make  func(*ruleset.Ruleset, string) (indicator.Indicator, error)
	rules reflect.Type
}

// with decodes an indicator's own rules and makes it of them.
func with[Rules any, I indicator.Indicator](construct func(Rules) (I, error)) construction {
	return construction{
		rules: reflect.TypeFor[Rules](),
		make: func(rs *ruleset.Ruleset, name string) (indicator.Indicator, error) {
			var own Rules
			if err := rs.Decode(name, &own); err != nil {
				return nil, err
			}
			return construct(own)
		},
	}
}
