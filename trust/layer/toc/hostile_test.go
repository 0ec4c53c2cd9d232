package toc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
)

// TestHostileTables: whatever is wrong with a table has its kind of error.
func TestHostileTables(t *testing.T) {
	t.Parallel()
	sum := func(n int) string { return fmt.Sprintf("sha256:%064x", n) }
	reg := func(more string) string {
		return `{"version":1,"entries":[{"type":"reg","name":"a","size":4` + more + `}]}`
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":         {"", trust.ErrMalformed},
		"list":            {"[]", trust.ErrMalformed},
		"null":            {"null", trust.ErrMalformed},
		"no-version":      {`{"entries":[]}`, trust.ErrUnsupported},
		"version-2":       {`{"version":2,"entries":[]}`, trust.ErrUnsupported},
		"version-text":    {`{"version":"1","entries":[]}`, trust.ErrMalformed},
		"version-decimal": {`{"version":1.0,"entries":[]}`, trust.ErrMalformed},
		"version-large":   {`{"version":18446744073709551617,"entries":[]}`, trust.ErrMalformed},
		"version-below":   {`{"version":-1,"entries":[]}`, trust.ErrMalformed},
		"version-null":    {`{"version":null,"entries":[]}`, trust.ErrMalformed},
		"no-entries":      {`{"version":1}`, trust.ErrMalformed},
		"entries-object":  {`{"version":1,"entries":{}}`, trust.ErrMalformed},
		"entries-text":    {`{"version":1,"entries":"[]"}`, trust.ErrMalformed},
		"entry-null":      {`{"version":1,"entries":[null]}`, trust.ErrMalformed},
		"entry-list":      {`{"version":1,"entries":[[]]}`, trust.ErrMalformed},
		"follows-object":  {`{"version":1,"entries":[]}{}`, trust.ErrMalformed},
		"follows-byte":    {`{"version":1,"entries":[]}x`, trust.ErrMalformed},
		"follows-zero":    {`{"version":1,"entries":[]}` + "\x00", trust.ErrMalformed},
		"version-twice":   {`{"version":2,"version":1,"entries":[]}`, trust.ErrMalformed},
		"version-case":    {`{"Version":1,"entries":[]}`, trust.ErrMalformed},
		"entries-twice":   {`{"version":1,"entries":[],"entries":[]}`, trust.ErrMalformed},
		"entries-case":    {`{"version":1,"entries":[],"Entries":[]}`, trust.ErrMalformed},
		"entries-long-s":  {`{"version":1,"entries":[],"entrie\u017f":[]}`, trust.ErrMalformed},
		"name-twice":      {reg(`,"name":"b"`), trust.ErrMalformed},
		"name-case":       {reg(`,"NAME":"b"`), trust.ErrMalformed},
		"chunk-kelvin":    {reg(`,"chun\u212aSize":1`), trust.ErrMalformed},
		"name-number":     {`{"version":1,"entries":[{"name":1}]}`, trust.ErrMalformed},
		"name-null":       {`{"version":1,"entries":[{"name":null}]}`, trust.ErrMalformed},
		"name-list":       {`{"version":1,"entries":[{"name":["a"]}]}`, trust.ErrMalformed},
		"size-text":       {`{"version":1,"entries":[{"size":"1"}]}`, trust.ErrMalformed},
		"size-below":      {`{"version":1,"entries":[{"size":-1}]}`, trust.ErrMalformed},
		"size-exponent":   {`{"version":1,"entries":[{"size":1e3}]}`, trust.ErrMalformed},
		"size-large":      {`{"version":1,"entries":[{"size":9223372036854775808}]}`, trust.ErrMalformed},
		"digest-short":    {reg(`,"digest":"sha256:00"`), trust.ErrMalformed},
		"digest-letters":  {reg(`,"digest":"sha256:` + strings.Repeat("zz", 32) + `"`), trust.ErrMalformed},
		"digest-other":    {reg(`,"digest":"sha512:` + strings.Repeat("00", 32) + `"`), trust.ErrMalformed},
		"digest-missing":  {reg(``), trust.ErrUnsupported},
		"chunk-digest":    {reg(`,"chunkSize":2,"digest":"` + sum(1) + `"`), trust.ErrUnsupported},
		"chunk-long":      {reg(`,"chunkSize":5,"chunkDigest":"` + sum(1) + `"`), trust.ErrIntegrity},
		"chunk-huge":      {reg(`,"chunkSize":9223372036854775807,"chunkDigest":"` + sum(1) + `"`), trust.ErrIntegrity},
		"chunk-short":     {reg(`,"chunkSize":3,"chunkDigest":"` + sum(1) + `"`), trust.ErrIntegrity},
		"chunk-late":      {reg(`,"chunkOffset":1,"chunkDigest":"` + sum(1) + `"`), trust.ErrIntegrity},
		"chunk-alone":     {`{"version":1,"entries":[{"type":"chunk","name":"a"}]}`, trust.ErrIntegrity},
		"chunk-of-a-dir":  {`{"version":1,"entries":[{"type":"dir","name":"a"},{"type":"chunk","name":"a"}]}`, trust.ErrIntegrity},
		"chunk-of-nothing": {`{"version":1,"entries":[{"type":"reg","name":"a"},{"type":"chunk","name":"a"}]}`,
			trust.ErrIntegrity},
		"chunk-of-another": {reg(`,"chunkSize":2,"chunkDigest":"` + sum(1) + `"},{"type":"chunk","name":"b","chunkOffset":2,"chunkDigest":"` + sum(2) + `"`),
			trust.ErrIntegrity},
		"chunk-again": {reg(`,"chunkSize":2,"chunkDigest":"` + sum(1) + `"},{"type":"chunk","name":"a","chunkOffset":0,"chunkDigest":"` + sum(2) + `"`),
			trust.ErrIntegrity},
		"chunk-after-all": {reg(`,"chunkDigest":"` + sum(1) + `"},{"type":"chunk","name":"a","chunkOffset":4,"chunkDigest":"` + sum(2) + `"`),
			trust.ErrIntegrity},
		"no-digest-of-all": {reg(`,"chunkSize":2,"chunkDigest":"` + sum(1) + `"},{"type":"chunk","name":"a","chunkOffset":2,"chunkDigest":"` + sum(2) + `"`),
			trust.ErrUnsupported},
		"shared-stream": {reg(`,"digest":"` + sum(3) + `","chunkSize":2,"innerOffset":9,"chunkDigest":"` + sum(1) + `"},{"type":"chunk","name":"a","chunkOffset":2,"chunkDigest":"` + sum(2) + `"`),
			trust.ErrUnsupported},
		"not-there": {`{"version":1,"entries":[{"type":"dir","name":"a"}]}`, trust.ErrIntegrity},
		"no-type":   {`{"version":1,"entries":[{"name":"a"}]}`, trust.ErrIntegrity},
		"no-member": {`{"version":1,"entries":[{}]}`, trust.ErrIntegrity},
		"utf-16":    {"\xff\xfe{\x00}\x00", trust.ErrMalformed},
		"mark":      {"\xef\xbb\xbf" + `{"version":1,"entries":[]}`, trust.ErrMalformed},
		"brackets":  {strings.Repeat("[", 1<<16), trust.ErrMalformed},
		"members":   {strings.Repeat(`{"x":`, 1<<16), trust.ErrLimit},
		"closes":    {`{"version":1,"entries":[}}`, trust.ErrMalformed},
		"commas":    {`{"version":1,"entries":[],}`, trust.ErrMalformed},
		"colon":     {`{"version" 1,"entries":[]}`, trust.ErrMalformed},
		"comment":   {`{"version":1,/* x */"entries":[]}`, trust.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, cut := range []bool{false, true} {
				r := strings.NewReader(c.text)
				var err error
				if cut {
					err = Compare(iotest.OneByteReader(r), recordOf())
				} else {
					err = Compare(r, recordOf())
				}
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if err != nil && (len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\x00\x1b\n")) {
					t.Errorf("nobody can read %q", err)
				}
			}
		})
	}
}

// TestTruncatedTables: no part of a table is one.
func TestTruncatedTables(t *testing.T) {
	t.Parallel()
	text := tableOf(t, "a", "b")
	for n := range text {
		if err := Compare(strings.NewReader(text[:n]), recordOf("a", "b")); !errors.Is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", text[:n], err)
		}
	}
}

// TestLimitsOfATable: exactly what is allowed is read, and no more.
func TestLimitsOfATable(t *testing.T) {
	t.Parallel()
	text, record := tableOf(t, "a", "b"), recordOf("a", "b")
	size, tokens := int64(len(text)), 0
	for ; compare(strings.NewReader(text), record, size, tokens) != nil; tokens++ {
		if tokens > 1000 {
			t.Fatal("no number of tokens is enough")
		}
	}
	// An opened and a closed object each, the version, the name of the list and its brackets, five members of two entries.
	if want := 2 + 2 + 3 + 2*(2+2*5); tokens != want {
		t.Errorf("%d tokens are needed, want %d", tokens, want)
	}
	if err := compare(strings.NewReader(text), record, size, tokens-1); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("a token less: %v", err)
	}
	if err := compare(strings.NewReader(text), record, size-1, tokens); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("a byte less: %v", err)
	}
	nested := func(n int) string {
		return `{"version":1,"entries":[],"x":` + strings.Repeat(`[{"y":`, n/2) + "0" + strings.Repeat("}]", n/2) + "}"
	}
	if err := Compare(strings.NewReader(nested(maxDepth)), recordOf()); err != nil {
		t.Errorf("nested %d deep: %v", maxDepth, err)
	}
	if err := Compare(strings.NewReader(nested(maxDepth+2)), recordOf()); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("nested %d deep: %v", maxDepth+2, err)
	}
	long := func(n int) string {
		return `{"x":"` + strings.Repeat("x", n) + `","version":1,"entries":[],"y":[` + strings.Repeat("0,", 1<<20) + "0]}"
	}
	if err := Compare(strings.NewReader(long(maxToken)), recordOf()); err != nil {
		t.Errorf("a string of %d bytes: %v", maxToken, err)
	}
	if err := Compare(strings.NewReader(long(2*maxToken)), recordOf()); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("a string of %d bytes: %v", 2*maxToken, err)
	}
}

// TestBlindRecords: where content was not digested, no table agrees, and none is called a lie.
func TestBlindRecords(t *testing.T) {
	t.Parallel()
	r := recordOf("a")
	r.Begin(Entry{Type: "reg", Name: "b\x1b", Size: 1})
	r.EndBlind()
	r.Begin(Entry{Type: "reg", Name: "c", Size: 1})
	r.EndBlind()
	for _, names := range [][]string{{"a"}, {"a", "b\x1b"}, {"z"}} {
		err := Compare(strings.NewReader(tableOf(t, names...)), r)
		if !errors.Is(err, trust.ErrMalformed) || !strings.Contains(err.Error(), "b") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", names, err)
		}
	}
}

// footer is an empty gzip member with an extra field, as eStargz ends with.
func footer(extra string) []byte {
	b := append([]byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff}, binary.LittleEndian.AppendUint16(nil, uint16(len(extra)))...)
	return append(append(b, extra...), 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
}

func TestFooters(t *testing.T) {
	t.Parallel()
	modern, old := footer("SG\x16\x000000000000abcdefSTARGZ"), footer("0000000000abcdefSTARGZ")
	external := footer("SG\x11\x00STARGZEXTERNALTOC")
	zeros := make([]byte, TailBytes)
	for name, c := range map[string]struct {
		tail []byte
		want Footer
		ok   bool
	}{
		"nothing":  {nil, Footer{}, false},
		"zeros":    {zeros, Footer{}, false},
		"modern":   {modern, Footer{Kind: trust.EStargz, Bytes: 51, Offset: 0xabcdef}, true},
		"in-tail":  {append(zeros[:13:13], modern...), Footer{Kind: trust.EStargz, Bytes: 51, Offset: 0xabcdef}, true},
		"old":      {append(zeros[:17:17], old...), Footer{Kind: trust.EStargz, Bytes: 47, Offset: 0xabcdef}, true},
		"external": {external, Footer{Kind: trust.EStargz, External: true}, true},
		"capitals": {footer("SG\x16\x000000000000ABCDEFSTARGZ"), Footer{Kind: trust.EStargz, Bytes: 51, Offset: 0xabcdef}, true},
		"greatest": {footer("SG\x16\x007fffffffffffffffSTARGZ"), Footer{Kind: trust.EStargz, Bytes: 51, Offset: 1<<63 - 1}, true},
		"beyond":   {footer("SG\x16\x008000000000000000STARGZ"), Footer{}, false},
		"below":    {footer("SG\x16\x00-000000000000001STARGZ"), Footer{}, false},
		"letters":  {footer("SG\x16\x000000000000abcdegSTARGZ"), Footer{}, false},
		"blanks":   {footer("SG\x16\x00          abcdefSTARGZ"), Footer{}, false},
		"field":    {footer("SG\x15\x000000000000abcdefSTARGZ"), Footer{}, false},
		"name":     {footer("SX\x16\x000000000000abcdefSTARGZ"), Footer{}, false},
		"magic":    {footer("SG\x16\x000000000000abcdefSTARGX"), Footer{}, false},
		"follows":  {append(modern[:51:51], 0), Footer{}, false},
		"cut":      {modern[1:], Footer{}, false},
		"zstd":     {append(zeros[:56:56], "GNUlInUx"...), Footer{Kind: trust.ZstdChunked}, true},
		"zstd-old": {append(zeros[:56:56], "GnUlInUx"...), Footer{Kind: trust.ZstdChunked}, true},
		"zstd-cut": {append(zeros[:56:56], "GNUlInU"...), Footer{}, false},
	} {
		if got, ok := FooterOf(c.tail); ok != c.ok || got != c.want {
			t.Errorf("%s: %+v %t, want %+v", name, got, ok, c.want)
		}
	}
	// A damaged header is no footer; what gzip does not say much about may be anything.
	for i := range 12 {
		damaged := append([]byte{}, modern...)
		damaged[i] ^= 0xff
		if _, ok := FooterOf(damaged); ok != (i >= 4 && i < 10) {
			t.Errorf("byte %d: %t", i, ok)
		}
	}
}

func TestChunkedFooters(t *testing.T) {
	t.Parallel()
	make8 := func(magic string, fields ...uint64) (b []byte) {
		for _, f := range fields {
			b = binary.LittleEndian.AppendUint64(b, f)
		}
		return append(b, magic...)
	}
	want := Footer{Kind: trust.ZstdChunked, Offset: 11, Packed: 22, Plain: 33}
	for name, c := range map[string]struct {
		content []byte
		err     error
	}{
		"short":     {make8("GNUlInUx", 11, 22, 33, 1), nil},
		"split":     {make8("GNUlInUx", 11, 22, 33, 1, 44, 55, 66), nil},
		"old-magic": {make8("GnUlInUx", 11, 22, 33, 1), nil},
		"type-0":    {make8("GNUlInUx", 11, 22, 33, 0), trust.ErrUnsupported},
		"type-2":    {make8("GNUlInUx", 11, 22, 33, 2, 44, 55, 66), trust.ErrUnsupported},
		"type-high": {make8("GNUlInUx", 11, 22, 33, 1<<63+1), trust.ErrUnsupported},
		"magic":     {make8("GNULINUX", 11, 22, 33, 1), trust.ErrMalformed},
		"between":   {make8("GNUlInUx", 11, 22, 33, 1, 44), trust.ErrMalformed},
		"long":      {make8("GNUlInUx", 11, 22, 33, 1, 44, 55, 66, 77), trust.ErrMalformed},
		"only":      {[]byte("GNUlInUx"), trust.ErrMalformed},
		"nothing":   {nil, trust.ErrMalformed},
	} {
		got, err := ChunkedFooter(c.content)
		if !errors.Is(err, c.err) || err == nil && got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestCheckAnnotations(t *testing.T) {
	t.Parallel()
	a, b := digest.FromString("a"), digest.FromString("b")
	stargz := &trust.TOC{Kind: trust.EStargz, Digest: a}
	chunkedTOC := &trust.TOC{Kind: trust.ZstdChunked, Digest: a, Packed: b, Offset: 10, PackedBytes: 20, Bytes: 30}
	newSum, newAt := chunkedPrefix+checksum, chunkedPrefix+position
	oldSum, oldAt := oldChunkedPrefix+checksum, oldChunkedPrefix+position
	for name, c := range map[string]struct {
		annotations map[string]string
		found       *trust.TOC
		ok          bool
	}{
		"none":              {nil, nil, true},
		"unrelated":         {map[string]string{"x": "y"}, stargz, true},
		"empty":             {map[string]string{StargzDigest: "", newSum: ""}, nil, true},
		"not-announced":     {nil, stargz, true},
		"stargz":            {map[string]string{StargzDigest: string(a)}, stargz, true},
		"stargz-other":      {map[string]string{StargzDigest: string(b)}, stargz, false},
		"stargz-none":       {map[string]string{StargzDigest: string(a)}, nil, false},
		"stargz-nonsense":   {map[string]string{StargzDigest: "\x1b"}, stargz, false},
		"chunked":           {map[string]string{newSum: string(b), newAt: "10:20:30:1"}, chunkedTOC, true},
		"chunked-old":       {map[string]string{oldSum: string(b), oldAt: "10:20:30:1"}, chunkedTOC, true},
		"chunked-both":      {map[string]string{oldSum: string(b), newSum: string(b), oldAt: "10:20:30:1", newAt: "10:20:30:1"}, chunkedTOC, true},
		"chunked-halves":    {map[string]string{oldSum: string(b), newAt: "10:20:30:1"}, chunkedTOC, true},
		"chunked-two-sums":  {map[string]string{oldSum: string(a), newSum: string(b)}, chunkedTOC, false},
		"chunked-two-ats":   {map[string]string{oldAt: "10:20:30:2", newAt: "10:20:30:1"}, chunkedTOC, false},
		"chunked-sum-only":  {map[string]string{newSum: string(b)}, chunkedTOC, true},
		"chunked-at-only":   {map[string]string{newAt: "10:20:30:1"}, chunkedTOC, true},
		"chunked-other-sum": {map[string]string{newSum: string(a)}, chunkedTOC, false},
		"chunked-other-at":  {map[string]string{newSum: string(b), newAt: "10:20:31:1"}, chunkedTOC, false},
		"chunked-type":      {map[string]string{newAt: "10:20:30:2"}, chunkedTOC, false},
		"chunked-spelled":   {map[string]string{newAt: "010:20:30:1"}, chunkedTOC, false},
		"chunked-longer":    {map[string]string{newAt: "10:20:30:1:4"}, chunkedTOC, false},
		"chunked-none":      {map[string]string{newAt: "10:20:30:1"}, nil, false},
		"chunked-in-stargz": {map[string]string{newSum: string(b)}, stargz, false},
		"both-in-chunked":   {map[string]string{StargzDigest: string(a), newSum: string(b)}, chunkedTOC, true},
		"both-one-lies":     {map[string]string{StargzDigest: string(b), newSum: string(b)}, chunkedTOC, false},
	} {
		before := maps.Clone(c.annotations)
		err := CheckAnnotations(c.annotations, c.found)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, trust.ErrIntegrity) || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%s: %v", name, err)
		}
		if !maps.Equal(before, c.annotations) {
			t.Errorf("%s: the annotations were changed", name)
		}
		told := false
		for k, v := range c.annotations {
			told = told || v != "" && k != "x"
		}
		if Announced(c.annotations) != told {
			t.Errorf("%s: announced is %t", name, !told)
		}
	}
}

func FuzzFooters(f *testing.F) {
	f.Add(footer("SG\x16\x000000000000abcdefSTARGZ"))
	f.Add([]byte("GNUlInUx"))
	f.Fuzz(func(t *testing.T, tail []byte) {
		if got, ok := FooterOf(tail); ok != (got.Kind != "") || got.Offset < 0 || got.Bytes > int64(len(tail)) {
			t.Fatalf("%+v %t", got, ok)
		}
		if _, err := ChunkedFooter(tail); err != nil && !errors.Is(err, trust.ErrMalformed) && !errors.Is(err, trust.ErrUnsupported) {
			t.Fatal(err)
		}
	})
}
