package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/layer"
)

// listed keeps what a walk showed, in order.
type listed struct{ seen []string }

func (l *listed) Entry(e trust.TreeEntry) {
	l.seen = append(l.seen, fmt.Sprintf("%c %s %o %d %s", e.Type, e.Path, e.Mode, e.Size, e.Target))
}

func (l *listed) File(_ context.Context, e layer.Entry, r io.Reader) error {
	body, err := io.ReadAll(r)
	l.seen = append(l.seen, fmt.Sprintf("body of %s: %s", e.Path, body))
	return err
}

func TestWalkListsEveryEntry(t *testing.T) {
	t.Parallel()
	link := func(kind byte, name, target string) *tar.Header {
		return &tar.Header{Typeflag: kind, Name: name, Linkname: target, Mode: 0o777}
	}
	suid := file("./bin//su", "x")
	suid.Mode = 0o4755
	blob := gz(t, archive(t,
		&tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "git"}},
		suid,
		link(tar.TypeSymlink, "/a/b", "../c/"), link(tar.TypeLink, "e", "./bin/su"),
		&tar.Header{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666}, &tar.Header{Typeflag: tar.TypeFifo, Name: "pipe"},
		file("d/.wh..wh..opq", ""), file("d/.wh.gone", ""), file("d/.wh.odd", "y"), file("empty", ""),
	))
	got := &listed{}
	if _, err := layer.Walk(t.Context(), bytes.NewReader(blob), descriptor(blob), layer.Limits{}, got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"d . 755 0 ", "f bin/su 4755 1 ", "body of bin/su: x", "l a/b 777 0 ../c/", "h e 777 0 ./bin/su", "o null 666 0 ", "o pipe 0 0 ",
		"f d/.wh..wh..opq 644 0 ", "f d/.wh.gone 644 0 ", "f d/.wh.odd 644 1 ", "body of d/.wh.odd: y", "f empty 644 0 ", "body of empty: ",
	}
	if diff := cmp.Diff(want, got.seen); diff != "" {
		t.Error(diff)
	}
}
