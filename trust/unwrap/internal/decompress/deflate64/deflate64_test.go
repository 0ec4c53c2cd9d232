package deflate64_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/deflate64"
)

// far is 300 KiB of noise twice, so that its matches are as far back as they can be, and zeros.
func far() []byte {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it must be the same every time
	block := make([]byte, 60<<10)
	for i := range block {
		block[i] = byte(r.Uint32())
	}
	return append(append(append(bytes.Clone(block), block...), make([]byte, 200<<10)...), block[:1000]...)
}

// What 7-Zip makes is read; its matches are longer and go further back than those of deflate.
func TestReader_real(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("7zz")
	if err != nil {
		t.Skip("no 7zz")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), far(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool, "a", "-tzip", "-mm=deflate64", "-mx=9", "a.zip", "f")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	z, err := zip.OpenReader(filepath.Join(dir, "a.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	raw, err := z.File[0].OpenRaw()
	if err != nil || z.File[0].Method != 9 {
		t.Fatal(z.File[0].Method, err)
	}
	if got, err := io.ReadAll(deflate64.NewReader(raw)); err != nil || !bytes.Equal(got, far()) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// vector is from 7-Zip: 5000 times the letter a, and "end".
const vector = "5cExDQAACAMwrSTw4v+cjB1th8fj8Xg8Ho/H4/F4PB6Px+M13G8A"

func TestReader_vector(t *testing.T) {
	t.Parallel()
	b, err := base64.StdEncoding.DecodeString(vector)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(deflate64.NewReader(bytes.NewReader(b))); err != nil || string(got) != strings.Repeat("a", 5000)+"end" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for n := range b {
		if _, err := io.ReadAll(deflate64.NewReader(bytes.NewReader(b[:n]))); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// What has no match of 258 bytes is the same in both formats.
func TestReader_deflate(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 20000 {
		text.WriteString(strings.Repeat(string(rune('a'+i%26)), i%7) + base64.StdEncoding.EncodeToString([]byte{byte(i), byte(i >> 3)}))
	}
	for _, level := range []int{0, 1, 6, 9, flate.HuffmanOnly} {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, text.String())
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(deflate64.NewReader(&b)); err != nil || string(got) != text.String() {
			t.Errorf("level %d: %d bytes, %v", level, len(got), err)
		}
	}
}

func TestReader_broken(t *testing.T) {
	t.Parallel()
	broke := errors.New("broke")
	if _, err := io.ReadAll(deflate64.NewReader(io.MultiReader(strings.NewReader("\x00"), failing{broke}))); !errors.Is(err, broke) {
		t.Error(err)
	}
	for name, content := range map[string]string{
		"type": "\x07", "sizes": "\x01\x05\x00\x05\x00hello", "before-all": "\x03\x02\x00", "codes": "\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if _, err := io.ReadAll(deflate64.NewReader(strings.NewReader(content))); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzReader(f *testing.F) {
	b, _ := base64.StdEncoding.DecodeString(vector)
	f.Add(b)
	f.Add([]byte("\x01\x05\x00\xfa\xffhello"))
	f.Fuzz(func(t *testing.T, content []byte) {
		n, err := io.Copy(io.Discard, io.LimitReader(deflate64.NewReader(bytes.NewReader(content)), 4<<20))
		if err != nil && !errors.Is(err, trust.ErrMalformed) || n > 1<<17*(int64(len(content))+1) {
			t.Errorf("%d bytes of %d, %v", n, len(content), err)
		}
	})
}
