package cabinet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/cabinet"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// made is what gcab made of files.
func made(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".cab"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func files() map[string]string {
	return map[string]string{"a": "alpha\n", "b.sh": "#!/bin/sh\nbeta\n"}
}

// long has more than one block, of which the second refers to the first.
func long() string {
	var b strings.Builder
	for i := range 1800 {
		fmt.Fprintf(&b, "%d %s\n", i, strings.Repeat("ab", i%40))
	}
	return b.String()
}

func changed(b []byte, at int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], with)
	return b
}

// folderAt is where the first folder's record stands.
const folderAt = 36

// reserved is a cabinet with room of its own in the header, and the name of a cabinet before it.
func reserved(plain []byte) []byte {
	le := binary.LittleEndian
	room := []byte("\x02\x00\x00\x00rrprevious\x00disk\x00")
	b := append(bytes.Clone(plain[:folderAt]), room...)
	b = append(b, plain[folderAt:]...)
	le.PutUint16(b[30:], 5)
	le.PutUint32(b[16:], le.Uint32(plain[16:])+uint32(len(room)))
	at := folderAt + len(room)
	le.PutUint32(b[at:], le.Uint32(plain[folderAt:])+uint32(len(room)))
	return b
}

func samples(t testing.TB) []unwraptest.Sample {
	packed, plain := made(t, "mszip"), made(t, "plain")
	all := files()
	all["long"] = long()
	records := int(binary.LittleEndian.Uint32(plain[16:]))
	overlapping := changed(plain, records+16+2+4, 0) // the second file begins where the first one does
	return []unwraptest.Sample{
		{Name: "mszip", Content: packed, Want: all},
		{Name: "plain", Content: plain, Want: files()},
		{Name: "reserved", Content: reserved(plain), Want: files()},
		{Name: "overlapping", Content: overlapping, Want: map[string]string{"a": "alpha\n", "b.sh": "alpha\n#!/bin/sh"}},
		{Name: "lzx", Content: changed(plain, folderAt+6, 3, 0x15), Err: trust.ErrUnsupported},
		{Name: "goes-on-elsewhere", Content: changed(plain, records+8, 0xfe, 0xff), Want: map[string]string{"b.sh": files()["b.sh"]}, Err: trust.ErrUnsupported},
		{Name: "cut", Content: plain[:len(plain)-3], Want: map[string]string{"a": ""}, Err: trust.ErrMalformed},
		{Name: "no-records", Content: changed(plain, 16, 0xff, 0xff, 0xff), Err: trust.ErrMalformed},
		{Name: "short-file", Content: changed(plain, records+16+2, 0xff), Want: files(), Err: trust.ErrMalformed},
		{Name: "no-mszip", Content: changed(plain, folderAt+6, 1), Want: map[string]string{"a": ""}, Err: trust.ErrMalformed},
	}
}

func TestCabinet(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, cabinet.New(), samples(t), []unwraptest.Sample{
		{Name: "word", Content: []byte("MSCF is a cabinet, and this is a text of some length, with nothing in it")},
		{Name: "installshield", Content: append([]byte("ISc("), make([]byte, 60)...)},
		{Name: "short", Content: []byte("MSCF\x00\x00\x00\x00")},
	})
}

func TestCabinet_changedAnywhere(t *testing.T) {
	t.Parallel()
	plain := made(t, "plain")
	for at := range plain {
		for _, c := range []byte{0, 0xff, plain[at] ^ 1} {
			_, err := unwraptest.Unwrap(t.Context(), cabinet.New(), unwraptest.Sample{Content: changed(plain, at, c)}, iotest.HalfReader)
			if err != nil && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) && !errors.Is(err, trust.ErrLimit) {
				t.Fatalf("byte %d: %v", at, err)
			}
		}
	}
}

func FuzzCabinet(f *testing.F) { unwraptest.Fuzz(f, cabinet.New(), samples(f)) }
