// Package magic tells archives by their first bytes, where more than one wrapper has to know.
package magic

import "bytes"

// TarBlock is the length of a header of a tar archive, in bytes.
const TarBlock = 512

// Archive reports whether the bytes begin with an archive of files. What else is found further on in them is one of its
// files, and not for a wrapper that looks behind programs and scripts.
func Archive(b []byte) bool {
	for _, m := range []string{"!<arch>\n", "070701", "070702", "070707", "\xed\xab\xee\xdb", "PK\x03\x04", "7z\xbc\xaf\x27\x1c", "Rar!\x1a\x07"} {
		if bytes.HasPrefix(b, []byte(m)) {
			return true
		}
	}
	return Tar(b)
}

// Tar reports whether the bytes begin with a header of any kind of tar archive: it has the right checksum. Both ways of summing are known from
// archives: bytes with a sign, and without.
func Tar(b []byte) bool {
	if len(b) < TarBlock || b[0] == 0 && b[257] == 0 {
		return false
	}
	want, digits := int64(0), 0
	for _, c := range b[148:156] {
		switch {
		case c >= '0' && c <= '7':
			want = want<<3 | int64(c-'0')
			digits++
		case c != ' ' && c != 0:
			return false
		}
	}
	if digits == 0 {
		return false
	}
	var unsigned, signed int64
	for i, c := range b[:TarBlock] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}
