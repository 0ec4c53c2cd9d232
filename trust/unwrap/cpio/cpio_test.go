package cpio_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/cpio"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// What GNU cpio 2.13 made of the folder d, the files d/a and d/b and the link d/l, packed with gzip.
const (
	gnuNewc = "H4sIAAAAAAACAzMwNzA3MDRAAiaGri4G2IGRAXkAri+FwQDZPjBtYehogkOfIRrfjEj74Oal6CcyMDAk5hRkJHIxoNptBLEbp1/R7XYk3e4koN1JqSWJujn5eeno9huDDTV0c8Nlv5mTgbmJq6MFDvcQYX8OyO8MaPYSAoZkxrETjBES5Ojp4xqkqKjIMAoGPQAAYMa55QAEAAA="
	gnuCrc  = "H4sIAAAAAAACAzMwNzA3MDJAAiaGri4G2IGRAXkAri+FwQDZPkMQYWHoaIJDnyEa34xI+yDmGRkapOgnMjAwJOYUZCRyMaDabQSxG6df0e12JMluYwvjFP0koN1JqSWJujn5eeno9huDDTV0c8Nlv5mTgbmJq6MFDvfgtx8U1vo5IL8zoNlLCBiSGcdOMEZIkKOnj2uQoqIiwygY9AAApjY7DwAEAAA="
	gnuOdc  = "H4sIAAAAAAACA7WQOw4CMQwFXXOLHADl2fm4pqBAolrtBbIKgiICCu4voIvWQVsxrmzZoydD8a2eCE0JawRD+nElrG3MQI7RnPHY1i3m6guV9ryVnbHK53yUcdPKUv1Cy+VV9u1xv1pzYIGq/jJzCuAcVZLJy9U3KrDvHDOOyqFr5ulwOh8n5xz9jzcRjwkDAAIAAA=="
	gnuBin  = "H4sIAAAAAAACAzteyAAEbx1BJBMDBEDoFIbjQDlGhiWNIB4jVI4FiNkYUvQTGRJzCjISuUBqmBjeYqjhAqpJYkhKLUnUzcnPSwerY2b4vxCmjj17hR8LmJ2in8OQCLYLBmDmcIPJkCBHTx/XIEVFRYZRQHUAAJqnVXsAAgAA"
)

func decoded(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		panic(err)
	}
	if b, err = io.ReadAll(r); err != nil {
		panic(err)
	}
	return b
}

// newc makes one entry.
func newc(mode int, name, body string) []byte {
	pad := func(n int) []byte { return make([]byte, (4-n%4)%4) }
	h := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name)+1, 0)
	return bytes.Join([][]byte{[]byte(h), []byte(name), {0}, pad(110 + len(name) + 1), []byte(body), pad(len(body))}, nil)
}

// old makes one entry with numbers in the given order.
func old(order binary.ByteOrder, name, body string) []byte {
	h := make([]byte, 26)
	order.PutUint16(h, 0o070707)
	order.PutUint16(h[6:], 0o100644)
	order.PutUint16(h[20:], uint16(len(name)+1))
	order.PutUint16(h[24:], uint16(len(body)))
	return bytes.Join([][]byte{h, []byte(name), make([]byte, 2-len(name)%2), []byte(body), make([]byte, len(body)%2)}, nil)[:26+len(name)+1+(len(name)+1)%2+len(body)+len(body)%2]
}

func samples() []unwraptest.Sample {
	ab := map[string]string{"d/a": "alpha\n", "d/b": "beta-long\n"}
	x := map[string]string{"x": "one"}
	end := newc(0, "TRAILER!!!", "")
	return []unwraptest.Sample{
		{Name: "gnu-newc", Content: decoded(gnuNewc), Want: ab},
		{Name: "gnu-crc", Content: decoded(gnuCrc), Want: ab},
		{Name: "gnu-odc", Content: decoded(gnuOdc), Want: ab},
		{Name: "gnu-bin", Content: decoded(gnuBin), Want: ab},
		{Name: "old-little", Content: append(old(binary.LittleEndian, "x", "one"), old(binary.LittleEndian, "TRAILER!!!", "")...), Want: x},
		{Name: "old-big", Content: append(old(binary.BigEndian, "x", "one"), old(binary.BigEndian, "TRAILER!!!", "")...), Want: x},
		{Name: "no-trailer", Content: newc(0o100644, "x", "one"), Want: x},
		{Name: "no-type", Content: append(newc(0o644, "x", "one"), end...), Want: x},
		{Name: "same-name", Content: bytes.Join([][]byte{newc(0o100644, "x", "one"), newc(0o100644, "x", "two"), end}, nil), Want: map[string]string{"x": "onetwo"}},
		{Name: "two-archives", Content: bytes.Join([][]byte{decoded(gnuNewc), newc(0o100755, "x", "one"), end}, nil), Want: map[string]string{"d/a": "alpha\n", "d/b": "beta-long\n", "x": "one"}},
		{Name: "archive-and-more", Content: bytes.Join([][]byte{newc(0o100755, "x", "one"), end, make([]byte, 512), []byte("\x1f\x8bpacked")}, nil), Want: map[string]string{"x": "one", "rest": "\x1f\x8bpacked"}},
		{Name: "cut", Content: newc(0o100644, "x", "one and more")[:115], Want: map[string]string{"x": "one"}, Err: trust.ErrMalformed},
		{Name: "cut-header", Content: newc(0o100644, "x", "one")[:60], Err: trust.ErrMalformed},
		{Name: "no-number", Content: bytes.Replace(newc(0o100644, "x", "one"), []byte("00000003"), []byte("0000000g"), 1), Err: trust.ErrMalformed},
		{Name: "long-name", Content: newc(0o100644, string(bytes.Repeat([]byte("n"), 17000)), "one"), Err: trust.ErrLimit},
	}
}

func TestCpio(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, cpio.New(), samples(), []unwraptest.Sample{
		{Name: "empty"},
		{Name: "digits", Content: []byte("070709 is a number")},
		{Name: "old-magic-in-data", Content: append([]byte{0xc7, 0x71}, make([]byte, 100)...)},
		{Name: "old-magic-alone", Content: []byte{0xc7, 0x71}},
		{Name: "old-longer-than-the-file", Content: bytes.Replace(old(binary.LittleEndian, "x", "one"), []byte{3, 0}, []byte{3, 9}, 1)},
	})
}

func FuzzCpio(f *testing.F) { unwraptest.Fuzz(f, cpio.New(), samples()) }
