package wallet

import (
	"bytes"
	"fmt"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator/internal/report"
)

// sign is an address that was found.
type sign struct {
	name          string
	test, general bool
	address       []byte
	around        []byte // with the address
	offset        int64
}

// found weighs an address by what stands around it.
func (w *watch) found(s sign) {
	if w.seen[string(s.address)] {
		return
	}
	if len(w.seen) < maxSeen {
		if w.seen == nil {
			w.seen = map[string]bool{}
		}
		w.seen[string(s.address)] = true
	}
	why := "holds a valid " + s.name + " address"
	switch known, ok := w.ind.known[string(s.address)]; {
	case ok:
		w.out.AddWeighed(s.offset, trust.Context, trust.Context, s.address, "holds the "+known+", a "+s.name+" address")
		return
	case s.test:
		w.out.AddWeighed(s.offset, trust.Context, trust.Context, s.address, why+", which is worth nothing")
		return
	case s.general:
		if word, ok := near(w.ind.mining, s.around, s.address); ok {
			w.general = true
			w.out.Add(s.offset, trust.Weak, s.address, fmt.Sprintf("%s beside the word %q", why, word))
		}
		return
	}
	if word, ok := near(w.ind.words, s.around, s.address); ok && (w.text && w.file.Kind != trust.KindText || w.out.Role() != report.Other) {
		w.out.Add(s.offset, trust.Strong, s.address, fmt.Sprintf("%s beside the word %q", why, word))
		return
	}
	w.out.Add(s.offset, trust.Weak, s.address, why)
}

// payout weighs a coin, an address and a worker in one word: with a reference behind them, or where mining is spoken of.
func (w *watch) payout(s sign, reference bool) {
	word, mines := near(w.ind.mining, s.around, s.address)
	switch {
	case mines && (reference || s.name != ""):
		w.out.Add(s.offset, trust.Strong, s.address, fmt.Sprintf("names a coin, an address and a worker beside the word %q", word))
	case reference:
		w.out.Add(s.offset, trust.Weak, s.address, "names a coin, an address, a worker and a reference, as pools that pay in another coin want it")
	}
}

func lowered(words []string) [][]byte {
	out := make([][]byte, 0, len(words))
	for _, w := range words {
		out = append(out, bytes.ToLower([]byte(w)))
	}
	return out
}

// near is the first of some words that stands near the address by itself.
func near(words [][]byte, surroundings, address []byte) (string, bool) {
	lower := bytes.ToLower(bytes.ReplaceAll(surroundings, address, []byte(" ")))
	for _, word := range words {
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
