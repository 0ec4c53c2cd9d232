package wallet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
)

// Account is a kind of address that is no CryptoNote address.
type Account struct {
	Name string `yaml:"name"`
	// Form is base58check, bech32, cashaddr, ergo, ethereum or nicehash.
	Form string `yaml:"form"`
	// Versions are what a base58check address begins with, decoded, as hexadecimal bytes; First are the characters that
	// it can begin with.
	Versions []string `yaml:"versions"`
	First    string   `yaml:"first"`
	// Prefix stands before "1" in bech32, before ":" in cashaddr, and before everything in nicehash.
	Prefix string `yaml:"prefix"`
	// General says that people pay with the coin for everything: an address says nothing unless mining is spoken of.
	General bool `yaml:"general"`
}

const (
	formBase58Check = "base58check"
	formBech32      = "bech32"
	formCashaddr    = "cashaddr"
	formErgo        = "ergo"
	formEthereum    = "ethereum"
	formNiceHash    = "nicehash"

	// leastAccount and mostAccount bound these addresses, in characters behind a ":" if there is one. Dero's integrated
	// addresses are the longest.
	leastAccount, mostAccount = 26, 420
	// maxPrefix bounds a prefix.
	maxPrefix = 16
	// minLiteral is the engine's shortest literal, in bytes.
	minLiteral = 6
	ergoChars  = 51
	hashChars  = 36
)

// account is an Account that was checked.
type account struct {
	Account

	versions [][]byte
}

func compileAccount(a Account) (account, error) {
	out := account{Account: a}
	for _, v := range a.Versions {
		b, err := hex.DecodeString(v)
		if err != nil || len(b) < 1 || len(b) > 2 {
			return out, fmt.Errorf("account %q: version %q is not one or two hexadecimal bytes", a.Name, v)
		}
		out.versions = append(out.versions, b)
	}
	ok := false
	switch a.Form {
	case formBase58Check:
		ok = len(a.Versions) > 0 && a.First != ""
	case formBech32, formCashaddr, formNiceHash:
		ok = len(a.Prefix) >= 2 && len(a.Prefix) <= maxPrefix
	case formErgo, formEthereum:
		ok = true
	}
	if !ok || a.Name == "" {
		return out, fmt.Errorf("account %q: want a name, a known form, and what that needs", a.Name)
	}
	if w := out.wake(); w != "" && len(w) < minLiteral {
		return out, fmt.Errorf("account %q: %q is too short to be found everywhere: shorter than %d bytes", a.Name, w, minLiteral)
	}
	return out, nil
}

// wake is a literal that finds the address where not every run of letters is looked at, "" if there is none.
func (a account) wake() string {
	switch {
	case a.General:
		return ""
	case a.Form == formBech32 && len(a.Prefix) > 4:
		return a.Prefix + "1"
	case a.Form == formBech32:
		return a.Prefix + "1q"
	case a.Form == formCashaddr:
		return a.Prefix + ":"
	}
	return ""
}

// fits reports whether a whole run of letters and digits is such an address. before is what stands in front of it.
func (a account) fits(run, before []byte) bool {
	switch a.Form {
	case formBase58Check:
		return len(run) <= 35 && bytes.IndexByte([]byte(a.First), run[0]) >= 0 && isBase58Check(run, a.versions)
	case formBech32:
		n := len(a.Prefix)
		return len(run) > n+1 && string(run[:n]) == a.Prefix && run[n] == '1' && isBech32(a.Prefix, run[n+1:])
	case formCashaddr:
		return endsWithPrefix(before, a.Prefix) && isCashaddr(a.Prefix, run)
	case formErgo:
		return len(run) == ergoChars && run[0] == '9' && isErgo(run)
	case formEthereum:
		return isEthereum(run)
	}
	return len(run) == hashChars && bytes.HasPrefix(run, []byte(a.Prefix)) && isDigits(run)
}

// before is what stands in front of the letters and digits of such an address and belongs to it.
func (a account) before() string {
	if a.Form == formCashaddr {
		return a.Prefix + ":"
	}
	return ""
}

// endsWithPrefix: text ends with a prefix of its own and ":".
func endsWithPrefix(text []byte, prefix string) bool {
	n := len(text) - len(prefix) - 1
	return n >= 0 && text[len(text)-1] == ':' && string(text[n:len(text)-1]) == prefix && (n == 0 || !alnum[text[n-1]])
}

func isDigits(s []byte) bool {
	return !slices.ContainsFunc(s, func(c byte) bool { return digits[c] == 0 })
}

// valid reports whether a text is an address of any kind, and nothing else.
func (ind *Indicator) valid(s string) bool {
	if tag, ok := parse([]byte(s)); ok && ind.tags[tag] != nil {
		return true
	}
	before, run := "", s
	if i := bytes.IndexByte([]byte(s), ':'); i >= 0 {
		before, run = s[:i+1], s[i+1:]
	}
	for _, a := range ind.accounts {
		if before == a.before() && len(run) >= leastAccount && a.fits([]byte(run), []byte(before)) {
			return true
		}
	}
	return false
}
