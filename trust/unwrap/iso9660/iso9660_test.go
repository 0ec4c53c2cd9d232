package iso9660_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/iso9660"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// made is an image that xorriso or genisoimage made.
func made(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".iso.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tree(long string) map[string]string {
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintf(&text, "line %d of a longer file\n", i)
	}
	return map[string]string{"a": "alpha\n", "sub/b.sh": "#!/bin/sh\nbeta\n", "sub/" + long: text.String()}
}

const rockRidge = "a_long_name_of_a_file.txt"

func changed(b []byte, at int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], with)
	return b
}

// root is where the record of the root folder stands.
const root = 16*2048 + 156

func samples(t testing.TB) []unwraptest.Sample {
	plain, rock, joliet := made(t, "plain"), made(t, "rockridge"), made(t, "joliet")
	appimage := changed(rock, 0, []byte("\x7fELF\x02\x01\x01\x00AI\x01")...)
	list := int(binary.LittleEndian.Uint32(rock[root+2:])) * 2048
	loop := bytes.Clone(rock) // the folder in the root is the root
	at := list
	for rock[at+25]&2 == 0 || rock[at+32] == 1 && rock[at+33] <= 1 {
		at += int(rock[at])
	}
	copy(loop[at+2:at+18], rock[root+2:root+18])
	return []unwraptest.Sample{
		{Name: "plain", Content: plain, Want: tree("a_long_n.txt")},
		{Name: "rock-ridge", Content: rock, Want: tree(rockRidge)},
		{Name: "joliet", Content: joliet, Want: tree(rockRidge)},
		{Name: "boot-code", Content: changed(rock, 500, []byte("some boot \x55\xaa")...), Want: tree(rockRidge)},
		{Name: "appimage", Content: appimage, Want: tree(rockRidge)},
		{Name: "by-name", Path: "x.ISO", Content: changed(rock, 0, []byte("anything")...), Want: tree(rockRidge)},
		{Name: "loop", Content: loop, Want: map[string]string{"a": "alpha\n"}},
		{Name: "root-outside", Content: changed(rock, root+2, 0xff, 0xff, 0xff), Err: trust.ErrMalformed},
		{Name: "root-too-large", Content: changed(rock, root+10, 0, 0, 0, 0x40), Err: trust.ErrLimit},
		{Name: "zeros", Content: make([]byte, 40<<10)},
		{Name: "cut", Content: rock[:len(rock)-330<<10], Err: trust.ErrMalformed},
	}
}

func TestISO9660(t *testing.T) {
	t.Parallel()
	rock := made(t, "rockridge")
	unwraptest.Run(t, iso9660.New(), samples(t), []unwraptest.Sample{
		{Name: "short", Content: make([]byte, 5000)},
		{Name: "other", Content: changed(rock, 0, []byte("anything")...)},
	})
}

func TestISO9660_changedAnywhere(t *testing.T) {
	t.Parallel()
	rock := made(t, "rockridge")
	for at := 16 * 2048; at < 17*2048; at++ {
		for _, c := range []byte{0, 0xff} {
			_, err := unwraptest.Unwrap(t.Context(), iso9660.New(), unwraptest.Sample{Content: changed(rock, at, c)}, iotest.HalfReader)
			if err != nil && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) && !errors.Is(err, trust.ErrLimit) {
				t.Fatalf("byte %d: %v", at, err)
			}
		}
	}
}

// An image whose folders hold more entries than are followed is unanswered.
func TestISO9660_isBounded(t *testing.T) {
	t.Parallel()
	one := append([]byte{34, 0, 20, 0, 0, 0}, make([]byte, 28)...)
	one[32], one[33] = 1, 'A'
	image := make([]byte, 30<<20)
	copy(image[16*2048:], "\x01CD001\x01")
	record := image[root:]
	record[0] = 34
	binary.LittleEndian.PutUint32(record[2:], 20)
	binary.LittleEndian.PutUint32(record[10:], 16<<20)
	for at := 20 * 2048; at+2048 < len(image); at += 2048 {
		for i := range 60 {
			copy(image[at+34*i:], one)
		}
	}
	_, err := unwraptest.Unwrap(context.Background(), iso9660.New(), unwraptest.Sample{Content: image}, iotest.HalfReader)
	if !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
}

func FuzzISO9660(f *testing.F) { unwraptest.Fuzz(f, iso9660.New(), samples(f)) }
