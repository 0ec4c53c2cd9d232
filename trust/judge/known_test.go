package judge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/configs"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/judge"
	"github.com/safepull/safepull/trust/policy"
	"github.com/safepull/safepull/trust/store/sqlite"
)

// catalogue is a scanner that knows the trees of layers beforehand: what is measured is not the inspection.
type catalogue struct {
	scanner
	trees map[digest.Digest]trust.Tree
}

func (c *catalogue) Layer(_ context.Context, r io.Reader, desc ocispec.Descriptor) (trust.Inspection, error) {
	c.scans.Add(1)
	body, err := io.ReadAll(r)
	found := trust.Inspection{Findings: c.text(desc.Digest, "usr/bin/tool0-2", trust.KindScript, body), Tree: c.trees[desc.Digest], DiffID: diffID(body), Bytes: 1}
	if bytes.Contains(body, []byte("BOMB")) {
		return found, fmt.Errorf("too large: %w", trust.ErrLimit)
	}
	return found, err
}

// largeTree is like the layer of an interpreter with its libraries: many files in folders, some links and scripts.
func largeTree(layer, files int) trust.Tree {
	rng := rand.New(rand.NewPCG(1, uint64(layer)))
	var t trust.Tree
	add := func(e trust.TreeEntry) { t.Add(e) }
	for _, dir := range []string{"usr", "usr/bin", "usr/lib", "usr/lib/python3"} {
		add(trust.TreeEntry{Path: dir, Type: trust.TypeDir, Mode: 0o755})
	}
	for i := range files {
		dir := fmt.Sprintf("usr/lib/python3/package%d-%d/module%d", layer, i/200, i/40)
		if i%40 == 0 {
			add(trust.TreeEntry{Path: dir, Type: trust.TypeDir, Mode: 0o755})
		}
		e := trust.TreeEntry{Path: fmt.Sprintf("%s/file%d.py", dir, i), Type: trust.TypeFile, Mode: 0o644, Size: int64(rng.IntN(1 << 16)), Kind: trust.KindText}
		switch i % 25 {
		case 0:
			e = trust.TreeEntry{Path: fmt.Sprintf("usr/lib/lib%d-%d.so", layer, i), Type: trust.TypeSymlink, Target: fmt.Sprintf("lib%d-%d.so.1", layer, i), Mode: 0o777}
		case 1:
			e = trust.TreeEntry{Path: fmt.Sprintf("usr/lib/lib%d-%d.so.1", layer, i-1), Type: trust.TypeFile, Mode: 0o755, Size: int64(rng.IntN(1 << 24)), Kind: trust.KindExecutable, Like: rng.Uint64()}
		case 2:
			body := "#!/bin/sh\n" + strings.Repeat(fmt.Sprintf("echo %x\n", rng.Uint64()), 50)
			e = trust.TreeEntry{Path: fmt.Sprintf("usr/bin/tool%d-%d", layer, i), Type: trust.TypeFile, Mode: 0o755, Size: int64(len(body)), Kind: trust.KindScript, Body: body}
		}
		add(e)
	}
	return t
}

// known is a registry of images with large layers that are inspected at once.
type known struct {
	*source
	*catalogue
	layers []string
}

func newKnown(layers, files int) *known {
	k := &known{source: newSource(), catalogue: &catalogue{trees: map[digest.Digest]trust.Tree{}}}
	for i := range layers {
		k.layers = append(k.layers, k.layer(fmt.Sprint("layer ", i), largeTree(i, files)))
	}
	return k
}

func (k *known) layer(body string, tree trust.Tree) string {
	k.trees[digest.FromString(body)] = tree
	return body
}

// image is one with these layers and a configuration of its own.
func (k *known) image(tb testing.TB, n int, layers ...string) trust.Reference {
	tb.Helper()
	return k.source.image(tb, func(_ *ocispec.Manifest, config map[string]any) {
		config["config"] = ocispec.ImageConfig{Entrypoint: []string{"/usr/bin/tool0-2"}, Cmd: []string{"-m", "app"}, Env: []string{fmt.Sprint("VERSION=", n)}}
	}, layers...)
}

// BenchmarkJudge_knownLayers is the verdict of an image whose layers were inspected before, with a store as it is in use.
func BenchmarkJudge_knownLayers(b *testing.B) {
	shipped, err := policy.Load("default", bytes.NewReader(configs.DefaultPolicy()))
	if err != nil {
		b.Fatal(err)
	}
	k := newKnown(6, 6000)
	store, err := sqlite.Open(filepath.Join(b.TempDir(), "store"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	count := 0
	verdict := func(b *testing.B, j *judge.Judge, layers ...string) {
		count++
		ref := k.image(b, count, layers...)
		b.StartTimer()
		v, err := j.Judge(b.Context(), ref, k)
		b.StopTimer()
		if err != nil || len(v.Evidence.Unanswered) > 0 {
			b.Fatal(v.Evidence.Unanswered, err)
		}
	}
	anew := func() *judge.Judge {
		j, err := judge.New(judge.Options{Scanner: k, Policy: shipped, Lists: lists{}, Memory: store})
		if err != nil {
			b.Fatal(err)
		}
		return j
	}
	warm := anew()
	b.StopTimer()
	verdict(b, warm, k.layers...)
	for _, bench := range []struct {
		name string
		run  func(*testing.B)
	}{
		{"new-config", func(b *testing.B) { verdict(b, warm, k.layers...) }},
		{"new-top", func(b *testing.B) {
			top := k.layer(fmt.Sprint("top ", count), largeTree(100+count, 200))
			verdict(b, warm, append(k.layers[:len(k.layers):len(k.layers)], top)...)
		}},
		{"after-restart", func(b *testing.B) { verdict(b, anew(), k.layers...) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.StopTimer()
			for range b.N {
				bench.run(b)
			}
		})
	}
}

// same is what must not depend on what is remembered.
func same(v trust.Verdict) string {
	v.ID, v.At, v.Duration = "", time.Time{}, 0
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// knownImages are images of few layers in many ways, some of which cannot be read to their end.
func knownImages(tb testing.TB) (*known, []trust.Reference) {
	tb.Helper()
	k := newKnown(3, 60)
	var cut, hides trust.Tree
	cut.Add(trust.TreeEntry{Path: "usr/bin/tool0-2", Type: trust.TypeFile, Mode: 0o755, Size: 4, Kind: trust.KindScript, Body: "/a\n"})
	hides.Add(trust.TreeEntry{Path: "usr/bin/.wh.tool0-2", Type: trust.TypeFile})
	hides.Add(trust.TreeEntry{Path: "opt", Type: trust.TypeSymlink, Target: "usr/bin"})
	all := append(k.layers, k.layer("BOMB", cut), k.layer("hides", hides), k.layer("a HINT", largeTree(9, 30)))
	var refs []trust.Reference
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 60 {
		var layers []string
		for range 1 + rng.IntN(4) {
			layers = append(layers, all[rng.IntN(len(all))])
		}
		refs = append(refs, k.image(tb, n, layers...))
	}
	return k, refs
}

// TestJudge_knownLayers: verdicts are the same whatever was judged before, one after another or at once.
func TestJudge_knownLayers(t *testing.T) {
	t.Parallel()
	k, refs := knownImages(t)
	change := func(o *judge.Options) { o.Scanner = k }
	want := map[digest.Digest]string{}
	for _, ref := range refs {
		j, _, _ := newJudge(t, change)
		v, err := j.Judge(t.Context(), ref, k)
		if err != nil {
			t.Fatal(err)
		}
		want[ref.Digest] = same(v)
	}
	warm, _, _ := newJudge(t, change)
	var running sync.WaitGroup
	for _, ref := range refs {
		running.Go(func() {
			v, err := warm.Judge(t.Context(), ref, k)
			if got := same(v); err != nil || got != want[ref.Digest] {
				t.Errorf("%s: %v: %s", ref, err, cmp.Diff(want[ref.Digest], got))
			}
		})
	}
	running.Wait()
}

// TestJudge_recalls: what a blob showed is asked of the memory again after an hour, and never for another question.
func TestJudge_recalls(t *testing.T) {
	t.Parallel()
	now := time.Now()
	j, s, m := newJudge(t, func(o *judge.Options) { o.Now = func() time.Time { return now } })
	src := newSource()
	count := 0
	judged := func() error {
		count++
		_, err := j.Judge(t.Context(), src.image(t, func(_ *ocispec.Manifest, c map[string]any) {
			c["config"] = map[string]any{"Cmd": []string{fmt.Sprint("/", count)}}
		}, "one", "two"), src)
		return err
	}
	if err := judged(); err != nil || s.scans.Load() != 2 {
		t.Fatal(err, s.scans.Load())
	}
	m.inspections = map[string]trust.Inspection{} // somebody pruned it
	if err := judged(); err != nil || s.scans.Load() != 2 {
		t.Error("known layers are inspected again:", err, s.scans.Load())
	}
	now = now.Add(time.Hour)
	if err := judged(); err != nil || s.scans.Load() != 4 {
		t.Error("an hour later the memory is not asked:", err, s.scans.Load())
	}
	s.key = "other rules"
	if err := judged(); err != nil || s.scans.Load() != 6 {
		t.Error("other rules ask no other question:", err, s.scans.Load())
	}
}
