package all

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/unwrap"
	"github.com/safepull/safepull/trust/unwrap/unwraptest"
)

func tarOf(name string, body []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644}); err != nil {
		panic(err)
	}
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

func zipOf(name string, body []byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err != nil {
		panic(err)
	}
	_, _ = f.Write(body)
	_ = w.Close()
	return b.Bytes()
}

func gzipOf(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

func arOf(name string, body []byte) []byte {
	return append(fmt.Appendf(nil, "!<arch>\n%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, 0, 0, 0, 0o644, len(body)), body...)
}

// leaves are the paths of what no wrapper takes for its own, with what is there.
func leaves(t *testing.T, path string, content []byte, into map[string]string) {
	t.Helper()
	taken := false
	for _, w := range New() {
		s := unwraptest.Sample{Path: path, Content: content, Kind: trust.KindData}
		head := content[:min(len(content), unwrap.HeadBytes)]
		if !w.Wraps(unwrap.Content{Path: path, Kind: trust.KindData, Size: int64(len(content)), Head: head}) {
			continue
		}
		taken = true
		pieces, err := unwraptest.Unwrap(t.Context(), w, s, func(r io.Reader) io.Reader { return r })
		if err != nil {
			t.Errorf("%s: %s: %v", path, w.Name(), err)
		}
		for name, body := range pieces {
			leaves(t, path+trust.Nested+name, []byte(body), into)
		}
	}
	if !taken {
		into[path] = string(content)
	}
}

// TestNests: what one wrapper shows is the next one's content, and no two take the same for their own.
func TestNests(t *testing.T) {
	t.Parallel()
	const script = "#!/bin/sh\nexit 0\n"
	for path, c := range map[string]struct {
		content []byte
		want    string
	}{
		"image.tar":  {tarOf("0123/layer.tar", tarOf("opt/x", []byte(script))), "image.tar!/0123/layer.tar!/opt/x"},
		"image.tgz":  {gzipOf(tarOf("blobs/sha256/0123", gzipOf(tarOf("opt/x", []byte(script))))), "image.tgz!/image.tar!/blobs/sha256/0123!/0123!/opt/x"},
		"a.deb":      {arOf("data.tar.gz", gzipOf(tarOf("./opt/x", []byte(script)))), "a.deb!/data.tar.gz!/data.tar!/./opt/x"},
		"bundle.tar": {tarOf("a.zip", zipOf("x", []byte(script))), "bundle.tar!/a.zip!/x"},
		"lib.a":      {arOf("a.zip", zipOf("x", []byte(script))), "lib.a!/a.zip!/x"},
		"app.jar":    {zipOf("lib/b.jar", zipOf("x", []byte(script))), "app.jar!/lib/b.jar!/x"},
		"x.gz.gz.gz": {gzipOf(gzipOf(gzipOf([]byte(script)))), "x.gz.gz.gz!/x.gz.gz!/x.gz!/x"},
	} {
		got := map[string]string{}
		leaves(t, path, c.content, got)
		if diff := cmp.Diff(map[string]string{c.want: script}, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}
