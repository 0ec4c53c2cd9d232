package judge_test

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
	"github.com/safepull/safepull/trust/judge"
)

func TestJudge_artifactThatMayRunIsJudgedAsImage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		manifestType, layerType, config string
		want                            bool
	}{
		"layers-of-an-image": {ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageLayer, `{"config":{"Entrypoint":["/x"]}}`, true},
		"other-layers":       {ocispec.MediaTypeImageManifest, "application/spdx+json", `{"config":{"Entrypoint":["/x"]}}`, false},
		"lists-layers":       {ocispec.MediaTypeImageManifest, "application/spdx+json", `{"config":{"Entrypoint":["/x"]},"rootfs":{"diff_ids":["sha256:00"]}}`, true},
		"lists-layers-oddly": {ocispec.MediaTypeImageManifest, "application/spdx+json", `{"config":{"Entrypoint":["/x"]},"ROOTFS":{"Diff_IDs":[1]}}`, false},
		"docker's-type":      {inspect.DockerManifest, "application/spdx+json", `{"config":{"Entrypoint":["/x"]}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &snippetPaths{}
			j, _, _ := newJudge(t, func(o *judge.Options) { o.Scanner = seen })
			src := newSource()
			manifest, err := json.Marshal(ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: tc.manifestType,
				Config: src.put("application/vnd.cncf.helm.config.v1+json", []byte(tc.config)),
				Layers: []ocispec.Descriptor{src.put(tc.layerType, []byte("layer"))},
			})
			if err != nil {
				t.Fatal(err)
			}
			root := src.put(tc.manifestType, manifest)
			v, err := j.Judge(t.Context(), trust.Reference{Registry: "r.test", Repository: "a/b", Digest: root.Digest}, src)
			if err != nil {
				t.Fatal(err)
			}
			if name == "lists-layers-oddly" && v.Action.Serves() {
				t.Errorf("%s: %+v", v.Action, v.Evidence)
			}
			if got := slices.Contains(seen.paths, "config:command"); got != tc.want {
				t.Errorf("command inspected: %t; snippets %v", got, seen.paths)
			}
		})
	}
}

// snippetPaths finds nothing and notes which strings of a configuration it was shown.
type snippetPaths struct{ paths []string }

func (*snippetPaths) Key() digest.Digest { return digest.FromString("key") }
func (*snippetPaths) Layer(context.Context, io.Reader, ocispec.Descriptor) (trust.Inspection, error) {
	return trust.Inspection{}, nil
}
func (*snippetPaths) Data(context.Context, io.Reader, ocispec.Descriptor) (trust.Inspection, error) {
	return trust.Inspection{}, nil
}
func (s *snippetPaths) Snippet(_ digest.Digest, path string, _ trust.Kind, _ []byte) ([]trust.Finding, error) {
	s.paths = append(s.paths, path)
	return nil, nil
}

// linking finds a document in one layer and a link to it in the other.
type linking struct{ snippetPaths }

func (*linking) Layer(_ context.Context, r io.Reader, _ ocispec.Descriptor) (trust.Inspection, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return trust.Inspection{}, err
	}
	found := trust.Inspection{DiffID: diffID(body)}
	switch string(body) {
	case "document":
		found.Findings = []trust.Finding{{Check: "a@1", Path: "usr/share/doc/notes.md", IfRun: trust.Proof}}
	case "a link to the document":
		found.Tree.Add(trust.TreeEntry{Path: "bin/sh", Type: trust.TypeSymlink, Target: "../usr/share/doc/notes.md"})
	}
	return found, nil
}

func TestJudge_followsLinksAcrossLayers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		link string
		want trust.Action
	}{
		"linked":     {"a link to the document", trust.Block},
		"not-linked": {"nothing but other files", trust.Allow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, _ := newJudge(t, func(o *judge.Options) { o.Scanner = &linking{} })
			src := newSource()
			v, err := j.Judge(t.Context(), src.image(t, nil, "document", tc.link), src)
			if err != nil || v.Action != tc.want {
				t.Errorf("%s, %v: %+v", v.Action, err, v.Evidence)
			}
		})
	}
}

// TestJudge_artifacts: what is no image is inspected as data and passes when it is small; what engines may run is not.
func TestJudge_artifacts(t *testing.T) {
	t.Parallel()
	const own = "application/vnd.example.own"
	for name, tc := range map[string]struct {
		config, layer string
		limit         int64
		want          trust.Action
	}{
		"signature":           {"application/vnd.oci.empty.v1+json", "application/vnd.dev.cosign.simplesigning.v1+json", 0, trust.Allow},
		"chart":               {"application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.provenance.v1.prov", 0, trust.Allow},
		"of-unknown-type":     {own, own, 0, trust.Allow},
		"just-small-enough":   {own, own, 2 + 5, trust.Allow},
		"too-large":           {own, own, 2 + 4, trust.Quarantine},
		"encrypted":           {own, "application/vnd.oci.image.layer.v1.tar+encrypted", 0, trust.Quarantine},
		"may-run":             {own, "application/vnd.oci.image.layer.v1.own", 0, trust.Quarantine},
		"config-lists-layers": {"lists", own, 0, trust.Quarantine},
		"image-of-odd-layers": {ocispec.MediaTypeImageConfig, own, 0, trust.Block}, // it lists no layer
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, _, _ := newJudge(t, func(o *judge.Options) { o.ArtifactBytes = tc.limit })
			src := newSource()
			config := `{}`
			if tc.config == "lists" { // engines take this type for that of an image
				tc.config, config = "application/octet-stream", `{"rootfs":{"diff_ids":["sha256:00"]}}`
			}
			manifest, err := json.Marshal(ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: own,
				Config: src.put(tc.config, []byte(config)), Layers: []ocispec.Descriptor{src.put(tc.layer, []byte("layer"))},
			})
			if err != nil {
				t.Fatal(err)
			}
			root := src.put(ocispec.MediaTypeImageManifest, manifest)
			v, err := j.Judge(t.Context(), trust.Reference{Registry: "r.test", Repository: "a/b", Digest: root.Digest}, src)
			if err != nil || v.Action != tc.want {
				t.Errorf("%s, %v: %v", v.Action, err, v.Evidence.Unanswered)
			}
		})
	}
}
