package zip_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
	zipwrapper "github.com/safepull/safepull/trust/unwrap/zip"
)

// made is an archive of pairs of name and body.
func made(method uint16, pairs ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.CreateHeader(&zip.FileHeader{Name: pairs[i], Method: method})
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(f, pairs[i+1])
	}
	_ = w.Close()
	return b.Bytes()
}

// part is what stands for an entry: its local header with data, and its record in the directory.
type part struct {
	name, data    string
	method, flags uint16
	crc           uint32
	size          int
	// local is the method in the local header, if it is another.
	local uint16
	extra string
}

func stored(name, data string) part {
	return part{name: name, data: data, crc: crc32.ChecksumIEEE([]byte(data)), size: len(data)}
}

func (p part) header() []byte {
	b := []byte("PK\x03\x04\x14\x00")
	b = binary.LittleEndian.AppendUint16(b, p.flags)
	b = binary.LittleEndian.AppendUint16(b, p.local|p.method)
	b = append(b, 0, 0, 0, 0)
	b = p.numbers(b)
	return append(b, p.name+p.extra+p.data...)
}

func (p part) numbers(b []byte) []byte {
	for _, n := range []uint32{p.crc, uint32(len(p.data)), uint32(p.size)} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p.name)))
	return binary.LittleEndian.AppendUint16(b, uint16(len(p.extra)))
}

func (p part) record(at int) []byte {
	b := []byte("PK\x01\x02\x14\x03\x14\x00")
	b = binary.LittleEndian.AppendUint16(b, p.flags)
	b = binary.LittleEndian.AppendUint16(b, p.method)
	b = append(b, 0, 0, 0, 0)
	b = p.numbers(b)
	b = append(b, make([]byte, 10)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	return append(b, p.name+p.extra...)
}

// assembled puts parts together; those that are hidden have no record.
func assembled(hidden int, parts ...part) []byte {
	var b, dir []byte
	for i, p := range parts {
		at := len(b)
		b = append(b, p.header()...)
		if i >= hidden {
			dir = append(dir, p.record(at)...)
		}
	}
	return append(append(b, dir...), finish(len(dir), len(b), "")...)
}

func finish(size, at int, comment string) []byte {
	b := append([]byte("PK\x05\x06"), make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(at))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(comment)))
	return append(b, comment...)
}

// overlapping is an archive of which every entry is the same bytes.
func overlapping(n int) []byte {
	p := stored("a", strings.Repeat("x", 1000))
	b := p.header()
	at := len(b)
	for range n {
		b = append(b, p.record(0)...)
	}
	return append(b, finish(len(b)-at, at, "")...)
}

// large is an archive whose numbers stand in fields of 64 bits.
func large() []byte {
	field := func(numbers ...uint64) string {
		b := binary.LittleEndian.AppendUint16([]byte{1, 0}, uint16(8*len(numbers)))
		for _, n := range numbers {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		return string(b)
	}
	p := stored("a", "alpha")
	b := append(p.header(), make([]byte, 0)...)
	p.extra = field(5, 5, 0)
	r := p.record(0)
	copy(r[20:28], "\xff\xff\xff\xff\xff\xff\xff\xff")
	copy(r[42:46], "\xff\xff\xff\xff")
	at := len(b)
	b = append(b, r...)
	end := len(b)
	b = append(b, "PK\x06\x06"+string(make([]byte, 36))...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(r)))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = append(b, "PK\x06\x07\x00\x00\x00\x00"...)
	b = binary.LittleEndian.AppendUint64(b, uint64(end))
	b = append(b, 1, 0, 0, 0)
	return append(b, finish(0xffffffff, 0xffffffff, "")...)
}

func decoded(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func plainSamples() []unwraptest.Sample {
	ab := map[string]string{"a": "alpha", "d/b.sh": "beta"}
	jar := made(zip.Deflate, "a", "alpha", "d/", "", "d/b.sh", "beta")
	inner := made(zip.Store, "i", "inner")
	return []unwraptest.Sample{
		{Name: "deflate", Path: "a.jar", Content: jar, Want: ab},
		{Name: "stored", Content: made(zip.Store, "a", "alpha", "d/b.sh", "beta"), Want: ab},
		{Name: "empty-archive", Content: made(zip.Store)},
		{Name: "zip64", Content: large(), Want: map[string]string{"a": "alpha"}},
		{Name: "names-as-they-stand", Content: made(zip.Store, "../../a", "1", "/b", "2", `c\d`, "3"), Want: map[string]string{"../../a": "1", "/b": "2", `c\d`: "3"}},
		{Name: "same-name", Content: made(zip.Store, "a", "one", "a", "two"), Want: map[string]string{"a": "onetwo"}},
		{Name: "behind-a-script", Content: join([]byte("#!/usr/bin/env python3\n"), jar), Want: ab},
		{Name: "behind-a-long-script", Content: join([]byte("#!/bin/sh\n"+strings.Repeat("# more\n", 3000)), jar), Want: ab},
		{Name: "behind-a-windows-program", Content: join([]byte("MZ"), make([]byte, 9000), jar), Want: ab},
		{Name: "a-long-script-alone", Content: []byte("#!/bin/sh\n" + strings.Repeat("# more\n", 3000))},
		{Name: "zip-in-zip", Content: made(zip.Store, "a.zip", string(inner)), Want: map[string]string{"a.zip": string(inner)}},
		{Name: "with-garbage-behind", Content: join(jar, []byte("garbage")), Want: ab},
	}
}

func tampered() []unwraptest.Sample {
	a := map[string]string{"a": "alpha"}
	jar := made(zip.Deflate, "a", "alpha")
	long := "what stands behind an archive, and is longer than a checksum would be"
	hidden := join(made(zip.Deflate, "h", "hidden")[:58], jar)
	wrong := stored("a", "alpha")
	wrong.crc++
	flagged := stored("a", "alpha")
	flagged.flags = 1
	unknown := stored("a", "alpha")
	unknown.method = 77
	other := stored("a", "alpha")
	other.local = 77
	late := stored("a", "alpha")
	two := assembled(0, stored("b", "beta"))
	two = append(two[:len(two)-22], finish(0, 0, "")...)
	comment := join(assembled(0, stored("a", "alpha")), nil)
	second := assembled(0, stored("b", "beta"))
	copy(comment[len(comment)-2:], []byte{byte(len(second)), 0})
	headless := assembled(0, stored("a", "alpha"), stored("b", "beta"))
	headless[bytes.LastIndex(headless, []byte("PK\x03\x04"))] = 'Q'
	return []unwraptest.Sample{
		{Name: "hidden-before", Content: assembled(1, stored("h", "hidden"), stored("a", "alpha")), Want: map[string]string{"h": "hidden", "a": "alpha"}},
		{Name: "hidden-with-descriptor", Content: hidden, Want: map[string]string{"h": "hidden", "a": "alpha"}},
		{Name: "magic-numbers-alone", Content: []byte("PK\x03\x04 and PK\x05\x06 are what a library looks for, and then a long text follows that is no part of any archive"), Err: trust.ErrMalformed},
		{Name: "behind-the-end", Content: append(bytes.Clone(jar), long...), Want: map[string]string{"a": "alpha", fmt.Sprintf("tail@%d", len(jar)): long}},
		{Name: "far-behind-the-end", Content: append(bytes.Clone(jar[:50]), strings.Repeat(long, 2000)...), Want: map[string]string{"a": "alpha", "tail@42": string(jar[42:50]) + strings.Repeat(long, 2000)}, Err: trust.ErrMalformed},
		{Name: "no-directory", Content: jar[:50], Want: a, Err: trust.ErrMalformed},
		{Name: "no-directory-stored", Content: stored("a", "alpha").header(), Want: a, Err: trust.ErrMalformed},
		{Name: "cut", Content: stored("a", "alpha").header()[:34], Want: map[string]string{"a": "alp"}, Err: trust.ErrMalformed},
		{Name: "wrong-checksum", Content: assembled(0, wrong), Want: a, Err: trust.ErrMalformed},
		{Name: "flagged-as-encrypted", Content: assembled(0, flagged), Want: a},
		{Name: "unknown-method", Content: assembled(0, unknown), Want: a, Err: trust.ErrUnsupported},
		{Name: "unknown-method-in-the-header", Content: assembled(0, other), Want: map[string]string{"a": "alphaalpha"}, Err: trust.ErrUnsupported},
		{Name: "directory-elsewhere", Content: append(join(late.header(), two[:0]), finish(0, 0, "")...), Want: a},
		{Name: "archive-in-the-comment", Content: join(comment, second), Want: map[string]string{"a": "alpha", "b": "beta"}},
		{Name: "overlapping", Content: overlapping(3), Want: map[string]string{"a": strings.Repeat("x", 3000)}},
		{Name: "bad-deflate", Content: assembled(0, part{name: "a", data: "\xff\xff", method: 8}), Want: map[string]string{"a": ""}, Err: trust.ErrMalformed},
		{Name: "no-header-there", Content: headless, Want: a, Err: trust.ErrMalformed},
	}
}

func TestZip(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, zipwrapper.New(), append(append(plainSamples(), tampered()...), foreign()...), []unwraptest.Sample{
		{Name: "empty"},
		{Name: "initials", Content: []byte("PK is how Phil Katz signed")},
		{Name: "short-script", Content: []byte("#!/bin/sh\necho PK\n")},
		{Name: "program", Content: append([]byte("\x7fELF"), make([]byte, 8000)...)},
		{Name: "ar", Content: append([]byte("!<arch>\n"), made(zip.Store, "a", "alpha")...)},
		{Name: "record-only", Content: []byte("PK\x01\x02 a directory without an archive")},
	})
}

func FuzzZip(f *testing.F) {
	unwraptest.Fuzz(f, zipwrapper.New(), append(append(plainSamples(), tampered()...), foreign()...))
}

// free is input that costs nothing.
type free struct{ b []byte }

func (f free) Read([]byte) (int, error) { return 0, io.EOF }
func (f free) Content() unwrap.Content {
	return unwrap.Content{Path: "a.jar", Head: f.b[:512], Size: int64(len(f.b))}
}
func (f free) Spool() (io.ReaderAt, int64, error) { return bytes.NewReader(f.b), int64(len(f.b)), nil }
func (f free) Spend(int64) error                  { return nil }

// BenchmarkZip reads an ordinary jar of 2000 classes.
func BenchmarkZip(b *testing.B) {
	var pairs []string
	size := 0
	for i := range 2000 {
		body := strings.Repeat(fmt.Sprintf("class %d does %x; ", i, i*7919), 200)
		pairs = append(pairs, fmt.Sprintf("org/example/C%d.class", i), body)
		size += len(body)
	}
	jar := made(zip.Deflate, pairs...)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		err := zipwrapper.New().Unwrap(context.Background(), free{jar}, func(_ unwrap.Piece, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
func (f free) Hold(int64) error { return nil }
