package compressed_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/compressed"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

const text = "hello hello hello\n"

// What other programs made of text: bzip2, xz, lzma, and xz with a window of 128 MiB.
const (
	bz2Text  = "QlpoOTFBWSZTWeW18wkAAARRAAAQQAACRKAAIbUYDAKQacKjC7kinChIctr5hIA="
	xzText   = "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AARAAxdADQZSe6N6U9+ISGwAAAfAdnIh8FDyAABKBLJamKOH7bzfQEAAAAABFla"
	lzmaText = "XQAAgAD//////////wA0GUnujelPfiG2ILf//7o0AAA="
	xzWide   = "/Td6WFoAAATm1rRGAgAhAR4AAACbB1Fm4AARAAxdADQZSe6N6U9+ISGwAAAfAdnIh8FDyAABKBLJamKOH7bzfQEAAAAABFla"
)

func decoded(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.Bytes()
}

func zlibbed(s string) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.Bytes()
}

func zstandard(s string, window int) []byte {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(window))
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, s)
	_ = w.Flush() // so that the frame has a window rather than a size
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.Bytes()
}

func one(name, body string) map[string]string { return map[string]string{name: body} }

func samples() []unwraptest.Sample {
	zst := zstandard(text, 1<<20)
	return []unwraptest.Sample{
		{Name: "gzip", Path: "opt/notes.txt.gz", Content: gzipped(text), Want: one("notes.txt", text)},
		{Name: "gzip-tgz", Path: "a.tar.gz!/b/app.TGZ", Content: gzipped(text), Want: one("app.tar", text)},
		{Name: "gzip-without-suffix", Path: "opt/data", Content: gzipped(text), Want: one("data", text)},
		{Name: "gzip-without-name", Content: gzipped(text), Want: one("compressed", text)},
		{Name: "gzip-only-suffix", Path: "opt/.gz", Content: gzipped(text), Want: one(".gz", text)},
		{Name: "gzip-members", Path: "a.gz", Content: append(gzipped(text), gzipped("more")...), Want: one("a", text+"more")},
		{Name: "gzip-empty", Path: "a.gz", Content: gzipped(""), Want: one("a", "")},
		{Name: "gzip-trailing", Path: "a.gz", Content: append(gzipped(text), "garbage behind"...), Want: one("a", text), Err: trust.ErrMalformed},
		{Name: "gzip-cut", Path: "a.gz", Content: gzipped(text)[:len(gzipped(text))-6], Want: one("a", text), Err: trust.ErrMalformed},
		{Name: "gzip-only-magic", Path: "a.gz", Content: []byte("\x1f\x8b\x08"), Err: trust.ErrMalformed},
		{Name: "zlib", Path: "objects/ab", Content: zlibbed(text), Want: one("ab", text)},
		{Name: "zlib-trailing", Path: "ab", Content: append(zlibbed(text), 'x'), Want: one("ab", text), Err: trust.ErrMalformed},
		{Name: "zlib-look-alike", Path: "ab", Content: []byte("x\x9c\x01\xff\xff\xff\xff\xff\xff\xff")},
		{Name: "zstd", Path: "a.zst", Content: zst, Want: one("a", text+text)},
		{Name: "zstd-skippable", Path: "a.tzst", Content: append([]byte("\x50\x2a\x4d\x18\x02\x00\x00\x00hi"), zst...), Want: one("a.tar", text+text)},
		{Name: "zstd-trailing", Path: "a.zst", Content: append(zst[:len(zst):len(zst)], "garbage"...), Want: one("a", text+text), Err: trust.ErrMalformed},
		{Name: "zstd-window", Path: "a.zst", Content: zstandard(text, 64<<20), Err: trust.ErrUnsupported},
		{Name: "bzip2", Path: "a.tbz2", Content: decoded(bz2Text), Want: one("a.tar", text)},
		{Name: "bzip2-twice", Path: "a.bz2", Content: append(decoded(bz2Text), decoded(bz2Text)...), Want: one("a", text+text)},
		{Name: "bzip2-trailing", Path: "a.bz2", Content: append(decoded(bz2Text), "garbage"...), Want: one("a", text), Err: trust.ErrMalformed},
		{Name: "xz", Path: "a.xz", Content: decoded(xzText), Want: one("a", text)},
		{Name: "xz-twice", Path: "a.xz", Content: append(append(decoded(xzText), 0, 0, 0, 0), decoded(xzText)...), Want: one("a", text+text)},
		{Name: "xz-trailing", Path: "a.xz", Content: append(decoded(xzText), "garbage"...), Want: one("a", text), Err: trust.ErrMalformed},
		{Name: "compress", Path: "a.Z", Content: []byte("\x1f\x9d\x90a\xc4\x8c\x01"), Want: one("a", "abc")},
		{Name: "lz4", Path: "a.lz4", Content: []byte("\x04\x22\x4d\x18\x60\x40\x82\x05\x00\x00\x80plain\x00\x00\x00\x00"), Want: one("a", "plain")},
		{Name: "lz4-trailing", Path: "a.lz4", Content: []byte("\x04\x22\x4d\x18\x60\x40\x82\x05\x00\x00\x80plain\x00\x00\x00\x00garbage"), Want: one("a", "plain"), Err: trust.ErrMalformed},
		{Name: "lzma", Path: "a.lzma", Content: decoded(lzmaText), Want: one("a", text)},
		{Name: "lzma-trailing", Path: "a.tlz", Content: append(decoded(lzmaText), 'x'), Want: one("a.tar", text), Err: trust.ErrMalformed},
		{Name: "lzma-look-alike", Path: "a", Content: []byte("]\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff"), Err: trust.ErrMalformed},
		{Name: "kotlin-metadata", Path: "a", Content: []byte("\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00kotlin is not packed at all, but begins alike and goes on for long")},
		{Name: "xz-window", Path: "a.xz", Content: decoded(xzWide), Want: one("a", text)},
	}
}

func TestCompressed(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, compressed.New(), samples(), []unwraptest.Sample{
		{Name: "text", Content: []byte(text)},
		{Name: "empty"},
		{Name: "bzip2-word", Content: []byte("BZhang wrote this, and 9 others")},
		{Name: "old-pack", Content: []byte("\x1f\x1e packed")},
		{Name: "gzip-other-method", Content: []byte("\x1f\x8b\x00 nothing known")},
		{Name: "x-ray", Content: []byte("x^2 + y^2 = z^2"), Kind: trust.KindText},
		{Name: "zlib-in-text", Content: zlibbed(text), Kind: trust.KindScript},
		{Name: "zlib-dictionary", Content: []byte("x\xbb0123456789")},
		{Name: "lzma-odd-history", Content: []byte("]\x00\x00\x81\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00abc")},
		{Name: "zeros", Content: make([]byte, 100)},
		{Name: "xz-short", Content: []byte("\xfd7zXZ")},
	})
}

// behind is longer than what may be a checksum.
var behind = "something else that stands behind the end, " + strings.Repeat("and goes on, ", 10)

// What follows the end of compressed data is shown, wherever the decoder notices.
func TestCompressed_whatFollows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(behind, 2000)
	var list []unwraptest.Sample
	for name, packed := range map[string][]byte{
		"gzip": gzipped(text), "members": append(gzipped(text[:5]), gzipped(text[5:])...), "zlib": zlibbed(text), "zstd": zstandard(text[:0]+text, 1<<20), "bzip2": decoded(bz2Text), "xz": decoded(xzText), "lzma": decoded(lzmaText),
		"lz4": []byte("\x04\x22\x4d\x18\x60\x40\x82\x12\x00\x00\x80" + text + "\x00\x00\x00\x00"),
	} {
		want := text
		if name == "zstd" {
			want += text
		}
		tail := fmt.Sprintf("tail@%d", len(packed))
		add := func(what, between, rest string, pieces map[string]string) {
			list = append(list, unwraptest.Sample{Name: name + what, Path: "a", Content: append(bytes.Clone(packed), between+rest...), Want: pieces, Err: trust.ErrMalformed})
		}
		add("", "", behind, map[string]string{"a": want, tail: behind})
		add("-long", "", long, map[string]string{"a": want, tail: long})
		if name == "gzip" || name == "zlib" || name == "lz4" || name == "lzma" {
			add("-padded", strings.Repeat("\x00", 3000), behind, map[string]string{"a": want, fmt.Sprintf("tail@%d", len(packed)+3000): behind})
		}
		add("-short", "", "a few bytes", one("a", want))
	}
	unwraptest.Run(t, compressed.New(), list, nil)
}

func FuzzCompressed(f *testing.F) { unwraptest.Fuzz(f, compressed.New(), samples()) }

// plain is input that costs nothing.
type plain struct {
	unwraptest.Plenty
	io.Reader
	c unwrap.Content
}

func (p plain) Content() unwrap.Content            { return p.c }
func (p plain) Spool() (io.ReaderAt, int64, error) { return nil, 0, io.ErrNoProgress }
func (p plain) Spend(int64) error                  { return nil }

func BenchmarkGzip(b *testing.B) {
	var long strings.Builder
	for i := range 200000 {
		_, _ = io.WriteString(&long, text[:i%len(text)]+base64.StdEncoding.EncodeToString([]byte{byte(i), byte(i >> 8)}))
	}
	packed := gzipped(long.String())
	b.SetBytes(int64(long.Len()))
	b.ReportAllocs()
	w := compressed.New()
	for b.Loop() {
		in := plain{Reader: bytes.NewReader(packed), c: unwrap.Content{Path: "a.gz", Head: packed[:512]}}
		err := w.Unwrap(context.Background(), in, func(_ unwrap.Piece, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
