package rootfs_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/rootfs"
)

// hostileLayers reads layers from numbers: few names, so that they meet, and everything that names and links can do.
func hostileLayers(next func(n int) int, most int) []rootfs.Layer {
	names := []string{"a", "b", "c", "d", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh..wh.plnk", "..", ".", "", ".wh.", "\x01"}
	join := func() string {
		var parts []string
		for range 1 + next(4) {
			parts = append(parts, names[min(next(len(names)), next(len(names)))])
		}
		return strings.Join(parts, "/")
	}
	near := "" // a folder of the entry before
	types := []trust.FileType{trust.TypeFile, trust.TypeFile, trust.TypeDir, trust.TypeSymlink, trust.TypeHardlink, trust.TypeOther}
	var layers []rootfs.Layer
	for i := range 1 + next(4) {
		if i > 0 && next(8) == 0 { // a layer may stand in an image twice
			layers = append(layers, layers[next(len(layers))])
			continue
		}
		l := rootfs.Layer{Digest: digest.FromString(fmt.Sprint(i))}
		for k := range next(most) {
			e := trust.TreeEntry{Path: join(), Type: types[next(len(types))], Size: int64(1000*i + k)}
			if near != "" && next(2) == 0 {
				e.Path = near + names[next(4)]
			}
			near = e.Path[:strings.LastIndexByte(e.Path, '/')+1]
			switch e.Type {
			case trust.TypeSymlink, trust.TypeHardlink:
				switch e.Target = join(); next(4) {
				case 0:
					e.Target = "/" + e.Target
				case 1:
					e.Target = []string{".", "..", "/"}[next(3)]
				}
			case trust.TypeFile:
				e.Like = uint64(next(4)) //nolint:gosec // small
			}
			l.Tree.Add(e)
		}
		layers = append(layers, l)
	}
	return layers
}

// seen is all that a view says of a file, which its size names.
func seen(size int64, layer digest.Digest, hidden bool, places []string) string {
	return fmt.Sprintf("%s %d %t %q", layer, size, hidden, places)
}

// tell asks both views everything about layers. One is made in several steps: of what others are made of too.
func tell(layers []rootfs.Layer, steps ...int) (got, want []string) {
	v, plain, done := rootfs.Merge(nil), plainMerge(layers), 0
	for _, n := range append(steps, len(layers)) {
		next := v.With(layers[done:max(n, done)])
		v.With([]rootfs.Layer{{Digest: "sha256:other", Tree: layers[0].Tree}, layers[len(layers)-1]}) // changes nothing
		if v, done = next, max(n, done); v.Cut() && done < len(layers) {
			v, done = rootfs.Merge(layers), len(layers) // it may not be when there is more
		}
	}
	say := func(what string, a, b any) {
		got, want = append(got, fmt.Sprint(what, " ", a)), append(want, fmt.Sprint(what, " ", b))
	}
	if say("cut", v.Cut(), plain.Cut()); v.Cut() {
		return got, want
	}
	file := func(f *rootfs.File) string {
		if f == nil {
			return "none"
		}
		return seen(f.Size, f.Layer, v.Hidden(f), v.Places(f)) + fmt.Sprint(v.Alike(f))
	}
	plainFile := func(f *plainFile) string {
		if f == nil {
			return "none"
		}
		return seen(f.Size, f.Layer, f.Hidden(), f.Places()) + fmt.Sprint(plain.Alike(f))
	}
	say("below", v.Below("/", 1<<20), plain.Below("/", 1<<20))
	asked := append(plain.Below("/", 1<<20), "", "/", "a", "b", "c", "a/b", "b/a/..", "../c", "a/a/a/a", ".wh..wh.plnk/a")
	for _, l := range layers {
		for e := range l.Tree.All() {
			asked = append(asked, e.Path)
		}
	}
	slices.Sort(asked)
	for _, p := range slices.Compact(asked) {
		say("look up "+p, file(v.Lookup(p)), plainFile(plain.Lookup(p)))
		say("folder "+p, v.IsFolder(p), plain.IsFolder(p))
		say("names "+p, v.Names(p), plain.Names(p))
		say("three below "+p, v.Below(p, 3), plain.Below(p, 3))
		for _, limit := range []int{2, 1 << 20} {
			paths, all := v.Named(p, limit)
			plainPaths, plainAll := plain.Named(p, limit)
			say("named "+p, fmt.Sprint(paths, all), fmt.Sprint(plainPaths, plainAll))
		}
		for _, l := range layers {
			var files, plainFiles []string
			for _, f := range v.Files(l.Digest, p) {
				files = append(files, file(f))
			}
			for _, f := range plain.Files(l.Digest, p) {
				plainFiles = append(plainFiles, plainFile(f))
			}
			say("files "+p, files, plainFiles)
		}
	}
	return got, want
}

// TestMerge_same: whatever the layers are, merging comes to what the plainest way of merging comes to.
func TestMerge_same(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 7))
	for i := range 1200 {
		layers := hostileLayers(rng.IntN, 40)
		steps := [][]int{nil, {rng.IntN(len(layers) + 1)}, {1, 2, 3}}[i%3]
		for k := range steps {
			steps[k] = min(steps[k], len(layers))
		}
		if got, want := tell(layers, steps...); !slices.Equal(got, want) {
			t.Fatalf("run %d, steps %v: %s", i, steps, cmp.Diff(want, got))
		}
	}
}

// TestMerge_sameLinks: of very many hard links to one file the same are named.
func TestMerge_sameLinks(t *testing.T) {
	t.Parallel()
	var l rootfs.Layer
	l.Digest = digest.FromString("links")
	l.Tree.Add(trust.TreeEntry{Path: "f", Type: trust.TypeFile, Size: 1})
	for i := range 300 {
		l.Tree.Add(trust.TreeEntry{Path: fmt.Sprintf("%d/%d", i*7%10, i*37%300), Type: trust.TypeHardlink, Target: "f"})
	}
	if got, want := tell([]rootfs.Layer{l}); !slices.Equal(got, want) {
		t.Fatal(cmp.Diff(want, got))
	}
}

// TestWith_apart: views that were made of the same one know nothing of each other.
func TestWith_apart(t *testing.T) {
	t.Parallel()
	base := rootfs.Merge([]rootfs.Layer{layerOf("base", "f f; h 1 f; h 2 f; h 3 f; d d; f d/x")})
	layers := []string{"h 4 f; f d/a", "h 5 f; w 1; q d", "f f; l d e", "d f; h d/b 1"}
	var views []*rootfs.View
	for _, l := range layers {
		views = append(views, base.With([]rootfs.Layer{layerOf(l, l)}))
		views = append(views, views[len(views)-1].With([]rootfs.Layer{layerOf("top", "h 6 2; h 7 3; f top")}))
	}
	want := []string{
		"[1 2 3 4 f] [d/a d/x]", "[1 2 3 4 6 7 f] [d/a d/x]", "[2 3 5 f] []", "[2 3 5 6 7 f] []",
		"[1 2 3] [d]", "[1 2 3 6 7] [d]", "[1 2 3 d/b] [d/b d/x]", "[1 2 3 6 7 d/b] [d/b d/x]",
	}
	for i, v := range views {
		var below []string
		for _, p := range v.Below("/", 100) {
			if strings.HasPrefix(p, "d") {
				below = append(below, p)
			}
		}
		if got := fmt.Sprint(v.Places(v.Lookup("2")), " ", below); got != want[i] {
			t.Errorf("view %d: %s, want %s", i, got, want[i])
		}
	}
	if got := fmt.Sprint(base.Places(base.Lookup("f")), " ", base.Below("d", 9)); got != "[1 2 3 f] [d/x]" {
		t.Errorf("what was built on is now %s", got)
	}
}

func FuzzMerge_same(f *testing.F) {
	f.Add([]byte{2, 5, 0, 1, 3, 4, 1, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add([]byte(strings.Repeat("\x03\x14\x01\x04\x00\x02\x05", 40)))
	f.Fuzz(func(t *testing.T, numbers []byte) {
		next := func(n int) int {
			if len(numbers) == 0 {
				return 0
			}
			k := int(numbers[0]) % n
			numbers = numbers[1:]
			return k
		}
		if got, want := tell(hostileLayers(next, 40)); !slices.Equal(got, want) {
			t.Fatal(cmp.Diff(want, got))
		}
	})
}
