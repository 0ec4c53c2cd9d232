package layer_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/layer/toc"
)

// object is an entry of a table of contents, as JSON.
type object map[string]any

// lazy makes a layer with a table of contents. Its fields change what an honest writer does.
type lazy struct {
	kind      string
	chunkSize int
	// table changes the entries; text changes the JSON text; footer changes the footer.
	table  func([]object) []object
	text   func(string) string
	footer func([]byte) []byte
	// behind is written between the table and the footer, before between the files and the table.
	before, behind []byte
	bare           bool // no annotations
}

var tableTypes = map[byte]string{tar.TypeReg: "reg", tar.TypeDir: "dir", tar.TypeSymlink: "symlink", tar.TypeLink: "hardlink"}

func (l lazy) pack(t testing.TB, p []byte) []byte {
	if l.kind == trust.EStargz {
		return gz(t, p)
	}
	return zst(t, p)
}

// files is the archive without its end, each chunk in a part of its own, with its table.
func (l lazy) files(t testing.TB, headers []*tar.Header) (blob []byte, table []object) {
	var pending []byte
	for _, h := range headers {
		raw := archive(t, h)
		raw = raw[:len(raw)-1024]
		content := h.Uname
		head := raw[:len(raw)-(len(content)+511)/512*512]
		pending = append(pending, head...)
		o := object{"name": h.Name, "type": tableTypes[h.Typeflag], "mode": h.Mode, "size": h.Size, "linkName": h.Linkname, "uid": 0, "xattrs": object{"a": "b"}}
		table = append(table, o)
		for at := 0; at < len(content); at += l.chunkSize {
			part := content[at:min(len(content), at+l.chunkSize)]
			blob = append(blob, l.pack(t, pending)...)
			if at > 0 {
				o = object{"name": h.Name, "type": "chunk"}
				table = append(table, o)
			} else {
				o["digest"] = digest.FromString(content).String()
			}
			o["offset"], o["chunkOffset"], o["chunkDigest"] = len(blob), at, digest.FromString(part).String()
			if len(content) > l.chunkSize {
				o["chunkSize"] = len(part)
			}
			blob = append(blob, l.pack(t, []byte(part))...)
			pending = nil
		}
		pending = append(pending, raw[len(head)+len(content):]...)
	}
	if l.kind == trust.ZstdChunked {
		pending = append(pending, make([]byte, 1024)...)
	}
	return append(blob, l.pack(t, pending)...), table
}

func (l lazy) make(t testing.TB, headers ...*tar.Header) (blob []byte, annotations map[string]string) {
	t.Helper()
	blob, table := l.files(t, headers)
	if l.table != nil {
		table = l.table(table)
	}
	text, err := json.Marshal(object{"version": 1, "entries": table, "tarSplitDigest": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if l.text != nil {
		text = []byte(l.text(string(text)))
	}
	blob = append(blob, l.before...)
	annotations = map[string]string{toc.StargzDigest: digest.FromBytes(text).String()}
	at, footer := len(blob), []byte(nil)
	if l.kind == trust.EStargz {
		blob = append(blob, gz(t, archive(t, file(toc.Name, string(text))))...)
		footer = []byte("\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x1a\x00SG\x16\x00")
		footer = append(footer, fmt.Sprintf("%016xSTARGZ", at)...)
		footer = append(footer, "\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"...)
	} else {
		packed := zst(t, text)
		blob = append(append(blob, skippable(string(packed))...), skippable(string(zst(t, []byte("tar-split"))))...)
		for _, n := range []int{at + 8, len(packed), len(text), 1, 0, 0, 0} {
			footer = binary.LittleEndian.AppendUint64(footer, uint64(n))
		}
		footer = append(footer, "GNUlInUx"...)
		annotations = map[string]string{
			"io.github.containers.zstd-chunked.manifest-checksum": digest.FromBytes(packed).String(),
			"io.github.containers.zstd-chunked.manifest-position": fmt.Sprintf("%d:%d:%d:1", at+8, len(packed), len(text)),
		}
	}
	if l.footer != nil {
		footer = l.footer(footer)
	}
	if l.kind == trust.ZstdChunked {
		footer = skippable(string(footer))
	}
	if l.bare {
		annotations = nil
	}
	return slices.Concat(blob, l.behind, footer), annotations
}

var lazyFiles = []*tar.Header{
	{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
	file(".prefetch.landmark", "\x0f"),
	{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755},
	file("usr/large", strings.Repeat("0123456789abcdef", 100)),
	file("usr/empty", ""),
	{Typeflag: tar.TypeSymlink, Name: "usr/link", Linkname: "../large"},
	{Typeflag: tar.TypeLink, Name: "hard", Linkname: "usr/large"},
	file("run.sh", "#!/bin/sh\n"),
}

var lazyKinds = []string{trust.EStargz, trust.ZstdChunked}

func walkLazy(t testing.TB, blob []byte, annotations map[string]string, inflate *layer.Inflate) (layer.Summary, error) {
	t.Helper()
	desc := descriptor(blob)
	desc.Annotations = annotations
	return layer.Walk(t.Context(), bytes.NewReader(blob), desc, layer.Limits{Inflate: inflate}, &visited{})
}

// Every way to read sees the same parts.
func inflates(t testing.TB) map[string]*layer.Inflate {
	out := map[string]*layer.Inflate{}
	for _, name := range []string{layer.InflateFast, layer.InflateKlauspost, layer.InflateStdlib} {
		inflate, err := layer.NewInflate(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = inflate
	}
	return out
}

func TestHonestTables(t *testing.T) {
	t.Parallel()
	legacy := func(f []byte) []byte {
		return slices.Concat(f[:10], []byte("\x16\x00"), f[16:])
	}
	for name, l := range map[string]lazy{
		"plain":     {},
		"chunks":    {chunkSize: 100},
		"bare":      {bare: true},
		"reordered": {table: func(o []object) []object { slices.Reverse(o); return o }},
		"unclean":   {table: func(o []object) []object { o[2]["name"] = "/usr/../usr"; return o }},
		"skippable": {kind: trust.ZstdChunked, before: skippable("other")},
		"legacy":    {kind: trust.EStargz, footer: legacy},
		"no-split":  {kind: trust.ZstdChunked, footer: func(f []byte) []byte { return append(f[:32:32], f[56:]...) }},
		"no-digest": {table: func(o []object) []object { delete(o[7], "digest"); return o }},
	} {
		if l.chunkSize == 0 {
			l.chunkSize = 1 << 20
		}
		for _, kind := range lazyKinds {
			if l.kind != "" && l.kind != kind {
				continue
			}
			l := l
			l.kind = kind
			blob, annotations := l.make(t, lazyFiles...)
			for by, inflate := range inflates(t) {
				s, err := walkLazy(t, blob, annotations, inflate)
				if err != nil || s.TOC == nil || s.TOC.Kind != kind {
					t.Errorf("%s, %s, %s: %v, %+v", name, kind, by, err, s.TOC)
				}
			}
		}
	}
}

func set(i int, key string, value any) func([]object) []object {
	return func(o []object) []object { o[i][key] = value; return o }
}

// Whatever a table says that the archive does not is a lie; a table that cannot be compared is no answer.
func TestOtherTables(t *testing.T) {
	t.Parallel()
	other := digest.FromString("other").String()
	added := object{"name": "bin/miner", "type": "reg", "size": 5, "digest": other, "offset": 1, "chunkDigest": other}
	for name, tc := range map[string]struct {
		lazy
		want error
	}{
		"file-added":     {lazy{table: func(o []object) []object { return append(o, added) }}, trust.ErrIntegrity},
		"empty-added":    {lazy{table: func(o []object) []object { return append(o, object{"name": "x", "type": "reg"}) }}, trust.ErrIntegrity},
		"added-first":    {lazy{table: func(o []object) []object { return append([]object{added}, o...) }}, trust.ErrIntegrity},
		"twice":          {lazy{table: func(o []object) []object { return append(o, o[7]) }}, trust.ErrIntegrity},
		"file-left-out":  {lazy{table: func(o []object) []object { return o[:7] }}, trust.ErrIntegrity},
		"dir-left-out":   {lazy{table: func(o []object) []object { return slices.Delete(o, 2, 3) }}, trust.ErrIntegrity},
		"content":        {lazy{table: func(o []object) []object { o[7]["digest"], o[7]["chunkDigest"] = other, other; return o }}, trust.ErrIntegrity},
		"chunk-only":     {lazy{table: set(7, "chunkDigest", other)}, trust.ErrIntegrity},
		"whole-only":     {lazy{table: set(7, "digest", other)}, trust.ErrIntegrity},
		"name":           {lazy{table: set(7, "name", "run2.sh")}, trust.ErrIntegrity},
		"type":           {lazy{table: set(4, "type", "dir")}, trust.ErrIntegrity},
		"mode":           {lazy{table: set(7, "mode", 0o4755)}, trust.ErrIntegrity},
		"size":           {lazy{table: set(4, "size", 1)}, trust.ErrUnsupported},
		"shorter":        {lazy{table: set(7, "size", 5)}, trust.ErrIntegrity},
		"symlink":        {lazy{table: set(5, "linkName", "../other")}, trust.ErrIntegrity},
		"hardlink":       {lazy{table: set(6, "linkName", "run.sh")}, trust.ErrIntegrity},
		"offset":         {lazy{table: set(7, "offset", 0)}, trust.ErrIntegrity},
		"inner-offset":   {lazy{table: set(7, "innerOffset", 1)}, trust.ErrIntegrity},
		"chunk-digest":   {lazy{chunkSize: 800, table: set(4, "chunkDigest", other)}, trust.ErrIntegrity},
		"chunk-offset":   {lazy{chunkSize: 800, table: set(4, "chunkOffset", 700)}, trust.ErrIntegrity},
		"chunk-size":     {lazy{chunkSize: 800, table: set(3, "chunkSize", 1600)}, trust.ErrIntegrity},
		"chunk-missing":  {lazy{chunkSize: 800, table: func(o []object) []object { return slices.Delete(o, 4, 5) }}, trust.ErrIntegrity},
		"chunk-of-other": {lazy{chunkSize: 800, table: set(4, "name", "run.sh")}, trust.ErrIntegrity},
		"chunk-first":    {lazy{table: set(0, "type", "chunk")}, trust.ErrIntegrity},
		"chunk-no-sum":   {lazy{chunkSize: 800, table: set(4, "chunkDigest", "")}, trust.ErrUnsupported},
		"whole-no-sum":   {lazy{chunkSize: 800, table: set(3, "digest", "")}, trust.ErrUnsupported},
		"chunk-shared":   {lazy{chunkSize: 800, table: set(4, "innerOffset", 800)}, trust.ErrUnsupported},
		"digest-odd":     {lazy{table: set(7, "digest", "sha256:xyz")}, trust.ErrMalformed},
		"negative":       {lazy{table: set(7, "offset", -1)}, trust.ErrMalformed},
		"type-of-value":  {lazy{table: set(7, "name", 5)}, trust.ErrMalformed},
		"case":           {lazy{table: set(7, "Name", "x")}, trust.ErrMalformed},
		"long-name":      {lazy{table: set(7, "userName", strings.Repeat("x", 2<<20))}, trust.ErrLimit},
		"deep":           {lazy{text: replace(`"tarSplitDigest":"x"`, `"x":`+strings.Repeat("[", 50)+strings.Repeat("]", 50))}, trust.ErrLimit},
		"member-twice":   {lazy{text: replace(`"tarSplitDigest":"x"`, `"entries":[]`)}, trust.ErrMalformed},
		"version":        {lazy{text: replace(`"version":1`, `"version":2`)}, trust.ErrUnsupported},
		"no-entries":     {lazy{text: func(string) string { return `{"version":1}` }}, trust.ErrMalformed},
		"no-json":        {lazy{text: func(string) string { return "TOC" }}, trust.ErrMalformed},
		"no-object":      {lazy{text: func(string) string { return "[]" }}, trust.ErrMalformed},
		"cut":            {lazy{text: func(s string) string { return s[:len(s)-1] }}, trust.ErrMalformed},
		"text-behind":    {lazy{text: func(s string) string { return s + "{}" }}, trust.ErrMalformed},
		"nothing":        {lazy{text: func(string) string { return "" }}, trust.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range lazyKinds {
				l := tc.lazy
				l.kind = kind
				if l.chunkSize == 0 {
					l.chunkSize = 1 << 20
				}
				blob, annotations := l.make(t, lazyFiles...)
				for by, inflate := range inflates(t) {
					s, err := walkLazy(t, blob, annotations, inflate)
					if only(t, err, tc.want); err == nil || s.TOC != nil {
						t.Errorf("%s, %s: %v, %+v", kind, by, err, s.TOC)
					}
				}
			}
		})
	}
}

func replace(old, with string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, with, 1) }
}

// Where a table is, is part of what a layer says.
func TestPlacesOfTables(t *testing.T) {
	t.Parallel()
	stargz := func(l lazy) lazy { l.kind = trust.EStargz; l.chunkSize = 1 << 20; return l }
	chunked := func(l lazy) lazy { l.kind = trust.ZstdChunked; l.chunkSize = 1 << 20; return l }
	small := zst(t, []byte(`{"version":1,"entries":[]}`))
	for name, tc := range map[string]struct {
		lazy
		want error
	}{
		"stargz-offset":       {stargz(lazy{footer: func(f []byte) []byte { copy(f[16:], "0000000000000000"); return f }}), trust.ErrIntegrity},
		"stargz-not-last":     {stargz(lazy{behind: gz(t, nil)}), trust.ErrIntegrity},
		"stargz-external":     {stargz(lazy{footer: func(f []byte) []byte { return gzWithExtra(t, "STARGZEXTERNALTOC") }}), trust.ErrUnsupported},
		"stargz-no-footer":    {stargz(lazy{footer: func(f []byte) []byte { return nil }}), trust.ErrIntegrity},
		"chunked-no-footer":   {chunked(lazy{footer: func(f []byte) []byte { return nil }}), trust.ErrIntegrity},
		"chunked-offset":      {chunked(lazy{footer: func(f []byte) []byte { f[0]++; return f }}), trust.ErrIntegrity},
		"chunked-length":      {chunked(lazy{footer: func(f []byte) []byte { f[8]++; return f }}), trust.ErrIntegrity},
		"chunked-text-length": {chunked(lazy{footer: func(f []byte) []byte { f[16]++; return f }}), trust.ErrIntegrity},
		"chunked-type":        {chunked(lazy{footer: func(f []byte) []byte { f[24]++; return f }}), trust.ErrUnsupported},
		"chunked-odd-footer":  {chunked(lazy{footer: func(f []byte) []byte { return append([]byte("xxxxxxxx"), f...) }}), trust.ErrMalformed},
		"chunked-no-frame":    {chunked(lazy{footer: func(f []byte) []byte { return append(f, 0) }}), trust.ErrIntegrity},
		"chunked-ends-stargz": {chunked(lazy{footer: func(f []byte) []byte { return stargzEnd() }}), trust.ErrIntegrity},
		"chunked-too-long":    {chunked(lazy{text: func(s string) string { return s[:len(s)-1] + noise(9<<20) + "}" }}), trust.ErrLimit},
		"chunked-other-table": {chunked(lazy{behind: skippable(string(small)), footer: func(f []byte) []byte { f[0] += 8; return f }}), trust.ErrIntegrity},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blob, annotations := tc.make(t, lazyFiles...)
			_, err := walkLazy(t, blob, annotations, nil)
			if only(t, err, tc.want); err == nil {
				t.Error("clean")
			}
		})
	}
	// A gzip layer whose checksum and length spell the other kind's magic.
	if _, ok := toc.FooterOf([]byte(strings.Repeat("x", 56) + "GNUlInUx")); !ok {
		t.Error("magic was not seen")
	}
}

// noise is a member of an object that does not compress.
func noise(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `,"%d":"%s"`, i, digest.FromString(fmt.Sprint(i)).Encoded()+digest.FromString(fmt.Sprint(-i)).Encoded())
	}
	return b.String()
}

func stargzEnd() []byte {
	return []byte("\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x1a\x00SG\x16\x000000000000000000STARGZ\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00")
}

func gzWithExtra(t testing.TB, extra string) []byte {
	plain := gz(t, nil)
	head := append(bytes.Clone(plain[:10]), byte(len(extra)), 0)
	head[3] |= 4
	return slices.Concat(head, []byte(extra), plain[10:])
}

// A table at the end of a layer that nothing announced cannot be compared, since no file was digested.
func TestTableThatNothingAnnounced(t *testing.T) {
	t.Parallel()
	var table []object
	for _, h := range lazyFiles {
		table = append(table, object{"name": h.Name, "type": tableTypes[h.Typeflag], "mode": h.Mode, "size": h.Size, "linkName": h.Linkname})
	}
	text, err := json.Marshal(object{"version": 1, "entries": table})
	if err != nil {
		t.Fatal(err)
	}
	plain := archive(t, lazyFiles...)
	front := gz(t, plain[:len(plain)-1024])
	footer := stargzEnd()
	copy(footer[16:], fmt.Sprintf("%016x", len(front)))
	blob := slices.Concat(front, gz(t, archive(t, file(toc.Name, string(text)))), footer)
	_, err = walkLazy(t, blob, nil, nil)
	only(t, err, trust.ErrMalformed)
}

// A descriptor must tell of the table that the layer has, and of no other.
func TestTablesAndAnnotations(t *testing.T) {
	t.Parallel()
	const prefix = "io.github.containers.zstd-chunked."
	for _, kind := range lazyKinds {
		blob, annotations := lazy{kind: kind, chunkSize: 1 << 20}.make(t, lazyFiles...)
		s, err := walkLazy(t, blob, annotations, nil)
		if err != nil {
			t.Fatal(err)
		}
		both := maps.Clone(annotations)
		both[toc.StargzDigest] = s.TOC.Digest.String()
		if err := toc.CheckAnnotations(both, s.TOC); err != nil {
			t.Errorf("%s: the same table in two ways: %v", kind, err)
		}
		if err := toc.CheckAnnotations(map[string]string{"title": "x"}, nil); err != nil {
			t.Error(err)
		}
		for name, lies := range map[string]map[string]string{
			"stargz":   {toc.StargzDigest: digest.FromString("x").String()},
			"checksum": {prefix + "manifest-checksum": digest.FromString("x").String()},
			"position": {prefix + "manifest-position": "1:2:3:1"},
			"no-place": {prefix + "manifest-position": "here"},
			"older":    {"io.containers.zstd-chunked.manifest-position": "1:2:3:1"},
		} {
			said := maps.Clone(annotations)
			maps.Copy(said, lies)
			_, err := walkLazy(t, blob, said, nil)
			if only(t, err, trust.ErrIntegrity); err == nil {
				t.Errorf("%s, %s: clean", kind, name)
			}
			if err := toc.CheckAnnotations(lies, nil); !errors.Is(err, trust.ErrIntegrity) {
				t.Errorf("%s of a layer without a table: %v", name, err)
			}
		}
	}
	for name, blob := range map[string][]byte{"gzip": gz(t, archive(t, lazyFiles...)), "plain": archive(t, lazyFiles...)} {
		_, err := walkLazy(t, blob, map[string]string{toc.StargzDigest: digest.FromString("x").String()}, nil)
		if only(t, err, trust.ErrIntegrity); err == nil {
			t.Errorf("%s: a table was promised", name)
		}
	}
}

// Frames of any shape are followed: sizes known and not, with and without checksums, empty ones, and long ones.
func TestZstdFrames(t *testing.T) {
	t.Parallel()
	plain := archive(t, file("a", strings.Repeat("hello ", 100_000)), file("b", strings.Repeat("\x00", 300_000)))
	for name, options := range map[string][]zstd.EOption{
		"default": nil, "no-crc": {zstd.WithEncoderCRC(false)}, "single": {zstd.WithSingleSegment(true)},
		"best": {zstd.WithEncoderLevel(zstd.SpeedBestCompression)}, "window": {zstd.WithWindowSize(1 << 10)}, "empty": {zstd.WithZeroFrames(true)},
	} {
		for _, cut := range []int{0, 1, 200, 255, 256, 257, 70_000, len(plain) - 1} {
			e, err := zstd.NewWriter(nil, options...)
			if err != nil {
				t.Fatal(err)
			}
			blob := e.EncodeAll(plain[cut:], e.EncodeAll(plain[:cut], nil))
			streamed := append(zst(t, plain[:cut], options...), zst(t, plain[cut:], options...)...)
			for _, b := range [][]byte{blob, streamed} {
				if _, s, err := walk(t, b, layer.Limits{}); err != nil || s.Files != 2 || s.DiffID != digest.FromBytes(plain) {
					t.Errorf("%s cut at %d: %v, %+v", name, cut, err, s)
				}
			}
		}
	}
}
