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
	for name, blob := range map[string][]byte{"plain": plain, "gzip": gz(b, plain), "zstd": zst(b, plain)} {
		b.Run(name, func(b *testing.B) {
			v := &reading{buf: make([]byte, 256<<10)}
			desc := descriptor(blob)
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := layer.Walk(context.Background(), bytes.NewReader(blob), desc, layer.Limits{}, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
