package wallet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/sha3"
)

// maxBase58 bounds the addresses of Bitcoin's kind, in characters: Ergo's have 51.
const maxBase58 = 52

// base58 reads a number in Bitcoin's base58: one number for the whole text, a zero byte for every leading "1".
func base58(s []byte) ([]byte, bool) {
	if len(s) == 0 || len(s) > maxBase58 {
		return nil, false
	}
	var limbs [10]uint32 // little-endian; 52 digits are 305 bits
	for _, c := range s {
		d := digits[c]
		if d == 0 {
			return nil, false
		}
		carry := uint64(d - 1)
		for i := range limbs {
			carry += uint64(limbs[i]) * uint64(len(alphabet))
			limbs[i] = uint32(carry) //nolint:gosec // the lower half; the upper one is carried
			carry >>= 32
		}
	}
	zeros := len(s) - len(bytes.TrimLeft(s, "1"))
	out := make([]byte, zeros, zeros+4*len(limbs))
	begun := false
	for i := len(limbs) - 1; i >= 0; i-- {
		for shift := 24; shift >= 0; shift -= 8 {
			b := byte(limbs[i] >> shift)
			if begun = begun || b != 0; begun {
				out = append(out, b)
			}
		}
	}
	return out, true
}

// isBase58Check reports whether s is an address of one of some versions: version, 20 bytes, and four bytes of their
// double SHA-256 (Bitcoin).
func isBase58Check(s []byte, versions [][]byte) bool {
	raw, ok := base58(s)
	if !ok || len(raw) < checksum {
		return false
	}
	body := raw[:len(raw)-checksum]
	for _, v := range versions {
		if len(body) == len(v)+20 && bytes.HasPrefix(body, v) {
			one := sha256.Sum256(body)
			two := sha256.Sum256(one[:])
			return bytes.Equal(two[:checksum], raw[len(body):])
		}
	}
	return false
}

// isErgo reports whether s is an address of Ergo that belongs to a key: network and type, 33 bytes, and four bytes of
// their Blake2b-256 (Ergo, address encoding).
func isErgo(s []byte) bool {
	raw, ok := base58(s)
	if !ok || len(raw) != 1+33+checksum || raw[0] != 0x01 {
		return false
	}
	sum := blake2b.Sum256(raw[:34])
	return bytes.Equal(sum[:checksum], raw[34:])
}

const charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// values gives the value of a bech32 digit plus one, zero for other bytes.
var values = func() (t [256]byte) {
	for i := range len(charset) {
		t[charset[i]] = byte(i + 1)
	}
	return t
}()

// isBech32 reports whether data is what stands behind prefix and "1" in a valid address (BIP 173 and BIP 350).
func isBech32(prefix string, data []byte) bool {
	const leastData = 6 + 8 // checksum, and more than an accident
	if len(data) < leastData {
		return false
	}
	sum := uint32(1)
	step := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for _, c := range []byte(prefix) {
		step(c >> 5)
	}
	step(0)
	for _, c := range []byte(prefix) {
		step(c & 31)
	}
	for _, c := range data {
		if values[c] == 0 {
			return false
		}
		step(values[c] - 1)
	}
	return sum == 1 || sum == 0x2bc830a3
}

// isCashaddr reports whether data is what stands behind prefix and ":" in a valid address (CashAddr specification;
// Kaspa has the same checksum).
func isCashaddr(prefix string, data []byte) bool {
	const leastData = 8 + 32
	if len(data) < leastData {
		return false
	}
	sum := uint64(1)
	step := func(v byte) {
		top := sum >> 35
		sum = sum&0x07ffffffff<<5 ^ uint64(v)
		for i, g := range [...]uint64{0x98f2bc8e61, 0x79b76d99e2, 0xf33e5fb3c4, 0xae2eabe2a8, 0x1e4f43e470} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for _, c := range []byte(prefix) {
		step(c & 31)
	}
	step(0)
	for _, c := range data {
		if values[c] == 0 {
			return false
		}
		step(values[c] - 1)
	}
	return sum == 1
}

// isEthereum reports whether s is an address of Ethereum: 0x, 40 hexadecimal digits and, unless all letters have one
// case, capitals as the Keccak-256 of the small letters says (EIP-55).
func isEthereum(s []byte) bool {
	const size = 42
	if len(s) != size || s[0] != '0' || s[1] != 'x' {
		return false
	}
	small := bytes.ToLower(s[2:])
	if bytes.Equal(small, s[2:]) || bytes.Equal(bytes.ToUpper(small), s[2:]) {
		_, err := hex.DecodeString(string(small))
		return err == nil
	}
	h := sha3.NewLegacyKeccak256()
	h.Write(small)
	sum := h.Sum(nil)
	for i, c := range s[2:] {
		switch {
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			if capital := sum[i/2]>>(4*(1-i%2))&0xf >= 8; capital != (c < 'a') {
				return false
			}
		default:
			return false
		}
	}
	return true
}
