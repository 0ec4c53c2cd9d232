package wallet

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

// Published addresses of every form, each with a checksum over all of it.
func published() []string {
	return []string{
		standard, integrated, donation, donation2,
		"48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD", // xmrig src/donate.h
		"ZEPHYR2jZrZXenfKejCcCmEkRzUYwXjgWfJF4yzdCznKQ8yQ3g3PsWUbZjzfzHbeTPMgXVmEuDKQUB9rPkgtVwyWRh9knU4EpfJ57",
		"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "RXissueAssetXXXXXXXXXXXXXXXXXhhZGt",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
		"dero1qy0ehnqjpr0wxqnknyc66du2fsxyktppkr8m8e6jvplp954klfjz2qqhmy4zf", "dero1qykyta6ntpd27nl0yq4xtzaf4ls6p5e9pqu0k2x4x3pqq5xavjsdxqgny8270",
		"deroi1qxqqkmaz8nhv4q07w3cjyt84kmrqnuw4nprpqfl9xmmvtvwa7cdykxq5dph4ufnx5ndq4ltraf",
		"kaspa:qr35ennsep3hxfe7lnz5ee7j5jgmkjswsn35ennsep3hxfe7ln35cdv0dy335", "kaspa:qyp0r5mcq4rd5grj3652ra09u5dcgwqq9ntuswp247nama5quyj40eq03sc2dkx",
		"kaspa:prq20q4qd9ulr044cauyy9wtpeupqpjv67pn2vyc6acly7xqkrjdzmh8rj9f4",
		"9fRAWhdxEsTcdb8PhGNrZfwqa65zfkuYHAMmkQLcic1gdLSV5vA",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
	}
}

// TestEveryCharacterCounts: with one character changed, lost, doubled or swapped with the next, no address is one.
func TestEveryCharacterCounts(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	const other = "2q7zAe"
	for _, a := range published() {
		if !ind.valid(a) {
			t.Errorf("%s is not valid", a)
			continue
		}
		ethereum := strings.HasPrefix(a, "0x")
		for i := range a {
			changed := []string{a[:i] + a[i+1:], a[:i] + a[i:i+1] + a[i:]}
			for _, c := range other {
				changed = append(changed, a[:i]+string(c)+a[i+1:])
			}
			if i+1 < len(a) {
				changed = append(changed, a[:i]+a[i+1:i+2]+a[i:i+1]+a[i+2:])
			}
			for _, b := range changed {
				// EIP-55 has a bit for each letter only: now and then it does not notice.
				if b != a && ind.valid(b) && !ethereum {
					t.Errorf("%s is valid, from %s", b, a)
				}
			}
		}
		if strings.ToLower(a) != a && !ethereum && ind.valid(strings.ToLower(a)) || ind.valid(a+" ") || ind.valid(" "+a) || ind.valid("BTC:"+a) {
			t.Errorf("%s is valid in another spelling", a)
		}
	}
}

// TestEthereumCapitals: one letter in the other case is a wrong checksum; all letters in one case have none.
func TestEthereumCapitals(t *testing.T) {
	t.Parallel()
	const good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	for i := 2; i < len(good); i++ {
		if c := good[i]; c > '9' {
			if bad := good[:i] + string(c^0x20) + good[i+1:]; isEthereum([]byte(bad)) {
				t.Errorf("%s is valid", bad)
			}
		}
	}
	for text, want := range map[string]bool{
		good: true, strings.ToLower(good): true, "0x" + strings.ToUpper(good[2:]): true, "0x" + strings.Repeat("7", 40): true,
		"0X" + good[2:]: false, good[2:]: false, good + "0": false, good[:41]: false, "": false,
		"0x" + strings.Repeat("g", 40): false, "0x" + strings.Repeat("G", 40): false, "0x" + strings.Repeat("-", 40): false, good[:41] + "g": false,
		"1x" + good[2:]: false, "0x" + strings.Repeat("é", 20): false,
	} {
		if got := isEthereum([]byte(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// bigDecode reads base58 as one large number.
func bigDecode(s string) (n *big.Int, ok bool) {
	n = new(big.Int)
	for _, c := range []byte(s) {
		d := strings.IndexByte(alphabet, c)
		if d < 0 {
			return nil, false
		}
		n.Mul(n, big.NewInt(58)).Add(n, big.NewInt(int64(d)))
	}
	return n, true
}

func randomDigits(rng *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		switch rng.IntN(30) {
		case 0:
			b.WriteByte('1')
		case 1:
			b.WriteByte('z')
		default:
			b.WriteByte(alphabet[rng.IntN(58)])
		}
	}
	return b.String()
}

// TestBase58AgainstBig compares Bitcoin's base58 with arithmetic that cannot overflow.
func TestBase58AgainstBig(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(58, 1))
	inputs := []string{"1", "11", "z", "1z1", strings.Repeat("z", maxBase58), strings.Repeat("1", maxBase58), "5Q", "LUv", strings.Repeat("1", maxBase58-1) + "2"}
	for range 3000 {
		inputs = append(inputs, strings.Repeat("1", rng.IntN(4))+randomDigits(rng, 1+rng.IntN(maxBase58-3)))
	}
	for _, s := range inputs {
		n, _ := bigDecode(s)
		want := append(make([]byte, len(s)-len(strings.TrimLeft(s, "1"))), n.Bytes()...)
		if got, ok := base58([]byte(s)); !ok || !bytes.Equal(got, want) {
			t.Fatalf("%s: %x %t, want %x", s, got, ok, want)
		}
	}
	for _, s := range []string{"", strings.Repeat("z", maxBase58+1), "0", "O", "I", "l", "z z", "zé", "\x00"} {
		if got, ok := base58([]byte(s)); ok {
			t.Errorf("%q: %x", s, got)
		}
	}
}

// TestBlocksAgainstBig does the same for the blocks of CryptoNote, which may hold too much.
func TestBlocksAgainstBig(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(58, 2))
	sizes := map[int]int{2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}
	for range 5000 {
		s := randomDigits(rng, 1+rng.IntN(30))
		if rng.IntN(2) == 0 && len(s) >= blockChars { // about as much as a block can hold
			s = "jpXCZedGfVQ"[:9] + s[9:]
		}
		var want []byte
		ok := true
		for rest := s; rest != "" && ok; {
			block := rest[:min(len(rest), blockChars)]
			rest = rest[len(block):]
			n, _ := bigDecode(block)
			size := sizes[len(block)]
			if ok = size > 0 && n.BitLen() <= 8*size; ok {
				want = append(want, n.FillBytes(make([]byte, size))...)
			}
		}
		got, gotOK := decode([]byte(s))
		if gotOK != ok || ok && !bytes.Equal(got, want) {
			t.Fatalf("%s: %x %t, want %x %t", s, got, gotOK, want, ok)
		}
	}
	for text, want := range map[string]bool{
		"jpXCZedGfVQ": true, "jpXCZedGfVR": false, // 2^64-1 and one more
		"5Q": true, "5R": false, "LUv": true, "LUw": false, "2UzHL": true, "2UzHM": false, "7YXq9G": true, "7YXq9H": false,
		"VtB5VXc": true, "VtB5VXd": false, "3CUsUpv9t": true, "3CUsUpv9u": false, "Ahg1opVcGW": true, "Ahg1opVcGX": false,
		"1": false, "1111": false, "11111111": false, strings.Repeat("1", maxAddress-maxAddress%blockChars): true,
	} {
		if got, ok := decode([]byte(text)); ok != want {
			t.Errorf("%s: %x", text, got)
		}
	}
}

// TestShapes: every address of a network has the length and one of the first digits that were computed for it.
func TestShapes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(58, 3))
	for _, tag := range []uint64{0, 18, 19, 42, 53, 127, 128, 0x1032, 0x2fb0, 0x6847, 0x2bb39a, 0x6241d18c0, 0xc4f7d18c0, 0x8dd58c0} {
		for _, size := range []int{64, 72} {
			length, least, greatest := shape(tag, size)
			body := make([]byte, size)
			for i := range 200 {
				for k := range body {
					switch i {
					case 0:
						body[k] = 0
					case 1:
						body[k] = 0xff
					default:
						body[k] = byte(rng.Uint32())
					}
				}
				a := encode(append(append(binary.AppendUvarint(nil, tag), body...), 0, 0, 0, 0))
				first := strings.IndexByte(alphabet, a[0])
				if len(a) != length || first < int(least) || first > int(greatest) {
					t.Fatalf("tag %#x: %s has %d characters, want %d that begin from %c to %c", tag, a, len(a), length, alphabet[least], alphabet[greatest])
				}
				if got, ok := tagOf([]byte(a)); !ok || got != tag {
					t.Fatalf("tag %#x: read as %#x %t", tag, got, ok)
				}
			}
		}
	}
	for _, tag := range []uint64{1 << 42, 1<<64 - 1} {
		if length, _, _ := shape(tag, 64); length != 0 {
			t.Errorf("tag %#x has addresses of %d characters", tag, length)
		}
	}
}

func TestPayout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before, behind string
		reference, ok  bool
	}{
		{"DOGE:", ".w1#ab12-cd34", true, true},
		{"-u DOGE:", ".w1", false, true},
		{"'BTC:", ".w1#abcd", true, true},
		{"'BTC:", ".w1#abc", false, true},
		{"'BTC:", ".w1#" + strings.Repeat("a", 12), true, true},
		{"'BTC:", ".w1#" + strings.Repeat("a", 13), false, true},
		{"BT:", ".w", false, true},
		{"B:", ".w", false, false},
		{"ABCDEF:", ".w", false, true},
		{"ABCDEFG:", ".w", false, false},
		{"btc:", ".w", false, false},
		{"xBTC:", ".w", false, false},
		{"1BTC:", ".w", false, false},
		{"BTC", ".w", false, false},
		{"BTC;", ".w", false, false},
		{":", ".w", false, false},
		{"", ".w", false, false},
		{"BTC:", "", false, false},
		{"BTC:", ".", false, false},
		{"BTC:", ". ", false, false},
		{"BTC:", "/w", false, false},
		{"BTC:", ".my-rig_1#abcd", true, true},
		{"BTC:", "." + strings.Repeat("w", 32), false, true},
		{"BTC:", "." + strings.Repeat("w", 33), false, false},
	} {
		if reference, ok := payout([]byte(c.before), []byte(c.behind)); reference != c.reference || ok != c.ok {
			t.Errorf("%s…%s: %t %t", c.before, c.behind, reference, ok)
		}
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	words := lowered([]string{"Pool", "xmr"})
	for around, want := range map[string]string{
		"pool ADDR": "pool", "ADDR POOL": "pool", "pool-ADDR": "pool", "pools ADDR": "", "spool ADDR": "", "pool2 ADDR": "pool", "_pool_ADDR": "pool",
		"ADDR": "", "XMR:ADDR": "xmr", "xmrig ADDR": "", "spool pool ADDR": "pool", "poolpool ADDR": "", "ADDRpoolADDR": "pool", "": "",
	} {
		got, ok := near(words, []byte(around), []byte("ADDR"))
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %t", around, got, ok)
		}
	}
	// A word within the address is no word near it.
	if got, ok := near(words, []byte("a=4xmr4xyz"), []byte("4xmr4xyz")); ok {
		t.Errorf("found %q in the address", got)
	}
}

func TestIsBech32AndCashaddr(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "q", "qqqqqqqqqqqqq", strings.Repeat("b", 40), strings.Repeat("1", 40), strings.Repeat("Q", 40), strings.Repeat("q", 500)} {
		if isBech32("bc", []byte(text)) || isCashaddr("kaspa", []byte(text)) {
			t.Errorf("%q is an address", text)
		}
	}
	// Data of another prefix is no address, although its digits are.
	const dero = "qy0ehnqjpr0wxqnknyc66du2fsxyktppkr8m8e6jvplp954klfjz2qqhmy4zf"
	for prefix, want := range map[string]bool{"dero": true, "deto": false, "deroi": false, "Dero": false, "": false} {
		if got := isBech32(prefix, []byte(dero)); got != want {
			t.Errorf("%q: %t", prefix, got)
		}
	}
	for text, want := range map[string]bool{
		"kaspa:": true, " kaspa:": true, "x=kaspa:": true, "xkaspa:": false, "1kaspa:": false, "Kaspa:": false, "kaspa": false, ":": false, "": false, "aspa:": false, "kaspa::": false,
	} {
		if got := endsWithPrefix([]byte(text), "kaspa"); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

// TestOffsets: an address is reported where it stands, however the content is cut and whatever stands before it.
func TestOffsets(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	own := address(18, 64, 5)
	for _, kind := range []trust.Kind{trust.KindScript, trust.KindData, trust.KindExecutable} {
		for _, lead := range []int{0, 1, 93, 94, 95, 96, 199, 200, 201, 1000, 4096, 70_000} {
			for _, filler := range []string{"\x00", " ", "0", "z"} {
				content := strings.Repeat(filler, lead) + own + strings.Repeat(filler, 300)
				for _, chunk := range []int{0, 97, 4096} {
					if chunk == 97 && lead > 5000 {
						continue
					}
					found := indicatortest.Inspect(ind, indicator.File{Path: "x", Kind: kind}, []byte(content), indicatortest.Drive{Chunk: chunk})
					if len(found) != 1 || found[0].Offset != int64(lead) || found[0].Excerpt != own {
						t.Errorf("%s after %d of %q in chunks of %d: %+v", kind, lead, filler, chunk, found)
					}
				}
			}
		}
	}
}

// TestSumsAreBounded: the last checksum that is allowed is computed, and the next one is told of.
func TestSumsAreBounded(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for n, want := range map[int]bool{maxSums - 1: false, maxSums: false, maxSums + 1: true} {
		w, ok := ind.Watch(indicator.File{Path: "x", Kind: trust.KindData}).(*watch)
		if !ok {
			t.Fatal("no watch")
		}
		net := ind.tags[18]
		for i := range n {
			if got := w.spend(net, int64(i)); got != (i < maxSums) {
				t.Fatalf("checksum %d: %t", i, got)
			}
			if w.spend(net, int64(i)) {
				t.Fatalf("the place %d was paid twice", i)
			}
		}
		if got := w.Unread() != ""; got != want {
			t.Errorf("%d checksums: %q", n, w.Unread())
		}
		if other := ind.tags[42]; !w.spend(other, 0) {
			t.Error("another network has no checksums left")
		}
	}
}

// TestVersionsOfAccounts: rules say versions in one or two bytes of hexadecimal, and nothing else.
func TestVersionsOfAccounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"00": true, "1e": true, "1CB8": true, "": false, "0": false, "000": false, "000000": false, "0x": false, "zz": false, " 00": false} {
		a, err := compileAccount(Account{Name: "x", Form: formBase58Check, First: "1", Versions: []string{text}})
		if (err == nil) != want || err == nil && hex.EncodeToString(a.versions[0]) != strings.ToLower(text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for prefix, want := range map[string]bool{"": false, "a": false, "abcde": true, strings.Repeat("a", maxPrefix): true, strings.Repeat("a", maxPrefix+1): false} {
		for _, form := range []string{formBech32, formCashaddr, formNiceHash} {
			if _, err := compileAccount(Account{Name: "x", Form: form, Prefix: prefix}); (err == nil) != want {
				t.Errorf("%s %q: %v", form, prefix, err)
			}
		}
	}
}
