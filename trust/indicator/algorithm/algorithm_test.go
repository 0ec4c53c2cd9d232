package algorithm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/indicator"
	"github.com/safepull/safepull/trust/indicator/indicatortest"
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

// spread writes n words, gap bytes of filling before each.
func spread(words [][4]byte, n, gap int) string {
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01\x00")
	for _, w := range words[:n] {
		b.WriteString(strings.Repeat("\x90", gap))
		b.Write(w[:])
	}
	b.WriteString("\x00\x00")
	return b.String()
}

func swapped(words [][4]byte) [][4]byte {
	out := slices.Clone(words)
	for i := range out {
		slices.Reverse(out[i][:])
	}
	return out
}

func spelling(words [][4]byte, n int, format string) string {
	var b strings.Builder
	for _, w := range words[:n] {
		fmt.Fprintf(&b, format, binary.LittleEndian.Uint32(w[:]))
	}
	return b.String()
}

func wideOf(r Rules, n int, reverse bool) string {
	out := "\x7fELF"
	for _, h := range r.Wide[:n] {
		var b []byte
		fmt.Sscanf(h, "%x", &b)
		if reverse {
			slices.Reverse(b)
		}
		out += "ab" + string(b)
	}
	return out
}

func leb(words [][4]byte, n int) string {
	out := "\x00asm"
	for _, w := range words[:n] {
		v := int64(int32(binary.LittleEndian.Uint32(w[:])))
		out += "\x41"
		for i := 0; i < 5; i++ {
			b := byte(v & 0x7f)
			v >>= 7
			if i < 4 {
				b |= 0x80
			}
			out += string([]byte{b})
		}
	}
	return out
}

func TestIndicator(t *testing.T) {
	t.Parallel()
	r := rules(t)
	w, err := r.words()
	if err != nil {
		t.Fatal(err)
	}
	exe, data, script, text := trust.KindExecutable, trust.KindData, trust.KindScript, trust.KindText
	noise := make([]byte, 200_000)
	source := rand.NewChaCha8([32]byte{7})
	source.Read(noise)
	nodeWords := "\x00rpc-bind-port\x00restricted-rpc\x00db-sync-mode\x00prune-blockchain\x00"
	hexes := "K = [" + spelling(w, 10, "0x%08X, ") + "]\n"
	indicatortest.Run(t, shipped(t), []indicatortest.Sample{
		{Name: "all-together", Path: "usr/bin/nginx", Kind: exe, Content: spread(w, 72, 0), Want: trust.Proof},
		{Name: "six", Path: "x", Kind: exe, Content: spread(w, 6, 13), Want: trust.Proof},
		{Name: "six-big-endian", Path: "x", Kind: exe, Content: spread(swapped(w), 6, 13), Want: trust.Proof},
		{Name: "four", Path: "x", Kind: exe, Content: spread(w, 4, 1), Want: trust.Strong},
		{Name: "immediate-operands", Path: "x", Kind: exe, Content: spread(w[30:], 40, 3), Want: trust.Proof},
		{Name: "data", Path: "x.jpg", Kind: data, Content: spread(w, 20, 1), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "wide", Path: "x", Kind: exe, Content: wideOf(r, 3, false), Want: trust.Proof},
		{Name: "wide-big-endian", Path: "x", Kind: exe, Content: wideOf(r, 3, true), Want: trust.Proof},
		{Name: "webassembly", Path: "x.wasm", Kind: exe, Content: leb(w, 8), Want: trust.Proof},
		{Name: "node", Path: "usr/bin/monerod", Kind: exe, Content: spread(w, 72, 0) + nodeWords, Want: trust.Proof},
		{Name: "node-in-data", Path: "usr/lib/x.img", Kind: trust.KindData, Content: spread(w, 72, 0) + nodeWords, Want: trust.Strong, IfRun: trust.Proof},
		{Name: "node-that-mines", Path: "x", Kind: exe, Content: spread(w, 72, 0) + nodeWords + "donate-level", Want: trust.Proof},
		{Name: "salt", Path: "x", Kind: exe, Content: "\x7fELF\x00RandomX\x03\x00", Want: trust.Weak},
		{Name: "salt-of-a-miner", Path: "x", Kind: exe, Content: "\x7fELF\x00RandomX\x03\x00stratum+tcp://", Want: trust.Strong},
		{Name: "salt-and-addend", Path: "x", Kind: exe, Content: wideOf(r, 1, false) + "RandomX\x03\x00", Want: trust.Strong},
		{Name: "wide-webassembly", Path: "x.wasm", Kind: exe, Content: wideLEB(r, 3), Want: trust.Proof},
		{Name: "aarch64-unoptimised", Path: "x", Kind: exe, Content: moving(w, 8), Want: trust.Proof},
		{Name: "aarch64-four", Path: "x", Kind: exe, Content: moving(w, 4), Want: trust.Strong},
		{Name: "kawpow", Path: "x", Kind: exe, Content: "\x7fELF" + held(r, "ravencoin"), Want: trust.Proof},
		{Name: "kawpow-in-data", Path: "x.bin", Kind: data, Content: held(r, "evrmore"), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "cryptonight", Path: "x", Kind: exe, Content: held(r, "jh-256", "skein-512-256", "groestl"), Want: trust.Strong},
		{Name: "cryptonight-miner", Path: "x", Kind: exe, Content: held(r, "groestl", "jh-256", "skein-512-256") + "stratum+tcp://", Want: trust.Proof},
		{Name: "ghostrider-miner", Path: "x", Kind: exe, Content: held(r, chained...) + "mining.subscribe", Want: trust.Proof},
		{Name: "ethash", Path: "x", Kind: exe, Content: "\x7fELF" + held(r, "ethash-dataset"), Want: trust.Strong},
		{Name: "ethash-cache-miner", Path: "x", Kind: exe, Content: held(r, "ethash-cache") + "stratum1+tcp", Want: trust.Proof},
		{Name: "ethash-source", Path: "x.py", Kind: script, Content: "sizes = [1073739904,\n  1082130304, 1090514816]", Want: trust.Strong},
		{Name: "verus", Path: "x", Kind: exe, Content: "\x7fELF" + held(r, "haraka"), Want: trust.Strong},
		{Name: "verus-with-excuse-run", Path: "x", Kind: exe, Content: "\x7fELF" + held(r, "haraka") + "SPHINCS+", Want: trust.Context, IfRun: trust.Strong},
		{Name: "equihash-two-coins", Path: "x", Kind: exe, Content: held(r, "zcash", "bitcoin-gold"), Want: trust.Strong},
		{Name: "equihash-miner", Path: "x", Kind: exe, Content: held(r, "equihash-200-9") + "mining.submit", Want: trust.Strong},
		{Name: "kaspa", Path: "x", Kind: exe, Content: held(r, "kaspa-proof", "kaspa-heavy"), Want: trust.Weak},
		{Name: "kaspa-miner", Path: "x", Kind: exe, Content: held(r, "kaspa-proof", "kaspa-heavy") + "mining.authorize", Want: trust.Strong},
		{Name: "cryptonight-source", Path: "x.js", Kind: script, Content: "a = 0xEB98A3412C20D3EBn, b = 0xCCD044A12FDB3E13n, c = 0xc632f4a5f497a5c6n;", Want: trust.Strong},
		{Name: "python", Path: "m.py", Kind: script, Content: hexes, Want: trust.Proof},
		{Name: "python-three", Path: "m.py", Kind: script, Content: spelling(w, 3, "a = 0x%08x\n"), Want: trust.Strong},
		{Name: "decimal", Path: "m.js", Kind: script, Content: "9298411001130361340n 12065312585734608966n 9306329213124626780n", Want: trust.Strong},
		{Name: "source", Path: "lib/aes_hash.js", Kind: text, Content: hexes, Want: trust.Weak, IfRun: trust.Proof},
	}, []indicatortest.Twin{
		{Name: "sha3-candidates", Path: "libsph.so", Kind: exe, Content: held(r, append([]string{"jh-256", "skein-512-256"}, chained...)...)},
		{Name: "skein-library", Path: "libskein.so", Kind: exe, Content: held(r, "skein-512", "skein-512-256")},
		{Name: "liboqs", Path: "liboqs.so", Kind: exe, Content: held(r, "haraka") + "sphincs_haraka_128f"},
		{Name: "zcashd", Path: "zcashd", Kind: exe, Content: held(r, "zcash", "equihash-200-9")},
		{Name: "one-dataset-size", Path: "x.py", Kind: script, Content: "size = 1073739904 # one GiB less 1920"},
		{Name: "ethash-documentation", Path: "usr/share/doc/x/ethash.md", Kind: text, Content: "1073739904, 1082130304, 1090514816"},
		{Name: "salt-in-text", Path: "a.sh", Kind: script, Content: "echo RandomX\x03"},
		{Name: "kaspa-wallet", Path: "x.js", Kind: script, Content: "'ProofOfWorkHash' 'HeavyHash'"},
		{Name: "three", Path: "x", Kind: exe, Content: spread(w, 3, 1)},
		{Name: "one-often", Path: "x", Kind: exe, Content: strings.Repeat(spread(w, 1, 1), 100)},
		{Name: "far-apart", Path: "x", Kind: exe, Content: spread(w, 12, 1500)},
		{Name: "half-wide", Path: "x", Kind: exe, Content: wideOf(r, 2, false)},
		{Name: "noise", Path: "x", Kind: data, Content: string(noise[:40_000])},
		{Name: "two-hex", Path: "a.py", Kind: script, Content: spelling(w, 2, "0x%08x,")},
		{Name: "blake-initial-values", Path: "a.c", Kind: text, Content: "0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1"},
		{Name: "research-paper", Path: "usr/share/doc/randomx/specs.md", Kind: text, Content: hexes},
		{Name: "empty-elf", Path: "x", Kind: exe, Content: "\x7fELF" + strings.Repeat("\x00", 9000)},
	})
}

// chained are constants of eight hash functions.
var chained = []string{"jh-512", "skein-512", "groestl", "luffa", "cubehash", "shavite", "simd", "shabal"}

// held is what a program with some constants of families holds.
func held(r Rules, ids ...string) string {
	out := "\x7fELF\x00"
	for _, c := range r.Constants {
		if !slices.Contains(ids, c.ID) {
			continue
		}
		switch {
		case c.Bytes != "":
			var b []byte
			fmt.Sscanf(c.Bytes, "%x", &b)
			out += string(b)
		case c.Letters != "":
			out += spread32([]byte(c.Letters))
		case c.Sizes != nil:
			for epoch := range int64(3) {
				out += string(binary.LittleEndian.AppendUint64(nil, uint64(c.Sizes.at(epoch))))
			}
		default:
			out += c.Text
		}
		out += "\x00\x00"
	}
	return out
}

func wideLEB(r Rules, n int) string {
	out := "\x00asm"
	for _, h := range r.Wide[:n] {
		var b []byte
		fmt.Sscanf(h, "%x", &b)
		out += "\x42" + string(leb128(int64(binary.LittleEndian.Uint64(b)))) + "\x85"
	}
	return out
}

// moving is what a compiler for aarch64 makes of constants when it does not optimise.
func moving(words [][4]byte, n int) string {
	out := "\x7fELF"
	for i, w := range words[:n] {
		v := binary.LittleEndian.Uint32(w[:])
		register := uint32(3 - i%4)
		out += string(binary.LittleEndian.AppendUint32(nil, 0x52800000|v&0xffff<<5|register))
		out += string(binary.LittleEndian.AppendUint32(nil, 0x72a00000|v>>16<<5|register))
	}
	return out
}

func TestNodeClass(t *testing.T) {
	t.Parallel()
	r := rules(t)
	ind := shipped(t)
	words, _ := r.words()
	nodeWords := "\x00" + strings.Join(r.Node[:minNode], "\x00") + "\x00"
	functions := strings.Join(r.Library[:minLibrary], "\x00")
	for name, test := range map[string]struct {
		content string
		want    trust.Class
	}{
		"librandomx.so.0":   {spread(words, 72, 0) + functions, trust.ClassNode},
		"libx.so":           {spread(words, 72, 0) + r.Library[0] + r.Library[1] + r.Library[2], ""},
		"libminer.so":       {spread(words, 72, 0) + functions + r.Mining[1], ""},
		"program":           {spread(words, 72, 0) + functions, ""},
		"four-words":        {spread(words, 72, 0) + nodeWords, trust.ClassNode},
		"ethash-verifier":   {held(r, "ethash-dataset") + "engine_newPayload admin_nodeInfo txpool.globalslots chaindata", trust.ClassNode},
		"three-words":       {spread(words, 72, 0) + strings.Join(r.Node[:minNode-1], " "), ""},
		"one-word-often":    {spread(words, 72, 0) + strings.Repeat(r.Node[0]+" ", 9), ""},
		"a-miner-with-them": {spread(words, 72, 0) + nodeWords + r.Mining[0], ""},
	} {
		found := indicatortest.Inspect(ind, indicator.File{Path: "usr/lib/" + name, Kind: trust.KindExecutable}, []byte(test.content), indicatortest.Drive{})
		if len(found) == 0 {
			t.Fatalf("%s: nothing found", name)
		}
		for _, f := range found {
			if f.Class != test.want {
				t.Errorf("%s: class %q, want %q", name, f.Class, test.want)
			}
		}
	}
}

func TestEthashSizes(t *testing.T) {
	t.Parallel()
	// Epochs 0 and 1 of the Ethash specification.
	dataset, cache := Sizes{1 << 30, 1 << 23, 128}, Sizes{1 << 24, 1 << 17, 64}
	if a, b := dataset.at(0), dataset.at(1); a != 1073739904 || b != 1082130304 {
		t.Errorf("dataset: %d, %d", a, b)
	}
	if a, b := cache.at(0), cache.at(1); a != 16776896 || b != 16907456 {
		t.Errorf("cache: %d, %d", a, b)
	}
}

func TestShippedConstants(t *testing.T) {
	t.Parallel()
	w, err := rules(t).words()
	if err != nil {
		t.Fatal(err)
	}
	if len(w) != 72+16 {
		t.Fatalf("%d words", len(w))
	}
	// Published in the reference implementation: the first and the last word that the labels give.
	if got := binary.LittleEndian.Uint32(w[3][:]); got != 0xd7983aad {
		t.Errorf("AesHash1R state: %08x", got)
	}
	if got := fmt.Sprintf("%x", w[71]); got != "2d76b0c0" {
		t.Errorf("AesGenerator4R keys: %s", got)
	}
}

// The scanner must find what a naive search finds, at every offset and length.
func TestScanAgainstNaive(t *testing.T) {
	t.Parallel()
	table := shipped(t).table
	var words []uint32
	for w := range table.words {
		words = append(words, w)
	}
	slices.Sort(words)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		p := make([]byte, random.IntN(90))
		for i := range p {
			p[i] = byte(random.Uint32())
		}
		for range random.IntN(4) {
			if len(p) >= 4 {
				binary.LittleEndian.PutUint32(p[random.IntN(len(p)-3):], words[random.IntN(len(words))])
			}
		}
		var want, got []int
		for i := 0; i+4 <= len(p); i++ {
			if _, ok := table.words[binary.LittleEndian.Uint32(p[i:])]; ok {
				want = append(want, i)
			}
		}
		table.scan(p, func(at, _ int) { got = append(got, at) })
		if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
			t.Fatalf("%x: %s", p, diff)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"size":     func(r *Rules) { r.Labels = append(slices.Clone(r.Labels), Label{"x", 20}) },
		"hex":      func(r *Rules) { r.Words = []string{"zz"} },
		"odd":      func(r *Rules) { r.Words = []string{"0011"} },
		"wide":     func(r *Rules) { r.Wide = []string{"00", "01", "02"} },
		"none":     func(r *Rules) { *r = Rules{} },
		"many":     func(r *Rules) { r.Words = []string{strings.Repeat("01020304", maxWords+1)} },
		"id":       func(r *Rules) { r.Constants = append(slices.Clone(r.Constants), r.Constants[0]) },
		"forms":    func(r *Rules) { r.Constants = append(slices.Clone(r.Constants), Constant{ID: "x"}) },
		"few":      func(r *Rules) { r.Constants = append(slices.Clone(r.Constants), Constant{ID: "x", Bytes: "0011"}) },
		"letters":  func(r *Rules) { r.Constants = append(slices.Clone(r.Constants), Constant{ID: "x", Letters: "abc"}) },
		"text":     func(r *Rules) { r.Constants = append(slices.Clone(r.Constants), Constant{ID: "x", Text: "abc"}) },
		"sizes":    func(r *Rules) { r.Constants = append(slices.Clone(r.Constants), Constant{ID: "x", Sizes: &Sizes{}}) },
		"too-many": func(r *Rules) { r.Constants = make([]Constant, maxConstants+1) },
		"words":    func(r *Rules) { r.Node = slices.Repeat([]string{"prune-blockchain"}, maxConstants+1) },
		"unknown":  func(r *Rules) { r.Families = []Family{{Name: "x", All: []string{"nothing"}}} },
		"empty":    func(r *Rules) { r.Families = []Family{{Name: "x"}} },
		"less":     func(r *Rules) { r.Families = []Family{{Name: "x", All: []string{"luffa"}, Strength: trust.Strong}} },
		"node":     func(r *Rules) { r.Node = []string{"a", "b", "c", "d"} },
	} {
		r := rules(t)
		change(&r)
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
