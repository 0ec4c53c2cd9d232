// Package all names every indicator. A folder below trust/indicator that is missing here fails this package's test.
//
// One folder is optional: yara, whose indicator is made of rules that only users bring. It comes as one of New's extras.
package all

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/algorithm"
	"github.com/safepull/safepull/trust/indicator/anonymizer"
	"github.com/safepull/safepull/trust/indicator/commandline"
	"github.com/safepull/safepull/trust/indicator/defense"
	"github.com/safepull/safepull/trust/indicator/download"
	"github.com/safepull/safepull/trust/indicator/gpu"
	"github.com/safepull/safepull/trust/indicator/minerbinary"
	"github.com/safepull/safepull/trust/indicator/minerconfig"
	"github.com/safepull/safepull/trust/indicator/packed"
	"github.com/safepull/safepull/trust/indicator/pool"
	"github.com/safepull/safepull/trust/indicator/propagation"
	"github.com/safepull/safepull/trust/indicator/rivals"
	"github.com/safepull/safepull/trust/indicator/stealth"
	"github.com/safepull/safepull/trust/indicator/stratum"
	"github.com/safepull/safepull/trust/indicator/tuning"
	"github.com/safepull/safepull/trust/indicator/wallet"
	"github.com/safepull/safepull/trust/indicator/webminer"
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
		{"defense", with(defense.New)},
		{"download", with(download.New)},
		{"gpu", with(gpu.New)},
		{"minerbinary", with(minerbinary.New)},
		{"minerconfig", with(minerconfig.New)},
		{"packed", with(packed.New)},
		{"pool", with(pool.New)},
		{"propagation", with(propagation.New)},
		{"rivals", with(rivals.New)},
		{"stealth", with(stealth.New)},
		{"stratum", with(stratum.New)},
		{"tuning", with(tuning.New)},
		{"wallet", with(wallet.New)},
		{"webminer", with(webminer.New)},
	}
}

// New makes every indicator with its rules, in order of name, and adds the extras.
func New(rules *ruleset.Ruleset, extras ...indicator.Indicator) ([]indicator.Indicator, error) {
	out := make([]indicator.Indicator, 0, len(makers())+len(extras))
	for _, m := range makers() {
		ind, err := m.make(rules, m.name)
		if err != nil {
			return nil, fmt.Errorf("indicator %s: %w", m.name, err)
		}
		out = append(out, ind)
	}
	return append(out, extras...), nil
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
