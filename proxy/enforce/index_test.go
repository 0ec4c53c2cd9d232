package enforce_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
	"github.com/safepull/safepull/trust/inspect/inspecttest"
)

const (
	listType   = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerType = "application/vnd.docker.distribution.manifest.v2+json"
)

func index(mediaType string, children ...ocispec.Descriptor) []byte {
	return mustJSON(map[string]any{"schemaVersion": 2, "mediaType": mediaType, "manifests": append([]ocispec.Descriptor{}, children...)})
}

// TestDocuments says what each kind of document leads to, whatever the judge would allow.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, c := range inspecttest.Documents() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			src := newSource()
			src.add("", ocispec.MediaTypeImageManifest, inspecttest.Image())
			src.add("1", c.Announced, c.Body)
			release, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), enforce.Terms{})
			if c.Honest() {
				if err != nil || isIndexType(release.Descriptor.MediaType) != c.Index || (release.Verdict == nil) != c.Index {
					t.Errorf("got %+v, %v", release, err)
				}
				return
			}
			if err == nil || release.Content != nil {
				t.Fatalf("served as %q", release.Descriptor.MediaType)
			}
			var rejected *enforce.Rejected
			if errors.As(err, &rejected) && strings.Contains(rejected.Reason, c.Refused) {
				return
			}
			if !errors.Is(err, trust.ErrLimit) || len(c.Body) <= 4<<20 { // what is too large is not even read
				t.Errorf("got %v", err)
			}
		})
	}
}

func isIndexType(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == listType
}

func TestServedAsWhatItIs(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct{ declared, own string }{
		ocispec.MediaTypeImageManifest: {"application/octet-stream", ocispec.MediaTypeImageManifest},
		dockerType:                     {dockerType + "; charset=utf-8", dockerType},
	} {
		src := newSource()
		src.add("1", c.declared, []byte(strings.Replace(string(image), ocispec.MediaTypeImageManifest, c.own, 1)))
		release, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), enforce.Terms{})
		if err != nil || release.Descriptor.MediaType != want {
			t.Errorf("%s as %q: %v", want, release.Descriptor.MediaType, err)
		}
	}
}

// TestUnlawfulImageHasAVerdict: the judge's refusal explains more than the gate's own.
func TestUnlawfulImageHasAVerdict(t *testing.T) {
	t.Parallel()
	src := newSource()
	src.add("1", dockerType, image)
	_, err := newGate(t, says(trust.Block), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), enforce.Terms{})
	var refusal *enforce.Refusal
	if !errors.As(err, &refusal) {
		t.Errorf("got %v", err)
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
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); !errors.As(err, &refusal) || refusal.Verdict.Manifest != child.Digest {
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
	_, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), enforce.Terms{})
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
	_, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), enforce.Terms{})
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
	_, err := newGate(t, judge, fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), enforce.Terms{})
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
		if _, err := g.Manifest(t.Context(), tagged("bad"), enforce.Terms{}); err == nil {
			t.Fatal("served")
		}
	}
	var held []enforce.Release
	for range 4 {
		release, err := g.Manifest(t.Context(), tagged("large"), enforce.Terms{})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, release)
	}
	if _, err := g.Manifest(t.Context(), tagged("large"), enforce.Terms{}); !errors.Is(err, enforce.ErrOverloaded) {
		t.Errorf("a fifth large one: %v", err)
	}
	small, err := g.Manifest(t.Context(), tagged("small"), enforce.Terms{})
	if err != nil {
		t.Errorf("a small one: %v", err)
	}
	small.Close()
	held[0].Close()
	if _, err := g.Manifest(t.Context(), tagged("large"), enforce.Terms{}); err != nil {
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
			if _, err := g.Manifest(t.Context(), tagged("2"), enforce.Terms{}); !errors.As(err, &denied) {
				t.Errorf("another index: %v", err)
			}
			if _, err := g.Manifest(t.Context(), app.WithDigest(child.Digest), enforce.Terms{}); !errors.As(err, &refusal) {
				t.Errorf("its manifest: %v", err)
			}
			if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
				t.Errorf("the allowed index: %v", err)
			}
			if _, err := g.Manifest(t.Context(), app.WithDigest(child.Digest), enforce.Terms{}); err != nil {
				t.Errorf("its manifest: %v", err)
			}
			if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); err != nil {
				t.Errorf("its blob: %v", err)
			}

			g = newGate(t, judge, fakeRecords{blob.Digest: {child.Digest}}, src, enforce.Options{}) // a restart
			if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); !errors.As(err, &refusal) {
				t.Errorf("its blob after a restart: %v", err)
			}
			if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
				t.Errorf("a client that pulls again: %v", err)
			}
			if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); err != nil {
				t.Errorf("its blob for a client that pulls again: %v", err)
			}
		})
	}
}

// TestSignaturesOfAnIndexHoldBelowIt: who signs an index signs what is in it, for clients that then ask by digest alone.
func TestSignaturesOfAnIndexHoldBelowIt(t *testing.T) {
	t.Parallel()
	child := descriptor(ocispec.MediaTypeImageManifest, image)
	good := index(ocispec.MediaTypeImageIndex, child)
	entry := trust.Entry{Pattern: "acme/**", Action: "allow", RequireSignature: &trust.Signer{Key: "k"}}
	blob := trust.Blob{Digest: digest.FromBytes(layer), Size: int64(len(layer))}
	judge, src := says(trust.Allow, blob), newSource()
	judge.standing = func(trust.Reference) trust.Standing { return trust.Standing{Decided: &entry} }
	answer := judge.verdict
	judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		v, err := answer(ctx, ref)
		if ref.Index != digest.FromBytes(good) {
			v.Action, v.Blobs = trust.Quarantine, nil
		}
		return v, err
	}
	src.add("", ocispec.MediaTypeImageManifest, image)
	src.add("1", ocispec.MediaTypeImageIndex, good)
	src.content[blob.Digest] = layer
	g := newGate(t, judge, fakeRecords{blob.Digest: {child.Digest}}, src, enforce.Options{})
	var refusal *enforce.Refusal
	if _, err := g.Manifest(t.Context(), app.WithDigest(child.Digest), enforce.Terms{}); !errors.As(err, &refusal) {
		t.Errorf("a manifest that nobody signed: %v", err)
	}
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
		t.Errorf("the signed index: %v", err)
	}
	if _, err := g.Manifest(t.Context(), app.WithDigest(child.Digest), enforce.Terms{}); err != nil {
		t.Errorf("its manifest: %v", err)
	}
	if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); err != nil {
		t.Errorf("its blob: %v", err)
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
		release, err := newGate(t, judge, fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), enforce.Terms{})
		if err == nil && !strings.Contains(release.Descriptor.MediaType, "index") && !strings.Contains(release.Descriptor.MediaType, "list") {
			t.Fatalf("a blocked image was served as %q", release.Descriptor.MediaType)
		}
		if err == nil && release.Descriptor.Digest != digest.FromBytes(body) {
			t.Fatal("other content than resolved")
		}
	})
}
