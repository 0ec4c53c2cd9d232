package inflate_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	kgzip "github.com/klauspost/compress/gzip"

	"github.com/safepull/safepull/trust/layer/inflate"
)

// BenchmarkGzip reads this test program and the kinds of content of the tests; MB/s count uncompressed bytes.
func BenchmarkGzip(b *testing.B) {
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	streams := contents()
	streams["program"] = program
	for _, name := range []string{"program", "text", "noise", "zeros"} {
		data := streams[name]
		stream := pack(b, packers(0)["go6"], data, 0)
		in, buf := bytes.NewReader(stream), make([]byte, 64<<10)
		fast := inflate.NewGzip(in)
		klauspost, err := kgzip.NewReader(bytes.NewReader(stream))
		if err != nil {
			b.Fatal(err)
		}
		standard, err := gzip.NewReader(bytes.NewReader(stream))
		if err != nil {
			b.Fatal(err)
		}
		for _, bm := range []struct {
			name  string
			reset func()
			r     io.Reader
		}{
			{"fast", func() { fast.Reset(in) }, fast},
			{"klauspost", func() { _ = klauspost.Reset(in) }, klauspost},
			{"stdlib", func() { _ = standard.Reset(in) }, standard},
		} {
			b.Run(name+"/"+bm.name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					in.Reset(stream)
					bm.reset()
					for err = nil; err == nil; {
						_, err = bm.r.Read(buf)
					}
					if err != io.EOF {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkHostile reads streams that cost the most for each byte of input; MB/s count compressed bytes.
func BenchmarkHostile(b *testing.B) {
	codes := new(bitWriter)
	fixed := new(bitWriter)
	for range 20_000 {
		d := dynamic(257, 1, 138, 118, 1, 0)
		for i := range d.n { // the same, but not the last block
			codes.put(uint(d.out[i/8]>>(i%8)&1)&^(uint(b2i(i == 0))), 1)
		}
		codes.put(0, 1)
		fixed.put(0, 1).put(1, 2).put(0, 7)
	}
	member := pack(b, packers(0)["go6"], nil, 0)
	for name, bm := range map[string]struct {
		format int
		stream []byte
	}{
		"codes":   {1, codes.put(1, 1).put(1, 2).put(0, 7).out},
		"fixed":   {1, fixed.put(1, 1).put(1, 2).put(0, 7).out},
		"members": {0, bytes.Repeat(member, 20_000)},
	} {
		b.Run(name+"/stdlib", func(b *testing.B) {
			b.SetBytes(int64(len(bm.stream)))
			for b.Loop() {
				if got := oracle(bm.format, bm.stream); got.err != io.EOF {
					b.Fatal(got.err)
				}
			}
		})
		b.Run(name+"/fast", func(b *testing.B) {
			b.SetBytes(int64(len(bm.stream)))
			in := bytes.NewReader(nil)
			r := formats[bm.format].open(in)
			for b.Loop() {
				in.Reset(bm.stream)
				r.Reset(in)
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
