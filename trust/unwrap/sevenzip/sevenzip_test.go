package sevenzip_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/sevenzip"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func text() string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "line %d of the text, and %d more\n", i, i*i)
	}
	return b.String()
}

func decoded(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// whole is an archive with a header that is not packed, behind packed streams.
func whole(packed, header string) []byte {
	b := append([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), make([]byte, 24)...)
	binary.LittleEndian.PutUint64(b[12:], uint64(len(packed)))
	binary.LittleEndian.PutUint64(b[20:], uint64(len(header)))
	binary.LittleEndian.PutUint32(b[28:], crc32.ChecksumIEEE([]byte(header)))
	binary.LittleEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[12:]))
	return append(b, packed+header...)
}

// one is the header of one file n of a size below 128 whose folder has the coders given.
func one(size, packed int, folder string) string {
	return "\x01\x04\x06\x00\x01\x09" + string(rune(packed)) + "\x00" + "\x07\x0b\x01\x00" + folder + "\x0c" + string(rune(size)) + "\x00\x00" +
		"\x05\x01\x11\x05\x00n\x00\x00\x00\x00\x00"
}

const plain = "\x01\x01\x00" // a folder that is not packed

func samples() []unwraptest.Sample {
	files := map[string]string{"d/t": text(), "d/u": "second\n"}
	words := []string{"wrong", "secret"}
	n := map[string]string{"n": "alpha"}
	lzma := decoded(lzmaArchive)
	damaged := bytes.Clone(lzma)
	damaged[100] ^= 1
	header := bytes.Clone(decoded(plainheaderArchive))
	header[len(header)-10] ^= 1
	return []unwraptest.Sample{
		{Name: "lzma2", Path: "a.7z", Content: decoded(lzma2Archive), Want: files},
		{Name: "lzma", Content: lzma, Want: files},
		{Name: "copy", Content: decoded(copyArchive), Want: files},
		{Name: "bzip2", Content: decoded(bzip2Archive), Want: files},
		{Name: "deflate", Content: decoded(deflateArchive), Want: files},
		{Name: "delta", Content: decoded(deltaArchive), Want: files},
		{Name: "not-solid", Content: decoded(singleArchive), Want: files},
		{Name: "plain-header", Content: decoded(plainheaderArchive), Want: files},
		{Name: "ppmd", Content: decoded(ppmdArchive), Err: trust.ErrUnsupported},
		{Name: "encrypted", Content: decoded(secretArchive), Passwords: words, Want: files},
		{Name: "encrypted-without", Content: decoded(secretArchive), Err: trust.ErrUnsupported},
		{Name: "encrypted-list", Content: decoded(hiddenArchive), Passwords: words, Want: files},
		{Name: "encrypted-list-wrong", Content: decoded(hiddenArchive), Passwords: words[:1], Err: trust.ErrUnsupported},
		{Name: "behind-a-windows-program", Content: append(append([]byte("MZ"), make([]byte, 9000)...), lzma...), Want: files},
		{Name: "windows-program-alone", Content: append([]byte("MZ"), make([]byte, 9000)...)},
		{Name: "nothing", Content: whole("", "")},
		{Name: "made", Content: whole("alpha", one(5, 5, plain)), Want: n},
		{Name: "no-names", Content: whole("alpha", strings.Replace(one(5, 5, plain), "n\x00", "\x00\x00", 1)), Want: map[string]string{"": "alpha"}},
		{Name: "cut", Content: lzma[:len(lzma)-5], Err: trust.ErrMalformed},
		{Name: "damaged-begin", Content: append([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), make([]byte, 100)...), Err: trust.ErrMalformed},
		{Name: "damaged-header", Content: header, Err: trust.ErrMalformed},
		{Name: "longer-than-packed", Content: whole("alpha", one(9, 5, plain)), Want: n, Err: trust.ErrMalformed},
		{Name: "packed-elsewhere", Content: whole("alpha", one(5, 99, plain)), Err: trust.ErrMalformed},
		{Name: "unknown-coder", Content: whole("alpha", one(5, 5, "\x01\x01\x42")), Err: trust.ErrUnsupported},
		{Name: "unknown-filter", Content: whole("alpha", one(5, 5, "\x01\x01\x06")), Want: n, Err: trust.ErrUnsupported},
		{Name: "feeds-itself", Content: whole("alpha", one(5, 5, "\x02\x01\x00\x01\x00\x00\x00\x00")), Err: trust.ErrMalformed},
		{Name: "many-coders", Content: whole("alpha", one(5, 5, "\x09\x01\x00")), Err: trust.ErrLimit},
		{Name: "history", Content: whole("alpha", one(5, 5, "\x01\x21\x21\x01\x22")), Want: map[string]string{"n": ""}, Err: trust.ErrMalformed},
		{Name: "many-folders", Content: whole("", "\x01\x04\x07\x0b\xc2\x00\x00"), Err: trust.ErrLimit},
		{Name: "many-packed-streams", Content: whole("", "\x01\x04\x06\x00\xff\x00\x00\x00\x00\x00\x00\x00\x01"), Err: trust.ErrLimit},
		{Name: "many-files", Content: whole("", "\x01\x05\xe0\x00\x00\x10"), Err: trust.ErrLimit},
		{Name: "unknown-part", Content: whole("", "\x01\x42"), Err: trust.ErrMalformed},
		{Name: "unknown-header", Content: whole("", "\x42"), Err: trust.ErrMalformed},
		{Name: "damaged-file", Content: damaged, Want: nil, Err: trust.ErrMalformed},
	}
}

func TestSevenzip(t *testing.T) {
	t.Parallel()
	all := samples()
	last := all[len(all)-1]
	unwraptest.Run(t, sevenzip.New(), all[:len(all)-1], []unwraptest.Sample{
		{Name: "empty"},
		{Name: "short", Content: []byte("7z\xbc\xaf")},
		{Name: "text", Content: []byte("7z is a good packer")},
		{Name: "short-windows-program", Content: []byte("MZ and not much")},
	})
	got, err := unwraptest.Unwrap(t.Context(), sevenzip.New(), last, func(r io.Reader) io.Reader { return r })
	if err == nil || len(got["d/t"]) == 0 {
		t.Errorf("damaged: %q, %v", got, err)
	}
}

func FuzzSevenzip(f *testing.F) { unwraptest.Fuzz(f, sevenzip.New(), samples()) }

// TestAgainst7z compares with the program 7zz where it is installed.
func TestAgainst7z(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("7zz")
	if err != nil {
		t.Skip("7zz is not installed")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	content = content[:1<<20]
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	if err := os.WriteFile(in, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"BCJ", "BCJ2", "ARM", "ARM64", "ARMT", "PPC", "SPARC", "Delta:4", "Delta:256"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(dir, strings.ReplaceAll(method, ":", "-")+".7z")
			if b, err := exec.CommandContext(t.Context(), program, "a", "-bd", "-mx=1", "-m0="+method, "-m1=LZMA:d=64k", out, in).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, b)
			}
			packed, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			got, err := unwraptest.Unwrap(t.Context(), sevenzip.New(), unwraptest.Sample{Content: packed}, func(r io.Reader) io.Reader { return r })
			if err != nil || got["in"] != string(content) {
				t.Errorf("%d bytes, %v", len(got["in"]), err)
			}
		})
	}
}
