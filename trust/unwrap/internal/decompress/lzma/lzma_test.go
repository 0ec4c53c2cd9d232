package lzma_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/internal/decompress/lzma"
)

// What liblzma 5.4 made of the text below: a .lzma file, and raw LZMA2 with a history of 64 KiB.
const (
	aloneText = "XQAAgAD//////////wA2GkofCKAmA00GnfiyiiJFGLNyLuBPw2LJjo1WIgi65Y0u0y3nyty0PIlJedRwKd7Bl3ntPf+TTSxWDB9RkhSJSwFEGAZ/jn6l2pdot4cMQs6mOt3Wqdl+RDifS2BCkCWqrAZvfSQgjkTeHcuP4IhbIokYr45/o9iBCA/D6u6goao/78T2iQzFloXPlp+cpVNylcn617ol/10DePZTziw8ImbF2BCCLc8dWekaizwmy09IY7tp6LRROyNSYw+gV86JrGwg7X/8lw1LEvnR/YflMDrvVqn9igeBdIfXlhIRj3//8xH0AA=="
	lzma2Text = "4AU/AOFdADYaSh8IoCYDTQad+LKKIkUYs3Iu4E/DYsmOjVYiCLrljS7TLefK3LQ8iUl51HAp3sGXee09/5NNLFYMH1GSFIlLAUQYBn+OfqXal2i3hwxCzqY63dap2X5EOJ9LYEKQJaqsBm99JCCORN4dy4/giFsiiRivjn+j2IEID8Pq7qChqj/vxPaJDMWWhc+Wn5ylU3KVyfrXuiX/XQN49lPOLDwiZsXYEIItzx1Z6RqLPCbLT0hju2notFE7I1JjD6BXzomsbCDtf/yXDUsS+dH9h+UwOu9Wqf2KB4F0h9eVxBQUAAA="
)

const most = lzma.Limit(1 << 20)

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

// alone is the .lzma file with another history and size in its header.
func alone(history uint32, size int64) []byte {
	b := decoded(aloneText)
	binary.LittleEndian.PutUint32(b[1:], history)
	binary.LittleEndian.PutUint64(b[5:], uint64(size))
	return b
}

func changed(b []byte, at int, to byte) []byte {
	b = bytes.Clone(b)
	b[at] = to
	return b
}

func TestAlone(t *testing.T) {
	t.Parallel()
	whole := int64(len(text()))
	for name, c := range map[string]struct {
		packed []byte
		want   string
		err    error
	}{
		"mark":            {alone(1<<20, -1), text(), nil},
		"size and mark":   {alone(1<<20, whole), text(), nil},
		"small history":   {alone(0, -1), text(), nil},
		"claims too much": {alone(1<<31, -1), "", trust.ErrLimit},
		"large and short": {alone(1<<31, whole), text(), nil},
		"size too small":  {alone(1<<20, 100), text()[:100], trust.ErrMalformed},
		"size too large":  {alone(1<<20, whole+1), text(), trust.ErrMalformed},
		"wrong size":      {alone(1<<20, -2), "", trust.ErrMalformed},
		"properties":      {changed(alone(1<<20, -1), 0, 225), "", trust.ErrMalformed},
		"first byte":      {changed(alone(1<<20, -1), 13, 1), "", trust.ErrMalformed},
		"bytes behind":    {append(alone(1<<20, -1), 'x'), text(), nil},
		"header":          {alone(1<<20, -1)[:12], "", trust.ErrMalformed},
		"nothing":         {alone(1<<20, -1)[:13], "", trust.ErrMalformed},
	} {
		r, err := (lzma.Bounds{Limit: most}).NewAlone(iotest.OneByteReader(bytes.NewReader(c.packed)))
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, c.want, c.err)
		}
	}
}

// TestCut: whatever is cut off, what came before is there, and the end is no end.
func TestCut(t *testing.T) {
	t.Parallel()
	packed := alone(1<<20, -1)
	last := 0
	for n := 14; n < len(packed); n++ {
		r, err := (lzma.Bounds{Limit: most}).NewAlone(bytes.NewReader(packed[:n]))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(iotest.OneByteReader(r))
		if !errors.Is(err, trust.ErrMalformed) || !strings.HasPrefix(text(), string(got)) || len(got) < last {
			t.Fatalf("%d bytes: %q, %v", n, got, err)
		}
		last = len(got)
	}
	if last < len(text())-40 {
		t.Errorf("%d bytes before the end", last)
	}
}

func TestInputErrorIsPassedOn(t *testing.T) {
	t.Parallel()
	broke := errors.New("broke")
	r, err := (lzma.Bounds{Limit: most}).NewAlone(io.MultiReader(bytes.NewReader(alone(1<<20, -1)[:40]), iotest.ErrReader(broke)))
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, broke) {
		t.Error(err)
	}
}

func TestLzma2(t *testing.T) {
	t.Parallel()
	good := decoded(lzma2Text)
	plain := "\x01\x00\x04plain"
	for name, c := range map[string]struct {
		props  byte
		packed string
		want   string
		err    error
	}{
		"packed":           {8, string(good), text(), nil},
		"plain":            {8, plain + "\x02\x00\x01!!\x00", "plain!!", nil},
		"plain and packed": {8, plain + string(good), "plain" + text(), nil},
		"nothing":          {8, "\x00", "", nil},
		"no end":           {8, plain, "plain", trust.ErrMalformed},
		"no reset":         {8, "\x02\x00\x00x\x00", "", trust.ErrMalformed},
		"unknown chunk":    {8, plain + "\x03\x00\x00x", "plain", trust.ErrMalformed},
		"no properties":    {8, plain + "\x80\x00\x00\x00\x00x", "plain", trust.ErrMalformed},
		"too short":        {8, plain + string(changed(good, 4, good[4]-1)), "plain" + text(), trust.ErrMalformed},
		"too long":         {8, string(changed(good, 4, good[4]+1)), text(), trust.ErrMalformed},
		"history":          {19, string(good), "", trust.ErrLimit},
		"properties":       {41, string(good), "", trust.ErrMalformed},
	} {
		r, err := (lzma.Bounds{Limit: most}).NewReader2(strings.NewReader(c.packed), c.props)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		if !strings.HasPrefix(c.want, string(got)) || c.err == nil && len(got) != len(c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, c.want, c.err)
		}
	}
}

// TestHistoryGrows: what claims to need a lot costs what it holds.
func TestHistoryGrows(t *testing.T) {
	t.Parallel()
	packed := alone(1<<20, -1)
	bytesOf := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			r, err := lzma.Bounds{Limit: 1 << 30}.NewAlone(bytes.NewReader(changed(packed, 4, 0x20)))
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, r)
		}
	}).AllocedBytesPerOp()
	if bytesOf > 256<<10 {
		t.Errorf("%d bytes for a claim of 512 MiB", bytesOf)
	}
}

func FuzzAlone(f *testing.F) {
	f.Add(alone(1<<20, -1))
	f.Add(alone(1<<12, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := (lzma.Bounds{Limit: most}).NewAlone(bytes.NewReader(b))
		check(t, r, err)
	})
}

func FuzzLzma2(f *testing.F) {
	f.Add(byte(8), decoded(lzma2Text))
	f.Add(byte(0), []byte("\x01\x00\x04plain\x02\x00\x01!!\x00"))
	f.Fuzz(func(t *testing.T, props byte, b []byte) {
		r, err := (lzma.Bounds{Limit: most}).NewReader2(bytes.NewReader(b), props)
		check(t, r, err)
	})
}

func check(t *testing.T, r io.Reader, err error) {
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(r, 4<<20))
	}
	if err != nil && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
}
