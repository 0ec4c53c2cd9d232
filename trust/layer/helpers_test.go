package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/safepull/safepull/trust/layer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func descriptor(blob []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/x-lies", Digest: digest.FromBytes(blob), Size: int64(len(blob))}
}

// file is a regular file of an archive.
func file(name, content string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), Uname: content}
}

// archive makes a tar archive. For brevity a regular file's content stands in its Uname.
func archive(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		header, content := *h, h.Uname
		header.Uname = ""
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gz(t testing.TB, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zst(t testing.TB, plain []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// bzipped is an archive of one file "etc/motd" that says "hello\n", made by bzip2: Go only reads the format.
func bzipped(t testing.TB) []byte {
	t.Helper()
	blob, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(bzippedText), ""))
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// visited keeps what a walk showed.
type visited struct {
	paths  []string
	bodies []string
	// buf is the size of each read; zero means io.ReadAll.
	buf int
	// err is returned by File, after reading if read is set.
	err error
	do  func(layer.Entry, io.Reader) error
}

func (v *visited) File(_ context.Context, e layer.Entry, r io.Reader) error {
	v.paths = append(v.paths, e.Path)
	if v.do != nil {
		return v.do(e, r)
	}
	if v.err != nil {
		return v.err
	}
	var body []byte
	var err error
	if v.buf == 0 {
		body, err = io.ReadAll(r)
	} else {
		body, err = readBy(r, v.buf)
	}
	v.bodies = append(v.bodies, string(body))
	return err
}

func readBy(r io.Reader, size int) ([]byte, error) {
	var all []byte
	buf := make([]byte, size)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func walk(t testing.TB, blob []byte, limits layer.Limits) (*visited, layer.Summary, error) {
	t.Helper()
	v := &visited{}
	s, err := layer.Walk(t.Context(), bytes.NewReader(blob), descriptor(blob), limits, v)
	return v, s, err
}

const bzippedText = `
QlpoOTFBWSZTWeWD06cAAHp7kMmQAERAAPcAAEBuRp4ABAAACCAAVDKJkGQD1PUNGnqCSkaAaDQ0D0gx9KFVKEFtaQkZPzcRaF1i
BDhNQHMXoRKGzgbAq5Y5vS4oaK3ntHKOBWqI0Q0ntqSQPxdyRThQkOWD06c=
`

// filesOf cuts n files of the given size out of content.
func filesOf(content []byte, size, n int) []*tar.Header {
	var headers []*tar.Header
	for i := 0; i < n && (i+1)*size <= len(content); i++ {
		headers = append(headers, file("small/f"+strings.Repeat("x", i%40), string(content[i*size:(i+1)*size])))
	}
	return headers
}
