package scan_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/safepull/safepull/trust/indicator"
)

// BenchmarkLayer scans a gzip layer of this test program and many small files for 500 literals of ten indicators;
// MB/s count uncompressed bytes.
func BenchmarkLayer(b *testing.B) {
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var entries []entry
	for i := range 512 {
		entries = append(entries, entry{name: fmt.Sprint("small/", i), body: string(program[i*4096 : (i+1)*4096])})
	}
	entries = append(entries, entry{name: "bin/program", body: string(program), mode: 0o755})
	var indicators []indicator.Indicator
	for i := range 10 {
		t := &toy{name: fmt.Sprint("toy", i), everyByte: i == 0}
		for k := range 50 {
			t.literals = append(t.literals, indicator.Literal{Text: fmt.Sprintf("pool%d.host%d.example", k*7919, i), Fold: k%2 == 0})
		}
		indicators = append(indicators, t)
	}
	blob := layerOf(b, entries...)
	s, desc := newScanner(b, indicators...), descriptor(blob)
	b.ReportAllocs()
	for b.Loop() {
		got, err := s.Layer(context.Background(), bytes.NewReader(blob), desc)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(got.Bytes)
	}
}
