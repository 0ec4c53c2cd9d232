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

func spelled(words [][4]byte, n int, format string) string {
	var b strings.Builder
	for _, w := range words[:n] {
		fmt.Fprintf(&b, format, binary.LittleEndian.Uint32(w[:]))
	}
	return b.String()
}

func wide(r Rules, n int, reverse bool) string {
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
	hexes := "K = [" + spelled(w, 10, "0x%08X, ") + "]\n"
	indicatortest.Run(t, shipped(t), []indicatortest.Sample{
		{Name: "all-together", Path: "usr/bin/nginx", Kind: exe, Content: spread(w, 72, 0), Want: trust.Proof},
		{Name: "six", Path: "x", Kind: exe, Content: spread(w, 6, 13), Want: trust.Proof},
		{Name: "six-big-endian", Path: "x", Kind: exe, Content: spread(swapped(w), 6, 13), Want: trust.Proof},
		{Name: "four", Path: "x", Kind: exe, Content: spread(w, 4, 1), Want: trust.Strong},
		{Name: "immediate-operands", Path: "x", Kind: exe, Content: spread(w[30:], 40, 3), Want: trust.Proof},
		{Name: "data", Path: "x.jpg", Kind: data, Content: spread(w, 20, 2), Want: trust.Strong, IfRun: trust.Proof},
		{Name: "wide", Path: "x", Kind: exe, Content: wide(r, 3, false), Want: trust.Proof},
		{Name: "wide-big-endian", Path: "x", Kind: exe, Content: wide(r, 3, true), Want: trust.Proof},
		{Name: "webassembly", Path: "x.wasm", Kind: exe, Content: leb(w, 8), Want: trust.Proof},
		{Name: "node", Path: "usr/bin/monerod", Kind: exe, Content: spread(w, 72, 0) + nodeWords, Want: trust.Strong},
		{Name: "node-in-data", Path: "usr/lib/x.img", Kind: trust.KindData, Content: spread(w, 72, 0) + nodeWords, Want: trust.Weak, IfRun: trust.Strong},
		{Name: "node-that-mines", Path: "x", Kind: exe, Content: spread(w, 72, 0) + nodeWords + "donate-level", Want: trust.Proof},
		{Name: "python", Path: "m.py", Kind: script, Content: hexes, Want: trust.Proof},
		{Name: "python-three", Path: "m.py", Kind: script, Content: spelled(w, 3, "a = 0x%08x\n"), Want: trust.Strong},
		{Name: "decimal", Path: "m.js", Kind: script, Content: "9298411001130361340n 12065312585734608966n 9306329213124626780n", Want: trust.Strong},
		{Name: "source", Path: "lib/aes_hash.js", Kind: text, Content: hexes, Want: trust.Weak, IfRun: trust.Proof},
	}, []indicatortest.Twin{
		{Name: "three", Path: "x", Kind: exe, Content: spread(w, 3, 1)},
		{Name: "one-often", Path: "x", Kind: exe, Content: strings.Repeat(spread(w, 1, 1), 100)},
		{Name: "far-apart", Path: "x", Kind: exe, Content: spread(w, 12, 1500)},
		{Name: "half-wide", Path: "x", Kind: exe, Content: wide(r, 2, false)},
		{Name: "noise", Path: "x", Kind: data, Content: string(noise[:40_000])},
		{Name: "two-hex", Path: "a.py", Kind: script, Content: spelled(w, 2, "0x%08x,")},
		{Name: "blake-initial-values", Path: "a.c", Kind: text, Content: "0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1"},
		{Name: "research-paper", Path: "usr/share/doc/randomx/specs.md", Kind: text, Content: hexes},
		{Name: "empty-elf", Path: "x", Kind: exe, Content: "\x7fELF" + strings.Repeat("\x00", 9000)},
	})
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
		table.scan(p, func(at int, _ []mark) { got = append(got, at) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%x: %s", p, diff)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Rules){
		"size": func(r *Rules) { r.Labels = append(slices.Clone(r.Labels), Label{"x", 20}) },
		"hex":  func(r *Rules) { r.Words = []string{"zz"} },
		"odd":  func(r *Rules) { r.Words = []string{"0011"} },
		"wide": func(r *Rules) { r.Wide = []string{"00", "01", "02"} },
		"none": func(r *Rules) { *r = Rules{} },
		"many": func(r *Rules) { r.Words = []string{strings.Repeat("01020304", maxWords+1)} },
		"node": func(r *Rules) { r.Node = []string{"a", "b", "c", "d"} },
	} {
		r := rules(t)
		change(&r)
		if _, err := New(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkBytes(b *testing.B) {
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	source.Read(noise)
	code := bytes.Repeat([]byte("\x48\x89\xe5\x48\x83\xec\x20\x89\x7d\xfc\x8b\x45\xfc\x00\x00\x00"), 1<<16)
	for name, p := range map[string][]byte{"noise": noise, "code": code, "zero": make([]byte, 1<<20)} {
		b.Run(name, func(b *testing.B) {
			w := shipped(b).Watch(indicator.File{Path: "x", Kind: trust.KindExecutable}).(indicator.ByteWatch)
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				w.Bytes(p)
			}
		})
	}
}
