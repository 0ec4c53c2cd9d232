package yara

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// manyRules are shaped like those that people share: texts, opcodes with gaps, some regular expressions.
func manyRules(n int) string {
	rng := rand.New(rand.NewPCG(3, 4))
	word := func(length int) string {
		b := make([]byte, length)
		for i := range b {
			b[i] = "etaoinshrdlucmwfygpbvkxjqz"[rng.IntN(26)]
		}
		return string(b)
	}
	hex := func(length int) string {
		var b strings.Builder
		for range length {
			fmt.Fprintf(&b, "%02X ", rng.IntN(256))
		}
		return b.String()
	}
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "rule r%d {\n\tstrings:\n", i)
		fmt.Fprintf(&b, "\t\t$a = %q nocase\n\t\t$b = %q wide ascii\n\t\t$c = { 48 8B 05 %s [4-8] %s ?? E8 }\n", word(6)+" "+word(8), word(12), hex(3), hex(6))
		if i%4 == 0 {
			fmt.Fprintf(&b, "\t\t$d = /%s[a-z0-9]{2,20}\\.%s/\n\tcondition: 2 of them or $d\n}\n", word(7), word(4))
		} else {
			b.WriteString("\tcondition: uint32(0) == 0x464c457f and filesize < 100MB and 2 of them\n}\n")
		}
	}
	return b.String()
}

func BenchmarkScan(b *testing.B) {
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{60, 600} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rules, err := Compile("bench.yar", []byte(manyRules(n)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				run(b, rules, content, 256<<10)
			}
		})
		b.Run(fmt.Sprintf("rules=%d/small", n), func(b *testing.B) {
			rules, err := Compile("bench.yar", []byte(manyRules(n)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(2000)
			b.ReportAllocs()
			for b.Loop() {
				run(b, rules, content[:2000], 256<<10)
			}
		})
	}
}

func run(b *testing.B, rules *Rules, content []byte, step int) {
	b.Helper()
	s := rules.Begin()
	for i := 0; i < len(content); i += step {
		if _, err := s.Write(content[i:min(i+step, len(content))]); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkNearMatches is content that costs as much as the bounds allow, once they are used up and before.
func BenchmarkNearMatches(b *testing.B) {
	rules, err := Compile("bench.yar", []byte(`rule r { strings: $a = /abcd[abcd]*[a-d]*(a|b|c|d)*z/ $b = "never there" condition: any of them }`))
	if err != nil {
		b.Fatal(err)
	}
	for _, gap := range []int{0, 60, 600} {
		content := []byte(strings.Repeat("abcd"+strings.Repeat("c", gap), (4<<20)/(gap+4)))
		b.Run(fmt.Sprintf("gap=%d", gap), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				s := rules.Begin()
				if _, err := s.Write(content); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Close(); err == nil {
					b.Fatal("answered")
				}
			}
		})
	}
}
