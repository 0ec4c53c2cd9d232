package judge

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/rootfs"
)

func spooled(t *testing.T, limit int64, bodies ...string) (*spool, []*rootfs.File) {
	t.Helper()
	s := &spool{limit: limit, parts: map[*rootfs.File]part{}}
	t.Cleanup(s.close)
	var files []*rootfs.File
	for _, body := range bodies {
		f := &rootfs.File{TreeEntry: trust.TreeEntry{Path: "p/" + body[:1], Size: int64(len(body))}}
		if err := s.take(f, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return s, files
}

func TestSpool(t *testing.T) {
	t.Parallel()
	s, files := spooled(t, 100, "one", "two", "three")
	if err := s.take(files[1], strings.NewReader("TWO")); err != nil { // the last one of a path counts
		t.Fatal(err)
	}
	empty, missing := &rootfs.File{}, &rootfs.File{TreeEntry: trust.TreeEntry{Size: 1}}
	r, size, err := s.join(closure.Join{Parts: []*rootfs.File{files[2], empty, files[1], files[2]}})
	if err != nil || size != 13 {
		t.Fatal(size, err)
	}
	if body, err := io.ReadAll(r); err != nil || string(body) != "threeTWOthree" {
		t.Errorf("%q, %v", body, err)
	}
	if _, _, err := s.join(closure.Join{Parts: []*rootfs.File{missing}}); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("a part that was not read: %v", err)
	}
}

func TestSpool_isBounded(t *testing.T) {
	t.Parallel()
	s, files := spooled(t, 10, "0123456789")
	if err := s.take(files[0], strings.NewReader("x")); !errors.Is(err, trust.ErrLimit) {
		t.Errorf("beyond the limit: %v", err)
	}
	s, files = spooled(t, 10, "0")
	broken := errors.New("broken")
	if err := s.take(files[0], iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a reader that breaks: %v", err)
	}
}

func TestSpool_decodes(t *testing.T) {
	t.Parallel()
	text := base64.StdEncoding.EncodeToString([]byte("some text that is longer than a line"))
	for name, tc := range map[string]struct{ body, want string }{
		"whole":    {text, "some text that is longer than a line"},
		"in-lines": {text[:20] + "\n" + text[20:] + "\n", "some text that is longer than a line"},
		"cut":      {text[:20], "some text that "},
		"junk":     {text[:20] + "!!!!" + text[20:], "some text that "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, files := spooled(t, 1000, tc.body)
			r, _, err := s.join(closure.Join{Parts: files, Base64: true})
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(r); err != nil || !strings.HasPrefix(string(body), tc.want) {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

func TestJoinName(t *testing.T) {
	t.Parallel()
	file := func(p string) *rootfs.File { return &rootfs.File{TreeEntry: trust.TreeEntry{Path: p}} }
	if got := joinName(closure.Join{Parts: []*rootfs.File{file("a/b"), file("c")}}); got != "a/b+c" {
		t.Error(got)
	}
	long := closure.Join{}
	for range 100 {
		long.Parts = append(long.Parts, file(strings.Repeat("x", 100)))
	}
	if got := joinName(long); len(got) > 1200 || !strings.HasSuffix(got, "+…") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestTrees_areBounded(t *testing.T) {
	t.Parallel()
	var big trust.Tree
	big.Add(trust.TreeEntry{Path: "x", Body: strings.Repeat("y", 40<<20)})
	var kept trees
	kept.keep(0, trust.Inspection{Tree: big})
	if kept.cut || len(kept.of) != 1 {
		t.Error("a tree within the bounds is not kept")
	}
	kept.keep(1, trust.Inspection{Tree: big})
	if !kept.cut || kept.of != nil {
		t.Error("trees beyond the bounds are kept")
	}
	var cut trees
	if cut.keep(0, trust.Inspection{TreeCut: true}); !cut.cut {
		t.Error("a tree that was cut passes for whole")
	}
}
