package corpus

import (
	"math/big"
	"math/rand/v2"

	"golang.org/x/crypto/sha3"
)

// base58 is CryptoNote's alphabet.
const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// Wallet is a Monero address of random keys with a valid checksum. Random bytes are not points of the curve, so that
// nothing sent to it could ever be spent: nobody owns it.
func Wallet(rng *rand.Rand) string {
	const standard = 18 // network byte of a Monero main net address
	payload := []byte{standard}
	for range 64 {
		payload = append(payload, byte(rng.UintN(256)))
	}
	hash := sha3.NewLegacyKeccak256()
	hash.Write(payload)
	return encode58(append(payload, hash.Sum(nil)[:4]...))
}

// encode58 is CryptoNote's base58: blocks of 8 bytes become 11 digits, the rest fewer.
func encode58(p []byte) string {
	digits := [...]int{0, 2, 3, 5, 6, 7, 9, 10, 11}
	var out []byte
	for len(p) > 0 {
		n := min(8, len(p))
		value, base, digit := new(big.Int).SetBytes(p[:n]), big.NewInt(58), new(big.Int)
		block := make([]byte, digits[n])
		for i := len(block) - 1; i >= 0; i-- {
			value.DivMod(value, base, digit)
			block[i] = base58[digit.Int64()]
		}
		out, p = append(out, block...), p[n:]
	}
	return string(out)
}
