package magic_test

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/safepull/safepull/trust/unwrap/internal/magic"
)

func header() []byte {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "n\xe4me", Mode: 0o644}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// signed is a header whose checksum takes bytes for numbers with a sign.
func signed() []byte {
	b := make([]byte, magic.TarBlock)
	copy(b, "n\xe4me")
	sum := 8 * int(' ')
	for _, c := range b {
		sum += int(int8(c))
	}
	for i := range 6 {
		b[148+5-i] = '0' + byte(sum>>(3*i)&7)
	}
	return b
}

func TestArchive(t *testing.T) {
	t.Parallel()
	wrong := header()
	wrong[0]++
	for name, c := range map[string]struct {
		head []byte
		want bool
	}{
		"empty":       {nil, false},
		"tar":         {header(), true},
		"tar, signed": {signed(), true},
		"tar, cut":    {header()[:511], false},
		"wrong sum":   {wrong, false},
		"zeros":       {make([]byte, 1024), false},
		"spaces":      {bytes.Repeat([]byte(" "), 1024), false},
		"ar":          {[]byte("!<arch>\n"), true},
		"cpio":        {[]byte("070701"), true},
		"zip":         {[]byte("PK\x03\x04"), true},
		"7z":          {[]byte("7z\xbc\xaf\x27\x1c"), true},
		"rar":         {[]byte("Rar!\x1a\x07\x01"), true},
		"rpm":         {[]byte("\xed\xab\xee\xdb"), true},
		"script":      {[]byte("#!/bin/sh\nPK\x03\x04"), false},
		"program":     {[]byte("MZ"), false},
	} {
		if got := magic.Archive(c.head); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
