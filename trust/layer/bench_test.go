package layer_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"

	"github.com/safepull/safepull/trust/layer"
)

// reading is a visitor that only reads.
type reading struct{ buf []byte }

func (v *reading) File(_ context.Context, _ layer.Entry, r io.Reader) error {
	for {
		if _, err := r.Read(v.buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// BenchmarkWalk reads a layer of this test program and many small files; MB/s count uncompressed bytes.
func BenchmarkWalk(b *testing.B) {
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	headers := append(filesOf(program, 4<<10, 512), file("bin/program", string(program)))
	plain := archive(b, headers...)
	inflates := inflates(b)
	packed := gz(b, plain)
	for _, bm := range []struct {
		name   string
		blob   []byte
		limits layer.Limits
	}{
		{"plain", plain, layer.Limits{}},
		{"gzip-fast", packed, layer.Limits{Inflate: inflates[layer.InflateFast]}},
		{"gzip-klauspost", packed, layer.Limits{Inflate: inflates[layer.InflateKlauspost]}},
		{"gzip-stdlib", packed, layer.Limits{Inflate: inflates[layer.InflateStdlib]}},
		{"zstd", zst(b, plain), layer.Limits{}},
		{"xz", xzOf(plain, dict1M), layer.Limits{}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			blob := bm.blob
			v := &reading{buf: make([]byte, 256<<10)}
			desc := descriptor(blob)
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := layer.Walk(context.Background(), bytes.NewReader(blob), desc, bm.limits, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
