package match_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/safepull/safepull/trust/match"
)

// minerLike makes n patterns shaped like real ones: schemes, hosts, flags, wallets, binary strings.
func minerLike(n int) []match.Pattern {
	rng := rand.New(rand.NewPCG(7, 7))
	word := func(alphabet string, length int) string { return string(randomBytes(rng, alphabet, length)) }
	const letters, base58 = "etaoinshrdlucmwfygpbvkxjqz", "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	patterns := make([]match.Pattern, n)
	for i := range patterns {
		var text string
		switch i % 5 {
		case 0:
			text = "pool." + word(letters, 4+rng.IntN(10)) + ".com"
		case 1:
			text = "--" + word(letters, 5) + "-" + word(letters, 6)
		case 2:
			text = word(base58, 40)
		case 3:
			text = fmt.Sprintf("%s %s %%s", word(letters, 5), word(letters, 7))
		case 4:
			text = string(randomBytes(rng, "\x00\x01\x10\x7f\x80\xff\x41\x90\xc3\x55", 12))
		}
		patterns[i] = match.Pattern{Bytes: []byte(text), Fold: i%2 == 0}
	}
	return patterns
}

// realText is what layers are made of, as far as this machine has it: the Go test binary itself.
func realText(b *testing.B) []byte {
	b.Helper()
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

func BenchmarkScan(b *testing.B) {
	text := realText(b)
	for _, n := range []int{100, 500, 5000} {
		b.Run(fmt.Sprintf("patterns=%d", n), func(b *testing.B) { benchmark(b, minerLike(n), text) })
	}
}

// BenchmarkScanNearMatches is the worst that content can do: it is made of all patterns, each without its end.
func BenchmarkScanNearMatches(b *testing.B) {
	for _, n := range []int{500, 5000} {
		patterns := minerLike(n)
		b.Run(fmt.Sprintf("patterns=%d", n), func(b *testing.B) {
			var text []byte
			for len(text) < 1<<20 {
				for _, p := range patterns {
					text = append(text, p.Bytes[:len(p.Bytes)-1]...)
				}
			}
			benchmark(b, patterns, text)
		})
	}
	b.Run("alike=200", func(b *testing.B) {
		var patterns []match.Pattern
		for i := range 200 {
			patterns = append(patterns, match.Pattern{Bytes: fmt.Appendf(nil, "stratum+tcp://pool.example%03d", i), Fold: true})
		}
		var text []byte
		for len(text) < 1<<20 {
			text = append(text, "stratum+tcp://pool.example99"...)
		}
		benchmark(b, patterns, text)
	})
}

func benchmark(b *testing.B, patterns []match.Pattern, text []byte) {
	b.Helper()
	set := mustNew(b, patterns)
	b.SetBytes(int64(len(text)))
	found := 0
	began := cpuTime()
	rounds := 0
	for b.Loop() {
		rounds++
		for at := 0; at < len(text); at += 256 << 10 {
			set.Scan(text[at:min(at+256<<10, len(text))], func(int, int) { found++ })
		}
	}
	_ = found
	b.ReportMetric(float64(rounds)*float64(len(text))/1e6/(cpuTime()-began).Seconds(), "MB/cpu-s")
}

// cpuTime is what this process has used, which other work on the machine does not change much.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
