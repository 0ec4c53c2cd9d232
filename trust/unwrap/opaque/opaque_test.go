package opaque_test

import (
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/opaque"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// at puts bytes into n zeros.
func at(n int, parts map[int]string) []byte {
	b := make([]byte, n)
	for i, s := range parts {
		copy(b[i:], s)
	}
	return b
}

func samples() []unwraptest.Sample {
	var out []unwraptest.Sample
	for name, content := range map[string][]byte{
		"zisofs":  []byte("\x37\xe4\x53\x96\xc9\xdb\xd6\x07 and more"),
		"luks":    at(4096, map[int]string{0: "LUKS\xba\xbe\x00\x02"}),
		"openssl": []byte("Salted__0123456789abcdefghijklmnopqrstuv"),
		"age":     []byte("age-encryption.org/v1\n-> scrypt x 18\n"),
		"openpgp": []byte("-----BEGIN PGP MESSAGE-----\n\nabcd\n-----END PGP MESSAGE-----\n"),
		"cramfs":  at(4096, map[int]string{0: "\x45\x3d\xcd\x28", 16: "Compressed ROMFS"}),
		"qcow2":   at(512, map[int]string{0: "QFI\xfb\x00\x00\x00\x03"}),
		"erofs":   at(2048, map[int]string{1024: "\xe2\xe1\xf5\xe0"}),
		"ext4":    at(2048, map[int]string{1024 + 4: "\x00\x10", 1024 + 0x18: "\x02", 1024 + 0x38: "\x53\xef", 1024 + 0x4c: "\x01"}),
	} {
		out = append(out, unwraptest.Sample{Name: name, Content: content, Err: trust.ErrUnsupported})
	}
	return out
}

func TestOpaque(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, opaque.New(), samples(), []unwraptest.Sample{
		{Name: "empty"},
		{Name: "program", Content: at(4096, map[int]string{0: "\x7fELF\x02\x01\x01\x00"})},
		{Name: "hsqs-word", Content: []byte("hsqs is how it begins, but this is a text that goes on for a while and says no more of it than that")},
		{Name: "salted-word", Content: []byte("Salted__ it is.")},
		{Name: "openpgp-key", Content: []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n")},
		{Name: "ext-number-in-data", Content: at(2048, map[int]string{1024 + 0x38: "\x53\xef", 1024 + 0x18: "\xff\xff"})},
		{Name: "zeros", Content: make([]byte, 4096)},
		{Name: "short", Content: []byte("hsqs")},
	})
}

func FuzzOpaque(f *testing.F) { unwraptest.Fuzz(f, opaque.New(), samples()) }
