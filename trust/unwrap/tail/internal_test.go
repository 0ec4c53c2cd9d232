package tail

import (
	"strings"
	"testing"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
)

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		content unwrap.Content
		want    bool
	}{
		"png":              {unwrap.Content{Head: []byte("\x89PNG\r\n\x1a\n")}, true},
		"png-in-text-mode": {unwrap.Content{Head: []byte("\x89PNG\n\x1a\n")}, false},
		"jpeg":             {unwrap.Content{Head: []byte("\xff\xd8\xff\xe0")}, true},
		"gif":              {unwrap.Content{Head: []byte("GIF89a")}, true},
		"gif-of-another":   {unwrap.Content{Head: []byte("GIF88a")}, false},
		"pdf":              {unwrap.Content{Head: []byte("%PDF-1.7")}, true},
		"mp4":              {unwrap.Content{Head: []byte("\x00\x00\x00\x20ftypisom")}, true},
		"ogg":              {unwrap.Content{Head: []byte("OggS\x00")}, true},
		"elf-too-short":    {unwrap.Content{Head: []byte("\x7fELF")}, false},
		"dos":              {unwrap.Content{Head: []byte("MZ" + strings.Repeat("\x00", 62))}, true},
		"icon":             {unwrap.Content{Head: []byte("\x00\x00\x01\x00\x01\x00" + strings.Repeat("\x00", 16))}, true},
		"no-icon":          {unwrap.Content{Head: []byte("\x00\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 16))}, false},
		"bitmap":           {unwrap.Content{Head: []byte("BM\x3a\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00" + strings.Repeat("\x00", 16))}, true},
		"bitmap-by-chance": {unwrap.Content{Head: []byte("BMW is the name of a maker of cars")}, false},
		"shell":            {unwrap.Content{Head: []byte("#!/bin/sh\n"), Kind: trust.KindScript, Size: 5000}, true},
		"shell-unknown":    {unwrap.Content{Head: []byte("#!/usr/bin/env bash\n"), Kind: trust.KindScript, Size: -1}, true},
		"shell-short":      {unwrap.Content{Head: []byte("#!/bin/sh\n"), Kind: trust.KindScript, Size: 100}, false},
		"shell-as-text":    {unwrap.Content{Head: []byte("#!/bin/sh\n"), Kind: trust.KindText, Size: 5000}, false},
		"python":           {unwrap.Content{Head: []byte("#!/usr/bin/python3\n"), Kind: trust.KindScript, Size: 5000}, false},
		"unpacks-its-tail": {unwrap.Content{Head: []byte("tail -n +20 $0 | tar x\n"), Kind: trust.KindScript, Size: 5000}, true},
		"text":             {unwrap.Content{Head: []byte("some text"), Kind: trust.KindText, Size: 5000}, false},
		"empty":            {unwrap.Content{}, false},
	} {
		if got := formatOf(tt.content) != nil; got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestIsPDF(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"12 0 obj\n":         true,
		"1 0 obj<<":          true,
		"xref\n0 1":          true,
		"trailer\n":          true,
		"startxref\n":        true,
		"%%EOF":              true,
		"%PDF-1.4":           true,
		"#!/bin/sh":          false,
		"\x7fELF":            false,
		"PK\x03\x04":         false,
		"12 monkeys":         false,
		"1":                  false,
		"tail of a sentence": false,
		"export X=1":         false,
		"%!PS":               false,
	} {
		if got := isPDF([]byte(in)); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestPackedAt(t *testing.T) {
	t.Parallel()
	compiler := "GCC: (made up) 1.2.3\x00"
	for name, tt := range map[string]struct {
		region string
		want   int
	}{
		"behind-the-compiler":   {compiler + "\x78\xda\xcb\x48", len(compiler)},
		"at-once":               {"PK\x03\x04", 0},
		"within-a-word":         {compiler + "ax\x78\xda\xcb", -1},
		"nothing":               {compiler + strings.Repeat("symbols\x00", 20), -1},
		"stored":                {compiler + "\x78\x9c\x00\x00", -1},
		"compressed-debug-info": {"\x01" + strings.Repeat("\x00", 7) + "\x99\x99" + strings.Repeat("\x00", 6) + "\x01" + strings.Repeat("\x00", 7) + "\x78\xda\xcb\x48", -1},
		"zstd-debug-info":       {"\x02" + strings.Repeat("\x00", 7) + "\x99\x99" + strings.Repeat("\x00", 6) + "\x01" + strings.Repeat("\x00", 7) + "\x28\xb5\x2f\xfd", -1},
		"executable":            {compiler + "\x7fELF\x02", len(compiler)},
	} {
		if got := packedAt([]byte(tt.region)); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	small := make([]byte, 96+40)
	copy(small[96+32:], "\x00\x02\x00\x00\x08\x00\x00\x00")
	wide := make([]byte, 112+40)
	copy(wide, "\x0b\x02")
	copy(wide[112+32:], "\x00\x04\x00\x00\x10\x00\x00\x00")
	for name, tt := range map[string]struct {
		optional []byte
		from, to int64
	}{
		"pe32":      {small, 0x200, 0x208},
		"pe32+":     {wide, 0x400, 0x410},
		"without":   {make([]byte, 96+40), 0, 0},
		"too-short": {make([]byte, 100), 0, 0},
		"empty":     {nil, 0, 0},
	} {
		if from, to := certificates(tt.optional); from != tt.from || to != tt.to {
			t.Errorf("%s: %d to %d", name, from, to)
		}
	}
}
