// Package opaque recognises formats that hold files and are not read here, so that a program which runs such a file is
// not taken for one that was seen: file systems, disk images and encrypted files.
package opaque

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/internal/stream"
)

// Wrapper shows nothing: whatever it recognises is trust.ErrUnsupported.
type Wrapper struct{}

var _ unwrap.Wrapper = Wrapper{}

// New makes the wrapper.
func New() Wrapper { return Wrapper{} }

// Name implements unwrap.Wrapper.
func (Wrapper) Name() string { return "opaque" }

// Wraps implements unwrap.Wrapper.
func (Wrapper) Wraps(c unwrap.Content) bool { return format(c.Head) != "" }

// Unwrap implements unwrap.Wrapper.
func (Wrapper) Unwrap(_ context.Context, in unwrap.Input, _ unwrap.Show) error {
	src := stream.NewSource(in)
	var first [1]byte
	if _, _ = src.Read(first[:]); src.Err() != nil {
		return src.Err()
	}
	return stream.Unsupported("%s", format(in.Content().Head))
}

// superblock is where file systems of Linux say what they are.
const superblock = 1024

// format tells what head begins, with enough of the header to be no accident.
func format(head []byte) string {
	begins := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case begins("\x37\xe4\x53\x96\xc9\xdb\xd6\x07"):
		return "file that zisofs packed"
	case begins("LUKS\xba\xbe\x00") && len(head) >= 208 && head[7] >= 1 && head[7] <= 2:
		return "encrypted disk image"
	case begins("Salted__") && len(head) >= 32:
		return "file that OpenSSL encrypted"
	case begins("age-encryption.org/v1\n"), begins("-----BEGIN AGE ENCRYPTED FILE-----\n"), begins("-----BEGIN PGP MESSAGE-----\n"):
		return "encrypted file"
	case begins("\x45\x3d\xcd\x28") && len(head) >= 32 && string(head[16:32]) == "Compressed ROMFS":
		return "cramfs file system"
	case begins("QFI\xfb\x00\x00\x00") && len(head) >= 72:
		return "qcow2 disk image"
	case len(head) >= superblock+128 && binary.LittleEndian.Uint32(head[superblock:]) == 0xe0f5e1e2:
		return "erofs file system"
	case len(head) >= superblock+128 && extended(head[superblock:]):
		return "ext file system"
	}
	return ""
}

// extended: magic number, blocks of a size that exists, and a revision.
func extended(b []byte) bool {
	return binary.LittleEndian.Uint16(b[0x38:]) == 0xef53 && binary.LittleEndian.Uint32(b[0x18:]) <= 6 &&
		binary.LittleEndian.Uint32(b[0x4c:]) <= 1 && binary.LittleEndian.Uint32(b[4:]) != 0
}
