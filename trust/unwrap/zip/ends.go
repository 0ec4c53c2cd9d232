package zip

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"

	"github.com/safepull/safepull/trust/unwrap"
)

var _ unwrap.Ender = Wrapper{}

// Ends implements unwrap.Ender. Java, Python and unzip open a file by the record at its end, whatever it begins with.
func (Wrapper) Ends(tail []byte, before int64, exact bool) bool {
	n := len(tail)
	for range maxEnds {
		if n = bytes.LastIndex(tail[:n], []byte(endMagic)); n < 0 {
			return false
		}
		if len(tail)-n >= endBytes && (!exact || n+endBytes+int(binary.LittleEndian.Uint16(tail[n+20:])) == len(tail)) && leads(tail, n, before) {
			return true
		}
	}
	return false
}

// leads reports whether the record at a place of the tail leads to a directory, as far as the tail shows.
func leads(tail []byte, at int, before int64) bool {
	r := tail[at:]
	if at >= locatorBytes && bytes.HasPrefix(tail[at-locatorBytes:], []byte(locatorMagic)) {
		return true
	}
	size, offset, entries := word(r[12:]), word(r[16:]), int64(binary.LittleEndian.Uint16(r[10:]))
	end := before + int64(at)
	if size < directoryBytes || size > end {
		return false
	}
	for _, begin := range []int64{end - size, offset} {
		if i := begin - before; i >= 0 && i < int64(at) && bytes.HasPrefix(tail[i:], []byte(directoryMagic)) {
			return true
		}
	}
	// A directory that the tail does not show: all that can be told is whether the numbers make sense.
	hidden := min(end-size, offset) < before && offset+size <= end
	return hidden && entries > 0 && entries*directoryBytes <= size && binary.LittleEndian.Uint32(r[4:]) == 0
}

// named: files that are called so are opened as archives.
func named(c unwrap.Content) bool {
	switch strings.ToLower(path.Ext(c.Path)) {
	case ".jar", ".war", ".ear", ".zip", ".whl", ".egg", ".pyz", ".apk":
		return c.Size < 0 || c.Size > unwrap.HeadBytes
	}
	return false
}
