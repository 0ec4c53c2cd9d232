package judge

import (
	"encoding/base64"
	"errors"
	"io"
	"slices"
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
	ways, err := s.join(closure.Join{Parts: partsOf(files[2], empty, files[1], files[2])})
	if err != nil || len(ways) != 1 || ways[0].size() != 13 {
		t.Fatal(ways, err)
	}
	if body, err := io.ReadAll(s.reader(ways[0].parts...)); err != nil || string(body) != "threeTWOthree" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := s.join(closure.Join{Parts: partsOf(missing)}); !errors.Is(err, trust.ErrMalformed) {
		t.Errorf("a part that was not read: %v", err)
	}
}

func partsOf(files ...*rootfs.File) (parts []closure.Part) {
	for _, f := range files {
		parts = append(parts, closure.Part{File: f})
	}
	return parts
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
			ways, err := s.join(closure.Join{Parts: partsOf(files...), Steps: []closure.Step{{Op: closure.Decode}}})
			if err != nil || len(ways) != 1 {
				t.Fatal(ways, err)
			}
			if body, err := io.ReadAll(s.reader(ways[0].parts...)); err != nil || !strings.HasPrefix(string(body), tc.want) {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

func TestSpool_cuts(t *testing.T) {
	t.Parallel()
	packed := "\x1f\x8b\x08\x00payload"
	script := "#!/bin/sh\nN=$(awk x)\ntail -n +$N $0\n__ARCHIVE__\n"
	step := func(op closure.Op, n int64) closure.Step { return closure.Step{Op: op, N: n} }
	for name, tc := range map[string]struct {
		body  string
		steps []closure.Step
		want  []string
	}{
		"skip":             {"0123456789", []closure.Step{step(closure.Skip, 4)}, []string{"456789"}},
		"skip-more":        {"0123", []closure.Step{step(closure.Skip, 1<<40)}, []string{""}},
		"first":            {"0123456789", []closure.Step{step(closure.First, 4)}, []string{"0123"}},
		"but-last":         {"0123456789", []closure.Step{step(closure.First, -4)}, []string{"012345"}},
		"last":             {"0123456789", []closure.Step{step(closure.Last, 4)}, []string{"6789"}},
		"both":             {"0123456789", []closure.Step{step(closure.Skip, 2), step(closure.First, 3)}, []string{"234"}},
		"lines":            {"a\nb\nc\nd", []closure.Step{step(closure.SkipLines, 2)}, []string{"c\nd"}},
		"no-lines":         {"a\nb", []closure.Step{step(closure.SkipLines, 0)}, []string{"a\nb"}},
		"first-lines":      {"a\nb\nc\nd\n", []closure.Step{step(closure.FirstLines, 2)}, []string{"a\nb\n"}},
		"but-last-lines":   {"a\nb\nc\nd\n", []closure.Step{step(closure.FirstLines, -1)}, []string{"a\nb\nc\n"}},
		"last-lines":       {"a\nb\nc\nd\n", []closure.Step{step(closure.LastLines, 1)}, []string{"d\n"}},
		"behind-a-mark":    {"sed 1,/^__X__$/d\n__X__\nrest", []closure.Step{{Op: closure.Behind, Text: "^__X__$"}}, []string{"rest"}},
		"without-the-mark": {"a\nb\n", []closure.Step{{Op: closure.Behind, Text: "^__X__$"}}, []string{""}},
		"decoded":          {"xxSGFsbG8=", []closure.Step{step(closure.Skip, 2), {Op: closure.Decode}}, []string{"Hallo"}},
		"decoded-then-cut": {"SGFsbG8=", []closure.Step{{Op: closure.Decode}, step(closure.Skip, 3)}, []string{"lo"}},
		"combined":         {"a@b@", []closure.Step{{Op: closure.Xor, Text: "\x01\x02"}}, []string{"`BcB"}},
		"translated":       {"a@b@", []closure.Step{{Op: closure.Translate, Text: atToLine()}}, []string{"a\nb\n"}},
		"searched":         {script + packed, []closure.Step{{Op: closure.Search}}, []string{packed}},
		"searched-inside":  {"junk junk " + packed + " \x7fELF\x02\x01 junk", []closure.Step{{Op: closure.Search}}, []string{packed + " \x7fELF\x02\x01 junk", "\x7fELF\x02\x01 junk"}},
		"searched-in-vain": {"nothing but text\nin two lines\n", []closure.Step{{Op: closure.Search}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, files := spooled(t, 10000, tc.body)
			ways, err := s.join(closure.Join{Parts: []closure.Part{{File: files[0], Steps: tc.steps}}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range ways {
				body, err := io.ReadAll(s.reader(w.parts...))
				if err != nil || int64(len(body)) != w.size() {
					t.Error(len(body), w.size(), err)
				}
				got = append(got, string(body))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A file that may be cut at too many places is unanswered: whoever plants beginnings hides nothing behind them.
func TestSpool_placesAreBounded(t *testing.T) {
	t.Parallel()
	s, files := spooled(t, 1<<20, strings.Repeat("--- \x7fELF\x02\x01 ---", maxPlaces+1))
	if _, err := s.join(closure.Join{Parts: []closure.Part{{File: files[0], Steps: []closure.Step{{Op: closure.Search}}}}}); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
	s, files = spooled(t, 1<<20, strings.Repeat("x\n__MARK__\n", maxPlaces+2))
	if _, err := s.join(closure.Join{Parts: []closure.Part{{File: files[0], Steps: []closure.Step{{Op: closure.Search}}}}}); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
	s, files = spooled(t, 1<<20, strings.Repeat("--- \x7fELF\x02\x01 ---", 6))
	many := closure.Part{File: files[0], Steps: []closure.Step{{Op: closure.Search}}}
	if _, err := s.join(closure.Join{Parts: []closure.Part{many, many, many}}); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
	s, files = spooled(t, 30, "0123456789")
	if _, err := s.join(closure.Join{Parts: partsOf(files[0], files[0], files[0]), Steps: []closure.Step{{Op: closure.Skip, N: 1}}}); !errors.Is(err, trust.ErrLimit) {
		t.Error(err)
	}
}

// atToLine makes line ends of "@", and leaves out zeros.
func atToLine() string {
	table := make([]byte, 512)
	for i := range 256 {
		table[i] = byte(i)
	}
	table['@'], table[256] = '\n', 1
	return string(table)
}

func FuzzSpool(f *testing.F) {
	f.Add("#!/bin/sh\n__X__\n\x1f\x8b\x08\x00", int64(3), "^__X__$")
	f.Fuzz(func(t *testing.T, body string, n int64, mark string) {
		s := &spool{limit: 1 << 20, parts: map[*rootfs.File]part{}}
		defer s.close()
		file := &rootfs.File{TreeEntry: trust.TreeEntry{Size: int64(len(body))}}
		if err := s.take(file, strings.NewReader(body)); err != nil {
			return
		}
		for _, op := range []closure.Op{closure.Skip, closure.First, closure.Last, closure.SkipLines, closure.FirstLines, closure.LastLines, closure.Behind, closure.Search, closure.Decode, closure.Translate, closure.Xor} {
			ways, err := s.join(closure.Join{Parts: []closure.Part{{File: file, Steps: []closure.Step{{Op: op, N: n, Text: mark}}}}})
			if err != nil && !errors.Is(err, trust.ErrLimit) && !errors.Is(err, trust.ErrUnsupported) {
				t.Error(op, err)
			}
			for _, w := range ways {
				if got, err := io.ReadAll(s.reader(w.parts...)); err != nil || op != closure.Decode && op != closure.Translate && op != closure.Xor && !strings.Contains(body, string(got)) {
					t.Errorf("%s: %q, %v", op, got, err)
				}
			}
		}
	})
}

func TestJoinName(t *testing.T) {
	t.Parallel()
	file := func(p string) *rootfs.File { return &rootfs.File{TreeEntry: trust.TreeEntry{Path: p}} }
	if got := joinName(closure.Join{Parts: partsOf(file("a/b"), file("c"))}, joined{cut: -1}); got != "a/b+c" {
		t.Error(got)
	}
	if got := joinName(closure.Join{Parts: partsOf(file("a/b"))}, joined{cut: 77}); got != "a/b"+trust.Nested+"cut@77" {
		t.Error(got)
	}
	long := closure.Join{}
	for range 100 {
		long.Parts = append(long.Parts, closure.Part{File: file(strings.Repeat("x", 100))})
	}
	if got := joinName(long, joined{cut: -1}); len(got) > 1200 || !strings.HasSuffix(got, "+…") {
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
