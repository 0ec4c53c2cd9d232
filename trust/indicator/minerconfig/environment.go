package minerconfig

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/behaviour"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

// Environment is the rules about variables. Names are patterns (RE2) of whole names in upper case.
type Environment struct {
	// Wake are texts that begin a look.
	Wake []string `yaml:"wake"`
	// Pool, Account and Worker are names; Only are names that nothing but a miner has.
	Pool    string `yaml:"pool"`
	Account string `yaml:"account"`
	Worker  string `yaml:"worker"`
	Only    string `yaml:"only"`
	// Algorithm is names, Algorithms what they must hold.
	Algorithm  string   `yaml:"algorithm"`
	Algorithms []string `yaml:"algorithms"`
}

// environment is the family of literals that are about variables.
const environment = -1

// names are the compiled patterns.
type names struct {
	pool, account, worker, only, algorithm *regexp.Regexp
}

func (ind *Indicator) addEnvironment() error {
	e := ind.rules.Environment
	if len(e.Wake) == 0 {
		return errors.New("minerconfig rules: environment: wake must not be empty")
	}
	for _, w := range e.Wake {
		if len(w) < 6 {
			return fmt.Errorf("minerconfig rules: %q is shorter than 6 bytes", w)
		}
		ind.wake(w, environment)
	}
	for _, c := range []struct {
		into    **regexp.Regexp
		pattern string
	}{{&ind.names.pool, e.Pool}, {&ind.names.account, e.Account}, {&ind.names.worker, e.Worker}, {&ind.names.only, e.Only}, {&ind.names.algorithm, e.Algorithm}} {
		if c.pattern == "" {
			return errors.New("minerconfig rules: environment: every name must have a pattern")
		}
		re, err := regexp.Compile("^(?:" + c.pattern + ")$")
		if err != nil {
			return fmt.Errorf("minerconfig rules: environment: %w", err)
		}
		*c.into = re
	}
	return nil
}

// variable matches NAME=value and NAME: value, as shells, .env files, the image's configuration and YAML write them.
var variable = regexp.MustCompile(`(?m)(?:^|[\s"'\-])([A-Z][A-Z0-9_]{2,40})["']?(?:=|:[ \t])["']?([^"'\s,;]{1,256})`)

// mark is what the variables say together.
type mark struct {
	first, last  int
	pool, wallet bool
	points       int
	seen         map[string]bool
}

// environment reads the variables around a hit.
func (w *watch) environment(h indicator.Hit) {
	window, at := text.Clip(h)
	m := mark{first: -1, seen: map[string]bool{}}
	for _, v := range variable.FindAllSubmatchIndex(window, maxPairs) {
		if line, _ := text.Line(window, v[2], 200); behaviour.IsComment(line) {
			continue
		}
		if name := string(window[v[2]:v[3]]); !m.seen[name] && m.read(w.ind, name, string(window[v[4]:v[5]])) {
			m.seen[name] = true
			if m.last = v[5]; m.first < 0 {
				m.first = v[2]
			}
		}
	}
	var strength trust.Strength
	switch {
	case !m.pool || !m.wallet:
		return
	case m.points >= 5:
		strength = trust.Proof
	case m.points >= 3:
		strength = trust.Strong
	default:
		return
	}
	excerpt := window[m.first:min(len(window), m.first+200)]
	w.out.Add(h.Offset+int64(m.first-at), strength, excerpt, "configures a miner by variables: a pool, an account and what miners are told beside them")
}

// read counts what one variable says, and reports whether that is anything.
func (m *mark) read(ind *Indicator, name, value string) bool {
	n, lower := &ind.names, strings.ToLower(value)
	only := n.only.MatchString(name)
	told := only
	if only {
		m.points += 2
	}
	switch {
	case ind.isTemplate(lower):
		return false
	case n.pool.MatchString(name):
		e, ok := text.ParseEndpoint(value)
		stratum := e.Scheme != "" && slices.ContainsFunc(ind.rules.Schemes, func(s string) bool { return strings.HasPrefix(e.Scheme, s) })
		if !ok || e.Placeholder() || !e.Dotted() || e.Scheme != "" && !stratum || e.Port == 0 && !stratum {
			return told
		}
		m.pool, told = true, true
		m.points++
		if stratum {
			m.points += 2
		}
	case n.account.MatchString(name):
		if strings.Contains(value, "://") || len(value) < 2 {
			return told
		}
		m.wallet, told = true, true
		m.points++
		if len(value) >= minWallet && !strings.ContainsAny(value, "/=+ ") {
			m.points++
		}
	case n.algorithm.MatchString(name):
		if !slices.Contains(ind.rules.Environment.Algorithms, lower) {
			return told
		}
		told = true
		m.points += 2
	case n.worker.MatchString(name):
		told = true
		m.points++
	}
	return told
}

// minWallet is how long the shortest addresses of coins are.
const minWallet = 26
