package encoded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"
)

// form is what decoded bytes are.
type form struct {
	packing packing
	// mask is taken off each byte first; 0 is none.
	mask byte
	wide bool // UTF-16 without a byte order mark
}

// magics are the beginnings of formats that can hold something to run or to unpack. They are long enough that noise
// seldom has one.
var magics = []string{
	"\x7fELF", "#!/", "#! /", "PK\x03\x04", "\x28\xb5\x2f\xfd", "7z\xbc\xaf\x27\x1c", "\xfd7zXZ\x00", "!<arch>\n", "\x04\x22\x4d\x18", "Rar!\x1a\x07", "\x00asm\x01\x00\x00\x00", "dex\n03",
	"\x89PNG\r\n\x1a\n", "GIF89a", "GIF87a", "%PDF-", "\xff\xd8\xff\xe0", "\xff\xd8\xff\xe1", "\xff\xd8\xff\xdb", "<?php", "<?xml", "\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xca\xfe\xba\xbe",
	"\xed\xab\xee\xdb", "hsqs", "070701", "070702",
}

// identify says what bytes with this beginning are; ok is false for noise. whole says that there is no more.
func identify(head []byte, whole bool) (f form, ok bool) {
	if f, ok := plainForm(head); ok {
		return f, true
	}
	switch {
	case isText(head, whole):
		if len(head) >= minMasked && scriptPairs.count(head) == 0 { // a mask may make text of text
			if key, ok := findMask(head); ok {
				return form{mask: key}, true
			}
		}
		return form{}, true
	case isWide(head):
		return form{wide: true}, true
	case isMarshal(head):
		return form{}, true
	case len(head) >= minMasked:
		if key, ok := findMask(head); ok {
			unmasked := xored(head, key)
			f, _ := plainForm(unmasked)
			f.mask = key
			return f, true
		}
	}
	return form{}, false
}

func plainForm(head []byte) (form, bool) {
	if p := packingOf(head); p != stored {
		return form{packing: p}, true
	}
	for _, m := range magics {
		if len(head) >= len(m) && string(head[:len(m)]) == m {
			return form{}, true
		}
	}
	switch {
	case len(head) > 262 && string(head[257:262]) == "ustar",
		len(head) >= 64 && head[0] == 'M' && head[1] == 'Z' && isPE(head),
		len(head) >= 16 && isPyc(head):
		return form{}, true
	}
	return form{}, false
}

func isPE(head []byte) bool {
	at := int64(binary.LittleEndian.Uint32(head[60:]))
	return at >= 64 && at+4 <= int64(len(head)) && string(head[at:at+4]) == "PE\x00\x00"
}

// isPyc knows Python 3.3 and later: a version word that ends in CR LF, flags of at most 3, and a code object.
func isPyc(head []byte) bool {
	return head[2] == '\r' && head[3] == '\n' && head[1] == 0x0c|head[1]&1 && head[4] <= 3 && head[5]|head[6]|head[7] == 0
}

// isMarshal knows a marshalled code object of Python 3.4 and later: a code tag with the flag that it is referred to,
// then small counts of arguments.
func isMarshal(head []byte) bool {
	return len(head) >= 30 && head[0] == 0xe3 && head[2]|head[3]|head[4] == 0 && head[6]|head[7]|head[8] == 0 && head[1] < 64 && head[5] < 64
}

// minText is the least length of decoded text that is shown: shorter words are everywhere.
const minText = 12

// isText reports whether head is text: nothing but printable characters, white space and UTF-8, but for one in 32, if
// it is long.
func isText(head []byte, whole bool) bool {
	if len(head) < minText {
		return false
	}
	odd, wide, run := 0, 0, 1
	allowed := 0
	if len(head) >= 96 {
		allowed = len(head) / 32
	}
	for i := 0; i < len(head); {
		c := head[i]
		switch {
		case c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' || c == 0x1b:
			i++
		case c < utf8.RuneSelf:
			odd++
			i++
		default:
			r, n := utf8.DecodeRune(head[i:])
			if r == utf8.RuneError && (whole || i+utf8.UTFMax <= len(head)) {
				odd++
			}
			wide++
			i += n
		}
		if odd > allowed || i == 32 && wide > 8 {
			return false
		}
		if i < len(head) && head[i] == c {
			run++
		}
	}
	return run < len(head)-len(head)/8 // one character again and again says nothing
}

// isWide reports whether head is text in UTF-16, low bytes first.
func isWide(head []byte) bool {
	if len(head) < 16 {
		return false
	}
	odd := 0
	for i := 0; i+1 < len(head); i += 2 {
		if head[i+1] != 0 || (head[i] < ' ' || head[i] > '~') && head[i] != '\n' && head[i] != '\r' && head[i] != '\t' {
			if odd++; odd > len(head)/32 {
				return false
			}
		}
	}
	return true
}

// minMasked is the least length of bytes that are looked at for a mask of one byte.
const minMasked = 64

// masked are beginnings that are known again through a mask.
var masked = []string{"\x7fELF", "#!/", "PK\x03\x04", "\x1f\x8b\x08", "BZh", "\xfd7zX", "import ", "#! /"}

// findMask finds the byte whose XOR makes something of head that runs or unpacks, or a script.
func findMask(head []byte) (byte, bool) {
	for _, m := range masked {
		if key := head[0] ^ m[0]; key != 0 && head[1]^m[1] == key && string(xored(head[:len(m)], key)) == m {
			plain := xored(head, key)
			if f, ok := plainForm(plain); ok && (f.packing != stored || m[0] != '#') || isText(plain, false) {
				return key, true
			}
		}
	}
	var count [256]int
	most := byte(0)
	for _, c := range head {
		if count[c]++; count[c] > count[most] {
			most = c
		}
	}
	if count[most] < len(head)/16 {
		return 0, false // text has one character, often the space, far more often than others
	}
	for _, c := range []byte(" e\nta\"") {
		key := most ^ c
		if plain := xored(head, key); key != 0 && isText(plain, false) && scriptPairs.count(plain) >= 2 {
			return key, true
		}
	}
	return 0, false
}

func xored(b []byte, key byte) []byte {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = c ^ key
	}
	return out
}

// isKey knows certificates, keys and signatures, which programs carry as noise.
func isKey(head []byte) bool {
	return len(head) > 4 && head[0] == 0x30 && (head[1] == 0x82 || head[1] == 0x81 || head[1] == 0x83) ||
		bytes.HasPrefix(head, []byte("openssh-key-v1")) || bytes.HasPrefix(head, []byte("\x00\x00\x00")) ||
		len(head) > 1 && (head[0] == 0x99 || head[0] == 0xc6 || head[0] == 0xc2 || head[0] == 0x89) && head[1] < 8 || // OpenPGP
		bytes.HasPrefix(head, []byte("wOF2")) || bytes.HasPrefix(head, []byte("wOFF")) || bytes.HasPrefix(head, []byte("RIFF"))
}

// varied reports whether head has many different bytes, as noise and most text has.
func varied(head []byte) bool {
	var seen [256]bool
	n := 0
	for _, c := range head {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n >= min(len(head)/2, 24)
}

// mixed reports whether a run looks like noise in an alphabet, not like words: it has capitals, small letters and digits
// as often as noise has, or is hexadecimal.
func mixed(run []byte) bool {
	var upper, lower, digits, hexLetters int
	for _, c := range run {
		switch {
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		case isDigit(c):
			digits++
		}
		if c|0x20 >= 'a' && c|0x20 <= 'f' {
			hexLetters++
		}
	}
	n := len(run)
	return n >= minRun && (digits >= n/14 && (upper >= n/6 && lower >= n/6 || digits+hexLetters == n && hexLetters >= n/6 || upper+digits == n && upper >= n/2))
}

// inflatesSome reports whether a deflate stream begins here: all of the beginning makes sense, or text comes out of it.
func inflatesSome(head []byte) bool {
	r := flate.NewReader(bytes.NewReader(head))
	defer r.Close()
	var out [minMasked]byte
	n, err := io.ReadFull(r, out[:])
	if n == len(out) && !isText(out[:], false) {
		var more [sampleBytes]byte
		for err == nil {
			_, err = r.Read(more[:])
		}
	}
	var corrupt flate.CorruptInputError
	return n > 0 && (!errors.As(err, &corrupt) || n >= minText && isText(out[:n], false))
}
