package decompress_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func TestDetect(t *testing.T) {
	t.Parallel()
	lzma := "\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"
	for head, want := range map[string]decompress.Format{
		"":                                 decompress.None,
		"\x1f\x8b\x08":                     decompress.Gzip,
		"\x1f\x8b\x00":                     decompress.None,
		"\x28\xb5\x2f\xfd":                 decompress.Zstd,
		"\x5f\x2a\x4d\x18\x00\x00\x00\x00": decompress.Zstd,
		"\x60\x2a\x4d\x18\x00\x00\x00\x00": decompress.None,
		"\x50\x2a\x4d\x18":                 decompress.None,
		"BZh9\x31\x41\x59\x26\x53\x59":     decompress.Bzip2,
		"BZh1\x17\x72\x45\x38\x50\x90":     decompress.Bzip2,
		"BZh0\x31\x41\x59\x26\x53\x59":     decompress.None,
		"BZh91AY&SX":                       decompress.None,
		"\xfd7zXZ\x00":                     decompress.Xz,
		"\x04\x22\x4d\x18":                 decompress.Lz4,
		"\x1f\x9d\x90":                     decompress.Lzw,
		"\x1f\x9d\x91":                     decompress.None,
		"\x02\x21\x4c\x18":                 decompress.Lz4,
		"x\x9c\x03\x00\x00\x00\x00\x01":    decompress.Zlib,
		"x\x01\x03\x00\x00\x00\x00\x01":    decompress.Zlib,
		"x\x9c\x07\x00\x00\x00\x00\x01":    decompress.None, // a block of a type that is none
		"x\x9d\x03\x00\x00\x00\x00\x01":    decompress.None,
		"x\xbb\x03\x00\x00\x00\x00\x01":    decompress.None, // with a dictionary
		"]" + lzma:                         decompress.Lzma,
		"\xe1" + lzma:                      decompress.None,
		"\x08" + lzma:                      decompress.None,
		"]" + strings.Replace(lzma, "\x80", "\x81", 1):          decompress.None,
		"]" + strings.Replace(lzma, "\x80", "\xc0", 1):          decompress.Lzma,
		"]" + lzma[:len(lzma)-1] + "\x01":                       decompress.None,
		"]\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00": decompress.None, // of nothing
	} {
		if got := decompress.Detect([]byte(head)); got != want {
			t.Errorf("%q is %q, want %q", head, got, want)
		}
	}
}

func TestTrial(t *testing.T) {
	t.Parallel()
	for f, want := range map[decompress.Format][2]int{
		decompress.Gzip: {0, 0}, decompress.Zlib: {64, 64}, decompress.Lzma: {0, 4096}, decompress.Lz4: {0, 0},
	} {
		if got := [2]int{f.Trial([]byte("]")), f.Trial([]byte("\x01"))}; got != want {
			t.Errorf("%s: %v", f, got)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	if _, err := decompress.None.Open(strings.NewReader(""), unwraptest.Plenty{}); !errors.Is(err, trust.ErrUnsupported) {
		t.Error(err)
	}
	if decompress.None.Suffixes() != nil {
		t.Error("suffixes of nothing")
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ err, want error }{
		{nil, nil},
		{io.ErrUnexpectedEOF, trust.ErrMalformed},
		{trust.ErrLimit, trust.ErrLimit},
		{trust.ErrUnsupported, trust.ErrUnsupported},
		{zstd.ErrWindowSizeExceeded, trust.ErrUnsupported},
		{zstd.ErrUnknownDictionary, trust.ErrUnsupported},
	} {
		if got := decompress.Zstd.Classify(c.err); !errors.Is(got, c.want) {
			t.Errorf("%v became %v", c.err, got)
		}
	}
}

// purse has so much memory.
type purse struct{ left, least int64 }

func (p *purse) Hold(n int64) error {
	if n > p.left {
		return fmt.Errorf("%w: memory", trust.ErrUnsupported)
	}
	p.left -= n
	p.least = min(p.least, p.left)
	return nil
}

// TestMemoryIsAskedFor: what a decoder keeps is granted before it is made, and given back with the tab.
func TestMemoryIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, packed := range samples(t) {
		f := decompress.Format(name)
		p := &purse{left: 1 << 40}
		tab := &decompress.Tab{Memory: p}
		z, err := f.Open(strings.NewReader(packed), tab)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, z); err != nil {
			t.Fatal(err)
		}
		asks := f != decompress.Gzip && f != decompress.Zlib
		if (p.left < 1<<40) != asks {
			t.Errorf("%s holds %d bytes", f, 1<<40-p.left)
		}
		if tab.Release(); p.left != 1<<40 {
			t.Errorf("%s keeps %d bytes", f, 1<<40-p.left)
		}
		z, err = f.Open(strings.NewReader(packed), &purse{})
		if err == nil {
			_, err = io.Copy(io.Discard, z)
		}
		if asks != errors.Is(f.Classify(err), trust.ErrUnsupported) {
			t.Errorf("%s without memory: %v", f, err)
		}
	}
}

// TestGunzipsAreUsedAgain: also after a fault, and several at a time.
func TestGunzipsAreUsedAgain(t *testing.T) {
	t.Parallel()
	var g decompress.Gunzips
	pack := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.String()
	}
	read := func(packed, want string, fault bool) {
		t.Helper()
		outer, err := g.Open(strings.NewReader(pack("outer")))
		if err != nil {
			t.Fatal(err)
		}
		r, err := g.Open(strings.NewReader(packed))
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
			_ = r.Close()
		}
		if string(got) != want || (err != nil) != fault {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if got, err := io.ReadAll(outer); string(got) != "outer" || err != nil {
			t.Errorf("the other one: %q, %v", got, err)
		}
		_ = outer.Close()
	}
	for range 20 {
		read(pack("one"), "one", false)
		read("", "", true)
		read("no gzip at all", "", true)
		read(pack("two")+"garbage", "two", true)
		read(pack("three")[:20], "three", true)
		read(pack("four")+pack("five"), "fourfive", false)
	}
}
