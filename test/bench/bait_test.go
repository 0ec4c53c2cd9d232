//go:build linux

package main

import (
	"bytes"
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/scan"
	wrappers "github.com/safepull/safepull/trust/unwrap/all"
)

// BenchmarkBait inspects a mebibyte of one sign repeated without end, which wakes an indicator for every few bytes. None
// may cost more than about a second of CPU time.
func BenchmarkBait(b *testing.B) {
	shipped, rules := indicators(b)
	s, err := scan.New(shipped, wrappers.New(), rules, scan.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	for _, unit := range []string{
		"xmrig ", "pkill xmrig;", `{"pools":[`, "begin 644 a\n", "-epool ", "--rig-id ", "torsocks ", "donate-level ", "curl ", "export A=$A$A;", "eval $a;",
	} {
		body := bytes.Repeat([]byte(unit), 1<<20/len(unit))
		b.Run(unit, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			before, n := cpuTime(), 0
			for b.Loop() {
				n++
				// What it says of such content is of no interest here.
				_, _ = s.File(context.Background(), digest.FromString(unit), layer.Entry{Path: "run.sh", Mode: 0o755, Size: int64(len(body))}, bytes.NewReader(body), nil)
			}
			b.ReportMetric(float64((cpuTime()-before).Milliseconds())/float64(n), "cpu-ms/op")
		})
	}
}

// cpuTime is what this process used so far: other programs on the machine have no part in it.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for the own process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
