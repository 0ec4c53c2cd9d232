package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

const (
	listType    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerType  = "application/vnd.docker.distribution.manifest.v2+json"
	schema1Type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

func index(mediaType string, children ...ocispec.Descriptor) []byte {
	return mustJSON(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "manifests": append([]ocispec.Descriptor{}, children...)})
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"%d":""`, i)
	}
	return strings.Join(keys, ",")
}

// TestDocuments says what each kind of manifest leads to, before any verdict.
func TestDocuments(t *testing.T) {
	t.Parallel()
	child := descriptor(ocispec.MediaTypeImageManifest, image)
	with := func(change func(*ocispec.Descriptor)) []byte {
		d := child
		change(&d)
		return index(ocispec.MediaTypeImageIndex, d)
	}
	const oci, ociIndex = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex
	raw := func(format string, args ...any) []byte { return fmt.Appendf(nil, format, args...) }
	cases := map[string]struct {
		declared string
		body     []byte
		want     string // the type served, or part of the reason
		rejected bool
	}{
		"image":                {oci, image, oci, false},
		"image_with_charset":   {oci + "; charset=utf-8", image, oci, false},
		"image_undeclared":     {"application/octet-stream", image, oci, false},
		"image_docker":         {dockerType, raw(`{"schemaVersion":2,"config":{},"layers":[]}`), dockerType, false},
		"index":                {ociIndex, index(ociIndex, child), ociIndex, false},
		"index_list":           {listType, index(listType, child), listType, false},
		"index_untyped":        {"", raw(`{"schemaVersion":2,"manifests":[]}`), ociIndex, false},
		"index_inline_true":    {ociIndex, with(func(d *ocispec.Descriptor) { d.Data = image }), ociIndex, false},
		"header_contradicts":   {ociIndex, image, "the manifest itself", true},
		"shape_contradicts":    {ociIndex, raw(`{"schemaVersion":2,"config":{},"layers":[]}`), "not what its type", true},
		"both_shapes":          {oci, raw(`{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}`), "not what its type", true},
		"schema1":              {schema1Type, raw(`{"schemaVersion":1,"fsLayers":[]}`), "schema 1", true},
		"schema1_disguised":    {oci, raw(`{"schemaVersion":1,"config":{},"layers":[]}`), "schema 1", true},
		"fslayers_too":         {oci, raw(`{"schemaVersion":2,"config":{},"layers":[],"fsLayers":[]}`), "schema 1", true},
		"unknown_type":         {"application/x-miner", image, "not known", true},
		"not_json":             {oci, []byte("hello"), "not JSON", true},
		"array":                {oci, []byte("[]"), "no", true},
		"very_many_children":   {ociIndex, raw(`{"schemaVersion":2,"manifests":[%s{}]}`, strings.Repeat("{},", 1_390_000)), "more than 50000 values", true},
		"many_annotations":     {ociIndex, raw(`{"schemaVersion":2,"manifests":[],"annotations":{%s}}`, manyKeys(60_000)), "more than 50000 values", true},
		"many_of_a_free_key":   {oci, raw(`{"schemaVersion":2,"config":{},"layers":[],"x":[%s0]}`, strings.Repeat("0,", 60_000)), "more than 50000 values", true},
		"trailing":             {oci, append(append([]byte{}, image...), "{}"...), "trailing", true},
		"key_twice":            {oci, raw(`{"schemaVersion":2,"layers":[],"config":{},"layers":[]}`), "twice", true},
		"key_twice_deep":       {ociIndex, raw(`{"schemaVersion":2,"manifests":[{"size":1,"size":2}]}`), "twice", true},
		"key_odd_case":         {oci, raw(`{"schemaVersion":2,"Layers":[],"config":{},"layers":[]}`), "differently", true},
		"annotation_keys_free": {oci, raw(`{"schemaVersion":2,"config":{},"layers":[],"annotations":{"Size":"1","size":"2"}}`), oci, false},
		"too_deep":             {oci, raw(`{"schemaVersion":2,"config":%s1%s,"layers":[]}`, strings.Repeat("[", 100), strings.Repeat("]", 100)), "nested", true},
		"urls":                 {ociIndex, with(func(d *ocispec.Descriptor) { d.URLs = []string{"https://evil.example/x"} }), "urls", true},
		"nested_index":         {ociIndex, with(func(d *ocispec.Descriptor) { d.MediaType = ociIndex }), "entry of type", true},
		"inline_false":         {ociIndex, with(func(d *ocispec.Descriptor) { d.Data = []byte("other") }), "contradicts", true},
		"inline_wrong_size":    {ociIndex, with(func(d *ocispec.Descriptor) { d.Data, d.Size = image, 1 }), "contradicts", true},
		"bad_digest":           {ociIndex, with(func(d *ocispec.Descriptor) { d.Digest = "sha256:zz" }), "digest", true},
		"negative_size":        {ociIndex, with(func(d *ocispec.Descriptor) { d.Size = -1 }), "size", true},
		"subject_urls": {ociIndex, mustJSON(ocispec.Index{Manifests: []ocispec.Descriptor{child},
			Subject: &ocispec.Descriptor{Digest: child.Digest, URLs: []string{"x"}}}), "schema", true},
		"many_children": {ociIndex, index(ociIndex, make([]ocispec.Descriptor, 1025)...), "more than 1024", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSource()
			src.add("", ocispec.MediaTypeImageManifest, image)
			src.add("1", c.declared, c.body)
			release, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"))
			var rejected *enforce.Rejected
			if c.rejected != errors.As(err, &rejected) || !c.rejected && err != nil {
				t.Fatalf("got %+v, %v", release, err)
			}
			if c.rejected && (!strings.Contains(rejected.Reason, c.want) || release.Content != nil) {
				t.Errorf("reason %q lacks %q", rejected.Reason, c.want)
			}
			if !c.rejected && release.Descriptor.MediaType != c.want {
				t.Errorf("served as %q", release.Descriptor.MediaType)
			}
		})
	}
}

func TestInlineChildrenAreJudgedWithTheIndex(t *testing.T) {
	t.Parallel()
	child := descriptor(ocispec.MediaTypeImageManifest, image)
	child.Data = image
	src := newSource()
	src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, child))
	g := newGate(t, says(trust.Block), fakeRecords{}, src, enforce.Options{})
	var refusal *enforce.Refusal
	if _, err := g.Manifest(t.Context(), tagged("1")); !errors.As(err, &refusal) || refusal.Verdict.Manifest != child.Digest {
		t.Errorf("an index carried a blocked manifest: %v", err)
	}
}

func TestManyInlineChildrenAreRejected(t *testing.T) {
	t.Parallel()
	var children []ocispec.Descriptor
	for i := range 9 {
		body := append(append([]byte{}, image...), strings.Repeat(" ", i)...)
		d := descriptor(ocispec.MediaTypeImageManifest, body)
		d.Data = body
		children = append(children, d)
	}
	src := newSource()
	src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, children...))
	var rejected *enforce.Rejected
	_, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"))
	if !errors.As(err, &rejected) {
		t.Errorf("got %v", err)
	}
}

func TestInlineChildMustBeAnImage(t *testing.T) {
	t.Parallel()
	inner := index(ocispec.MediaTypeImageIndex)
	d := descriptor(ocispec.MediaTypeImageManifest, inner)
	d.Data = inner
	src := newSource()
	src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, d))
	var rejected *enforce.Rejected
	_, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"))
	if !errors.As(err, &rejected) {
		t.Errorf("got %v", err)
	}
}

func TestDeniedNameHasNoIndex(t *testing.T) {
	t.Parallel()
	judge, src := says(trust.Allow), newSource()
	entry := trust.Entry{Pattern: "docker.io/acme/**", Action: "deny", Reason: "miners", List: "trust.yaml", Line: 7}
	judge.standing = func(trust.Reference) trust.Standing { return trust.Standing{Decided: &entry} }
	src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex))
	_, err := newGate(t, judge, fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"))
	var denied *enforce.Denied
	if !errors.As(err, &denied) || !strings.Contains(err.Error(), "trust.yaml:7") || !strings.Contains(err.Error(), "miners") {
		t.Errorf("got %v", err)
	}
}

func TestLargeDocumentsShareRoom(t *testing.T) {
	t.Parallel()
	src := newSource()
	large := index(ocispec.MediaTypeImageIndex)
	large = append(large[:len(large)-1], `,"annotations":{"x":"`+strings.Repeat("a", 4<<20-200)+`"}}`...)
	src.add("large", ocispec.MediaTypeImageIndex, large)
	src.add("small", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex))
	src.add("bad", ocispec.MediaTypeImageIndex, append(append([]byte{}, large...), "{}"...))
	g := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{Hold: 200 * time.Millisecond})
	for range 6 { // what is refused leaves no trace
		if _, err := g.Manifest(t.Context(), tagged("bad")); err == nil {
			t.Fatal("served")
		}
	}
	var held []enforce.Release
	for range 4 {
		release, err := g.Manifest(t.Context(), tagged("large"))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, release)
	}
	if _, err := g.Manifest(t.Context(), tagged("large")); !errors.Is(err, enforce.ErrOverloaded) {
		t.Errorf("a fifth large one: %v", err)
	}
	small, err := g.Manifest(t.Context(), tagged("small"))
	if err != nil {
		t.Errorf("a small one: %v", err)
	}
	small.Close()
	held[0].Close()
	if _, err := g.Manifest(t.Context(), tagged("large")); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
}

// TestEntriesForAnIndexHoldBelowIt: the lists deny the repository, but allow one tag or one index of it.
func TestEntriesForAnIndexHoldBelowIt(t *testing.T) {
	t.Parallel()
	child := descriptor(ocispec.MediaTypeImageManifest, image)
	good := index(ocispec.MediaTypeImageIndex, child)
	all, entry := &trust.Entry{Pattern: "acme/**", Action: "deny"}, &trust.Entry{Pattern: "acme/app", Action: "allow"}
	for name, allowed := range map[string]func(trust.Reference) trust.Standing{
		"tag": func(ref trust.Reference) trust.Standing {
			if ref.Tag == "1" {
				return trust.Standing{Decided: entry, TagMatters: true}
			}
			return trust.Standing{Decided: all, TagMatters: true}
		},
		"index": func(ref trust.Reference) trust.Standing {
			if want := digest.FromBytes(good); ref.Digest == want || ref.Index == want {
				return trust.Standing{Decided: entry}
			}
			return trust.Standing{Decided: all}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blob := trust.Blob{Digest: digest.FromBytes(layer), Size: int64(len(layer))}
			judge, src := says(trust.Allow, blob), newSource()
			judge.standing = allowed
			answer := judge.verdict
			judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
				v, err := answer(ctx, ref)
				if allowed(ref).Denied() {
					v.Action, v.Blobs = trust.Block, nil
				}
				return v, err
			}
			src.add("", ocispec.MediaTypeImageManifest, image)
			src.add("1", ocispec.MediaTypeImageIndex, good)
			src.add("2", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, child, child))
			src.content[blob.Digest] = layer
			g := newGate(t, judge, fakeRecords{blob.Digest: {child.Digest}}, src, enforce.Options{})
			var denied *enforce.Denied
			var refusal *enforce.Refusal
			if _, err := g.Manifest(t.Context(), tagged("2")); !errors.As(err, &denied) {
				t.Errorf("another index: %v", err)
			}
			if _, err := g.Manifest(t.Context(), app.WithDigest(child.Digest)); !errors.As(err, &refusal) {
				t.Errorf("its manifest: %v", err)
			}
			if _, err := g.Manifest(t.Context(), tagged("1")); err != nil {
				t.Errorf("the allowed index: %v", err)
			}
			if _, err := g.Manifest(t.Context(), app.WithDigest(child.Digest)); err != nil {
				t.Errorf("its manifest: %v", err)
			}
			if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest)); err != nil {
				t.Errorf("its blob: %v", err)
			}
		})
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(ocispec.MediaTypeImageManifest, image)
	f.Add(ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, descriptor(ocispec.MediaTypeImageManifest, image)))
	f.Add("", []byte(`{"schemaVersion":2,"manifests":[{"data":"YQ==","urls":["x"]}]}`))
	f.Add("application/json; q", []byte(`{"a":[{"b":{}}]`))
	f.Fuzz(func(t *testing.T, declared string, body []byte) {
		judge := says(trust.Block)
		src := newSource()
		src.add("1", declared, body)
		release, err := newGate(t, judge, fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"))
		if err == nil && !strings.Contains(release.Descriptor.MediaType, "index") && !strings.Contains(release.Descriptor.MediaType, "list") {
			t.Fatalf("a blocked image was served as %q", release.Descriptor.MediaType)
		}
		if err == nil && release.Descriptor.Digest != digest.FromBytes(body) {
			t.Fatal("other content than resolved")
		}
	})
}
