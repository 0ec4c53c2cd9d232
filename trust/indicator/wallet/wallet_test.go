package wallet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/sha3"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
)

// Published test vectors of Monero (tests/functional_tests/address_book.py) and donation addresses.
const (
	standard   = "42ey1afDFnn4886T7196doS9GPMzexD9gXpsZJDwVjeRVdFCSoHnv7KPbBeGpzJBzHRCAs9UxqeoyFQMYbqSWYTfJJQAWDm"
	broken     = "42ey1afDFnn4886T7196doS9GPMzexD9gXpsZJDwVjeRVdFCSoHnv7KPbBeGpzJBzHRCAs9UxqeoyFQMYbqSWYTfJJQAWDn"
	integrated = "4CMe2PUhs4J4886T7196doS9GPMzexD9gXpsZJDwVjeRVdFCSoHnv7KPbBeGpzJBzHRCAs9UxqeoyFQMYbqSWYTfSbLRB61BQVATzerHGj"
	donation   = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
	donation2  = "888tNkZrPN6JsEgekjMnABU4TBzc2Dt29EPAvkRxbANsAnjyPbb3iQ1YBRk1UXcdRsiKc9dhwMVgN5S9cQUiyoogDavup3H"
)

func rules(t testing.TB) Rules {
	t.Helper()
	var r Rules
	indicatortest.Decode(t, name, &r)
	return r
}

func shipped(t testing.TB) *Indicator {
	t.Helper()
	ind, err := New(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	return ind
}

// address makes a valid address that belongs to nobody.
func address(tag uint64, size int, seed byte) string {
	body := binary.AppendUvarint(nil, tag)
	for i := range size {
		body = append(body, seed+byte(i*37))
	}
	h := sha3.NewLegacyKeccak256()
	h.Write(body)
	return encode(append(body, h.Sum(nil)[:checksum]...))
}

func encode(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		n := min(len(b), blockBytes)
		var value uint64
		for _, c := range b[:n] {
			value = value<<8 | uint64(c)
		}
		chars := 0
		for c, size := range bytesOf {
			if size == n {
				chars = c
			}
		}
		block := bytes.Repeat([]byte("1"), chars)
		for i := chars - 1; value > 0; i-- {
			block[i] = alphabet[value%58]
			value /= 58
		}
		out.Write(block)
		b = b[n:]
	}
	return out.String()
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	script, text, config, exe, data := trust.KindScript, trust.KindText, trust.KindConfig, trust.KindExecutable, trust.KindData
	own, paid, sub := address(18, 64, 5), address(19, 72, 7), address(42, 64, 3)
	zephyr, wownero, sumo := address(0x6241d18c0, 64, 3), address(0x2fb0, 64, 4), address(0x2bb39a, 64, 6)
	long := strings.Repeat("z", 60)
	btc, doge, zec := bitcoin(3, 0), bitcoin(4, 0x1e), bitcoin(5, 0x1c, 0xb8)
	dero, kaspa := bech32Of("dero", 33, 1), "kaspa:"+cashaddrOf("kaspa", 33)
	eth := checksummed("0x52908400098527886e0f7030069857d2e4169ee7")
	nicehash := "NHb" + strings.Repeat("W7", 16) + "k"
	doc := "usr/share/doc/x/README.md"
	indicatortest.Run(t, shipped(t), []indicatortest.Sample{
		{Name: "script", Path: "a.sh", Kind: script, Content: "./a -u " + own + " -p x", Want: trust.Strong},
		{Name: "variable", Path: "a.py", Kind: script, Content: "WALLET='" + sub + "'", Want: trust.Strong},
		{Name: "integrated", Path: "config:env", Kind: config, Content: "XMR_WALLET=1\nPOOL=x\nA=" + paid, Want: trust.Strong},
		{Name: "decorated", Path: "config:cmd", Kind: config, Content: `["./x","-u","solo:` + own + `.worker+5000"]`, Want: trust.Strong},
		{Name: "after-escape", Path: "a.js", Kind: script, Content: `w = "wallet:\n` + own + `\n"`, Want: trust.Strong},
		{Name: "inside-longer-run", Path: "a.js", Kind: script, Content: "miner " + long + own + long, Want: trust.Strong},
		{Name: "inside-other-letters", Path: "a.js", Kind: script, Content: "miner 0OIl" + own + "0OIl", Want: trust.Strong},
		{Name: "without-words", Path: "a.sh", Kind: script, Content: "X=" + own, Want: trust.Weak},
		{Name: "settings", Path: "srv/config.json", Kind: text, Content: `{"user": "` + own + `"}`, Want: trust.Strong},
		{Name: "text", Path: "srv/file", Kind: text, Content: "wallet " + own, Want: trust.Weak},
		{Name: "program", Path: "x", Kind: exe, Content: "\x7fELF\x00" + own + "\x00", Want: trust.Weak},
		{Name: "data", Path: "x", Kind: data, Content: "\x00\x01" + sub + "\x00", Want: trust.Weak},
		{Name: "two", Path: "a.sh", Kind: script, Content: "# pool\n" + own + "\n" + paid, Want: trust.Strong},
		{Name: "zephyr", Path: "a.sh", Kind: script, Content: "pool " + zephyr, Want: trust.Strong},
		{Name: "wownero-in-a-program", Path: "x", Kind: exe, Content: "\x7fELF\x00" + wownero + "\x00", Want: trust.Weak},
		{Name: "sumokoin", Path: "a.sh", Kind: script, Content: "--wallet " + sumo, Want: trust.Strong},
		{Name: "dero", Path: "a.sh", Kind: script, Content: "--wallet-address " + dero, Want: trust.Strong},
		{Name: "dero-in-a-program", Path: "x", Kind: exe, Content: "\x7fELF\x00" + dero + "\x00", Want: trust.Weak},
		{Name: "kaspa", Path: "a.sh", Kind: script, Content: "--user " + kaspa + ".rig1", Want: trust.Strong},
		{Name: "kaspa-in-a-program", Path: "x", Kind: exe, Content: "\x7fELF\x00" + kaspa + "\x00", Want: trust.Weak},
		{Name: "bitcoin-and-mining", Path: "a.sh", Kind: script, Content: "./t-rex -o pool -u " + btc + ".w", Want: trust.Weak},
		{Name: "dogecoin-and-mining", Path: "a.sh", Kind: script, Content: "miner " + doge, Want: trust.Weak},
		{Name: "zcash-and-mining", Path: "a.sh", Kind: script, Content: "stratum " + zec, Want: trust.Weak},
		{Name: "bitcoin-segwit-and-mining", Path: "a.sh", Kind: script, Content: "stratum " + bech32Of("bc", 20, 0x2bc830a3), Want: trust.Weak},
		{Name: "ethereum-and-mining", Path: "a.sh", Kind: script, Content: "ethminer -P stratum://" + eth + "@x", Want: trust.Weak},
		{Name: "nicehash", Path: "a.sh", Kind: script, Content: "-u " + nicehash + ".x -o auto.nicehash.com", Want: trust.Weak},
		{Name: "unmineable", Path: "a.sh", Kind: script, Content: "-o rx.unmineable.com:3333 -u DOGE:" + doge + ".w1#ab12-cd34 -p x", Want: trust.Strong},
		{Name: "unmineable-unknown-coin", Path: "a.sh", Kind: script, Content: "-u TRX:T" + strings.Repeat("Xy", 16) + "a.w1#ab12-cd34", Want: trust.Weak},
		{Name: "kryptex", Path: "a.sh", Kind: script, Content: "-o xmr.kryptex.network:7029 -u krxABC1234.w -p x", Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "wrong-checksum", Path: "a.sh", Kind: script, Content: "wallet " + broken},
		{Name: "cut-off", Path: "a.sh", Kind: script, Content: "wallet " + own[:94]},
		{Name: "donation", Path: "a.sh", Kind: script, Content: "wallet " + donation + " monero " + donation2},
		{Name: "published-tests", Path: "a.sh", Kind: script, Content: "wallet " + standard + " monero " + integrated},
		{Name: "documentation", Path: doc, Kind: text, Content: "donate to my wallet: " + own},
		{Name: "test-network", Path: "a.sh", Kind: script, Content: "wallet " + address(53, 64, 9)},
		{Name: "bitcoin-donation", Path: "a.sh", Kind: script, Content: "# donate to " + btc + " or buy me coffee"},
		{Name: "contract", Path: "a.js", Kind: script, Content: "const router = '" + eth + "'"},
		{Name: "contracts", Path: "abi.json", Kind: text, Content: strings.Repeat(`{"address": "`+eth+`"},`, 30)},
		{Name: "wrong-capitals", Path: "a.sh", Kind: script, Content: "miner " + strings.Replace(eth, "E", "e", 1)},
		{Name: "wrong-kaspa", Path: "a.sh", Kind: script, Content: "miner " + kaspa[:len(kaspa)-1] + "q"},
		{Name: "wrong-dero", Path: "a.sh", Kind: script, Content: "miner " + dero[:len(dero)-1] + "p"},
		{Name: "digest", Path: "a.sh", Kind: script, Content: "miner SHA:" + strings.Repeat("ab", 32) + ".sig"},
		{Name: "kryptex-alone", Path: "a.sh", Kind: script, Content: "curl https://www.kryptex.network/ krxabc1234 krxABC12345"},
		{Name: "base64", Path: "a.pem", Kind: text, Content: strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n", 40)},
		{Name: "hexadecimal", Path: "sums", Kind: text, Content: strings.Repeat("9f86d181884c7d659a2feaa1c55ad115a3bf4f1b2bf1b822cd15d6c15bf1af18", 30)},
		{Name: "long-words", Path: "x", Kind: data, Content: strings.Repeat("4", 9000) + strings.Repeat("8B", 5000)},
	})
}

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]uint64{standard: 18, integrated: 19, donation: 18, donation2: 42, address(24, 64, 1): 24} {
		if tag, ok := parse([]byte(in)); !ok || tag != want {
			t.Errorf("%s: got %d %v", in, tag, ok)
		}
	}
	for _, in := range []string{"", "1", broken, standard[:94], standard + "1", strings.Repeat("z", 95), strings.Repeat("1", maxAddress+1), standard[:50] + "0" + standard[51:], "zz"} {
		if tag, ok := parse([]byte(in)); ok {
			t.Errorf("%q: got %d", in, tag)
		}
	}
}

func TestBeginningsWithoutEndAreReported(t *testing.T) {
	t.Parallel()
	content := []byte(strings.Repeat("4Abcdefghijkmnopqrstuv", maxSums+600))
	file := indicator.File{Path: "a.sh", Kind: trust.KindScript}
	for _, chunk := range []int{5000, 0} {
		if got := indicatortest.Unread(shipped(t), file, content, indicatortest.Drive{Chunk: chunk}); !strings.Contains(got, "than are checked") {
			t.Errorf("chunks of %d: unread is %q", chunk, got)
		}
	}
}

// Sequences of few letters, such as those of nucleotides, begin like addresses at every other place and are none.
func TestFewLettersAreNoAddress(t *testing.T) {
	t.Parallel()
	content := []byte(strings.Repeat("4AGATTACAGATTACAF", maxSums))
	file := indicator.File{Path: "genome.fasta", Kind: trust.KindText}
	if got := indicatortest.Unread(shipped(t), file, content, indicatortest.Drive{}); got != "" {
		t.Errorf("unread: %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing": func(r *Rules) { *r = Rules{} },
		"tag":     func(r *Rules) { r.Networks = []Network{{Name: "x", Tag: 1 << 60}} },
		"twice":   func(r *Rules) { r.Networks = append(slices.Clone(r.Networks), r.Networks[0]) },
		"many":    func(r *Rules) { r.Accounts = make([]Account, maxNetworks) },
		"form":    func(r *Rules) { r.Accounts = []Account{{Name: "x", Form: "hex"}} },
		"version": func(r *Rules) {
			r.Accounts = []Account{{Name: "x", Form: formBase58Check, First: "1", Versions: []string{"x"}}}
		},
		"prefix":   func(r *Rules) { r.Accounts = []Account{{Name: "x", Form: formBech32}} },
		"service":  func(r *Rules) { r.Services = []Service{{Name: "abc", Prefix: "ab", Length: 8}} },
		"mining":   func(r *Rules) { r.Mining = nil },
		"vector":   func(r *Rules) { r.Vectors = []string{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"} },
		"donation": func(r *Rules) { r.Donations = []string{broken} },
	} {
		r := rules(t)
		change(&r)
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The vectors of the rules are checked by New; these must fail, and lengths be what the projects document.
func TestVectors(t *testing.T) {
	t.Parallel()
	ind := shipped(t)
	for _, bad := range []string{
		"RYVLAGt9XgPTFkmMbAqVnhvWTBFBaQ5XRi", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "kaspa:qr35ennsep3hxfe7lnz5ee7j5jgmkjswsn35ennsep3hxfe7ln35cdv0dy336",
		"dero1qy0ehnqjpr0wxqnknyc66du2fsxyktppkr8m8e6jvplp954klfjz2qqhmy4zg", "9fRAWhdxEsTcdb8PhGNrZfwqa65zfkuYHAMmkQLcic1gdLSV5vB",
		strings.Repeat("1", 60), strings.Repeat("1", 30), "xkaspa:qr35ennsep3hxfe7lnz5ee7j5jgmkjswsn35ennsep3hxfe7ln35cdv0dy335",
	} {
		if ind.valid(bad) {
			t.Errorf("%s is valid", bad)
		}
	}
	for name, want := range map[string]int{
		"Monero": 95, "Monero integrated": 106, "Sumokoin": 99, "ArQmA": 97, "Wownero": 97, "Zephyr": 101, "Zephyr sub-": 99, "Zephyr integrated": 113,
	} {
		for _, n := range ind.tags {
			if n.Name == name && n.length != want {
				t.Errorf("%s: %d characters, want %d", name, n.length, want)
			}
		}
	}
}

// bitcoin makes an address of some version that belongs to nobody.
func bitcoin(seed byte, version ...byte) string {
	body := slices.Clone(version)
	for i := range byte(20) {
		body = append(body, seed*31+i*57)
	}
	one := sha256.Sum256(body)
	two := sha256.Sum256(one[:])
	body = append(body, two[:4]...)
	value, out := new(big.Int).SetBytes(body), ""
	for base, d := big.NewInt(58), new(big.Int); value.Sign() > 0; {
		value.DivMod(value, base, d)
		out = string(alphabet[d.Int64()]) + out
	}
	for _, b := range body {
		if b != 0 {
			break
		}
		out = "1" + out
	}
	return out
}

// bech32Of makes an address by trying checksums: the last digits of a valid one are found one by one nowhere, so the
// remainder is computed as the specification does.
func bech32Of(prefix string, size int, constant uint32) string {
	data := []byte{0}
	for i := range size * 8 / 5 {
		data = append(data, byte(i*7)&31)
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
	out := prefix + "1"
	for _, v := range data {
		step(v)
		out += string(charset[v])
	}
	for range 6 {
		step(0)
	}
	sum ^= constant
	for i := range 6 {
		out += string(charset[sum>>(5*(5-i))&31])
	}
	return out
}

func cashaddrOf(prefix string, size int) string {
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
	out := ""
	for i := range size * 8 / 5 {
		v := byte(i*11) & 31
		step(v)
		out += string(charset[v])
	}
	for range 8 {
		step(0)
	}
	sum ^= 1
	for i := range 8 {
		out += string(charset[sum>>(5*(7-i))&31])
	}
	return out
}

// checksummed writes the capitals of EIP-55 by trying both cases of every letter.
func checksummed(small string) string {
	h := sha3.NewLegacyKeccak256()
	h.Write([]byte(small[2:]))
	sum := hex.EncodeToString(h.Sum(nil))
	out := []byte(small)
	for i, c := range small[2:] {
		if c >= 'a' && sum[i] >= '8' {
			out[i+2] -= 'a' - 'A'
		}
	}
	return string(out)
}

func FuzzAccounts(f *testing.F) {
	ind := shipped(f)
	for _, v := range rules(f).Vectors {
		f.Add(v, 7)
	}
	f.Add("DOGE:"+strings.Repeat("A", 30)+".w#ab12-cd34 mining kryptex krxABC1234", 3)
	f.Fuzz(func(t *testing.T, in string, chunk int) {
		ind.valid(in)
		for _, kind := range []trust.Kind{trust.KindScript, trust.KindData} {
			file := indicator.File{Path: "x", Kind: kind}
			whole := indicatortest.Inspect(ind, file, []byte(in), indicatortest.Drive{})
			cut := indicatortest.Inspect(ind, file, []byte(in), indicatortest.Drive{Chunk: max(1, chunk%1000)})
			if diff := cmp.Diff(whole, cut); diff != "" {
				t.Errorf("%s: %s", kind, diff)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(standard))
	f.Add([]byte(integrated))
	f.Add([]byte("zzzzzzzzzzz"))
	f.Fuzz(func(t *testing.T, in []byte) {
		raw, ok := decode(in)
		if ok && encode(raw) != string(in) {
			t.Errorf("%q decodes to what encodes to %q", in, encode(raw))
		}
	})
}

func BenchmarkBytes(b *testing.B) {
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	source.Read(noise)
	for name, p := range map[string][]byte{
		"noise": noise,
		"text":  bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog, and nothing happens.\n"), 1<<14),
		"run":   bytes.Repeat([]byte("4Bz"), 1<<18),
	} {
		for _, kind := range []trust.Kind{trust.KindData, trust.KindScript} {
			b.Run(name+"/"+string(kind), func(b *testing.B) {
				w := shipped(b).Watch(indicator.File{Path: "x", Kind: kind}).(indicator.ByteWatch)
				b.SetBytes(int64(len(p)))
				for b.Loop() {
					w.Bytes(p)
				}
			})
		}
	}
}
