package barelzma_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/barelzma"
)

type fixture struct {
	name       string
	properties barelzma.Properties
	zeros      int // the text is zeros instead
	coded      string
}

func (f fixture) bytes() []byte {
	b, _ := base64.StdEncoding.DecodeString(f.coded)
	return b
}

func (f fixture) text() string {
	if f.zeros > 0 {
		return strings.Repeat("\x00", f.zeros)
	}
	var out strings.Builder
	x := uint32(1)
	for i := range 40 {
		x = (x*1103515245 + 12345) & 0x7fffffff
		fmt.Fprintf(&out, "line %d of a text that repeats itself: %d\n", i, x>>16)
	}
	return out.String()
}

func decode(coded []byte, p barelzma.Properties, size int64, dictionary int) (string, error) {
	r, err := barelzma.NewReader(bufio.NewReader(bytes.NewReader(coded)), p, size, dictionary)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(r, 1<<20))
	return string(b), err
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures {
		text := f.text()
		for _, size := range []int64{-1, int64(len(text)), int64(len(text)) / 2} {
			want := text
			if size >= 0 {
				want = text[:size]
			}
			for _, dictionary := range []int{len(text), 1 << 20} {
				got, err := decode(f.bytes(), f.properties, size, dictionary)
				if size == int64(len(text))/2 && errors.Is(err, trust.ErrMalformed) {
					err = nil // the middle may lie in a match
				}
				if err != nil || got != want {
					t.Errorf("%s of %d bytes, dictionary %d: %d bytes, error %v", f.name, size, dictionary, len(got), err)
				}
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	f := fixtures[0]
	size := int64(len(f.text()))
	for name, tt := range map[string]struct {
		coded      []byte
		size       int64
		dictionary int
	}{
		"cut":              {f.bytes()[:200], size, 1 << 16},
		"cut-at-start":     {f.bytes()[:3], size, 1 << 16},
		"first-byte":       {append([]byte{1}, f.bytes()[1:]...), size, 1 << 16},
		"noise":            {append([]byte{0}, bytes.Repeat([]byte{0xff, 0x13, 0x77}, 100)...), size, 1 << 16},
		"ends-too-early":   {f.bytes(), size + 1, 1 << 16},
		"dictionary-small": {f.bytes(), size, 16},
	} {
		if _, err := decode(tt.coded, f.properties, tt.size, tt.dictionary); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := decode(f.bytes(), barelzma.Properties{LiteralContext: 9}, size, 1<<16); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("properties: error %v", err)
	}
	broke := errors.New("broke")
	r := io.MultiReader(bytes.NewReader(f.bytes()[:100]), iotest.ErrReader(broke))
	d, err := barelzma.NewReader(bufio.NewReader(r), f.properties, size, 1<<16)
	if err == nil {
		_, err = io.Copy(io.Discard, d)
	}
	if !errors.Is(err, broke) {
		t.Errorf("an error of the reader became %v", err)
	}
}

func TestParseProperties(t *testing.T) {
	t.Parallel()
	if p, err := barelzma.ParseProperties(0x5d); err != nil || p != fixtures[0].properties {
		t.Errorf("%v, error %v", p, err)
	}
	if _, err := barelzma.ParseProperties(225); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("error %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, x := range fixtures {
		f.Add(x.bytes(), x.properties.LiteralContext, x.properties.LiteralPosition, x.properties.Position, int64(len(x.text())), 1<<12)
	}
	f.Fuzz(func(t *testing.T, coded []byte, lc, lp, pb int, size int64, dictionary int) {
		got, err := decode(coded, barelzma.Properties{LiteralContext: lc, LiteralPosition: lp, Position: pb}, size, dictionary&0xffff)
		if size >= 0 && int64(len(got)) > size || err == nil && size >= 0 && size < 1<<20 && int64(len(got)) != size {
			t.Errorf("%d bytes of %d, error %v", len(got), size, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	f := fixtures[0]
	coded, text := f.bytes(), f.text()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := decode(coded, f.properties, int64(len(text)), 1<<12); err != nil {
			b.Fatal(err)
		}
	}
}
