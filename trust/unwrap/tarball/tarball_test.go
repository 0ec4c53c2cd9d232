package tarball_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/tarball"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// entries makes an archive of files without its end blocks.
func entries(format tar.Format, pairs ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		h := &tar.Header{Name: pairs[i], Mode: 0o755, Size: int64(len(pairs[i+1])), Format: format}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		_, _ = w.Write([]byte(pairs[i+1]))
	}
	_ = w.Flush()
	return b.Bytes()
}

// links are entries without a body.
func links() []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "d/", Typeflag: tar.TypeDir})
	_ = w.WriteHeader(&tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "/x"})
	_ = w.WriteHeader(&tar.Header{Name: "odd", Typeflag: 'Q', Size: 3})
	_, _ = w.Write([]byte("odd"))
	_ = w.Flush()
	return b.Bytes()
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// v7 is a header as of 1979, without a magic number.
func v7(name, body string) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], fmt.Sprintf("%06o \x00", 0o644))
	copy(h[124:], fmt.Sprintf("%011o ", len(body)))
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	padded := make([]byte, (len(body)+511)/512*512)
	copy(padded, body)
	return append(h, padded...)
}

func samples() []unwraptest.Sample {
	end := make([]byte, 1024)
	a, b := entries(tar.FormatUSTAR, "a", "alpha"), entries(tar.FormatPAX, "b", "beta")
	ab := map[string]string{"a": "alpha", "b": "beta"}
	garbage := bytes.Repeat([]byte("no header "), 100)[:512]
	return []unwraptest.Sample{
		{Name: "ustar", Content: join(a, end), Want: map[string]string{"a": "alpha"}},
		{Name: "gnu-long-name", Content: join(entries(tar.FormatGNU, strings.Repeat("n/", 200), ""), entries(tar.FormatGNU, strings.Repeat("n", 300), "x"), end), Want: map[string]string{strings.Repeat("n", 300): "x"}},
		{Name: "v7", Content: join(v7("old", "body"), end), Want: map[string]string{"old": "body"}},
		{Name: "same-name", Content: join(a, a, end), Want: map[string]string{"a": "alphaalpha"}},
		{Name: "links", Content: join(links(), end), Want: map[string]string{"odd": "odd"}},
		{Name: "names-as-they-stand", Content: join(entries(tar.FormatGNU, "../../a", "x", "/b", "y"), end), Want: map[string]string{"../../a": "x", "/b": "y"}},
		{Name: "no-end", Content: a, Want: map[string]string{"a": "alpha"}},
		{Name: "behind-the-end", Content: join(a, end, end, b, end), Want: ab},
		{Name: "behind-one-block-of-zeros", Content: join(a, end[:512], b, end), Want: ab, Err: trust.ErrMalformed},
		{Name: "behind-a-broken-header", Content: join(a, garbage, b, end), Want: map[string]string{"a": "alpha", "b": "beta", "rest": string(garbage)}, Err: trust.ErrMalformed},
		{Name: "garbage-behind", Content: join(a, end, []byte("garbage")), Want: map[string]string{"a": "alpha", "rest": "garbage"}, Err: trust.ErrMalformed},
		{Name: "cut-header", Content: join(a, b[:100]), Want: map[string]string{"a": "alpha", "rest": string(b[:100])}, Err: trust.ErrMalformed},
		{Name: "behind-zeros", Content: join(a, end[:512], garbage, b), Want: map[string]string{"a": "alpha", "b": "beta", "rest": string(garbage)}, Err: trust.ErrMalformed},
		{Name: "cut", Content: a[:512+3], Want: map[string]string{"a": "alp"}, Err: trust.ErrMalformed},
	}
}

func TestTarball(t *testing.T) {
	t.Parallel()
	a := entries(tar.FormatUSTAR, "a", "alpha")
	wrong := bytes.Clone(a)
	wrong[3]++
	unwraptest.Run(t, tarball.New(), samples(), []unwraptest.Sample{
		{Name: "empty"},
		{Name: "zeros", Content: make([]byte, 4096)},
		{Name: "short", Content: a[:511]},
		{Name: "wrong-sum", Content: wrong},
		{Name: "text-with-ustar", Content: []byte(strings.Repeat(" ", 257) + "ustar" + strings.Repeat(" ", 512))},
		{Name: "digits", Content: bytes.Repeat([]byte("0"), 1024)},
	})
}

func FuzzTarball(f *testing.F) { unwraptest.Fuzz(f, tarball.New(), samples()) }

// A sparse file of a gigabyte of holes takes one block. It is not shown, and said to be hidden; what follows it is shown.
func TestHugeSparseFile(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	header := make([]byte, 512)
	copy(header, "holes")
	copy(header[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        S")
	copy(header[257:], "ustar  \x00")
	copy(header[386:], "10000000000\x0000000000000\x00") // one piece of nothing, at the end
	copy(header[483:], "10000000000\x00")                // the size with all holes
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	b.Write(header)
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "next", Size: 4, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("body")); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	got, err := unwraptest.Unwrap(t.Context(), tarball.New(), unwraptest.Sample{Content: b.Bytes()}, func(r io.Reader) io.Reader { return r })
	if diff := cmp.Diff(map[string]string{"next": "body"}, got); diff != "" || !errors.Is(err, trust.ErrUnsupported) {
		t.Errorf("%v\n%s", err, diff)
	}
}
