// Package wallet finds addresses that mining pays to, by their full checksum: an accident is one in four billion.
// Monero comes first; other coins join as further address formats beside cryptonote.go.
package wallet

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/internal/report"
	"github.com/safepull/safepull/trust/indicator/internal/text"
)

const (
	name    = "wallet"
	version = 2

	// around is how much of the surroundings says what an address is for, in bytes to each side.
	around = 200
)

// Rules are the data of this indicator.
type Rules struct {
	// Networks are the kinds of addresses to look for.
	Networks []Network `yaml:"networks"`
	// Words say, near an address, that it is to be paid for mining.
	Words []string `yaml:"words"`
	// Donations are public addresses of projects: worth showing, worth nothing.
	Donations []string `yaml:"donations"`
}

// Network is one kind of address.
type Network struct {
	Name string `yaml:"name"`
	// Tag is the number that an address begins with, decoded.
	Tag uint64 `yaml:"tag"`
	// Length is in characters, First the characters that it can begin with.
	Length int    `yaml:"length"`
	First  string `yaml:"first"`
}

// Indicator implements indicator.Indicator.
type Indicator struct {
	networks  []Network
	first     [256]bool
	shortest  int
	longest   int
	words     [][]byte
	donations map[string]bool
}

// New checks the rules.
func New(r Rules) (*Indicator, error) {
	if len(r.Networks) == 0 || len(r.Words) == 0 {
		return nil, errors.New("wallet rules: networks and words must not be empty")
	}
	ind := &Indicator{networks: r.Networks, shortest: maxAddress, donations: map[string]bool{}}
	for _, n := range r.Networks {
		if n.Name == "" || n.Length < 40 || n.Length > maxAddress || n.First == "" {
			return nil, fmt.Errorf("wallet rules: network %q: want a name, 40 to %d characters and what they begin with", n.Name, maxAddress)
		}
		for _, c := range []byte(n.First) {
			ind.first[c] = true
		}
		ind.shortest, ind.longest = min(ind.shortest, n.Length), max(ind.longest, n.Length)
	}
	for _, w := range r.Words {
		ind.words = append(ind.words, bytes.ToLower([]byte(w)))
	}
	for _, d := range r.Donations {
		if _, ok := parse([]byte(d)); !ok {
			return nil, fmt.Errorf("wallet rules: donation address %q has a wrong checksum", d)
		}
		ind.donations[d] = true
	}
	return ind, nil
}

// Name implements indicator.Indicator.
func (*Indicator) Name() string { return name }

// Version implements indicator.Indicator.
func (*Indicator) Version() int { return version }

// Literals implements indicator.Indicator: an address has none.
func (*Indicator) Literals() []indicator.Literal { return nil }

// Watch implements indicator.Indicator.
func (ind *Indicator) Watch(f indicator.File) indicator.Watch {
	return &watch{ind: ind, file: f, out: report.New(f), seam: text.Seam{Keep: ind.longest + 2*around}, seen: map[string]bool{}, sums: make([]sums, len(ind.networks))}
}

type watch struct {
	ind  *Indicator
	file indicator.File
	out  *report.Report
	seam text.Seam
	seen map[string]bool
	sums []sums // per network
}

// sums counts the checksums that were computed, and up to where: a piece may show a place again.
type sums struct {
	count int
	next  int64
}

// maxSums bounds the checksums of one file and network, so that a file made of address beginnings costs no more than
// its length. A file that exceeds it is not fully read.
const maxSums = 1 << 16

// maxSeen bounds the addresses that are remembered so as to be weighed once only.
const maxSeen = 1024

// Hit implements indicator.Watch.
func (*watch) Hit(indicator.Hit) {}

// Bytes implements indicator.ByteWatch.
func (w *watch) Bytes(chunk []byte) {
	w.seam.Next(chunk, func(p []byte, at int64) { w.piece(p, at, false) })
}

// Close implements indicator.Watch.
func (w *watch) Close() []trust.Finding {
	w.seam.Close(func(p []byte, at int64) { w.piece(p, at, true) })
	return w.out.Findings()
}

// Unread implements indicator.Bounded.
func (w *watch) Unread() string { return w.out.Unread() }

// piece looks for runs of base58 digits. A run of at least shortest digits has one at every shortest-th byte, so that
// most of a file is skipped.
func (w *watch) piece(p []byte, at int64, last bool) {
	step := w.ind.shortest
	for i := step - 1; i < len(p); {
		if digits[p[i]] == 0 {
			i += step
			continue
		}
		from, to := i, i+1
		for from > 0 && i-from < step && digits[p[from-1]] != 0 {
			from--
		}
		for to < len(p) && to-from < step && digits[p[to]] != 0 {
			to++
		}
		if to-from < step {
			i = max(i+1, from+step, to+step-1)
			continue
		}
		for to < len(p) && digits[p[to]] != 0 {
			to++
		}
		w.run(p, from, to, at, last)
		i = to + step
	}
}

// run looks at every place in a run where an address can begin: text escapes such as "\n" leave a digit before it.
func (w *watch) run(p []byte, from, to int, at int64, last bool) {
	for i := from; i+w.ind.shortest <= to; i++ {
		if !w.ind.first[p[i]] {
			continue
		}
		// Without its surroundings the address is left to the piece that holds them.
		if i < around && at > 0 {
			continue
		}
		for k, n := range w.ind.networks {
			end := i + n.Length
			if end > to || bytes.IndexByte([]byte(n.First), p[i]) < 0 || !last && end+around > len(p) {
				continue
			}
			if at+int64(i) < w.sums[k].next || !begins(p[i:end], n.Tag) || !w.spend(k, at+int64(i)) {
				continue
			}
			if tag, ok := parse(p[i:end]); ok && tag == n.Tag {
				w.found(n, p[max(0, i-around):min(len(p), end+around)], p[i:end], at+int64(i))
			}
		}
	}
}

// spend reports whether one more checksum may be computed.
func (w *watch) spend(network int, offset int64) bool {
	s := &w.sums[network]
	s.count++
	s.next = offset + 1
	if s.count <= maxSums {
		return true
	}
	w.out.GiveUp("holds more beginnings of " + w.ind.networks[network].Name + " addresses than are checked")
	return false
}

func (w *watch) found(n Network, surroundings, address []byte, offset int64) {
	if w.seen[string(address)] {
		return
	}
	if len(w.seen) < maxSeen {
		w.seen[string(address)] = true
	}
	if w.ind.donations[string(address)] {
		w.out.AddWeighed(offset, trust.Context, trust.Context, address, "holds the public donation address of a project, a "+n.Name+" address")
		return
	}
	why := "holds a valid " + n.Name + " address"
	if word, ok := w.word(surroundings, address); ok && (w.file.Kind == trust.KindConfig || w.file.Kind == trust.KindScript || w.out.Role() != report.Other) {
		w.out.Add(offset, trust.Strong, address, fmt.Sprintf("%s beside the word %q", why, word))
		return
	}
	w.out.Add(offset, trust.Weak, address, why)
}

// word is the first word near the address that speaks of mining.
func (w *watch) word(surroundings, address []byte) (string, bool) {
	lower := bytes.ToLower(bytes.ReplaceAll(surroundings, address, []byte(" ")))
	for _, word := range w.ind.words {
		for i := 0; ; {
			n := bytes.Index(lower[i:], word)
			if n < 0 {
				break
			}
			i += n
			end := i + len(word)
			if (i == 0 || !isLetter(lower[i-1])) && (end == len(lower) || !isLetter(lower[end])) {
				return string(word), true
			}
			i = end
		}
	}
	return "", false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }
