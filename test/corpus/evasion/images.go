package evasion

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"

	"github.com/safepull/safepull/test/corpus"
	"github.com/safepull/safepull/test/imagetest"
)

// squashfsOf is a squashfs file system with one file in its root, in blocks that zlib packed; tables stand as they are.
func squashfsOf(name string, body []byte) []byte {
	const blockSize = 128 << 10
	le := binary.LittleEndian
	out := make([]byte, 96)
	var sizes []byte
	for rest := body; len(rest) > 0; {
		n := min(len(rest), blockSize)
		packed := deflated(string(rest[:n]))
		out, rest = append(out, packed...), rest[n:]
		sizes = le.AppendUint32(sizes, uint32(len(packed)))
	}
	meta := func(b []byte) []byte { return append(le.AppendUint16(nil, uint16(len(b))|0x8000), b...) }
	head := func(kind, mode uint16, number uint32) []byte {
		b := le.AppendUint16(le.AppendUint16(nil, kind), mode)
		return le.AppendUint32(append(b, make([]byte, 8)...), number)
	}
	file := head(2, 0o755, 1)
	for _, v := range []uint32{96, 1<<32 - 1, 0, uint32(len(body))} {
		file = le.AppendUint32(file, v)
	}
	file = append(file, sizes...)
	list := append(make([]byte, 8), 1, 0, 0, 0) // one entry, whose inode is in the first block
	list = le.AppendUint16(append(list, 0, 0, 0, 0, 2, 0), uint16(len(name)-1))
	list = append(list, name...)
	root := head(1, 0o755, 2)
	root = le.AppendUint32(le.AppendUint32(root, 0), 2)
	root = le.AppendUint32(le.AppendUint16(le.AppendUint16(root, uint16(len(list)+3)), 0), 3)
	inodes := len(out)
	out = append(out, meta(append(bytes.Clone(file), root...))...)
	folders := len(out)
	out = append(out, meta(list)...)
	copy(out, "hsqs")
	le.PutUint32(out[4:], 2)
	le.PutUint32(out[12:], blockSize)
	le.PutUint16(out[20:], 1)
	le.PutUint16(out[22:], 17)
	le.PutUint16(out[28:], 4)
	le.PutUint64(out[32:], uint64(len(file)))
	for i, v := range []int{len(out), len(out), -1, inodes, folders, len(out)} {
		le.PutUint64(out[40+8*i:], uint64(v))
	}
	le.PutUint64(out[88:], 1<<64-1)
	return out
}

// disks are images of file systems, and programs that carry one.
func disks() []recipe {
	const group = "in an image of a file system"
	return []recipe{
		{group: group, name: "squashfs", make: func(k *kit) imagetest.Image {
			return k.starts(hiding+"mount -o loop /srv/data.img /mnt\nexec /mnt/w\n", imagetest.File{Path: "srv/data.img", Body: squashfsOf("w", k.program())})
		}},
		{group: group, name: "squashfs-script", make: func(k *kit) imagetest.Image {
			return k.starts(hiding+"unsquashfs -d /tmp/x /srv/data.img\nsh /tmp/x/w\n", imagetest.File{Path: "srv/data.img", Body: squashfsOf("w", []byte(k.shell(run)))})
		}},
		{group: group, name: "iso9660", make: func(k *kit) imagetest.Image {
			return k.starts(hiding+"mount -o loop /srv/data.bin /mnt\nexec /mnt/w\n", imagetest.File{Path: "srv/data.bin", Body: isoOf("W", []byte(gzipped(string(k.program()))))})
		}},
		{group: group, name: "appimage", make: func(k *kit) imagetest.Image {
			own := corpus.Ordinary(k.rng, amd64, "runtime")
			copy(own[8:], "AI\x02")
			return k.image([]string{"/opt/app.AppImage", "--appimage-extract-and-run"}, imagetest.Binary("opt/app.AppImage", append(own, squashfsOf("AppRun", k.program())...)))
		}},
	}
}

// cabinetOf is a Windows cabinet with one file, packed with MSZIP.
func cabinetOf(name string, body []byte) []byte {
	le := binary.LittleEndian
	var blocks []byte
	count := 0
	for rest := body; len(rest) > 0; count++ {
		n := min(len(rest), 32<<10)
		packed := append([]byte("CK"), raw(rest[:n])...)
		blocks = le.AppendUint16(le.AppendUint16(append(blocks, 0, 0, 0, 0), uint16(len(packed))), uint16(n))
		blocks, rest = append(blocks, packed...), rest[n:]
	}
	records := 36 + 8
	data := records + 16 + len(name) + 1
	b := []byte("MSCF\x00\x00\x00\x00")
	for _, v := range []uint32{uint32(data + len(blocks)), 0, uint32(records), 0} {
		b = le.AppendUint32(b, v)
	}
	b = append(b, 3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint16(le.AppendUint16(le.AppendUint32(b, uint32(data)), uint16(count)), 1)
	b = append(le.AppendUint32(b, uint32(len(body))), make([]byte, 12)...)
	return append(append(append(b, name...), 0), blocks...)
}

// raw is deflate without matches, which readers of deflate64 take too.
func raw(body []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.HuffmanOnly) // a level that exists
	_, _ = w.Write(body)                           // into memory: cannot fail
	_ = w.Close()
	return b.Bytes()
}

// zip64kOf is a zip archive whose entry is packed with deflate64.
func zip64kOf(name string, body []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	packed := raw(body)
	w, _ := z.CreateRaw(&zip.FileHeader{Name: name, Method: 9, CRC32: crc32.ChecksumIEEE(body), CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(len(body))})
	_, _ = w.Write(packed) // into memory
	_ = z.Close()
	return b.Bytes()
}

// isoOf is an image of a disc with one file in its root.
func isoOf(name string, body []byte) []byte {
	const sector = 2048
	le := binary.LittleEndian
	record := func(name string, at, size int, flags byte) []byte {
		b := make([]byte, 33, 34+len(name))
		le.PutUint32(b[2:], uint32(at))
		le.PutUint32(b[10:], uint32(size))
		b[25], b[32] = flags, byte(len(name))
		b = append(b, name...)
		if len(b)%2 == 1 {
			b = append(b, 0)
		}
		b[0] = byte(len(b))
		return b
	}
	out := make([]byte, 19*sector)
	copy(out[16*sector:], "\x01CD001\x01")
	copy(out[16*sector+156:], record("\x00", 18, sector, 2))
	copy(out[17*sector:], "\xffCD001\x01")
	copy(out[18*sector:], bytes.Join([][]byte{record("\x00", 18, sector, 2), record("\x01", 18, sector, 2), record(name+";1", 19, len(body), 0)}, nil))
	out = append(out, body...)
	return append(out, make([]byte, sector-len(out)%sector)...)
}
