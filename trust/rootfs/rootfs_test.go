package rootfs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/rootfs"
)

// layerOf reads a layer from words: "f path" is a file, "d path" a folder, "l path target" and "h path target" are links,
// "w path" is a whiteout, "q path" makes a folder opaque, "o path" is a device.
func layerOf(name, entries string) rootfs.Layer {
	l := rootfs.Layer{Digest: digest.FromString(name)}
	for line := range strings.SplitSeq(entries, ";") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		e := trust.TreeEntry{Path: f[1], Type: trust.FileType(f[0][0])}
		switch f[0] {
		case "w":
			i := strings.LastIndexByte(f[1], '/') + 1
			e.Path, e.Type = f[1][:i]+".wh."+f[1][i:], trust.TypeFile
		case "q":
			e.Path, e.Type = f[1]+"/.wh..wh..opq", trust.TypeFile
		}
		if len(f) > 2 {
			e.Target = f[2]
		}
		l.Tree.Add(e)
	}
	return l
}

// merge puts layers together and describes every file: "path: archive path in layer N", or its link.
func merge(layers ...string) (*rootfs.View, []string) {
	var in []rootfs.Layer
	number := map[digest.Digest]int{}
	for i, l := range layers {
		in = append(in, layerOf(fmt.Sprint(i), l))
		number[in[i].Digest] = i
	}
	v := rootfs.Merge(in)
	var got []string
	for _, p := range v.Below("/", 1000) {
		f := v.Lookup(p)
		if f == nil {
			got = append(got, p+": leads nowhere")
			continue
		}
		got = append(got, fmt.Sprintf("%s: %s in %d", p, f.Path, number[f.Layer]))
	}
	return v, got
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		layers []string
		want   []string
	}{
		"one":                       {[]string{"d a; f a/b; f c"}, []string{"a/b: a/b in 0", "c: c in 0"}},
		"later-wins":                {[]string{"f a; f b", "f a"}, []string{"a: a in 1", "b: b in 0"}},
		"twice-in-a-layer":          {[]string{"f a; f a"}, []string{"a: a in 0"}},
		"whiteout":                  {[]string{"f a/b; f a/c", "w a/b"}, []string{"a/c: a/c in 0"}},
		"whiteout-of-a-folder":      {[]string{"f a/b/c; f d", "w a"}, []string{"d: d in 0"}},
		"whiteout-then-file":        {[]string{"f a", "w a; f a"}, []string{"a: a in 1"}},
		"whiteout-of-nothing":       {[]string{"f a", "w b/c"}, []string{"a: a in 0"}},
		"whiteout-through-a-link":   {[]string{"f a/b; l d a", "w d/b"}, []string{"d: leads nowhere"}},
		"whiteout-of-a-link":        {[]string{"f a; l b a", "w b"}, []string{"a: a in 0"}},
		"opaque":                    {[]string{"f a/b; f a/c/d", "f a/e; q a; f a/c/f"}, []string{"a/c/f: a/c/f in 1", "a/e: a/e in 1"}},
		"opaque-of-nothing":         {[]string{"f a", "q b"}, []string{"a: a in 0"}},
		"opaque-keeps-own-below":    {[]string{"f a/b/c", "d a/b; f a/b/d; q a"}, []string{"a/b/d: a/b/d in 1"}},
		"folder-replaced-by-file":   {[]string{"f a/b", "f a"}, []string{"a: a in 1"}},
		"file-replaced-by-folder":   {[]string{"f a", "d a; f a/b"}, []string{"a/b: a/b in 1"}},
		"folder-on-folder":          {[]string{"f a/b", "d a; f a/c"}, []string{"a/b: a/b in 0", "a/c: a/c in 1"}},
		"folder-replaces-link":      {[]string{"f a/b; l d a", "d d; f d/x"}, []string{"a/b: a/b in 0", "d/x: d/x in 1"}},
		"below-a-link":              {[]string{"d usr/bin; l bin usr/bin", "f bin/sh"}, []string{"bin: leads nowhere", "usr/bin/sh: bin/sh in 1"}},
		"below-an-absolute-link":    {[]string{"l bin /usr/bin", "f bin/sh"}, []string{"bin: leads nowhere", "usr/bin/sh: bin/sh in 1"}},
		"link-stays-in-the-root":    {[]string{"l a ../../../etc", "f a/x"}, []string{"a: leads nowhere", "etc/x: a/x in 1"}},
		"link-up":                   {[]string{"d a/b; l a/b/c ..; f a/b/c/x"}, []string{"a/b/c: leads nowhere", "a/x: a/b/c/x in 0"}},
		"chain-of-links":            {[]string{"l a b; l b c/d; l c e", "f a/x"}, []string{"a: leads nowhere", "b: leads nowhere", "c: leads nowhere", "e/d/x: a/x in 1"}},
		"hard-link":                 {[]string{"f a; h b a"}, []string{"a: a in 0", "b: a in 0"}},
		"hard-link-across-layers":   {[]string{"f a", "h b a; w a"}, []string{"b: a in 0"}},
		"hard-link-keeps-old":       {[]string{"f a; h b a", "f a"}, []string{"a: a in 1", "b: a in 0"}},
		"hard-link-to-nothing":      {[]string{"h b a"}, nil},
		"hard-link-to-a-link":       {[]string{"f a; l b a; h c b"}, []string{"a: a in 0", "b: a in 0", "c: a in 0"}},
		"hard-link-below-a-link":    {[]string{"f a/x; l b a; h c b/x"}, []string{"a/x: a/x in 0", "b: leads nowhere", "c: a/x in 0"}},
		"hard-link-of-aufs":         {[]string{"f .wh..wh.plnk/1; h a .wh..wh.plnk/1"}, []string{"a: .wh..wh.plnk/1 in 0"}},
		"symlink-to-file":           {[]string{"f a/b; l c a/b; l d /c"}, []string{"a/b: a/b in 0", "c: a/b in 0", "d: a/b in 0"}},
		"loop":                      {[]string{"l a b; l b a"}, []string{"a: leads nowhere", "b: leads nowhere"}},
		"device-replaces":           {[]string{"f a", "o a"}, []string{"a: a in 1"}},
		"whiteout-that-is-a-folder": {[]string{"f a", "d .wh.a"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, got := merge(tc.layers...)
			if diff := cmp.Diff(tc.want, got); diff != "" || v.Cut() {
				t.Error(v.Cut(), diff)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	v, _ := merge("f a/x; f a/y; l b a; f odd\x01; f two; f two", "f b/x; h c b/y; w odd\x01", "w two")
	for _, tc := range []struct {
		layer, path string
		want        []string
	}{
		{"0", "a/x", []string{}},
		{"0", "a/y", []string{"a/y", "c"}},
		{"1", "b/x", []string{"a/x"}},
		{"1", "c", []string{"a/y", "c"}},
		{"0", "odd·", []string{}},
		{"0", "two", []string{}},
		{"0", "no", nil},
		{"9", "a/x", nil},
	} {
		var got []string
		for _, f := range v.Files(digest.FromString(tc.layer), tc.path) {
			if got = append(got, v.Places(f)...); got == nil {
				got = []string{}
			}
			if v.Hidden(f) != (len(v.Places(f)) == 0) {
				t.Errorf("%s: hidden %t at %q", tc.path, v.Hidden(f), v.Places(f))
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s of layer %s: %s", tc.path, tc.layer, diff)
		}
	}
	if !v.Holds(digest.FromString("1")) || v.Holds(digest.FromString("9")) {
		t.Error("Holds is wrong")
	}
	if !v.IsFolder("b") || v.IsFolder("a/x") || v.IsFolder("no") || len(v.Names("/b/")) != 2 || v.Names("no") != nil {
		t.Error("folders are wrong")
	}
	if got := v.Below("b", 1); len(got) != 1 || got[0] != "b/x" || v.Below("no", 1) != nil {
		t.Errorf("Below: %q", got)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	l := layerOf("", "l usr/bin/a ../lib/b; l c /opt/d/; h /e usr/f; l up /..; d g; f x")
	want := map[string]string{"usr/bin/a": "usr/lib/b", "c": "opt/d", "/e": "usr/f", "up": "."}
	if diff := cmp.Diff(want, rootfs.Links(l.Tree)); diff != "" {
		t.Error(diff)
	}
}

func TestMerge_isBounded(t *testing.T) {
	t.Parallel()
	var many, deep, held strings.Builder
	for i := range 1<<19 + 1 {
		fmt.Fprintf(&many, "f %d;", i)
	}
	for range 2100 {
		deep.WriteString("d/")
	}
	for i := range 20000 {
		fmt.Fprintf(&held, "f %d%s;", i, strings.Repeat("x", 4000))
	}
	for name, layers := range map[string][]string{
		"nodes": {many.String()},
		"depth": {"f " + deep.String() + "x"},
		"held":  {held.String()},
		"loop":  {"l a b; l b a", "f a/x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if v, _ := merge(layers...); !v.Cut() {
				t.Error("not cut")
			}
		})
	}
}

func FuzzMerge(f *testing.F) {
	f.Add("f a/b; l c a; h d a/b", "w a; q c; f c/x")
	f.Add("l a ..; l b a/b", "d b; f b/x; o b")
	f.Fuzz(func(t *testing.T, low, high string) {
		v, _ := merge(low, high)
		if v.Cut() {
			return
		}
		for _, p := range v.Below("/", 1000) {
			if f := v.Lookup(p); f != nil && v.Hidden(f) {
				t.Fatalf("%q is there, and hidden", p)
			}
		}
	})
}
