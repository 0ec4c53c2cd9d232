package wallet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

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
	sub := address(42, 64, 3)
	long := strings.Repeat("z", 60)
	indicatortest.Run(t, shipped(t), []indicatortest.Sample{
		{Name: "script", Path: "a.sh", Kind: script, Content: "./a -u " + standard + " -p x", Want: trust.Strong},
		{Name: "variable", Path: "a.py", Kind: script, Content: "WALLET='" + sub + "'", Want: trust.Strong},
		{Name: "integrated", Path: "config:env", Kind: config, Content: "XMR_WALLET=1\nPOOL=x\nA=" + integrated, Want: trust.Strong},
		{Name: "decorated", Path: "config:cmd", Kind: config, Content: `["./x","-u","solo:` + standard + `.worker+5000"]`, Want: trust.Strong},
		{Name: "after-escape", Path: "a.js", Kind: script, Content: `w = "wallet:\n` + standard + `\n"`, Want: trust.Strong},
		{Name: "inside-longer-run", Path: "a.js", Kind: script, Content: "miner " + long + standard + long, Want: trust.Strong},
		{Name: "without-words", Path: "a.sh", Kind: script, Content: "X=" + standard, Want: trust.Weak},
		{Name: "settings", Path: "srv/config.json", Kind: text, Content: `{"user": "` + standard + `"}`, Want: trust.Strong},
		{Name: "text", Path: "srv/file", Kind: text, Content: "wallet " + standard, Want: trust.Weak},
		{Name: "program", Path: "x", Kind: exe, Content: "\x7fELF\x00" + standard + "\x00", Want: trust.Weak},
		{Name: "data", Path: "x", Kind: data, Content: "\x00\x01" + sub + "\x00", Want: trust.Weak},
		{Name: "two", Path: "a.sh", Kind: script, Content: "# pool\n" + standard + "\n" + integrated, Want: trust.Strong},
	}, []indicatortest.Twin{
		{Name: "wrong-checksum", Path: "a.sh", Kind: script, Content: "wallet " + broken},
		{Name: "cut-off", Path: "a.sh", Kind: script, Content: "wallet " + standard[:94]},
		{Name: "donation", Path: "a.sh", Kind: script, Content: "wallet " + donation + " monero " + donation2},
		{Name: "documentation", Path: "usr/share/doc/x/README.md", Kind: text, Content: "donate to my wallet: " + standard},
		{Name: "test-network", Path: "a.sh", Kind: script, Content: "wallet " + address(53, 64, 9)},
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
	content := []byte(strings.Repeat("4A", maxSums+200))
	file := indicator.File{Path: "a.sh", Kind: trust.KindScript}
	for _, chunk := range []int{5000, 0} {
		if got := indicatortest.Unread(shipped(t), file, content, indicatortest.Drive{Chunk: chunk}); !strings.Contains(got, "than are checked") {
			t.Errorf("chunks of %d: unread is %q", chunk, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"nothing":  func(r *Rules) { *r = Rules{} },
		"length":   func(r *Rules) { r.Networks = []Network{{Name: "x", Length: maxAddress + 1, First: "4"}} },
		"donation": func(r *Rules) { r.Donations = []string{broken} },
	} {
		r := rules(t)
		change(&r)
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
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
		b.Run(name, func(b *testing.B) {
			w := shipped(b).Watch(indicator.File{Path: "x", Kind: trust.KindData}).(indicator.ByteWatch)
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				w.Bytes(p)
			}
		})
	}
}
