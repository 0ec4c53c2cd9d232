package pyinstaller_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/pyinstaller"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

const path = "usr/bin/app!/tail@4711"

func be(v int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(v))) }
func le(v int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(v))) }

func packed(s string) string {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return out.String()
}

// entry is one file of an outer archive.
type entry struct {
	name string
	kind byte
	body string
	// size is that of the content; 0 means that body is not compressed.
	size int
}

func file(name string, kind byte, content string) entry {
	return entry{name: name, kind: kind, body: packed(content), size: len(content)}
}

// outer makes an archive as it stands behind an executable; before and after stand around it.
func outer(before, after string, old bool, entries ...entry) string {
	var data, table strings.Builder
	for _, e := range entries {
		n := 18 + len(e.name) + 1
		n += (16 - n%16) % 16
		flag, size := byte(1), e.size
		if size == 0 {
			flag, size = 0, len(e.body)
		}
		row := be(n) + be(data.Len()) + be(len(e.body)) + be(size) + string([]byte{flag, e.kind}) + e.name
		table.WriteString(row + strings.Repeat("\x00", n-len(row)))
		data.WriteString(e.body)
	}
	library := "libpython3.11.so.1.0" + strings.Repeat("\x00", 44)
	if old {
		library = ""
	}
	length := data.Len() + table.Len() + 24 + len(library)
	return before + data.String() + table.String() + "MEI\014\013\012\013\016" + be(length) + be(data.Len()) + be(table.Len()) + be(311) + library + after
}

func small(s string) string { return "z" + string([]byte{byte(len(s))}) + s }
func number(n int) string   { return "i" + le(n) }

func tuple(items ...string) string {
	return ")" + string([]byte{byte(len(items))}) + strings.Join(items, "")
}

// modules is an archive of two modules; shape is that of its table of contents.
func modules(shape string) string {
	first, second := packed("code of the first"), packed("code of the second")
	head := "PYZ\x00" + "\xa7\x0d\x0d\x0a" + be(17+len(first)+len(second)) + "\x00\x00\x00\x00\x00"
	at := len(head)
	one, two := []string{small("first"), tuple(number(0), number(at), number(len(first)))}, []string{"\xda\x0asub.second", tuple("T", number(at+len(first)), number(len(second)))}
	switch shape {
	case "list":
		return head + first + second + "\xdb" + le(2) + tuple(one...) + tuple(two...)
	case "dictionary":
		return head + first + second + "{" + strings.Join(one, "") + strings.Join(two, "") + "0"
	case "encrypted":
		return head + strings.Repeat("\xf1", len(first)) + second + "[" + le(2) + tuple(one...) + tuple(two...)
	}
	return head + first + second + shape
}

func samples() []unwraptest.Sample {
	script, data := file("main", 's', "marshalled code"), entry{name: "data/file.txt", kind: 'x', body: "as it is"}
	option := entry{name: "pyi-contents-directory _internal", kind: 'o'}
	key := file("pyimod00_crypto_key", 'm', "key")
	want := map[string]string{"main": "marshalled code", "data/file.txt": "as it is"}
	sample := func(name, content string, want map[string]string, err error) unwraptest.Sample {
		return unwraptest.Sample{Name: name, Path: path, Content: []byte(content), Want: want, Err: err}
	}
	both := map[string]string{"first.pyc": "code of the first", "sub.second.pyc": "code of the second"}
	plain := outer("", "", false, option, script, data)
	outside := strings.Replace(outer("", "", false, entry{name: "main", kind: 'x', body: "body", size: 1000}), be(1000)+"\x01x", be(1000)+"\x00x", 1)
	outside = strings.Replace(outside, be(4)+be(1000), be(4000)+be(1000), 1)
	many := make([]entry, 1<<16+1)
	for i := range many {
		many[i] = entry{name: "a", kind: 'o'}
	}
	return []unwraptest.Sample{
		sample("archive", plain, want, nil),
		sample("archive-2.0", outer("", "", true, script, data), want, nil),
		sample("section", outer("", strings.Repeat("section headers", 200), false, script, data), want, nil),
		sample("not-at-the-beginning", outer("signature or so", "\x00\x00", false, script, data), want, nil),
		sample("inner", outer("", "", false, entry{name: "PYZ-00.pyz", kind: 'z', body: modules("list")}), map[string]string{"PYZ-00.pyz": modules("list")}, nil),
		sample("encrypted", outer("", "", false, script, data, key), map[string]string{"main": "marshalled code", "data/file.txt": "as it is", "pyimod00_crypto_key": "key"}, trust.ErrUnsupported),
		sample("not-compressed", outer("", "", false, entry{name: "main", kind: 's', body: "\xff\xff\xff\xff", size: 9}, data), map[string]string{"data/file.txt": "as it is"}, trust.ErrUnsupported),
		sample("no-cookie", strings.Repeat("something else ", 20), nil, nil),
		sample("cookie-cut", plain[:len(plain)-70], nil, trust.ErrMalformed),
		sample("cookie-lies", strings.Replace(plain, "\013\016"+be(0)[:2], "\013\016\x7f\x7f", 1), nil, trust.ErrMalformed),
		sample("entry-outside", outside, nil, trust.ErrMalformed),
		sample("too-many", outer("", "", false, many...), nil, trust.ErrLimit),
		sample("modules", modules("list"), both, nil),
		sample("modules-3.13", modules("dictionary"), both, nil),
		sample("modules-encrypted", modules("encrypted"), map[string]string{"sub.second.pyc": "code of the second"}, trust.ErrUnsupported),
		sample("modules-cut", modules("["+le(9)), nil, trust.ErrMalformed),
		sample("modules-empty", modules(""), nil, trust.ErrMalformed),
		sample("modules-odd", modules("["+le(1)+"N"), nil, trust.ErrMalformed),
		sample("modules-unknown-type", modules("?"), nil, trust.ErrMalformed),
		sample("modules-refer-to-nothing", modules("r"+le(7)), nil, trust.ErrMalformed),
		sample("modules-too-deep", modules(strings.Repeat("["+le(1), 20)+"N"), nil, trust.ErrLimit),
		sample("modules-outside", modules("["+le(1)+tuple(small("a"), tuple("N", number(1<<30), number(4)))), nil, trust.ErrMalformed),
		sample("modules-too-long", modules(strings.Repeat("x", 9<<20)), nil, trust.ErrLimit),
	}
}

func TestPyInstaller(t *testing.T) {
	t.Parallel()
	plain := []byte(outer("", "", false, file("main", 's', "code")))
	unwraptest.Run(t, pyinstaller.New(), samples(), []unwraptest.Sample{
		{Name: "elsewhere", Path: "usr/share/file", Content: plain},
		{Name: "zip", Path: path, Content: []byte("PK\x03\x04" + strings.Repeat("x", 100))},
		{Name: "elf", Path: path, Content: []byte("\x7fELF" + strings.Repeat("x", 100))},
		{Name: "short", Path: path, Content: []byte("short")},
	})
}

// TestTableTooLong needs a table that the cookie says is longer than what is held in memory.
func TestTableTooLong(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("n", 1<<20)
	var entries []entry
	for range 9 {
		entries = append(entries, entry{name: name, kind: 'o'})
	}
	s := unwraptest.Sample{Name: "long", Path: path, Content: []byte(outer("", "", false, entries...)), Err: trust.ErrLimit}
	unwraptest.Run(t, pyinstaller.New(), []unwraptest.Sample{s}, nil)
}

func FuzzUnwrap(f *testing.F) {
	for _, s := range samples() {
		if len(s.Content) < 1<<16 {
			f.Add(s.Content)
		}
	}
	w := pyinstaller.New()
	f.Fuzz(func(t *testing.T, content []byte) {
		s := unwraptest.Sample{Path: path, Content: content}
		_, _ = unwraptest.Unwrap(t.Context(), w, s, func(r io.Reader) io.Reader { return r })
	})
}
