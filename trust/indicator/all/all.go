// Package all names every indicator. A folder below trust/indicator that is missing here fails this package's test.
package all

import (
	"fmt"

	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/algorithm"
	"github.com/safepull/safepull/trust/indicator/anonymizer"
	"github.com/safepull/safepull/trust/indicator/commandline"
	"github.com/safepull/safepull/trust/indicator/defense"
	"github.com/safepull/safepull/trust/indicator/download"
	"github.com/safepull/safepull/trust/indicator/minerbinary"
	"github.com/safepull/safepull/trust/indicator/minerconfig"
	"github.com/safepull/safepull/trust/indicator/pool"
	"github.com/safepull/safepull/trust/indicator/propagation"
	"github.com/safepull/safepull/trust/indicator/rivals"
	"github.com/safepull/safepull/trust/indicator/stratum"
	"github.com/safepull/safepull/trust/indicator/tuning"
	"github.com/safepull/safepull/trust/indicator/wallet"
	"github.com/safepull/safepull/trust/indicator/webminer"
	"github.com/safepull/safepull/trust/ruleset"
)

// New makes every indicator with its rules, in order of name.
func New(rules *ruleset.Ruleset) ([]indicator.Indicator, error) {
	makers := []struct {
		name string
		make func(*ruleset.Ruleset, string) (indicator.Indicator, error)
	}{
		{"algorithm", with(algorithm.New)},
		{"anonymizer", with(anonymizer.New)},
		{"commandline", with(commandline.New)},
		{"defense", with(defense.New)},
		{"download", with(download.New)},
		{"minerbinary", with(minerbinary.New)},
		{"minerconfig", with(minerconfig.New)},
		{"pool", with(pool.New)},
		{"propagation", with(propagation.New)},
		{"rivals", with(rivals.New)},
		{"stratum", with(stratum.New)},
		{"tuning", with(tuning.New)},
		{"wallet", with(wallet.New)},
		{"webminer", with(webminer.New)},
	}
	out := make([]indicator.Indicator, 0, len(makers))
	for _, m := range makers {
		ind, err := m.make(rules, m.name)
		if err != nil {
			return nil, fmt.Errorf("indicator %s: %w", m.name, err)
		}
		out = append(out, ind)
	}
	return out, nil
}

// with decodes an indicator's own rules and makes it of them.
func with[Rules any, I indicator.Indicator](construct func(Rules) (I, error)) func(*ruleset.Ruleset, string) (indicator.Indicator, error) {
	return func(rs *ruleset.Ruleset, name string) (indicator.Indicator, error) {
		var own Rules
		if err := rs.Decode(name, &own); err != nil {
			return nil, err
		}
		return construct(own)
	}
}
