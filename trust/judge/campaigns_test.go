package judge

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/closure"
	"github.com/safepull/safepull/trust/inspect"
)

// TestPayloads: of many files with signs the weightiest are compared, each with what its bytes show wherever they are.
func TestPayloads(t *testing.T) {
	t.Parallel()
	const layer = "sha256:aa"
	c := &inquiry{runs: &closure.Closure{}, manifest: inspect.Manifest{Layers: []ocispec.Descriptor{{Digest: layer}}}}
	var tree trust.Tree
	program := func(path string, like uint64, found ...trust.Finding) {
		tree.Add(trust.TreeEntry{Path: path, Type: trust.TypeFile, Mode: 0o755, Size: 9000, Kind: trust.KindExecutable, Like: like})
		for _, f := range found {
			f.Check, f.Layer, f.Path = "minerbinary@1", layer, path
			c.signs.add(f, false, c.runs)
		}
	}
	for i := range 300 {
		program(fmt.Sprintf("decoy/%d", i), uint64(i+1), trust.Finding{Strength: trust.Weak})
	}
	program("opt/miner", 1000, trust.Finding{Strength: trust.Weak}, trust.Finding{Strength: trust.Strong})
	program("opt/helper", 1001, trust.Finding{Strength: trust.Context, IfRun: trust.Strong})
	program("bin/sh", 1002)
	c.trees.of = map[int]trust.Tree{0: tree}
	c.evidence.Steps = []trust.Step{{By: "config:entrypoint", Path: "bin/sh", Layer: layer}}
	files := c.payloads()
	if len(files) != maxPayloads {
		t.Fatalf("%d files", len(files))
	}
	if f := files[0]; f.ID != "program:00000000000003e8:9000" || f.Exact || f.Own != trust.Strong || f.Finding.Strength != trust.Strong {
		t.Errorf("first is %+v", f)
	}
	for _, f := range files[1:] {
		if f.Own > trust.Weak || f.Finding.Strength > trust.Weak {
			t.Errorf("%+v", f)
		}
	}
	c.files = nil
	c.signs.raw, c.signs.weighed, c.signs.running = c.signs.raw[300:], c.signs.weighed[300:], c.signs.running[300:]
	files = c.payloads()
	if len(files) != 3 || files[1].ID != "program:00000000000003e9:9000" || files[1].Own != trust.Strong || files[2].Own != trust.Context || files[2].Finding.Reach != trust.ReachRuns {
		t.Errorf("%+v", files)
	}
}
