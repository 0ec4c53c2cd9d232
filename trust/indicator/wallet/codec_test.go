package wallet

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// slowDecode reads CryptoNote base58 as the format is described: blocks of eleven digits, each a number of its own.
func slowDecode(s string) ([]byte, bool) {
	sizes := map[int]int{2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}
	if s == "" || len(s) > maxAddress {
		return nil, false
	}
	var out []byte
	for len(s) > 0 {
		block := s[:min(11, len(s))]
		s = s[len(block):]
		size, ok := sizes[len(block)]
		if !ok {
			return nil, false
		}
		value := new(big.Int)
		for _, c := range block {
			d := strings.IndexRune(alphabet, c)
			if d < 0 {
				return nil, false
			}
			value.Add(value.Mul(value, big.NewInt(58)), big.NewInt(int64(d)))
		}
		if value.BitLen() > 8*size {
			return nil, false
		}
		out = append(out, value.FillBytes(make([]byte, size))...)
	}
	return out, true
}

// slowBase58 reads one number, and a zero byte for every leading "1".
func slowBase58(s string) ([]byte, bool) {
	if s == "" || len(s) > maxBase58 {
		return nil, false
	}
	value := new(big.Int)
	for _, c := range s {
		d := strings.IndexRune(alphabet, c)
		if d < 0 {
			return nil, false
		}
		value.Add(value.Mul(value, big.NewInt(58)), big.NewInt(int64(d)))
	}
	return append(make([]byte, len(s)-len(strings.TrimLeft(s, "1"))), value.Bytes()...), true
}

func TestDecodersAgainstBigNumbers(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 4000 {
		letters := alphabet
		switch round % 4 {
		case 1:
			letters = "1" // zeros
		case 2:
			letters = "zyj" // next to what overflows
		case 3:
			letters = alphabet + "0"
		}
		b := make([]byte, random.IntN(maxAddress+4))
		if round%2 == 0 {
			b = b[:min(len(b), random.IntN(maxBase58+3))]
		}
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		want, ok := slowDecode(string(b))
		if got, gotOK := decode(b); gotOK != ok || !bytes.Equal(got, want) {
			t.Fatalf("decode %q: got %x %v, want %x %v", b, got, gotOK, want, ok)
		}
		want, ok = slowBase58(string(b))
		if got, gotOK := base58(b); gotOK != ok || !bytes.Equal(got, want) {
			t.Fatalf("base58 %q: got %x %v, want %x %v", b, got, gotOK, want, ok)
		}
	}
}

// The greatest block of each length and the next number, which needs a bit more than there is.
func TestBlocksEnd(t *testing.T) {
	t.Parallel()
	for size := 1; size <= blockBytes; size++ {
		greatest := encode(bytes.Repeat([]byte{0xff}, size))
		if got, ok := decode([]byte(greatest)); !ok || !bytes.Equal(got, bytes.Repeat([]byte{0xff}, size)) {
			t.Errorf("%d bytes: %q: got %x %v", size, greatest, got, ok)
		}
		next := []byte(greatest)
		for i := len(next) - 1; i >= 0; i-- {
			if d := digits[next[i]]; int(d) < len(alphabet) {
				next[i] = alphabet[d]
				break
			}
			next[i] = alphabet[0]
		}
		if got, ok := decode(next); ok {
			t.Errorf("%d bytes: %q: got %x", size, next, got)
		}
	}
	for _, length := range []int{1, 4, 8, 12, 15, 19} {
		if got, ok := decode(bytes.Repeat([]byte("1"), length)); ok {
			t.Errorf("%d digits: got %x", length, got)
		}
	}
	for length, want := range map[int]bool{maxBase58: true, maxBase58 + 1: false} {
		if _, ok := base58(bytes.Repeat([]byte("2"), length)); ok != want {
			t.Errorf("base58 of %d digits: %v", length, ok)
		}
	}
}

// What an address begins with and how long it is, as computed, must be what addresses made of any keys look like.
func TestShapeOfManyAddresses(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for _, n := range rules(t).Networks {
		size := 64
		if n.Integrated {
			size += 8
		}
		length, least, greatest := shape(n.Tag, size)
		for range 40 {
			a := address(n.Tag, size, byte(random.Uint32()))
			first := digits[a[0]] - 1
			if len(a) != length || first < least || first > greatest {
				t.Fatalf("%s: %s has %d characters, want %d that begin with %c to %c", n.Name, a, len(a), length, alphabet[least], alphabet[greatest])
			}
			if tag, ok := tagOf([]byte(a)); !ok || tag != n.Tag {
				t.Fatalf("%s: the first block of %s has tag %d", n.Name, a, tag)
			}
			if tag, ok := parse([]byte(a)); !ok || tag != n.Tag {
				t.Fatalf("%s: %s has tag %d (%v)", n.Name, a, tag, ok)
			}
		}
	}
}

// One changed digit makes every kind of address invalid, wherever it stands.
func TestEveryDigitCounts(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for name, valid := range map[string]string{
		"monero": address(18, 64, 5), "zephyr": address(0x6241d18c0, 64, 3), "bitcoin": bitcoin(3, 0), "zcash": bitcoin(5, 0x1c, 0xb8),
		"dero": bech32Of("dero", 33, 1), "segwit": bech32Of("bc", 20, 0x2bc830a3), "kaspa": "kaspa:" + cashaddrOf("kaspa", 33),
		"karlsen": "karlsen:" + cashaddrOf("karlsen", 32), "ergo": "9fRAWhdxEsTcdb8PhGNrZfwqa65zfkuYHAMmkQLcic1gdLSV5vA",
	} {
		if !ind.valid(valid) {
			t.Errorf("%s: %s is not valid", name, valid)
			continue
		}
		for i := range valid {
			for _, other := range []byte("2q7Zx") {
				changed := []byte(valid)
				if changed[i] == other {
					continue
				}
				changed[i] = other
				if ind.valid(string(changed)) {
					t.Errorf("%s: %s is as valid as %s", name, changed, valid)
				}
			}
		}
		for _, other := range []string{valid[1:], valid[:len(valid)-1], valid + "q", "1" + valid, valid + valid, " " + valid, strings.ToUpper(valid)} {
			if other != valid && ind.valid(other) {
				t.Errorf("%s: %q is valid", name, other)
			}
		}
	}
}

// EIP-55's own vectors: all capitals, all small letters, and mixed.
func TestCapitals(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"0x52908400098527886E0F7030069857D2E4169EE7":  true,
		"0x8617E340B3D01FA5F11F306F4090FD50E238070D":  true,
		"0xde709f2102306220921060314715629080e2fb77":  true,
		"0x27b1fdb04752bbc536007a920d24acb045561c26":  true,
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed":  true,
		"0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb":  true,
		"0xd1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb":  false,
		"0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDB":  false,
		"0XD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb":  false,
		"0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aD":   false,
		"0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb0": false,
		"0xg1220a0cf47c7b9be7a2e6ba89f429762e7b9adb":  false,
		"0xG1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb":  false,
		"0x0000000000000000000000000000000000000001":  true,
	} {
		if got := isEthereum([]byte(in)); got != want {
			t.Errorf("%s: got %v", in, got)
		}
	}
}
