package encoded

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// words are what a text says about how it decodes something.
type words uint32

const (
	decodes words = 1 << iota
	reverses
	rotates
	inflates
	base85s
	numbers
	hexNumbers
	uuFiles
	runsIt
	// runsDecoded is a text that both decodes something and runs something.
	runsDecoded = decodes | runsIt
)

// vocabulary are words of programs that decode, each with what it means. Those that only say that something is run
// are words that people seldom put next to encoded text for other reasons.
var vocabulary = append([]meaning{
	{"base64", decodes},
	{"b64decode", decodes},
	{"b32decode", decodes},
	{"b16decode", decodes},
	{"atob", decodes},
	{"unhexlify", decodes},
	{"fromhex", decodes},
	{"hex2bin", decodes},
	{"xxd -r", decodes},
	{"'hex'", decodes},
	{"\"hex\"", decodes},
	{"pack(", decodes | numbers},
	{"unpack1", decodes},
	{"FromBase64", decodes},
	{"openssl enc", decodes},
	{"openssl aes", decodes},
	{"gpg -", decodes},
	{"Fernet", decodes},
	{"AES", decodes},
	{"marshal", decodes},
	{"decompress", decodes | inflates},
	{"inflate", decodes | inflates},
	{"a85decode", decodes | base85s},
	{"b85decode", decodes | base85s},
	{"z85decode", decodes | base85s},
	{"[::-1]", reverses},
	{"reverse", reverses},
	{"|rev", reverses},
	{"| rev", reverses},
	{"strrev", reverses},
	{"//:ptth", reverses},
	{"//:sptth", reverses},
	{"rot13", rotates},
	{"rot_13", rotates},
	{"N-ZA-M", rotates},
	{"n-za-m", rotates},
	{"fromCharCode", numbers},
	{"bytes([", numbers},
	{"bytearray([", numbers},
	{"Array([", numbers},
	{"from([", numbers},
	{"chr(", numbers},
	{"eval", runsIt},
	{"exec(", runsIt},
	{"|sh", runsIt},
	{"| sh", runsIt},
	{"|bash", runsIt},
	{"| bash", runsIt},
	{"|python", runsIt},
	{"| python", runsIt},
	{"chmod +x", runsIt},
	{"system(", runsIt},
	{"popen", runsIt},
	{"Function(", runsIt},
	{"uudecode", decodes},
	{"begin 0", uuFiles},
	{"begin 6", uuFiles},
	{"begin 7", uuFiles},
}, hexDigits()...)

// meaning is what a word says.
type meaning struct {
	text string
	is   words
}

// hexDigits are the beginnings of hexadecimal numbers.
func hexDigits() (all []meaning) {
	for _, digit := range "0123456789abcdefABCDEF" {
		all = append(all, meaning{"0x" + string(digit), hexNumbers})
	}
	return all
}

// rare picks, of each word, two neighbouring characters: one pair that begins at an even and one that begins at an odd
// place of the word, so that a look at every second place of a text meets one of them. The pairs are the word's rarest
// in ordinary text and source code, as letterWeight estimates.
type pairTable struct {
	words []string

	// some is 1 for each pair b<<8|a that any word has.
	some [1 << 16]byte
	// starts is the index into entries of the first entry of a pair.
	starts  [1 << 16]uint16
	entries []pairEntry
}

type pairEntry struct {
	word, offset int
	more         bool // the next entry is of the same pair
}

var pairs = newPairTable(func() (all []string) {
	for _, v := range vocabulary {
		all = append(all, v.text)
	}
	return all
}())

func newPairTable(words []string) *pairTable {
	t := &pairTable{words: words}
	byPair := map[uint16][]pairEntry{}
	var order []uint16
	for w, text := range words {
		for parity := range 2 {
			best, bestWeight := -1, 0
			for at := parity; at+1 < len(text); at += 2 {
				if weight := letterWeight(text[at]) * letterWeight(text[at+1]); best < 0 || weight < bestWeight {
					best, bestWeight = at, weight
				}
			}
			if best < 0 {
				continue
			}
			p := uint16(text[best+1])<<8 | uint16(text[best])
			if len(byPair[p]) == 0 {
				order = append(order, p)
			}
			byPair[p] = append(byPair[p], pairEntry{word: w, offset: best})
		}
	}
	for _, p := range order {
		t.some[p] = 1
		t.starts[p] = uint16(len(t.entries))
		for i, e := range byPair[p] {
			e.more = i+1 < len(byPair[p])
			t.entries = append(t.entries, e)
		}
	}
	return t
}

// letterWeight is roughly how often a character stands in a thousand of text and code.
func letterWeight(c byte) int {
	switch {
	case bytes.IndexByte([]byte("etaoinsr "), c) >= 0:
		return 60
	case bytes.IndexByte([]byte("hldcumfpg"), c) >= 0:
		return 25
	case c >= 'a' && c <= 'z' || bytes.IndexByte([]byte("(.,0)=\"'1"), c) >= 0:
		return 12
	}
	return 4
}

// findWords tells which words stand in b.
func findWords(b []byte) words {
	var found words
	pairs.find(b, func(word int) { found |= vocabulary[word].is })
	return found
}

// find calls yield for every word that stands in b, as often as it does.
func (t *pairTable) find(b []byte, yield func(word int)) {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		if t.some[uint16(v)]|t.some[uint16(v>>16)]|t.some[uint16(v>>32)]|t.some[uint16(v>>48)] == 0 {
			continue
		}
		for k := range 4 {
			if p := uint16(v >> (16 * k)); t.some[p] != 0 {
				t.at(b, i+2*k, p, yield)
			}
		}
	}
	for ; i+1 < len(b); i += 2 {
		if p := uint16(b[i+1])<<8 | uint16(b[i]); t.some[p] != 0 {
			t.at(b, i, p, yield)
		}
	}
}

// at calls yield for the words in b of which the pair at i is a part.
func (t *pairTable) at(b []byte, i int, pair uint16, yield func(word int)) {
	for k := t.starts[pair]; ; k++ {
		entry := t.entries[k]
		text, at := t.words[entry.word], i-entry.offset
		if at >= 0 && at+len(text) <= len(b) && string(b[at:at+len(text)]) == text {
			yield(entry.word)
		}
		if !entry.more {
			return
		}
	}
}

// scriptVocabulary are words of programs, as a hint that text is one.
var scriptVocabulary = []string{
	"import ", "exec", "http", "curl ", "wget ", "chmod ", "/bin/", "/tmp", "echo ", "function", "return", "var ", "then", "def ", "while ", " -o ", "sleep ", "nohup ", "require(", "sh ",
	"\"url\"", "://",
}

var (
	scriptPairs   = newPairTable(scriptVocabulary)
	reversedPairs = newPairTable(func() (all []string) {
		for _, w := range scriptVocabulary {
			all = append(all, string(reversed([]byte(w))))
		}
		return all
	}())
)

// count is how many different words stand in b.
func (t *pairTable) count(b []byte) int {
	var seen uint64
	t.find(b, func(word int) { seen |= 1 << word })
	return bits.OnesCount64(seen)
}

func reversed(b []byte) []byte {
	out := slices.Clone(b)
	slices.Reverse(out)
	return out
}
