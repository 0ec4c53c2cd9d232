package inflate_test

import (
	"bytes"
	"testing"

	"github.com/safepull/safepull/trust/layer/inflate"
)

// FuzzAgainstGzip: for each of the three formats, what the standard library accepts is accepted with the same bytes and
// the same end, and nothing else is, however the stream is cut into reads.
func FuzzAgainstGzip(f *testing.F) {
	for format := range formats {
		for _, open := range packers(format) {
			for _, data := range [][]byte{nil, []byte("a"), []byte("hello hello hello hello"), bytes.Repeat([]byte("abcde"), 300), make([]byte, 5000)} {
				if stream := pack(f, open, data, 0); stream != nil {
					f.Add(stream, byte(format), uint16(0), uint16(0))
					f.Add(append(bytes.Clone(stream), stream...), byte(format), uint16(3), uint16(5))
				}
			}
		}
	}
	for _, data := range contents() {
		f.Add(pack(f, packers(1)["klauspost9"], data[:min(len(data), 3000)], 500), byte(1), uint16(1), uint16(4096))
	}
	f.Add(dynamic(286, 30, 138, 118, 1, 1, 28, 30).put(0, 8).out, byte(1), uint16(0), uint16(0))
	f.Fuzz(func(t *testing.T, stream []byte, kind byte, chunk, read uint16) {
		format := int(kind) % len(formats)
		want := oracle(format, stream)
		in := bytes.NewReader(stream)
		r := used[format].Get().(*inflate.Reader)
		defer used[format].Put(r)
		r.Reset(&chunks{r: in, n: 1 + int(chunk)})
		if err := compare(want, ours(r, in, 1+int(read))); err != nil {
			t.Fatalf("%s: %v", formats[format].name, err)
		}
		in.Reset(stream)
		r.Reset(in)
		if err := compare(want, ours(r, in, 1<<16)); err != nil {
			t.Fatalf("%s in one read: %v", formats[format].name, err)
		}
	})
}
