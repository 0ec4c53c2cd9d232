package corpus

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/safepull/safepull/test/imagetest"
	"golang.org/x/crypto/sha3"
)

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	digests := func(seed uint64) (out []string) {
		for _, s := range Generate(seed) {
			out = append(out, s.Repository+":"+s.Tag+"@"+s.Image.Root.Digest.String())
		}
		return out
	}
	if d := cmp.Diff(digests(1), digests(1)); d != "" {
		t.Errorf("the same seed made other images: %s", d)
	}
	for i, other := range digests(2) {
		if digests(1)[i] == other {
			t.Errorf("another seed made the same image: %s", other)
		}
	}
}

func TestTwins(t *testing.T) {
	t.Parallel()
	samples := Generate(Seed)
	if len(samples) != 14 {
		t.Fatalf("got %d samples, want 7 and their twins", len(samples))
	}
	for i := 0; i < len(samples); i += 2 {
		bad, good := samples[i], samples[i+1]
		t.Run(bad.Name, func(t *testing.T) {
			t.Parallel()
			if !bad.Mining || good.Mining || good.Name != bad.Name {
				t.Fatalf("%s and %s are no twins", bad.Repository, good.Repository)
			}
			if d := cmp.Diff(paths(t, bad.Image), paths(t, good.Image)); d != "" {
				t.Errorf("the twins have other files: %s", d)
			}
			if n := len(paths(t, bad.Image)); n < 20 {
				t.Errorf("%d files, want 20 at least", n)
			}
			if len(bad.Image.Blobs) < 4 {
				t.Errorf("%d layers, want 3 at least", len(bad.Image.Blobs)-1)
			}
			if a, b := bad.Image.Blobs[1].Descriptor.Digest, good.Image.Blobs[1].Descriptor.Digest; a != b {
				t.Errorf("the twins stand on other base layers: %s and %s", a, b)
			}
			config(t, bad.Image)
		})
	}
}

// config checks that history, diff IDs and layers of an image agree.
func config(t *testing.T, b imagetest.Built) {
	t.Helper()
	var c ocispec.Image
	if err := json.Unmarshal(b.Blobs[0].Content, &c); err != nil {
		t.Fatal(err)
	}
	layers := 0
	for _, h := range c.History {
		if !h.EmptyLayer {
			layers++
		}
	}
	if layers != len(b.Blobs)-1 || len(c.RootFS.DiffIDs) != layers {
		t.Errorf("%d lines of history with a layer, %d diff IDs, %d layers", layers, len(c.RootFS.DiffIDs), len(b.Blobs)-1)
	}
	if len(c.Config.Entrypoint) == 0 || len(c.Config.Env) == 0 {
		t.Error("no entrypoint or no environment")
	}
}

// walk visits all files of all layers.
func walk(t *testing.T, b imagetest.Built, visit func(h *tar.Header, body []byte)) {
	t.Helper()
	for _, l := range b.Blobs[1:] {
		z, err := gzip.NewReader(bytes.NewReader(l.Content))
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(z); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			visit(h, body)
		}
	}
}

func paths(t *testing.T, b imagetest.Built) (out []string) {
	t.Helper()
	walk(t, b, func(h *tar.Header, _ []byte) { out = append(out, h.Name) })
	return out
}

// TestInert holds every sample to the promise that nothing in it works.
func TestInert(t *testing.T) {
	t.Parallel()
	ends := regexp.MustCompile(`^#![^\n]+\n(?:#[^\n]*\n)*(?:exit 0|raise SystemExit\(0\))\n`)
	release := regexp.MustCompile(`https://github\.com/[\w.-]+/[\w.-]+/releases/download/(\S+?)/`)
	// The first instructions of a program, after both headers: exit(0).
	const entry = 64 + 56
	exits := [][]byte{{0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05}, {0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4}}
	mixed, clean := MultiArch(Seed)
	samples := Generate(Seed)
	for _, s := range []Sample{mixed, clean} {
		for _, child := range s.Image.Children {
			if len(child.Root.Annotations) == 0 {
				samples = append(samples, Sample{Repository: s.Repository, Image: child})
			}
		}
	}
	for _, s := range samples {
		walk(t, s.Image, func(h *tar.Header, body []byte) {
			switch {
			case h.Typeflag != tar.TypeReg:
			case bytes.HasPrefix(body, []byte("\x7fELF")):
				if !bytes.HasPrefix(body[entry:], exits[0]) && !bytes.HasPrefix(body[entry:], exits[1]) {
					t.Errorf("%s %s: the program does not exit at once", s.Repository, h.Name)
				}
			case h.Mode&0o111 != 0 && !ends.Match(body):
				t.Errorf("%s %s: the script does not end on its first statement", s.Repository, h.Name)
			}
			for _, m := range release.FindAllSubmatch(body, -1) {
				if string(m[1]) != "v0.0.0" {
					t.Errorf("%s %s: %s may exist", s.Repository, h.Name, m[0])
				}
			}
		})
	}
}

func TestShapesAreUsed(t *testing.T) {
	t.Parallel()
	source, err := fs.Glob(files, "shapes/*")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, s := range Generate(Seed) {
		walk(t, s.Image, func(_ *tar.Header, body []byte) { all.Write(body) })
	}
	for _, name := range source {
		text, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if tail := text[max(0, len(text)-25):]; !strings.Contains(all.String(), string(tail)) {
			t.Errorf("%s is in no sample", name)
		}
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		platform ocispec.Platform
		machine  elf.Machine
	}{
		"amd64": {amd64, elf.EM_X86_64},
		"arm64": {arm64, elf.EM_AARCH64},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := []byte("constants and strings\x00")
			f, err := elf.NewFile(bytes.NewReader(Program(tt.platform, content)))
			if err != nil {
				t.Fatal(err)
			}
			if f.Machine != tt.machine || f.Type != elf.ET_EXEC {
				t.Errorf("got %v %v", f.Machine, f.Type)
			}
			got, err := f.Section(".rodata").Data()
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf(".rodata: got %q %v", got, err)
			}
			text := f.Section(".text")
			if f.Entry != text.Addr || len(f.Progs) != 1 || f.Progs[0].Vaddr+text.Offset != text.Addr {
				t.Errorf("entry %#x, .text at %#x", f.Entry, text.Addr)
			}
		})
	}
}

// TestRandomXConstants compares with two values that RandomX's own source has written down.
func TestRandomXConstants(t *testing.T) {
	t.Parallel()
	got := RandomXConstants()
	if len(got) != 72*4 {
		t.Errorf("%d bytes, want 72 words of 4", len(got))
	}
	for _, want := range []string{"0d2cb592de56a89f47db82ccad3a98d7", "63376285085d8fe7853767cd91d2ded8", "d163b2613ce0f451c64310ee9bf918ed"} {
		b, err := hex.DecodeString(want)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(got, b) {
			t.Errorf("%s is missing", want)
		}
	}
}

// decode58 is the inverse of encode58, written the long way.
func decode58(t *testing.T, s string) (out []byte) {
	t.Helper()
	bytesOf := map[int]int{2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}
	for len(s) > 0 {
		n := min(11, len(s))
		value := new(big.Int)
		for _, c := range s[:n] {
			digit := strings.IndexRune(base58, c)
			if digit < 0 {
				t.Fatalf("%q is no digit", c)
			}
			value.Add(value.Mul(value, big.NewInt(58)), big.NewInt(int64(digit)))
		}
		out = append(out, value.FillBytes(make([]byte, bytesOf[n]))...)
		s = s[n:]
	}
	return out
}

func TestWallet(t *testing.T) {
	t.Parallel()
	// The address at which Monero's own project takes donations: a known good encoding.
	const known = "44AFFq5kSiGBoZ4NMDwYtN18obc8AemS33DBLWs3H7otXft3XjrpDtQGv7SqSsaBYBb98uNbr2VBBEt7f2wfn3RVGQBEP3A"
	if got := encode58(decode58(t, known)); got != known {
		t.Errorf("got %s, want %s", got, known)
	}
	rng := random(Seed, "wallets")
	for range 100 {
		w := Wallet(rng)
		raw := decode58(t, w)
		hash := sha3.NewLegacyKeccak256()
		hash.Write(raw[:65])
		if len(w) != 95 || w[0] != '4' || raw[0] != 18 || !bytes.Equal(hash.Sum(nil)[:4], raw[65:]) {
			t.Errorf("%s is no address", w)
		}
	}
}

func TestMultiArch(t *testing.T) {
	t.Parallel()
	mixed, clean := MultiArch(Seed)
	for _, s := range []Sample{mixed, clean} {
		if len(s.Image.Children) != 3 {
			t.Errorf("%s: %d children, want two platforms and an attestation", s.Repository, len(s.Image.Children))
		}
	}
	if mixed.Image.Children[1].Root.Platform.Architecture != "arm64" || mixed.Image.Children[1].Root.Digest == clean.Image.Children[1].Root.Digest {
		t.Error("the arm64 image does not differ")
	}
	if Store(mixed, clean) == nil {
		t.Error("no store")
	}
}
