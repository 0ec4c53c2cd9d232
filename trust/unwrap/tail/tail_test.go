package tail_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/tail"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// payload is what stands behind the samples.
var payload = "#!/bin/sh\n# a program that stands behind the end of another file\nexec /bin/true\n"

func u16(v int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(v))) }
func u32(v int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }
func u64(v int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(v))) }
func b32(v int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(v))) }

func png(chunks ...string) string {
	out := "\x89PNG\r\n\x1a\n"
	for _, c := range chunks {
		out += b32(len(c)-4) + c + b32(int(crc32.ChecksumIEEE([]byte(c))))
	}
	return out
}

// wholePNG has the signature of an executable in its data, which is not its end.
func wholePNG() string {
	return png("IHDR"+b32(1)+b32(1)+"\x08\x02\x00\x00\x00", "IDAT\x7fELF IEND"+strings.Repeat("x", 5000), "tEXtIEND", "IEND")
}

func segment(marker byte, body string) string {
	return "\xff" + string([]byte{marker, byte((len(body) + 2) >> 8), byte(len(body) + 2)}) + body
}

func jpeg() string {
	thumbnail := "\xff\xd8" + segment(0xdb, "thumb") + "\xff\xd9"
	return "\xff\xd8" + segment(0xe0, "JFIF\x00") + segment(0xe1, "Exif\x00\x00"+thumbnail) + segment(0xdb, strings.Repeat("q", 65)) + "\xff" + segment(0xc0, "frame") +
		segment(0xda, "scan") + "data\xff\x00more\xff\xd0" + strings.Repeat("y", 9000) + "\xff\x00" + segment(0xda, "scan") + "data" + "\xff\xd9"
}

func gif() string {
	return "GIF89a" + u16(1) + u16(1) + "\x80\x00\x00" + "RGBRGB" +
		"\x21\xf9\x04abcd\x00" + "\x21\xfe\x05;;;;;\x03abc\x00" +
		"\x2c" + u16(0) + u16(0) + u16(1) + u16(1) + "\x81" + strings.Repeat("c", 12) + "\x02\x02\x4c\x01\x00\x00" + ";"
}

func bmp() string {
	return "BM" + u32(58) + u32(0) + u32(54) + u32(40) + u32(1) + u32(1) + strings.Repeat("\x00", 28) + "pix\x00"
}

func ico() string {
	return "\x00\x00\x01\x00" + u16(2) + "\x10\x10\x00\x00\x01\x00\x20\x00" + u32(10) + u32(38) + "\x20\x20\x00\x00\x01\x00\x20\x00" + u32(5) + u32(48) + "0123456789abcde"
}

func riff() string {
	return "RIFF" + u32(13) + "WAVEdata\x01ab;\x05" + "\x00" + "RIFF" + u32(8) + "WAVEdata"
}

func mp4() string {
	return b32(16) + "ftypisom" + b32(0) + b32(1) + "mdat" + "\x00\x00\x00\x00" + b32(20) + "data" + b32(8) + "free"
}

func ogg() string {
	page := func(segments, body string) string {
		return "OggS" + strings.Repeat("\x00", 22) + string([]byte{byte(len(segments))}) + segments + body
	}
	return page("\x03\x02", "abcde") + page("\xff\x01", strings.Repeat("z", 256)) + page("", "")
}

func pdf() string {
	return "%PDF-1.4\n1 0 obj\n<<>>\nendobj\n" + strings.Repeat("stream\n", 1000) + "startxref\n9\n%%EOF\n" + "12 0 obj\n<<>>\nendobj\nstartxref\n12\n%%EOF\r\n"
}

// elf64 has one segment, one unloaded section with body, and section headers at the end.
func elf64(body string) string {
	head := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + u16(2) + u16(62) + u32(1) + u64(0x1000) + u64(64) + u64(64+56+16+len(body)) + u32(0) +
		u16(64) + u16(56) + u16(1) + u16(64) + u16(3) + u16(2)
	ph := u32(1) + u32(5) + u64(0) + u64(0x1000) + u64(0x1000) + u64(64+56+16) + u64(64+56+16) + u64(0x1000)
	section := func(kind, offset, size int) string {
		return u32(0) + u32(kind) + u64(0) + u64(0) + u64(offset) + u64(size) + u32(0) + u32(0) + u64(1) + u64(0)
	}
	return head + ph + "code code code 1" + body + section(0, 0, 0) + section(1, 136, len(body)) + section(8, 0, 1<<40)
}

func elf32() string {
	head := "\x7fELF\x01\x02\x01" + strings.Repeat("\x00", 9)
	be16 := func(v int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(v))) }
	head += be16(2) + be16(8) + b32(1) + b32(0) + b32(52) + b32(92) + b32(0) + be16(52) + be16(32) + be16(1) + be16(40) + be16(1) + be16(0)
	return head + b32(1) + b32(0) + b32(0) + b32(0) + b32(92) + b32(92) + b32(5) + b32(1) + "code" + "code" + strings.Repeat("\x00", 40)
}

func pe(certificate string) string {
	optional := "\x0b\x01" + strings.Repeat("\x00", 94) + strings.Repeat("\x00", 32)
	if certificate == "" {
		optional += u32(0) + u32(0)
	} else {
		optional += u32(512) + u32(len(certificate))
	}
	out := "MZ" + strings.Repeat("\x00", 58) + u32(64) + "PE\x00\x00" + u16(0x14c) + u16(1) + strings.Repeat("\x00", 12) + u16(len(optional)) + u16(0) + optional
	out += ".text\x00\x00\x00" + u32(0) + u32(0) + u32(112) + u32(400) + strings.Repeat("\x00", 16)
	out += strings.Repeat("\x00", 400-len(out))
	return out + strings.Repeat("c", 112) + certificate
}

// peSymbols has a table of one symbol, and one of its name.
func peSymbols() string {
	b := []byte(pe(""))
	copy(b[64+12:], u32(512)+u32(1))
	return string(b) + ".file\x00\x00\x00" + strings.Repeat("\x01", 10) + u32(10) + "names\x00"
}

func formats() map[string]string {
	return map[string]string{
		"png": wholePNG(), "jpeg": jpeg(), "jpeg-twice": jpeg() + jpeg(), "gif": gif(), "bmp": bmp(), "ico": ico(), "riff": riff(), "mp4": mp4(), "ogg": ogg(), "pdf": pdf(),
		"elf64": elf64("GCC: nothing\x00"), "elf64-debug": elf64("GCC: nothing\x00" + strings.Repeat("debug\x00", 4000)), "elf32": elf32(), "pe": pe(""), "pe-signed": pe("certificate"), "pe-symbols": peSymbols(),
	}
}

func samples() []unwraptest.Sample {
	var out []unwraptest.Sample
	all := formats()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		body := all[name]
		out = append(out,
			unwraptest.Sample{Name: name, Content: []byte(body)},
			unwraptest.Sample{Name: name + "-padded", Content: []byte(body + strings.Repeat("\x00", 6000))},
			unwraptest.Sample{Name: name + "-short", Content: []byte(body + "checksum")},
			unwraptest.Sample{Name: name + "-tail", Content: []byte(body + payload), Want: at("tail", len(body), payload)},
			unwraptest.Sample{Name: name + "-padded-tail", Content: []byte(body + "\x00\x00\n" + payload), Want: at("tail", len(body)+3, payload)},
		)
	}
	archive := "\x1f\x8b\x08\x00" + strings.Repeat("packed\xff\x00", 600)
	header := "#!/bin/sh\n# This script was generated using Makeself\n" + strings.Repeat("# more text of it\n", 400) + "tail -n +404 \"$0\" | tar xz\nexit 0\n"
	packed := "\x78\xda" + strings.Repeat("packed\xff\x00", 4000)
	broken := wholePNG()[:5000]
	sections := elf64("GCC: nothing\x00" + packed)
	return append(out,
		unwraptest.Sample{Name: "script", Kind: trust.KindScript, Content: []byte(header + archive), Want: at("tail", len(header), archive)},
		unwraptest.Sample{Name: "script-no-line", Kind: trust.KindScript, Content: []byte(header + "x=" + archive), Want: at("tail", len(header)+2, archive)},
		unwraptest.Sample{Name: "script-alone", Kind: trust.KindScript, Content: []byte(header)},
		unwraptest.Sample{Name: "script-tar", Kind: trust.KindScript, Content: []byte(header + tarHeader()), Want: at("tail", len(header), tarHeader())},
		unwraptest.Sample{Name: "elf-section", Content: []byte(sections), Want: at("section", 64+56+16+13, sections[64+56+16+13:])},
		unwraptest.Sample{Name: "elf-sections-before", Content: []byte(elf64Early() + payload), Want: at("tail", len(elf64Early()), payload)},
		unwraptest.Sample{Name: "png-broken", Content: []byte(broken[:33] + strings.Repeat("\xff", 8) + payload), Want: at("tail", 33, strings.Repeat("\xff", 8)+payload)},
		unwraptest.Sample{Name: "elf-marked-zlib", Content: []byte(elf32() + "PAYLOAD" + packed), Want: at("tail", len(elf32())+7, packed)},
		unwraptest.Sample{Name: "elf-marked-gzip", Content: []byte(elf32() + strings.Repeat("index ", 30) + archive), Want: at("tail", len(elf32())+180, archive)},
		unwraptest.Sample{Name: "elf-zlib-far", Content: []byte(elf32() + strings.Repeat("index ", 30) + packed), Want: at("tail", len(elf32()), strings.Repeat("index ", 30)+packed)},
		unwraptest.Sample{Name: "elf-tar-of-gzip", Content: []byte(elf32() + tarHeader()[:60] + archive[:4] + tarHeader()[64:]), Want: at("tail", len(elf32()), tarHeader()[:60]+archive[:4]+tarHeader()[64:])},
		unwraptest.Sample{Name: "png-cut", Content: []byte(broken[:40])},
		unwraptest.Sample{Name: "pe-before-certificate", Content: []byte(pe("")[:512] + payload + "certificate"), Want: at("tail", 512, payload+"certificate")},
		unwraptest.Sample{Name: "mp4-to-the-end", Content: []byte(b32(16) + "ftypisom" + b32(0) + b32(0) + "mdat" + payload)},
		unwraptest.Sample{Name: "mp4-too-long", Content: []byte(b32(16) + "ftypisom" + b32(0) + b32(5000) + "mdat" + payload), Want: at("tail", 18, (b32(5000) + "mdat" + payload)[2:])},
		unwraptest.Sample{Name: "pdf-between", Content: []byte(pdf() + payload + "%%EOF\n"), Want: at("tail", len(pdf()), payload+"%%EOF\n")},
	)
}

// elf64Early has its section headers before its segment's end.
func elf64Early() string {
	b := []byte(elf64("GCC: nothing\x00"))
	copy(b[64+32:], u64(len(b))) // the segment has everything
	return string(b)
}

func tarHeader() string {
	b := bytes.Repeat([]byte{0}, 512)
	copy(b, "payload/run.sh")
	copy(b[257:], "ustar\x0000")
	return string(b)
}

func at(name string, offset int, body string) map[string]string {
	return map[string]string{fmt.Sprintf("%s@%d", name, offset): body}
}

func TestTail(t *testing.T) {
	t.Parallel()
	twins := []unwraptest.Sample{
		{Name: "text", Kind: trust.KindText, Content: []byte(strings.Repeat("text\n", 1000))},
		{Name: "python", Kind: trust.KindScript, Content: []byte("#!/usr/bin/python3\n" + strings.Repeat("print()\n", 1000))},
		{Name: "small-script", Kind: trust.KindScript, Content: []byte("#!/bin/sh\nexit\n")},
		{Name: "bitmap-by-chance", Content: []byte("BM is a word that begins a text, not a picture")},
		{Name: "empty"},
	}
	unwraptest.Run(t, tail.New(), samples(), twins)
}

// TestOwnProgram has an executable of a real linker.
func TestOwnProgram(t *testing.T) {
	t.Parallel()
	name, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	body, err := os.ReadFile(name)
	if err != nil {
		t.Skip(err)
	}
	for _, extra := range []string{"", payload} {
		got, err := unwraptest.Unwrap(t.Context(), tail.New(), unwraptest.Sample{Content: append(slices.Clone(body), extra...)}, func(r io.Reader) io.Reader { return r })
		if err != nil || got[fmt.Sprintf("tail@%d", len(body))] != extra || extra == "" && len(got) > 0 {
			t.Errorf("%d bytes behind: error %v, %d pieces", len(extra), err, len(got))
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.Content, s.Kind == trust.KindScript)
	}
	w := tail.New()
	f.Fuzz(func(t *testing.T, content []byte, script bool) {
		s := unwraptest.Sample{Content: content}
		if script {
			s.Kind = trust.KindScript
		}
		got, err := unwraptest.Unwrap(t.Context(), w, s, func(r io.Reader) io.Reader { return r })
		if len(got) > 1 || err != nil && len(got) > 0 {
			t.Errorf("%d pieces, error %v", len(got), err)
		}
		for name, body := range got {
			if !strings.Contains(name, "@") || !bytes.HasSuffix(content, []byte(body)) {
				t.Errorf("piece %q is no end of the content", name)
			}
		}
	})
}
