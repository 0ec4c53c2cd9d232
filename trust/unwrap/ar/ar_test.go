package ar_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap/ar"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

// archive makes one of pairs of name and body.
func archive(pairs ...string) []byte {
	b := "!<arch>\n"
	for i := 0; i < len(pairs); i += 2 {
		b += fmt.Sprintf("%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", pairs[i], 0, 0, 0, 0o100644, len(pairs[i+1]), pairs[i+1])
		if len(pairs[i+1])%2 == 1 {
			b += "\n"
		}
	}
	return []byte(b)
}

func samples() []unwraptest.Sample {
	deb := archive("debian-binary", "2.0\n", "control.tar.gz", "\x1f\x8b1", "data.tar.xz", "\xfd7zXZ")
	long := "a-very-long-name-of-a-member"
	return []unwraptest.Sample{
		{Name: "deb", Path: "a.deb", Content: deb, Want: map[string]string{"debian-binary": "2.0\n", "control.tar.gz": "\x1f\x8b1", "data.tar.xz": "\xfd7zXZ"}},
		{Name: "gnu-short", Content: archive("a.o/", "one"), Want: map[string]string{"a.o": "one"}},
		{Name: "gnu-long", Content: archive("//", long+"/\nother/\n", "/0", "one", "/30", "two"), Want: map[string]string{"//": long + "/\nother/\n", long: "one", "other": "two"}},
		{Name: "gnu-symbols", Content: archive("/", "\x00\x00\x00\x00"), Want: map[string]string{"/": "\x00\x00\x00\x00"}},
		{Name: "gnu-wrong-long", Content: archive("/7", "one"), Want: map[string]string{"/7": "one"}},
		{Name: "bsd-long", Content: archive("#1/28", long+"one"), Want: map[string]string{long: "one"}},
		{Name: "same-name", Content: archive("a/", "one", "a/", "two"), Want: map[string]string{"a": "onetwo"}},
		{Name: "no-last-padding", Content: archive("a/", "one")[:8+60+3], Want: map[string]string{"a": "one"}},
		{Name: "nothing", Content: []byte("!<arch>\n")},
		{Name: "cut", Content: archive("a/", "one and more")[:8+60+3], Want: map[string]string{"a": "one"}, Err: trust.ErrMalformed},
		{Name: "cut-header", Content: archive("a/", "")[:30], Err: trust.ErrMalformed},
		{Name: "no-size", Content: []byte(strings.Replace(string(archive("a/", "one")), "3  ", "x  ", 1)), Err: trust.ErrMalformed},
		{Name: "garbage-behind", Content: append(archive("a/", "ones"), "garbage"...), Want: map[string]string{"a": "ones"}, Err: trust.ErrMalformed},
		{Name: "bsd-name-longer-than-member", Content: archive("#1/99", "one"), Err: trust.ErrMalformed},
		{Name: "many-names", Content: archive("//", strings.Repeat("n", 4<<20+1)), Err: trust.ErrLimit},
		{Name: "long-name", Content: archive(fmt.Sprintf("#1/%d", 4<<20+1), strings.Repeat("n", 4<<20+2)), Err: trust.ErrLimit},
	}
}

func TestAr(t *testing.T) {
	t.Parallel()
	unwraptest.Run(t, ar.New(), samples(), []unwraptest.Sample{
		{Name: "empty"},
		{Name: "thin", Content: []byte("!<thin>\n")},
		{Name: "short", Content: []byte("!<arch>")},
		{Name: "text", Content: []byte("!<arch> is how it begins")},
	})
}

func FuzzAr(f *testing.F) { unwraptest.Fuzz(f, ar.New(), samples()) }
