//go:build linux

package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMedian(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values []time.Duration
		want   time.Duration
	}{
		"none": {nil, 0}, "one": {[]time.Duration{5}, 5}, "odd": {[]time.Duration{9, 1, 5}, 5}, "even": {[]time.Duration{9, 1, 5, 3}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := median(tc.values); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	out := table{&b}
	out.seconds("a", 1500*time.Millisecond)
	out.ratio("b", 3*time.Second, 2*time.Second)
	out.below("c", 49*time.Millisecond, 50*time.Millisecond, inMilliseconds)
	out.below("d", 2*time.Second, 2*time.Second, inSeconds)
	out.memory("e", 256<<20, 256<<20)
	out.memory("f", 256<<20+1, 256<<20)
	out.count("g", 1, 0)
	const want = "a\t1.50 s\t-\tok\n" +
		"b\t1.50\t-\tok\n" +
		"c\t49.0 ms\t< 50.0 ms\tok\n" +
		"d\t2.00 s\t< 2.00 s\tshort\n" +
		"e\t256 MiB\t<= 256 MiB\tok\n" +
		"f\t256 MiB\t<= 256 MiB\tshort\n" +
		"g\t1\t0\tshort\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestProcessorTime(t *testing.T) {
	t.Parallel()
	const tail = " S 1 2 3 4 5 6 7 8 9 10 250 150 0 0 20 0\n"
	for name, stat := range map[string]string{"plain": "7 (registry)" + tail, "parentheses": "7 (a) b) (c))" + tail} {
		if got, err := processorTime([]byte(stat)); err != nil || got != 4*time.Second {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, stat := range []string{"", "7 (x", "7 (x) S 1", "7 (x) S 1 2 3 4 5 6 7 8 9 10 x 150 0"} {
		if got, err := processorTime([]byte(stat)); err == nil {
			t.Errorf("%q: %v", stat, got)
		}
	}
}

func TestPeak(t *testing.T) {
	t.Parallel()
	if got, err := memoryOf([]byte("Name:\tx\nVmPeak:\t 99 kB\nVmHWM:\t    2048 kB\nVmRSS:\t1 kB\n"), "VmHWM:"); err != nil || got != 2<<20 {
		t.Errorf("%d, %v", got, err)
	}
	for _, status := range []string{"", "Name:\tzombie\n", "VmHWM:\tmuch kB\n"} {
		if got, err := memoryOf([]byte(status), "VmHWM:"); err == nil {
			t.Errorf("%q: %d", status, got)
		}
	}
	if got, err := peak(os.Getpid()); err != nil || got < 1<<20 {
		t.Errorf("own peak %d, %v", got, err)
	}
}

func TestCountFetches(t *testing.T) {
	t.Parallel()
	a, b := digest.FromString("a"), digest.FromString("b")
	line := func(method, path string) string {
		return `127.0.0.1 - - [23/Nov/2026:15:00:00 +0000] "` + method + " /v2/bench/app/" + path + ` HTTP/1.1" 200 12 "" "docker/20.10"` + "\n"
	}
	log := line("GET", "manifests/1") + line("HEAD", "blobs/"+a.String()) + line("GET", "blobs/"+a.String()) + line("PUT", "blobs/uploads/x?digest="+a.String()) +
		line("GET", "blobs/"+digest.FromString("config").String()) + line("GET", "blobs/"+b.String()) + "level=info msg=listening\n"
	if n := countFetches([]byte(log), []digest.Digest{a, b}); n != 2 {
		t.Errorf("got %d, want 2", n)
	}
	if n := countFetches(nil, []digest.Digest{a}); n != 0 {
		t.Errorf("got %d of an empty log", n)
	}
}
