package nuitka_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/nuitka"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// files is two files as they stand behind an executable: name, flags, size, bytes.
const files = "app.bin\x00\x01\x04\x00\x00\x00\x00\x00\x00\x00body" + "lib/x.so\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00so" + "\x00"

func packed(window int) string {
	var out bytes.Buffer
	w, _ := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithSingleSegment(false))
	_, _ = w.Write([]byte(files))
	_ = w.Flush()
	_, _ = w.Write([]byte(strings.Repeat("more", 1000)))
	_ = w.Close()
	return "KAY" + out.String()
}

func samples() []unwraptest.Sample {
	all := map[string]string{"payload": files + strings.Repeat("more", 1000)}
	ok := packed(1 << 20)
	return []unwraptest.Sample{
		{Name: "packed", Content: []byte(ok), Want: all},
		{Name: "plain", Content: []byte("KAX" + files), Want: map[string]string{"payload": files}},
		{Name: "window-too-large", Content: []byte(packed(64 << 20)), Want: map[string]string{"payload": ""}, Err: trust.ErrUnsupported},
	}
}

func TestNuitka(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, nuitka.New(), samples(), []unwraptest.Sample{
		{Name: "words", Content: []byte("KAXa text that begins like it")},
		{Name: "packed-elsewise", Content: []byte("KAYsomething")},
		{Name: "short", Content: []byte("KA")},
	})
}

func FuzzUnwrap(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.Content)
	}
	w := nuitka.New()
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _ = unwraptest.Unwrap(t.Context(), w, unwraptest.Sample{Content: content}, func(r io.Reader) io.Reader { return r })
	})
}
