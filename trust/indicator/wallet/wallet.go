// Package wallet finds addresses that mining pays to, by their full checksum: an accident is one in a billion or less.
// The CryptoNote family, to which Monero belongs, is looked for everywhere; addresses of other coins in text, and where
// a prefix finds them.
package wallet

import (
	"errors"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "wallet"
	version = 4

	// around is how much of the surroundings says what an address is for, in bytes to each side.
	around = 200
	// maxNetworks bounds the kinds of addresses that rules may name.
	maxNetworks = 64
)

// Rules are the data of this indicator.
type Rules struct {
	// Networks are the kinds of CryptoNote addresses to look for, Accounts those of other coins.
	Networks []Network `yaml:"networks"`
	Accounts []Account `yaml:"accounts"`
	// Services are pools that know their users by a name of their own.
	Services []Service `yaml:"services"`
	// Words say, near an address, that it is to be paid for mining. Mining are the ones among them that nothing else
	// has; without one the address of a general coin says nothing.
	Words  []string `yaml:"words"`
	Mining []string `yaml:"mining"`
	// Donations are public addresses of projects, and Vectors those of published tests: worth showing, worth nothing.
	Donations []string `yaml:"donations"`
	Vectors   []string `yaml:"vectors"`
}

// Network is one kind of CryptoNote address.
type Network struct {
	Name string `yaml:"name"`
	// Tag is the number that an address begins with, decoded.
	Tag uint64 `yaml:"tag"`
	// Integrated addresses hold a payment identifier too.
	Integrated bool `yaml:"integrated"`
	// Test networks have coins that are worth nothing.
	Test bool `yaml:"test"`
}

// Service is a pool that gives its users names: its own stands near.
type Service struct {
	// Name stands in its hosts.
	Name string `yaml:"name"`
	// Prefix is what users' names begin with, Length their length in characters: capitals and digits.
	Prefix string `yaml:"prefix"`
	Length int    `yaml:"length"`
}

// network is a Network with what its addresses look like.
type network struct {
	Network

	id     int
	length int
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	tags     map[uint64]*network
	networks int
	first    [256]bool
	shortest int
	longest  int
	accounts []account
	services []Service
	words    [][]byte
	mining   [][]byte
	known    map[string]string
	literals []indicator.Literal
	meaning  []literal
}

// literal wakes for an account or a service.
type literal struct {
	service bool
	id      int
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Networks) == 0 || len(r.Words) == 0 || len(r.Mining) == 0 || len(r.Networks)+len(r.Accounts)+len(r.Services) > maxNetworks {
		return nil, fmt.Errorf("wallet rules: networks, words and mining must not be empty, nor networks more than %d", maxNetworks)
	}
	ind := &Indicator{shortest: maxAddress, tags: map[uint64]*network{}, known: map[string]string{}, networks: len(r.Networks)}
	for i, n := range r.Networks {
		if err := ind.network(i, n); err != nil {
			return nil, fmt.Errorf("wallet rules: %w", err)
		}
	}
	for i, a := range r.Accounts {
		c, err := compileAccount(a)
		if err != nil {
			return nil, fmt.Errorf("wallet rules: %w", err)
		}
		ind.accounts = append(ind.accounts, c)
		if w := c.wake(); w != "" {
			ind.literals = append(ind.literals, indicator.Literal{Text: w})
			ind.meaning = append(ind.meaning, literal{id: i})
		}
	}
	for i, s := range r.Services {
		if len(s.Name) < minLiteral || len(s.Prefix) < 2 || s.Length <= len(s.Prefix) || s.Length > maxAddress {
			return nil, errors.New("wallet rules: a service needs a name of 6 characters, a prefix and a length")
		}
		ind.literals = append(ind.literals, indicator.Literal{Text: s.Name, Fold: true})
		ind.meaning = append(ind.meaning, literal{true, i})
	}
	ind.services = r.Services
	ind.words, ind.mining = lowered(r.Words), lowered(r.Mining)
	for why, list := range map[string][]string{"public donation address of a project": r.Donations, "address of a published test": r.Vectors} {
		for _, a := range list {
			if !ind.valid(a) {
				return nil, fmt.Errorf("wallet rules: address %q has a wrong checksum", a)
			}
			ind.known[a] = why
		}
	}
	return ind, nil
}

func (ind *Indicator) network(id int, n Network) error {
	size := 64
	if n.Integrated {
		size += 8
	}
	length, least, greatest := shape(n.Tag, size)
	if n.Name == "" || length == 0 || length > maxAddress || ind.tags[n.Tag] != nil {
		return fmt.Errorf("network %q: want a name and a small tag of its own", n.Name)
	}
	for d := least; d <= greatest; d++ {
		ind.first[alphabet[d]] = true
	}
	ind.shortest, ind.longest = min(ind.shortest, length), max(ind.longest, length)
	ind.tags[n.Tag] = &network{n, id, length}
	return nil
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator: prefixes of addresses that have one, and names of services.
func (ind *Indicator) Literals() []indicator.Literal { return ind.literals }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	w := &watch{ind: ind, file: f, out: report.New(f), seam: text.Seam{Keep: ind.longest + 2*around}}
	switch f.Kind {
	case trust.KindConfig, trust.KindScript, trust.KindText:
		w.text = true
		w.seam.Keep = maxPrefix + mostAccount + 2*around
	}
	return w
}
