package differential

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const block = 512

// file is a regular file whose content stands in its Uname, for brevity.
func file(name, content string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), Uname: content}
}

func tarOf(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		h, content := *h, h.Uname
		h.Uname = ""
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// sparse is a file of the old GNU format for files with holes.
func sparse(t testing.TB) []byte {
	raw := tarOf(t, &tar.Header{Typeflag: tar.TypeReg, Name: "holes", Mode: 0o644, Size: 4, Uname: "data", Format: tar.FormatGNU})
	raw[156] = tar.TypeGNUSparse
	copy(raw[386:], "00000001000\x0000000000004\x00")
	copy(raw[483:], "00000002000\x00")
	checksum(raw)
	return raw
}

// layers have what engines read in different ways.
func layers(t testing.TB) [][]byte {
	long := strings.Repeat("long/", 40) + "name"
	dir := func(name string) *tar.Header { return &tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755} }
	link := func(kind byte, name, to string) *tar.Header {
		return &tar.Header{Typeflag: kind, Name: name, Linkname: to}
	}
	global := &tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"comment": "x"}}
	pax := &tar.Header{Typeflag: tar.TypeReg, Name: "päx", Size: 3, Uname: "pax", Mode: 0o600, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}, Format: tar.FormatPAX}
	gnu := &tar.Header{Typeflag: tar.TypeReg, Name: long, Size: 3, Uname: "gnu", Mode: 0o600, Format: tar.FormatGNU}
	one := tarOf(t, dir("etc/"), file("etc/motd", "hello\n"), file("bin/run", strings.Repeat("run", 300)))
	two := tarOf(t, file("second", "second archive"))
	return [][]byte{
		one,
		tarOf(t, global, pax, gnu, file(long, "pax too")),
		tarOf(t, file("a", "first"), file("a", "second"), file("./a", "third"), file("/a", "fourth"), file("b/../a", "fifth")),
		tarOf(t, file("f", "target"), link(tar.TypeLink, "hard", "f"), link(tar.TypeSymlink, "soft", "/f"), link(tar.TypeSymlink, "dir", "usr"), dir("usr"), file("dir/through", "a link")),
		tarOf(t, file(".wh.gone", ""), file("d/.wh..wh..opq", ""), file(".wh.full", "hidden"), file("d/.wh..wh.plnk/1.2", "plink"), link(tar.TypeLink, "d/x", "/.wh..wh.plnk/1.2")),
		append(bytes.Clone(one[:len(one)-2*block]), two...),
		append(bytes.Clone(one), two...),
		append(sparse(t)[:2*block], one...),
		tarOf(t, &tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}, &tar.Header{Typeflag: tar.TypeFifo, Name: "fifo"}, file("after", "devices")),
	}
}

// checksum makes the header block whole after a change.
func checksum(b []byte) {
	copy(b[148:156], "        ")
	sum := 0
	for _, c := range b[:block] {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// mutated is a layer with a few changes that a hostile writer would make; headers stay valid, most often.
func mutated(rnd *rand.Rand, seeds [][]byte) []byte {
	out := bytes.Clone(seeds[rnd.IntN(len(seeds))])
	for range 1 + rnd.IntN(3) {
		if len(out) < 2*block {
			break
		}
		at := rnd.IntN(len(out)/block) * block
		b := out[at : at+block]
		switch rnd.IntN(10) {
		case 0:
			b[156] = "\x00012345670SLKxgVDMNXA"[rnd.IntN(20)]
		case 1: // the size
			sizes := []string{"00000000000\x00", "00000001000\x00", "00000000001\x00", "77777777777\x00", "-0000000001\x00", "     512\x00   ", "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"}
			copy(b[124:136], sizes[rnd.IntN(len(sizes))])
		case 2: // the name, the link, the prefix
			names := []string{"a", "../a", "/a", "a/../../b", "a\x00b", ".wh.a", "dir/", ".", "", "f", "stargz.index.json"}
			start := []int{0, 157, 345}[rnd.IntN(3)]
			copy(b[start:start+100], names[rnd.IntN(len(names))]+"\x00")
		case 3: // the magic
			copy(b[257:265], []string{"ustar\x0000", "ustar  \x00", "\x00\x00\x00\x00\x00\x00\x00\x00", "USTAR\x0000"}[rnd.IntN(4)])
		case 4:
			out = append(out[:at:at], append(make([]byte, block*(1+rnd.IntN(2))), out[at:]...)...)
		case 5:
			out = append(out[:at:at], out[at+block:]...)
		case 6:
			from := rnd.IntN(len(out)/block) * block
			copy(b, out[from:from+block])
		case 7:
			out = out[:at+rnd.IntN(2)*rnd.IntN(block)]
			continue
		case 8:
			other := seeds[rnd.IntN(len(seeds))]
			out = append(out[:at:at], other...)
		default:
			b[rnd.IntN(block)] ^= 1 << rnd.IntN(8)
		}
		if b = out[at:]; len(b) >= block && rnd.IntN(8) > 0 && !bytes.Equal(b[:block], make([]byte, block)) {
			checksum(b)
		}
	}
	return out
}

// packed is plain in one of the ways that engines unpack, at times in pieces or damaged.
func packed(t testing.TB, rnd *rand.Rand, plain []byte) []byte {
	cut := 0
	if rnd.IntN(3) == 0 {
		cut = rnd.IntN(len(plain) + 1)
	}
	var out []byte
	switch rnd.IntN(4) {
	case 0, 1:
		out = bytes.Clone(plain)
	case 2:
		out = append(gz(t, plain[:cut]), gz(t, plain[cut:])...)
	case 3:
		e, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		out = e.EncodeAll(plain[:cut], nil)
		if rnd.IntN(2) == 0 {
			out = append(binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, 3), "abc"...)
			cut = 0
		}
		out = e.EncodeAll(plain[cut:], out)
	}
	switch rnd.IntN(12) {
	case 0:
		out = append(out, "trailing"...)
	case 1:
		out = out[:rnd.IntN(len(out)+1)]
	case 2:
		if len(out) > 0 {
			out[rnd.IntN(len(out))] ^= 1 << rnd.IntN(8)
		}
	}
	return out
}

func gz(t testing.TB, p []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(p); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
