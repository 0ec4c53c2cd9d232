package tail_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	gogif "image/gif"
	gojpeg "image/jpeg"
	gopng "image/png"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/tail"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func pieces(t *testing.T, content string, kind trust.Kind) map[string]string {
	t.Helper()
	got, err := unwraptest.Unwrap(t.Context(), tail.New(), unwraptest.Sample{Content: []byte(content), Kind: kind}, func(r io.Reader) io.Reader { return r })
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// exactly checks that a tail stands where it does, and that there is none without it.
func exactly(t *testing.T, what, content, behind string) {
	t.Helper()
	if got := pieces(t, content, ""); len(got) > 0 {
		t.Errorf("%s: %d pieces of a whole file", what, len(got))
	}
	if got := pieces(t, content+behind, ""); len(got) != 1 || got[fmt.Sprintf("tail@%d", len(content))] != behind {
		t.Errorf("%s of %d bytes: pieces %q", what, len(content), keys(got))
	}
}

func keys(m map[string]string) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Pictures of real encoders end where their structure says, whatever their size and their pixels.
func TestRealPictures(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it must be the same every time
	for i := range 60 {
		size := image.Rect(0, 0, 1+r.IntN(90), 1+r.IntN(90))
		rgba, paletted := image.NewNRGBA(size), image.NewPaletted(size, color.Palette{color.Black, color.White, color.Gray{7}, color.Gray{99}}[:2+r.IntN(3)])
		copy(rgba.Pix, noise(r, len(rgba.Pix)))
		for p := range paletted.Pix {
			paletted.Pix[p] = byte(r.IntN(len(paletted.Palette)))
		}
		behind := "\x7fELF" + string(noise(r, 60+r.IntN(9000)))
		var b bytes.Buffer
		encode := map[string]func() error{
			"png":  func() error { return gopng.Encode(&b, rgba) },
			"jpeg": func() error { return gojpeg.Encode(&b, rgba, &gojpeg.Options{Quality: 1 + r.IntN(100)}) },
			"gif":  func() error { return gogif.Encode(&b, paletted, nil) },
			"film": func() error {
				return gogif.EncodeAll(&b, &gogif.GIF{Image: []*image.Paletted{paletted, paletted}, Delay: []int{1, 2}, LoopCount: i})
			},
		}
		for name, do := range encode {
			b.Reset()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			exactly(t, name, b.String(), behind)
		}
	}
}

// What is too short is no tail, and padding before one is none, at the edges of both.
func TestEdges(t *testing.T) {
	t.Parallel()
	file := bmp()
	for n := range 60 {
		behind := strings.Repeat("x", n)
		if got := pieces(t, file+behind, ""); (n >= 48) != (len(got) == 1) {
			t.Errorf("%d bytes behind: pieces %q", n, keys(got))
		}
	}
	for _, n := range []int{0, 1, 511, 4095, 4096, 4097, 8192, 8193, 100000} {
		for _, pad := range []string{"\x00", "\n", "\r", " "} {
			got := pieces(t, file+strings.Repeat(pad, n)+payload, "")
			if got[fmt.Sprintf("tail@%d", len(file)+n)] != payload {
				t.Errorf("%d of %q: pieces %q", n, pad, keys(got))
			}
			if got := pieces(t, file+strings.Repeat(pad, n), ""); len(got) > 0 {
				t.Errorf("%d of %q alone: pieces %q", n, pad, keys(got))
			}
		}
	}
	module := "\x00asm\x01\x00\x00\x00" + strings.Repeat("code", 20)
	if got := pieces(t, file+strings.Repeat("\x00", 20)+module, ""); got[fmt.Sprintf("tail@%d", len(file)+20)] != module {
		t.Errorf("a module that begins with a zero: pieces %q", keys(got))
	}
}

// Of a file that breaks off anywhere, at most its own rest is shown, and no error comes of it.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	for name, body := range formats() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := max(1, len(body)/700)
			for n := 64; n < len(body); n += step {
				for p, rest := range pieces(t, body[:n], "") {
					if !strings.HasSuffix(body[:n], rest) {
						t.Fatalf("cut at %d: %s is not the end", n, p)
					}
				}
			}
		})
	}
}

// Whatever a number of a header claims, what is shown is one end of the file, and no error comes of it.
func TestNumbersThatLie(t *testing.T) {
	t.Parallel()
	behind := strings.Repeat(payload, 100)
	for name, body := range formats() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := 4; at < min(len(body)-8, 200); at++ {
				for _, number := range []string{"\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x7f\xff\xff\xff", "\xff\xff\xff\x7f", "\x00\x00\x00\x80", "\x00\x00\x01\x00", "\xff\xff\xff\xff\xff\xff\xff\xff", "\x80\x00\x00\x00\x00\x00\x00\x00"} {
					changed := body[:at] + number + body[at+len(number):] + behind
					if !tail.New().Wraps(unwrap.Content{Head: []byte(changed)[:min(len(changed), unwrap.HeadBytes)], Size: int64(len(changed)), Kind: trust.KindData}) {
						continue
					}
					got := pieces(t, changed, "")
					for p, rest := range got {
						if !strings.HasSuffix(changed, rest) || len(got) > 1 {
							t.Fatalf("%x at %d: %s is not the end", number, at, p)
						}
					}
				}
			}
		})
	}
}

// unsized is an input whose size is not known.
type unsized struct {
	unwraptest.Plenty
	io.Reader
	content unwrap.Content
}

func (u unsized) Content() unwrap.Content            { return u.content }
func (u unsized) Spend(int64) error                  { return nil }
func (u unsized) Spool() (io.ReaderAt, int64, error) { return nil, 0, errors.New("not asked for") }

// A file whose size is not known has the same tail.
func TestUnknownSize(t *testing.T) {
	t.Parallel()
	for name, body := range formats() {
		content := body + payload
		var got string
		in := unsized{Reader: iotest.HalfReader(strings.NewReader(content)), content: unwrap.Content{Size: -1, Kind: trust.KindData, Head: []byte(content)[:min(len(content), unwrap.HeadBytes)]}}
		err := tail.New().Unwrap(t.Context(), in, func(p unwrap.Piece, r io.Reader) error {
			b, err := io.ReadAll(r)
			got = string(b)
			if p.Size != -1 || p.Name != fmt.Sprintf("tail@%d", len(body)) {
				t.Errorf("%s: %+v", name, p)
			}
			return err
		})
		if err != nil || got != payload {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
}

// Scripts end where packed content begins, wherever that falls in what is looked at at once.
func TestScriptEnds(t *testing.T) {
	t.Parallel()
	packed := []string{"\x7fELF\x02\x01\x01\x00", "\x1f\x8b\x08\x00", "\xfd7zXZ\x00\x00\x04", "PK\x03\x04\x14\x00", "\x28\xb5\x2f\xfd\x04\x00", "BZh91AY&SY\x00", "7z\xbc\xaf\x27\x1c\x00", "hsqs\x00", "\x04\x22\x4d\x18\x40", "\x5d\x00\x00\x80\x00\xff", tarHeader()}
	for _, magic := range packed {
		for _, n := range []int{512, 600, 3583, 3584, 3585, 4000, 4090, 4094, 4095, 4096, 4097, 8191, 8192, 8193, 12288} {
			header := "#!/bin/sh\n" + strings.Repeat("# text\n", n/7+1)[:n-11] + "\n"
			archive := magic + strings.Repeat("\xfe\x01", 700)
			if got := pieces(t, header+archive, trust.KindScript); got[fmt.Sprintf("tail@%d", len(header))] != archive {
				t.Errorf("%q behind %d bytes: pieces %q", magic[:min(len(magic), 8)], len(header), keys(got))
			}
		}
	}
	for name, script := range map[string]string{
		"words":     "#!/bin/sh\n" + strings.Repeat("PKG=x; BZhang=1; # hsqs and PK are words\n", 300),
		"mentioned": "#!/bin/sh\n" + strings.Repeat("printf '\\x7fELF' # an escape is none\n", 300),
		"umlauts":   "#!/bin/sh\n" + strings.Repeat("echo 'Grüße, ½ ¾ ÿ'\n", 300),
	} {
		if got := pieces(t, script, trust.KindScript); len(got) > 0 {
			t.Errorf("%s: pieces %q", name, keys(got))
		}
	}
	for n, want := range map[int]bool{511: false, 512: true, 513: true} {
		c := unwrap.Content{Kind: trust.KindScript, Size: int64(n), Head: []byte("#!/bin/sh\n" + strings.Repeat("#", n-10))}
		if tail.New().Wraps(c) != want {
			t.Errorf("a script of %d bytes: %t", n, !want)
		}
	}
}

// Executables of all shapes: the end is that of the last thing that a header names.
func TestExecutables(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100, 4095, 4096, 5000, 20000} {
		exactly(t, "elf64", elf64("GCC: nothing\x00"+strings.Repeat("d\x00", n)), payload)
	}
	many := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + u16(2) + u16(62) + u32(1) + u64(0) + u64(64) + u64(0) + u32(0) + u16(64) + u16(56) + u16(300) + u16(64) + u16(0) + u16(0)
	for i := range 300 {
		many += u32(1) + u32(5) + u64(64+56*300+i) + u64(0) + u64(0) + u64(16) + u64(16) + u64(1)
	}
	exactly(t, "elf-of-many-segments", many+strings.Repeat("c", 299+16), payload)
	for name, change := range map[string]func([]byte){
		"segment-too-far":   func(b []byte) { binary.LittleEndian.PutUint64(b[64+8:], 1<<40) },
		"segment-overflows": func(b []byte) { binary.LittleEndian.PutUint64(b[64+8:], 1<<63-1) },
		"segment-negative":  func(b []byte) { binary.LittleEndian.PutUint64(b[64+32:], 1<<63) },
		"headers-too-far":   func(b []byte) { binary.LittleEndian.PutUint64(b[32:], 1<<50) },
		"headers-negative":  func(b []byte) { binary.LittleEndian.PutUint64(b[40:], 1<<63) },
		"headers-small":     func(b []byte) { binary.LittleEndian.PutUint16(b[54:], 8) },
		"headers-large":     func(b []byte) { binary.LittleEndian.PutUint16(b[54:], 60000) },
	} {
		b := []byte(elf64("GCC: nothing\x00") + strings.Repeat(payload, 9))
		change(b)
		got := pieces(t, string(b), "")
		shown := ""
		for _, body := range got {
			shown = body
		}
		if !strings.HasSuffix(shown, strings.Repeat(payload, 9)) { // a header that lies hides nothing
			t.Errorf("%s: pieces %q", name, keys(got))
		}
	}
}

// It stops when it is told to.
func TestStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := unwraptest.Unwrap(ctx, tail.New(), unwraptest.Sample{Content: []byte(wholePNG() + payload)}, func(r io.Reader) io.Reader { return r })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := unwraptest.Unwrap(t.Context(), tail.New(), unwraptest.Sample{Content: []byte("text")}, func(r io.Reader) io.Reader { return r }); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("what it does not know: %v", err)
	}
}
