package layer_test

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

var contentErrors = []error{trust.ErrIntegrity, trust.ErrLimit, trust.ErrMalformed, trust.ErrUnsupported}

// only fails unless err wraps want and no other sentinel; a nil want means that it wraps none.
func only(t testing.TB, err, want error) {
	t.Helper()
	for _, sentinel := range contentErrors {
		if errors.Is(err, sentinel) != (sentinel == want) {
			t.Errorf("error %v, want %v", err, want)
			return
		}
	}
}

func skippable(content string) []byte {
	frame := binary.LittleEndian.AppendUint32([]byte{0x5a, 0x2a, 0x4d, 0x18}, uint32(len(content)))
	return append(frame, content...)
}

func TestWalkFormats(t *testing.T) {
	t.Parallel()
	plain := archive(t, &tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755}, file("etc/motd", "hello\n"), file("/bin/run", strings.Repeat("x", 3000)))
	wantPaths, wantBodies := []string{"etc/motd", "bin/run"}, []string{"hello\n", strings.Repeat("x", 3000)}
	for name, tc := range map[string]struct{ blob, plain []byte }{
		"plain":             {plain, plain},
		"gzip":              {gz(t, plain), plain},
		"gzip-members":      {slices.Concat(gz(t, plain[:700]), gz(t, nil), gz(t, plain[700:])), plain},
		"zstd":              {zst(t, plain), plain},
		"zstd-frames":       {slices.Concat(zst(t, plain[:700]), zst(t, plain[700:])), plain},
		"zstd-skippable":    {slices.Concat(skippable("begin"), zst(t, plain), skippable(""), skippable("end")), plain},
		"trailing-zeros":    {gz(t, append(bytes.Clone(plain), make([]byte, 9001)...)), append(bytes.Clone(plain), make([]byte, 9001)...)},
		"gzip-of-many-bits": {gz(t, append(bytes.Clone(plain), make([]byte, 300_000)...)), append(bytes.Clone(plain), make([]byte, 300_000)...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, s, err := walk(t, tc.blob, layer.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want := layer.Summary{DiffID: digest.FromBytes(tc.plain), Files: 2, Bytes: int64(len(tc.plain))}
			if diff := cmp.Diff(want, s); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(wantPaths, v.paths) + cmp.Diff(wantBodies, v.bodies); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWalkBzip2(t *testing.T) {
	t.Parallel()
	v, s, err := walk(t, bzipped(t), layer.Limits{})
	if err != nil || s.Files != 1 || s.Bytes != 10240 {
		t.Fatalf("%+v, %v", s, err)
	}
	if diff := cmp.Diff([]string{"hello\n"}, v.bodies); diff != "" {
		t.Error(diff)
	}
}

func TestWalkEmptyLayers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ blob, plain []byte }{
		"no-bytes":       {nil, nil},
		"gzip-of-none":   {gz(t, nil), nil},
		"zstd-of-none":   {zst(t, nil, zstd.WithZeroFrames(true)), nil},
		"only-skippable": {skippable("x"), nil},
		"end-mark":       {make([]byte, 1024), make([]byte, 1024)},
		"gzip-end-mark":  {gz(t, make([]byte, 1024)), make([]byte, 1024)},
		"ten-kilobytes":  {make([]byte, 10240), make([]byte, 10240)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, s, err := walk(t, tc.blob, layer.Limits{})
			want := layer.Summary{DiffID: digest.FromBytes(tc.plain), Bytes: int64(len(tc.plain))}
			if diff := cmp.Diff(want, s); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

func TestWalkMalformed(t *testing.T) {
	t.Parallel()
	plain := archive(t, file("etc/motd", "hello\n"))
	flip := func(blob []byte, at int) []byte {
		out := bytes.Clone(blob)
		out[(at+len(out))%len(out)] ^= 0x40
		return out
	}
	global := func(records map[string]string) *tar.Header {
		return &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: records}
	}
	hasSize := archive(t, &tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755})
	copy(hasSize[124:], "00000001000")
	checksum(hasSize)

	for name, tc := range map[string]struct {
		blob []byte
		want error
	}{
		"gzip-trailing-byte":    {append(gz(t, plain), 'x'), trust.ErrMalformed},
		"gzip-trailing-zero":    {append(gz(t, plain), 0), trust.ErrMalformed},
		"gzip-trailing-text":    {append(gz(t, plain), "twelve bytes"...), trust.ErrMalformed},
		"gzip-crc":              {flip(gz(t, plain), -6), trust.ErrMalformed},
		"gzip-length":           {flip(gz(t, plain), -2), trust.ErrMalformed},
		"gzip-body":             {flip(gz(t, plain), 40), trust.ErrMalformed},
		"gzip-magic-only":       {[]byte{0x1f, 0x8b, 8}, trust.ErrMalformed},
		"zstd-trailing-byte":    {append(zst(t, plain), 'x'), trust.ErrMalformed},
		"zstd-trailing-text":    {append(zst(t, plain), "twelve bytes"...), trust.ErrMalformed},
		"zstd-crc":              {flip(zst(t, plain), -2), trust.ErrMalformed},
		"zstd-short-skippable":  {append(zst(t, plain), skippable("12345")[:10]...), trust.ErrMalformed},
		"bzip2-trailing-byte":   {append(bzipped(t), 'x'), trust.ErrMalformed},
		"bzip2-crc":             {flip(bzipped(t), 12), trust.ErrMalformed},
		"xz":                    {[]byte("\xfd7zXZ\x00 and so on"), trust.ErrMalformed},
		"no-archive":            {[]byte("hello, I am a text file"), trust.ErrMalformed},
		"no-archive-long":       {bytes.Repeat([]byte("text"), 9000), trust.ErrMalformed},
		"compressed-twice":      {gz(t, gz(t, plain)), trust.ErrMalformed},
		"header-checksum":       {flip(plain, 5), trust.ErrMalformed},
		"cut-in-end-mark":       {plain[:2047], trust.ErrMalformed},
		"cut-in-body":           {plain[:514], trust.ErrMalformed},
		"cut-in-padding":        {plain[:700], trust.ErrMalformed},
		"cut-in-header":         {plain[:400], trust.ErrMalformed},
		"data-after-end":        {append(bytes.Clone(plain), 0, 0, 1), trust.ErrMalformed},
		"archive-after-end":     {slices.Concat(plain, plain), trust.ErrMalformed},
		"far-data-after-end":    {slices.Concat(plain, make([]byte, 200_000), []byte("x"), make([]byte, 200_000)), trust.ErrMalformed},
		"zero-then-data":        {slices.Concat(plain[:1536], plain), trust.ErrMalformed},
		"dot-dot":               {archive(t, file("../etc/cron.d/x", "x")), trust.ErrMalformed},
		"dot-dot-inside":        {archive(t, file("a/../etc/passwd", "x")), trust.ErrMalformed},
		"absolute-dot-dot":      {archive(t, file("/..", "x")), trust.ErrMalformed},
		"link-upwards":          {archive(t, &tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "../../etc/shadow"}), trust.ErrMalformed},
		"directory-with-size":   {hasSize, trust.ErrMalformed},
		"global-path":           {archive(t, global(map[string]string{"path": "etc/passwd"}), file("a", "x")), trust.ErrMalformed},
		"global-size":           {archive(t, global(map[string]string{"size": "7"}), file("a", "x")), trust.ErrMalformed},
		"unknown-type":          {archive(t, &tar.Header{Typeflag: 'V', Name: "volume"}), trust.ErrUnsupported},
		"zstd-dictionary":       {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x21, 42, 1, 1, 0, 0}, trust.ErrUnsupported},
		"sparse-map-lies":       {sparse(t, "0,1,5,9", 20, "x"), trust.ErrMalformed},
		"sparse-data-unclaimed": {sparse(t, "0,1", 20, "xyz"), trust.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := walk(t, tc.blob, layer.Limits{})
			only(t, err, tc.want)
			desc := descriptor(tc.blob)
			desc.Digest = digest.FromString("something else")
			_, err = layer.Walk(t.Context(), bytes.NewReader(tc.blob), desc, layer.Limits{}, &visited{})
			only(t, err, trust.ErrIntegrity)
		})
	}
}

// checksum sets the checksum of the first header of an archive.
func checksum(block []byte) {
	copy(block[148:156], "        ")
	sum := 0
	for _, c := range block[:512] {
		sum += int(c)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// sparse makes an archive with one PAX 0.1 sparse file "holes", which archive/tar does not write.
func sparse(t testing.TB, sparseMap string, size int64, content string) []byte {
	t.Helper()
	var records strings.Builder
	for _, kv := range [][2]string{
		{"GNU.sparse.map", sparseMap},
		{"GNU.sparse.numblocks", fmt.Sprint((strings.Count(sparseMap, ",") + 1) / 2)},
		{"GNU.sparse.size", fmt.Sprint(size)},
	} {
		n := len(kv[0]) + len(kv[1]) + 3
		for length := n; ; length++ {
			if record := fmt.Sprintf("%d %s=%s\n", length, kv[0], kv[1]); len(record) == length {
				records.WriteString(record)
				break
			}
		}
	}
	blob := archive(t, file("pax", records.String()), file("holes", content))
	blob[156] = tar.TypeXHeader
	checksum(blob)
	return blob
}

func TestWalkSparse(t *testing.T) {
	t.Parallel()
	blob := sparse(t, "2,3,10,1", 12, "abcd")
	v, s, err := walk(t, blob, layer.Limits{})
	if err != nil || s.DiffID != digest.FromBytes(blob) {
		t.Fatal(s, err)
	}
	if diff := cmp.Diff([]string{"\x00\x00abc\x00\x00\x00\x00\x00d\x00"}, v.bodies); diff != "" {
		t.Error(diff)
	}
}

func TestWalkShowsEveryBody(t *testing.T) {
	t.Parallel()
	blob := archive(t,
		file("./usr//bin/tool", "one"),
		file("usr/bin/tool", "two"),
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "../../up/is/usual"},
		&tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "usr/bin/tool"},
		&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "git"}},
		&tar.Header{Typeflag: tar.TypeChar, Name: "dev/null"},
		file("etc/.wh.gone", ""),
		file("etc/.wh.not-empty", "hidden"),
		file("empty", ""),
		file("../climbs", "three"),
		file("//abs/"+strings.Repeat("long/", 60)+"name", "four"),
		file("bell\a", "five"),
	)
	v, s, err := walk(t, gz(t, blob), layer.Limits{})
	only(t, err, trust.ErrMalformed) // for ../climbs, and yet all others are shown
	want := []string{"usr/bin/tool", "usr/bin/tool", "etc/.wh.not-empty", "empty", "climbs", "abs/" + strings.Repeat("long/", 60) + "name", "bell\a"}
	if diff := cmp.Diff(want, v.paths) + cmp.Diff([]string{"one", "two", "hidden", "", "three", "four", "five"}, v.bodies); diff != "" {
		t.Error(diff)
	}
	if s.Files != len(want) || s.DiffID != digest.FromBytes(blob) {
		t.Errorf("%+v", s)
	}
}

// Every size around the tar block, every odd way to be read: the same bodies and the same digest.
func TestWalkSizesAndReads(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	var headers []*tar.Header
	var want []string
	for _, n := range []int{0, 1, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 65535, 65536, 65537} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(rng.IntN(7))
		}
		headers = append(headers, file(fmt.Sprint("f", n), string(body)))
		want = append(want, string(body))
	}
	plain := archive(t, headers...)
	for name, blob := range map[string][]byte{"plain": plain, "gzip": gz(t, plain), "zstd": zst(t, plain)} {
		for kind, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "one-byte": iotest.OneByteReader,
			"half": iotest.HalfReader, "data-with-eof": iotest.DataErrReader,
		} {
			for _, size := range []int{1, 7, 511, 512, 513, 40_000} {
				t.Run(fmt.Sprint(name, "-", kind, "-", size), func(t *testing.T) {
					t.Parallel()
					v := &visited{buf: size}
					s, err := layer.Walk(t.Context(), reader(bytes.NewReader(blob)), descriptor(blob), layer.Limits{}, v)
					if err != nil || s.DiffID != digest.FromBytes(plain) {
						t.Fatal(s, err)
					}
					if diff := cmp.Diff(want, v.bodies); diff != "" {
						t.Error("bodies differ")
					}
				})
			}
		}
	}
}

// No way to cut a layer off is clean, in whatever format, but for one that leaves whole entries: an archive without its
// end mark, or with half of it, is whole to engines.
func TestWalkCutAnywhere(t *testing.T) {
	t.Parallel()
	plain := archive(t, file("etc/motd", "hello\n"))
	for name, blob := range map[string][]byte{
		"plain": plain, "gzip": gz(t, plain), "gzip-members": slices.Concat(gz(t, plain[:100]), gz(t, plain[100:])),
		"zstd": zst(t, plain), "zstd-skippable": slices.Concat(zst(t, plain), skippable("abc")), "bzip2": bzipped(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; n < len(blob); n++ {
				if name == "zstd-skippable" && n == len(zst(t, plain)) {
					continue // this one is whole
				}
				_, _, err := walk(t, blob[:n], layer.Limits{})
				if whole := name == "plain" && (n == 1024 || n == 1536); whole != (err == nil) || !whole && !errors.Is(err, trust.ErrMalformed) {
					t.Fatalf("cut after %d of %d bytes: %v", n, len(blob), err)
				}
				_, err = layer.Walk(t.Context(), bytes.NewReader(blob[:n]), descriptor(blob), layer.Limits{}, &visited{})
				only(t, err, trust.ErrIntegrity)
			}
		})
	}
}

func TestWalkIntegrity(t *testing.T) {
	t.Parallel()
	blob := gz(t, archive(t, file("a", "b")))
	good := descriptor(blob)
	for name, tc := range map[string]struct {
		blob []byte
		desc ocispec.Descriptor
		want error
	}{
		"sha512":         {blob, ocispec.Descriptor{Digest: digest.SHA512.FromBytes(blob), Size: good.Size}, nil},
		"wrong-sha512":   {blob, ocispec.Descriptor{Digest: digest.SHA512.FromString("x"), Size: good.Size}, trust.ErrIntegrity},
		"one-more":       {append(bytes.Clone(blob), 0), good, trust.ErrIntegrity},
		"many-more":      {append(bytes.Clone(blob), make([]byte, 1<<20)...), good, trust.ErrIntegrity},
		"one-less":       {blob[:len(blob)-1], good, trust.ErrIntegrity},
		"none":           {nil, good, trust.ErrIntegrity},
		"size-too-big":   {blob, ocispec.Descriptor{Digest: good.Digest, Size: good.Size + 1}, trust.ErrIntegrity},
		"size-too-small": {blob, ocispec.Descriptor{Digest: good.Digest, Size: good.Size - 1}, trust.ErrIntegrity},
		"size-zero":      {blob, ocispec.Descriptor{Digest: good.Digest}, trust.ErrIntegrity},
		"size-negative":  {blob, ocispec.Descriptor{Digest: good.Digest, Size: -1}, trust.ErrMalformed},
		"sha384":         {blob, ocispec.Descriptor{Digest: digest.SHA384.FromBytes(blob), Size: good.Size}, trust.ErrUnsupported},
		"no-digest":      {blob, ocispec.Descriptor{Size: good.Size}, trust.ErrMalformed},
		"unknown-digest": {blob, ocispec.Descriptor{Digest: "sha3:" + digest.Digest(good.Digest.Encoded()), Size: good.Size}, trust.ErrUnsupported},
		"upper-digest":   {blob, ocispec.Descriptor{Digest: digest.Digest("sha256:" + strings.ToUpper(good.Digest.Encoded())), Size: good.Size}, trust.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := layer.Walk(t.Context(), bytes.NewReader(tc.blob), tc.desc, layer.Limits{}, &visited{})
			only(t, err, tc.want)
			if (err == nil) != (tc.want == nil) {
				t.Error(err)
			}
		})
	}
}

// endless never ends; nobody may read more of it than the descriptor promises and a byte.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n += int64(len(p))
	return len(p), nil
}

func TestWalkEndlessSource(t *testing.T) {
	t.Parallel()
	r := &endless{}
	_, err := layer.Walk(t.Context(), r, ocispec.Descriptor{Digest: digest.FromString(""), Size: 5000}, layer.Limits{}, &visited{})
	only(t, err, trust.ErrIntegrity)
	if r.n != 5001 {
		t.Errorf("read %d bytes", r.n)
	}
}

// A source that breaks is no statement about the layer, wherever it breaks, even when the content was bad already.
func TestWalkBrokenSource(t *testing.T) {
	t.Parallel()
	broke := errors.New("network broke")
	plain := archive(t, file("etc/motd", strings.Repeat("hello\n", 99)))
	for name, blob := range map[string][]byte{"plain": plain, "gzip": gz(t, plain), "zstd": zst(t, plain), "garbage": bytes.Repeat([]byte("garbage"), 99)} {
		for _, cause := range []error{broke, io.ErrUnexpectedEOF, fmt.Errorf("wrapped %w", io.EOF)} {
			for n := range len(blob) + 1 {
				r := io.MultiReader(bytes.NewReader(blob[:n]), iotest.ErrReader(cause))
				_, err := layer.Walk(t.Context(), r, descriptor(blob), layer.Limits{}, &visited{})
				if !errors.Is(err, cause) {
					t.Fatalf("%s broken after %d: %v", name, n, err)
				}
				only(t, err, nil)
			}
		}
	}
}

func TestWalkBadReaders(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]io.Reader{
		"idle":     readerFunc(func([]byte) (int, error) { return 0, nil }),
		"negative": readerFunc(func([]byte) (int, error) { return -1, nil }),
		"too-many": readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := layer.Walk(t.Context(), r, descriptor([]byte("some bytes")), layer.Limits{}, &visited{})
			if err == nil {
				t.Fatal("no error")
			}
			only(t, err, nil)
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
