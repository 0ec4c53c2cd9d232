package inspect_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect"
)

const zero = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func descriptor(mediaType, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":3%s}`, mediaType, zero, more)
}

func imageManifest(more, layerMore string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, ocispec.MediaTypeImageManifest,
		descriptor(ocispec.MediaTypeImageConfig, ""), descriptor(ocispec.MediaTypeImageLayerGzip, layerMore), more)
}

func TestParseManifest(t *testing.T) {
	t.Parallel()
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, descriptor(ocispec.MediaTypeImageManifest, ""))
	many := strings.Repeat(descriptor(ocispec.MediaTypeImageLayer, "")+",", inspect.MaxLayers)
	children := strings.Repeat(descriptor(ocispec.MediaTypeImageManifest, "")+",", inspect.MaxChildren)
	tests := map[string]struct {
		body, mediaType string
		kind            inspect.Kind
		err             error
		refused         string
	}{
		"image":                    {body: imageManifest("", ""), kind: inspect.Image},
		"image-as-announced":       {body: imageManifest("", ""), mediaType: ocispec.MediaTypeImageManifest + "; charset=utf-8", kind: inspect.Image},
		"announced-otherwise":      {body: imageManifest("", ""), mediaType: inspect.DockerManifest, kind: inspect.Image, refused: "announced as"},
		"docker-image":             {body: strings.Replace(imageManifest("", ""), ocispec.MediaTypeImageConfig, inspect.DockerConfig, 1), kind: inspect.Image},
		"artifact":                 {body: strings.Replace(imageManifest("", ""), ocispec.MediaTypeImageConfig, "application/vnd.acme", 1), kind: inspect.Artifact},
		"index":                    {body: index, kind: inspect.Index},
		"index-as-announced":       {body: index, mediaType: inspect.DockerIndex, kind: inspect.Index},
		"index-announced-as-image": {body: index, mediaType: ocispec.MediaTypeImageManifest, err: trust.ErrMalformed},
		"both-at-once":             {body: imageManifest(`,"manifests":[]`, ""), err: trust.ErrMalformed},
		"neither":                  {body: `{"schemaVersion":2}`, err: trust.ErrMalformed},
		"schema-1":                 {body: `{"schemaVersion":1,"fsLayers":[]}`, err: trust.ErrUnsupported},
		"schema-3":                 {body: strings.Replace(imageManifest("", ""), `n":2`, `n":3`, 1), err: trust.ErrUnsupported},
		"unknown-type":             {body: strings.Replace(imageManifest("", ""), ocispec.MediaTypeImageManifest, "application/x", 1), err: trust.ErrUnsupported},
		"not-json":                 {body: `{"schemaVersion":2`, err: trust.ErrMalformed},
		"not-an-object":            {body: `[]`, err: trust.ErrMalformed},
		"something-follows":        {body: imageManifest("", "") + "{}", err: trust.ErrMalformed},
		"same-member-twice":        {body: imageManifest(`,"layers":[]`, ""), err: trust.ErrMalformed},
		"same-but-for-case":        {body: imageManifest(`,"Layers":[]`, ""), err: trust.ErrMalformed},
		"same-but-for-long-s":      {body: imageManifest(`,"layer\u017f":[]`, ""), err: trust.ErrMalformed},
		"same-but-for-kelvin":      {body: strings.Replace(imageManifest("", ""), `"size":3`, `"size":3,"an\u212a":1,"ank":2`, 1), err: trust.ErrMalformed},
		"annotations-by-case":      {body: imageManifest(`,"annotations":{"a":"1","A":"2"}`, ""), kind: inspect.Image},
		"too-deep":                 {body: imageManifest(`,"x":`+strings.Repeat("[", 70)+strings.Repeat("]", 70), ""), err: trust.ErrMalformed},
		"too-many-values":          {body: imageManifest(`,"x":[`+strings.Repeat("0,", 200_000)+"0]", ""), err: trust.ErrLimit},
		"too-large":                {body: strings.Repeat(" ", inspect.MaxManifest+1), err: trust.ErrLimit},
		"too-many-layers":          {body: strings.Replace(imageManifest("", ""), `"layers":[`, `"layers":[`+many, 1), err: trust.ErrLimit},
		"too-many-children":        {body: strings.Replace(index, `"manifests":[`, `"manifests":[`+children, 1), err: trust.ErrLimit},
		"urls":                     {body: imageManifest("", `,"urls":["http://x.example"]`), kind: inspect.Image, refused: "URLs"},
		"data-that-lies":           {body: imageManifest("", `,"data":"YWJj"`), kind: inspect.Image, refused: "inline data"},
		"sha512":                   {body: strings.Replace(imageManifest("", ""), "sha256:", "sha512:", 1), err: trust.ErrUnsupported},
		"digest-with-a-path":       {body: strings.Replace(imageManifest("", ""), zero, "sha256:../../etc/passwd", 1), err: trust.ErrUnsupported},
		"negative-size":            {body: strings.Replace(imageManifest("", ""), `"size":3`, `"size":-3`, 1), err: trust.ErrMalformed},
		"subject-with-urls":        {body: imageManifest(`,"subject":`+descriptor("a/b", `,"urls":["http://x.example"]`), ""), kind: inspect.Image, refused: "URLs"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := inspect.ParseManifest([]byte(tt.body), tt.mediaType)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error = %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			if m.Kind != tt.kind {
				t.Errorf("kind = %s, want %s", m.Kind, tt.kind)
			}
			if got := strings.Join(m.Refused, "; "); (got != "") != (tt.refused != "") || !strings.Contains(got, tt.refused) {
				t.Errorf("refused = %q, want %q", got, tt.refused)
			}
		})
	}
}

func TestParseManifest_inlineData(t *testing.T) {
	t.Parallel()
	body := strings.Replace(imageManifest("", `,"data":"YWJj"`), zero+`","size":3,"data"`, digest.FromString("abc").String()+`","size":3,"data"`, 1)
	m, err := inspect.ParseManifest([]byte(body), "")
	if err != nil || len(m.Refused) > 0 {
		t.Errorf("refused %q, %v: inline data that is what its digest says must pass", m.Refused, err)
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	c, err := inspect.ParseConfig([]byte(`{"os":"linux","architecture":"arm","variant":"v7","config":{"Entrypoint":["/bin/sh","-c","run it"],
		"Cmd":["x"],"Env":["A=1","B=2"],"WorkingDir":"/w","Healthcheck":{"Test":["CMD-SHELL","check | me"]},"Labels":{"b":"2","a":"1"}},
		"history":[{"created_by":"RUN x","comment":"buildkit"},{"empty_layer":true}],"rootfs":{"type":"layers","diff_ids":["` + zero + `"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []inspect.Text{
		{Path: "config:command", Kind: trust.KindConfig, Body: "run it x"},
		{Path: "config:env", Kind: trust.KindConfig, Body: "A=1\nB=2"},
		{Path: "config:healthcheck", Kind: trust.KindConfig, Body: "check | me"},
		{Path: "config:history[0]", Kind: trust.KindConfig, Body: "RUN x # buildkit"},
		{Path: "config:labels", Kind: trust.KindText, Body: "a=1\nb=2"},
	}
	if diff := cmp.Diff(want, c.Texts()); diff != "" {
		t.Errorf("texts:\n%s", diff)
	}
	if c.Platform() != "linux/arm/v7" {
		t.Errorf("platform = %s", c.Platform())
	}
	for name, bad := range map[string]struct {
		body string
		err  error
	}{
		"not-json":    {"x", trust.ErrMalformed},
		"other-root":  {`{"rootfs":{"type":"squashfs"}}`, trust.ErrUnsupported},
		"twice":       {`{"config":{},"config":{}}`, trust.ErrMalformed},
		"wrong-shape": {`{"config":{"Env":3}}`, trust.ErrMalformed},
		"too-large":   {strings.Repeat(" ", inspect.MaxConfig+1), trust.ErrLimit},
	} {
		if _, err := inspect.ParseConfig([]byte(bad.body)); !errors.Is(err, bad.err) {
			t.Errorf("%s: error = %v, want %v", name, err, bad.err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"./x -o 192.0.2.1:3333":  {"./x", "-o", "192.0.2.1:3333"},
		"a 'b c' '' 'it'\\''s'":  {"a", "b c", "", "it's"},
		"cd / && run":            {"/bin/sh", "-c", "cd / && run"},
		"set -e; run now":        {"bash", "-ec", "set -e; run", "now"},
		"run":                    {"/bin/bash", "-o", "-c", "run"},
		"sh --norc script":       {"sh", "--norc", "script"},
		"python3 -c 'import os'": {"python3", "-c", "import os"},
		"":                       nil,
	}
	for want, argv := range tests {
		if got := inspect.CommandLine(argv); got != want {
			t.Errorf("CommandLine(%q) = %q, want %q", argv, got, want)
		}
	}
}

func TestTreatmentOf(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]inspect.Treatment{
		ocispec.MediaTypeImageLayerZstd:                         inspect.Layer,
		ocispec.MediaTypeImageLayerGzip + "; x=y":               inspect.Layer,
		"application/vnd.in-toto+json":                          inspect.Data,
		"application/vnd.oci.image.layer.v1.tar+gzip+encrypted": inspect.Encrypted,
		"application/vnd.oci.image.layer.v1.squashfs":           inspect.Unknown,
		"": inspect.Unknown,
	} {
		if got := inspect.TreatmentOf(mediaType); got != want {
			t.Errorf("TreatmentOf(%q) = %d, want %d", mediaType, got, want)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(imageManifest("", "")), ocispec.MediaTypeImageManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), "")
	f.Fuzz(func(t *testing.T, body []byte, mediaType string) {
		m, err := inspect.ParseManifest(body, mediaType)
		if err != nil {
			return
		}
		var again struct{ Layers, Manifests []ocispec.Descriptor }
		if err := json.Unmarshal(body, &again); err != nil || len(again.Layers) != len(m.Layers) || len(again.Manifests) != len(m.Children) {
			t.Errorf("another reader sees %d layers and %d manifests, %v; we see %d and %d", len(again.Layers), len(again.Manifests), err, len(m.Layers), len(m.Children))
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"os":"linux","config":{"Entrypoint":["/bin/sh","-c","x"],"Labels":{"a":"b"}},"rootfs":{"type":"layers"}}`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		if c, err := inspect.ParseConfig(body); err == nil {
			c.Texts()
		}
	})
}
