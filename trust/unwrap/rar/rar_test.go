package rar_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/rar"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

const signature = "Rar!\x1a\x07\x01\x00"

// block is one of version 5, of numbers below 128.
func block(fields ...byte) []byte {
	b := append([]byte{byte(len(fields))}, fields...)
	return append(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)), b...)
}

// file is a block with content that is stored, or said to be packed in a way.
func file(name, body string, packing byte) []byte {
	fields := []byte{2, 2, byte(len(body)), 4, byte(len(body)), 0x24}
	fields = binary.LittleEndian.AppendUint32(fields, crc32.ChecksumIEEE([]byte(body)))
	fields = append(fields, packing&0x7f|0x80, packing>>7, 1, byte(len(name)))
	return append(block(append(fields, name...)...), body...)
}

// window is a file that asks for a history of 128 KiB, doubled as often as n says.
func window(n byte) []byte {
	fields := []byte{2, 2, 3, 4, 0x80, 0x80, 0x80, 0x80, 8, 0x24, 0, 0, 0, 0} // of 2 GiB
	packing := uint16(1<<7) | uint16(n)<<10
	fields = append(fields, byte(packing&0x7f|0x80), byte(packing>>7), 1, 1, 'n')
	return append(block(fields...), "abc"...)
}

func archive(parts ...[]byte) []byte {
	all := append([][]byte{[]byte(signature), block(1, 0, 0)}, parts...)
	return bytes.Join(append(all, block(5, 0, 0)), nil)
}

func samples() []unwraptest.Sample {
	sealed := bytes.Join([][]byte{[]byte(signature), block(append([]byte{4, 0, 0, 0, 10}, make([]byte, 16)...)...), make([]byte, 100)}, nil)
	damaged := archive(file("a", "alpha", 0))
	damaged[bytes.Index(damaged, []byte("alpha"))] = 'A'
	a := map[string]string{"a": "alpha"}
	return []unwraptest.Sample{
		{Name: "stored", Path: "a.rar", Content: archive(file("a", "alpha", 0), file("d/b", "beta", 0)), Want: map[string]string{"a": "alpha", "d/b": "beta"}},
		{Name: "same-name", Content: archive(file("a", "one", 0), file("a", "two", 0)), Want: map[string]string{"a": "onetwo"}},
		{Name: "with-passwords", Content: archive(file("a", "alpha", 0)), Passwords: []string{"x"}, Want: a},
		{Name: "behind-a-stub", Content: append([]byte("MZ and a program"), archive(file("a", "alpha", 0))...), Want: a},
		{Name: "encrypted", Content: sealed, Err: trust.ErrUnsupported},
		{Name: "history", Content: archive(window(15)), Err: trust.ErrUnsupported},
		{Name: "checksum", Content: damaged, Want: map[string]string{"a": "Alpha"}, Err: trust.ErrMalformed},
		{Name: "cut", Content: archive(file("a", "alpha", 0))[:40], Want: map[string]string{"a": "alph"}, Err: trust.ErrMalformed},
		{Name: "unknown-version", Content: []byte("Rar!\x1a\x07\x07\x00 and more of it"), Err: trust.ErrUnsupported},
	}
}

func TestRar(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, rar.New(), samples(), []unwraptest.Sample{
		{Name: "empty"},
		{Name: "short", Content: []byte("Rar!\x1a")},
		{Name: "text", Content: []byte("Rar! is what it says")},
	})
}

// TestOld: the text model of old versions may ask for more memory than there is.
func TestOld(t *testing.T) {
	t.Parallel()
	content := []byte("Rar!\x1a\x07\x00 and more of it")
	for memory, want := range map[int64]error{64 << 20: trust.ErrUnsupported, 1 << 30: trust.ErrMalformed} {
		if _, err := unwraptest.UnwrapWithin(t.Context(), rar.New(), unwraptest.Sample{Content: content}, memory); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", memory, err)
		}
	}
}

func FuzzRar(f *testing.F) { unwraptest.Fuzz(f, rar.New(), samples()) }
