package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTargetsAreFound(t *testing.T) {
	t.Parallel()
	all, err := targets("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []target{{"trust/layer/inflate", "FuzzAgainstGzip"}, {"trust/layer", "FuzzWalk"}, {"proxy/config", "FuzzParse"}} {
		if !slices.Contains(all, want) {
			t.Errorf("%s is not found", want)
		}
	}
	for _, got := range all {
		if strings.HasPrefix(got.dir, "test/differential") {
			t.Errorf("%s is in another module", got)
		}
	}
}

func TestLastProgressCounts(t *testing.T) {
	t.Parallel()
	got := parse("fuzz: elapsed: 0s, gathering baseline coverage: 0/10 completed\n" +
		"fuzz: elapsed: 3s, execs: 10 (3/sec), new interesting: 0 (total: 5)\nfuzz: elapsed: 1m3s, execs: 345 (9/sec), new interesting: 1 (total: 6)\nPASS\n")
	if got.ran != 63*time.Second || got.executions != 345 || got.err != nil {
		t.Errorf("%+v", got)
	}
	if got := parse("FAIL: no fuzz tests\n"); got.ran != 0 || got.executions != 0 {
		t.Errorf("%+v", got)
	}
}

func TestRecordAddsUp(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "record.tsv")
	if known, err := readRecord(file); err != nil || known != nil {
		t.Fatal(known, err)
	}
	one := entry{"2026-11-25", "0123456789ab", target{"trust/layer", "FuzzWalk"}, 2, 4 * time.Minute, 1000, "nothing"}
	other := entry{"2026-11-26", "0123456789ab", target{"trust/layer", "FuzzWalk"}, 1, 2 * time.Minute, 10, "nothing"}
	for _, e := range []entry{one, other} {
		if err := appendRecord(file, e); err != nil {
			t.Fatal(err)
		}
	}
	known, err := readRecord(file)
	if err != nil || !slices.Equal(known, []entry{one, other}) {
		t.Fatal(known, err)
	}
	var rows strings.Builder
	printRow(&rows, one.target, known, true)
	printRow(&rows, one.target, known, false)
	printRow(&rows, one.target, known[1:], true)
	want := "trust/layer FuzzWalk\t10m0s\t>= 10m0s\tok\ntrust/layer FuzzWalk\t10m0s\t>= 10m0s\tshort\ntrust/layer FuzzWalk\t2m0s\t>= 10m0s\tshort\n"
	if rows.String() != want {
		t.Errorf("%q", rows.String())
	}
}

func TestBrokenRecordsSayWhere(t *testing.T) {
	t.Parallel()
	good := entry{"2026-11-25", "0123456789ab", target{"trust/layer", "FuzzWalk"}, 2, time.Minute, 1000, "nothing"}.line()
	for name, text := range map[string]string{
		"no header":  good,
		"columns":    header + "a\tb\n",
		"workers":    header + strings.Replace(good, "\t2\t", "\tx\t", 1),
		"ran":        header + strings.Replace(good, "\t1m0s\t", "\tx\t", 1),
		"executions": header + strings.Replace(good, "\t1000\t", "\tx\t", 1),
	} {
		file := filepath.Join(t.TempDir(), "record.tsv")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readRecord(file); err == nil || !strings.Contains(err.Error(), "record.tsv") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheRecordCanBeRead: what is committed is well-formed.
func TestTheRecordCanBeRead(t *testing.T) {
	t.Parallel()
	if _, err := readRecord("record.tsv"); err != nil {
		t.Error(err)
	}
}
