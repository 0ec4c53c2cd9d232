package wallet

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/crypto/sha3"
)

// The CryptoNote family writes addresses in blocks of eight bytes as eleven base58 digits, big-endian; a shorter last
// block has the digits that its size needs.
const (
	alphabet   = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	blockBytes = 8
	blockChars = 11
	checksum   = 4
	// maxAddress bounds what is decoded, in characters: the longest address of the family has 113.
	maxAddress = 128
)

// digits gives the value of a base58 digit plus one, zero for other bytes.
var digits = func() (t [256]byte) {
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i + 1)
	}
	return t
}()

// bytesOf is how many bytes a block of that many digits holds, -1 when no number of bytes needs that many.
var bytesOf = [blockChars + 1]int{0, -1, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8}

// decode reads CryptoNote base58.
func decode(s []byte) ([]byte, bool) {
	if len(s) == 0 || len(s) > maxAddress {
		return nil, false
	}
	out := make([]byte, 0, maxAddress)
	for len(s) > 0 {
		n := min(len(s), blockChars)
		size := bytesOf[n]
		if size < 0 {
			return nil, false
		}
		value, ok := number(s[:n])
		if !ok || size < blockBytes && value>>(8*size) != 0 {
			return nil, false
		}
		var b [blockBytes]byte
		binary.BigEndian.PutUint64(b[:], value)
		out = append(out, b[blockBytes-size:]...)
		s = s[n:]
	}
	return out, true
}

// number reads at most eleven digits; more than 64 bits is not a block.
func number(s []byte) (uint64, bool) {
	var value uint64
	for _, c := range s {
		d := digits[c]
		if d == 0 {
			return 0, false
		}
		if value > (1<<64-1)/58 {
			return 0, false
		}
		value *= 58
		next := value + uint64(d-1)
		if next < value {
			return 0, false
		}
		value = next
	}
	return value, true
}

// parse checks an address: its network tag, its size and its checksum.
func parse(s []byte) (tag uint64, ok bool) {
	raw, ok := decode(s)
	if !ok || len(raw) < checksum+2 {
		return 0, false
	}
	body, sum := raw[:len(raw)-checksum], raw[len(raw)-checksum:]
	h := sha3.NewLegacyKeccak256()
	h.Write(body)
	if !bytes.Equal(h.Sum(nil)[:checksum], sum) {
		return 0, false
	}
	tag, n := binary.Uvarint(body)
	if n <= 0 {
		return 0, false
	}
	return tag, true
}

// tagOf is the tag that an address begins with; the first block decides.
func tagOf(s []byte) (uint64, bool) {
	value, ok := number(s[:blockChars])
	if !ok {
		return 0, false
	}
	var b [blockBytes]byte
	binary.BigEndian.PutUint64(b[:], value)
	tag, n := binary.Uvarint(b[:])
	return tag, n > 0
}

// shape is what addresses with a tag and size bytes behind it look like: their length in characters, and the least and
// the greatest digit that they begin with. The length is 0 if no tag is like that.
func shape(tag uint64, size int) (length int, least, greatest byte) {
	b := binary.AppendUvarint(nil, tag)
	if len(b) > blockBytes-2 {
		return 0, 0, 0
	}
	total := len(b) + size + checksum
	length = total / blockBytes * blockChars
	for chars, bytes := range bytesOf {
		if bytes == total%blockBytes && chars > 0 {
			length += chars
		}
	}
	first := func(fill byte) byte {
		block := append(bytes.Clone(b), bytes.Repeat([]byte{fill}, blockBytes-len(b))...)
		value := binary.BigEndian.Uint64(block)
		for range blockChars - 1 {
			value /= uint64(len(alphabet))
		}
		return byte(value)
	}
	return length, first(0), first(0xff)
}
