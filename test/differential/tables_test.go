package differential

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"go.podman.io/storage/pkg/chunked/compressor"

	"github.com/safepull/safepull/trust/layer"
	"github.com/safepull/safepull/trust/layer/toc"
)

// image is an archive with all that tables describe: many small files, large ones, links, empty and sparse-looking ones.
func image(t testing.TB) []byte {
	rnd := rand.New(rand.NewPCG(5, 6))
	large := make([]byte, 3<<20)
	for i := range large[:2<<20] {
		large[i] = byte(rnd.Uint32())
	}
	headers := []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755},
		file("usr/large", string(large)),
		file("usr/zeros", string(make([]byte, 300_000))),
		file("usr/empty", ""),
		{Typeflag: tar.TypeSymlink, Name: "usr/soft", Linkname: "large"},
		{Typeflag: tar.TypeLink, Name: "hard", Linkname: "usr/large"},
		{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3, Mode: 0o666},
		{Typeflag: tar.TypeReg, Name: "setuid", Mode: 0o4755, Size: 1, Uname: "x", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}, Format: tar.FormatPAX},
	}
	for i := range 200 {
		headers = append(headers, file(fmt.Sprintf("etc/%03d", i), fmt.Sprintf("content %d", i)))
	}
	return tarOf(t, headers...)
}

// What foreign builders write is read, whatever undoes gzip.
func TestTablesOfBuilders(t *testing.T) {
	t.Parallel()
	plain := image(t)
	check := func(name string, blob []byte, annotations map[string]string) {
		for _, inflate := range []string{layer.InflateFast, layer.InflateKlauspost, layer.InflateStdlib} {
			for _, said := range []map[string]string{annotations, nil} {
				_, s, err := walk(t, blob, said, inflate)
				if err != nil || s.TOC == nil {
					t.Errorf("%s, %s, %v: %v, %+v", name, inflate, said, err, s.TOC)
				}
			}
		}
	}
	for name, options := range map[string][]estargz.Option{
		"default":  nil,
		"chunks":   {estargz.WithChunkSize(100_000)},
		"fast":     {estargz.WithCompressionLevel(gzip.BestSpeed)},
		"shared":   {estargz.WithMinChunkSize(20_000)},
		"priority": {estargz.WithPrioritizedFiles([]string{"etc/150", "hard"})},
	} {
		b, err := estargz.Build(io.NewSectionReader(bytes.NewReader(plain), 0, int64(len(plain))), options...)
		if err != nil {
			t.Fatal(err)
		}
		blob, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		check("estargz "+name, blob, map[string]string{toc.StargzDigest: b.TOCDigest().String()})
		b.Close()
	}
	var blob bytes.Buffer
	annotations := map[string]string{}
	w, err := compressor.ZstdCompressor(&blob, annotations, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	check("zstd:chunked", blob.Bytes(), annotations)
}
