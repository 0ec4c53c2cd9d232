package closure

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"github.com/safepull/safepull/trust"
)

// Programs that undo the simplest of ciphers: each byte of a file combined by "xor" with a byte that repeats. The key
// stands in the program, because nobody is there to enter it.

const (
	// maxKeys and maxSealed bound the keys and the files of one program that are tried with each other, and maxUnsealed
	// those of an image: each is a file to inspect.
	maxKeys, maxSealed, maxUnsealed = 4, 4, 32
	// maxKey bounds a key, in bytes, and minSealed is less than any program.
	maxKey, minSealed = 256, 64
)

var (
	// xorNumber is a number beside the operator, xorName a variable there.
	xorNumber = regexp.MustCompile(`\^=?\s*(0[xX][0-9a-fA-F]{1,2}|\d{1,3})\b|\b(0[xX][0-9a-fA-F]{1,2}|\d{1,3})\s*\^[^=]`)
	xorName   = regexp.MustCompile(`\^=?\s*(?:ord\s*\(?\s*)?[$@]?([A-Za-z_]\w{0,63})\b`)
	// cycled is a variable whose bytes repeat: k[i % len(k)], cycle(k).
	cycled = regexp.MustCompile(`[$@]?\b([A-Za-z_]\w{0,63})(?:\s*\[|\.charCodeAt\(|\.codePointAt\()[^\]\n)]{1,64}%|\bcycle\s*\(\s*([A-Za-z_]\w{0,63})`)
	// keyValue is a variable that is given a number, a string or bytes.
	keyValue = regexp.MustCompile(`(?m)(?:^|[;{(,\s])(?:(?:const|let|var|my|our)\s+)?[$@]?([A-Za-z_]\w{0,63})\s*=\s*(0[xX][0-9a-fA-F]{1,2}\b|\d{1,3}\b|(?:bytes\.fromhex|bytearray\.fromhex|Buffer\.from|hex2bin|pack)?\s*\(?\s*[bru]{0,2}["']([^"'\n]{1,256})["']|(?:bytes|bytearray)?\s*\(?\[([0-9xXa-fA-F,\s]{1,512})\])`)
	// someName is a string that may be a path.
	someName = regexp.MustCompile(`["']<?\s*([^"'\n<>]{2,256})["']`)
)

// unseal notes what a program makes of files of the image that it decodes with a key of its own.
func (x *explorer) unseal(body string, st *script) {
	if !strings.Contains(body, "^") || !x.spend(1+len(body)/64) {
		return
	}
	keys := keysOf(body)
	if len(keys) == 0 {
		return
	}
	var sealed []found
	for _, m := range someName.FindAllStringSubmatch(body, maxVisits) {
		if len(sealed) == maxSealed || !x.spend(8) {
			break
		}
		for _, f := range x.find(unmarked(m[1]), want{level: st.level, dirs: appendNew([]string{st.self()}, st.dirs...)}) {
			if f.file.Kind == trust.KindData && f.file.Size >= minSealed && len(sealed) < maxSealed {
				sealed = append(sealed, f)
			}
		}
	}
	for _, f := range sealed {
		x.mark(f.file, f.place)
		for _, key := range keys {
			if x.unsealed++; x.unsealed > maxUnsealed {
				return
			}
			x.addJoin(Join{Parts: []Part{{File: f.file, Steps: []Step{{Op: Xor, Text: key}}}}, Target: "what " + strconv.Quote(f.place) + " is decoded to"}, false)
		}
	}
}

// keysOf are what the bytes of a file may be combined with.
func keysOf(body string) []string {
	var keys []string
	add := func(key string) {
		if key != "" && len(keys) < maxKeys && strings.Trim(key, "\x00") != "" {
			keys = appendKey(keys, key)
		}
	}
	values := map[string]string{}
	for _, m := range keyValue.FindAllStringSubmatch(body, maxVisits) {
		if _, known := values[m[1]]; !known {
			values[m[1]] = keyBytes(m[2], m[3], m[4])
		}
	}
	for _, m := range cycled.FindAllStringSubmatch(body, maxVisits) {
		add(values[m[1]+m[2]])
	}
	for _, m := range xorNumber.FindAllStringSubmatch(body, maxVisits) {
		add(keyBytes(m[1]+m[2], "", ""))
	}
	for _, m := range xorName.FindAllStringSubmatch(body, maxVisits) {
		add(values[m[1]])
	}
	return keys
}

func appendKey(keys []string, key string) []string {
	for _, k := range keys {
		if k == key {
			return keys
		}
	}
	return append(keys, key)
}

// keyBytes is the key that a number, the text of a string, or a list says; "" if it says none.
func keyBytes(value, text, list string) string {
	switch {
	case text != "":
		if raw, err := hex.DecodeString(text); err == nil && strings.ContainsAny(value, "(") && len(raw) > 0 {
			return string(raw)
		}
		return cEscapes(text)
	case list != "":
		var key []byte
		for part := range strings.SplitSeq(list, ",") {
			if n, err := strconv.ParseUint(strings.TrimSpace(part), 0, 8); err == nil && len(key) < maxKey {
				key = append(key, byte(n))
			}
		}
		return string(key)
	}
	n, err := strconv.ParseUint(value, 0, 8)
	if err != nil {
		return ""
	}
	return string([]byte{byte(n)})
}
