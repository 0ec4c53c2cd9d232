package enforce_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

var mirror = enforce.Terms{Whole: true}

// variant is another image.
func variant(n int) []byte { return append(append([]byte{}, image...), strings.Repeat(" ", n)...) }

// child adds an image to the source and describes it for an index; an empty platform is none.
func child(src *fakeSource, n int, platform string) ocispec.Descriptor {
	body := variant(n)
	src.add("", ocispec.MediaTypeImageManifest, body)
	d := descriptor(ocispec.MediaTypeImageManifest, body)
	if os, arch, ok := strings.Cut(platform, "/"); ok {
		d.Platform = &ocispec.Platform{OS: os, Architecture: arch}
	}
	return d
}

// blocks makes a judge that blocks some manifests, fails at others, and allows the rest.
func blocks(blocked, broken []digest.Digest) *fakeJudge {
	j := says(trust.Allow)
	j.verdict = func(_ context.Context, ref trust.Reference) (trust.Verdict, error) {
		v := trust.Verdict{ID: "SP-0123456789", Reference: ref, Manifest: ref.Digest, Action: trust.Allow}
		for _, d := range blocked {
			if d == ref.Digest {
				v.Action = trust.Block
			}
		}
		for _, d := range broken {
			if d == ref.Digest {
				return trust.Verdict{}, trust.ErrUnavailable
			}
		}
		return v, nil
	}
	return j
}

// TestIndexAsAWhole: who could get a refused manifest elsewhere gets the index only when all that it could run passed.
func TestIndexAsAWhole(t *testing.T) {
	t.Parallel()
	src := newSource()
	amd, arm, riscv, windows := child(src, 1, "linux/amd64"), child(src, 2, "linux/arm64"), child(src, 3, "linux/riscv64"), child(src, 4, "windows/amd64")
	nameless, attestation := child(src, 5, ""), child(src, 6, "unknown/unknown")
	cases := map[string]struct {
		children        []ocispec.Descriptor
		blocked, broken []digest.Digest
		refused         digest.Digest // whose verdict refuses the index
		says            string        // of another error
		judged          int32
	}{
		"all-allowed":              {children: []ocispec.Descriptor{amd, arm}, judged: 2},
		"one-blocked":              {children: []ocispec.Descriptor{amd, arm}, blocked: []digest.Digest{arm.Digest}, refused: arm.Digest, judged: 2},
		"blocked-beside-broken":    {children: []ocispec.Descriptor{amd, arm}, blocked: []digest.Digest{arm.Digest}, broken: []digest.Digest{amd.Digest}, refused: arm.Digest, judged: 2},
		"broken":                   {children: []ocispec.Descriptor{amd, arm}, broken: []digest.Digest{arm.Digest}, says: "could not be judged", judged: 2},
		"other-platform-blocked":   {children: []ocispec.Descriptor{amd, riscv, windows}, blocked: []digest.Digest{riscv.Digest, windows.Digest}, judged: 1},
		"no-platform-blocked":      {children: []ocispec.Descriptor{amd, nameless}, blocked: []digest.Digest{nameless.Digest}, refused: nameless.Digest, judged: 2},
		"attestation-is-not-asked": {children: []ocispec.Descriptor{amd, attestation}, blocked: []digest.Digest{attestation.Digest}, judged: 1},
		"nothing-for-us":           {children: []ocispec.Descriptor{riscv, windows}, says: "no image for linux/amd64, linux/arm64"},
		"twice":                    {children: []ocispec.Descriptor{amd, amd}, judged: 1},
		"empty":                    {},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := newSource()
			own.content, own.types = map[digest.Digest][]byte{}, map[digest.Digest]string{}
			for d, body := range src.content {
				own.content[d], own.types[d] = body, src.types[d]
			}
			top := own.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, c.children...))
			j := blocks(c.blocked, c.broken)
			g := newGate(t, j, fakeRecords{}, own, enforce.Options{})
			for _, ref := range []trust.Reference{tagged("1"), app.WithDigest(top)} {
				release, err := g.Manifest(t.Context(), ref, mirror)
				var refusal *enforce.Refusal
				switch {
				case c.refused != "":
					if !errors.As(err, &refusal) || refusal.Verdict.Manifest != c.refused {
						t.Errorf("%s: %v", ref, err)
					}
				case c.says != "":
					if err == nil || !strings.Contains(err.Error(), c.says) {
						t.Errorf("%s: %v", ref, err)
					}
				case err != nil || release.Descriptor.Digest != top:
					t.Errorf("%s: %v", ref, err)
				}
			}
			if n := j.asked.Load(); c.says == "" && c.broken == nil && n != c.judged {
				t.Errorf("%d judgements, want %d", n, c.judged)
			}
			if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
				t.Errorf("for a client without another road: %v", err)
			}
		})
	}
}

// TestOtherPlatformsAreRefused to those who got the index as a whole, and judged for the others.
func TestOtherPlatformsAreRefused(t *testing.T) {
	t.Parallel()
	src := newSource()
	amd, riscv := child(src, 1, "linux/amd64"), child(src, 2, "linux/riscv64")
	src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, amd, riscv))
	g := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{})
	if _, err := g.Manifest(t.Context(), tagged("1"), mirror); err != nil {
		t.Fatal(err)
	}
	var rejected *enforce.Rejected
	if _, err := g.Manifest(t.Context(), app.WithDigest(riscv.Digest), mirror); !errors.As(err, &rejected) || !strings.Contains(err.Error(), "linux/riscv64") {
		t.Errorf("other platform: %v", err)
	}
	if _, err := g.Manifest(t.Context(), app.WithDigest(amd.Digest), mirror); err != nil {
		t.Errorf("own platform: %v", err)
	}
	if _, err := g.Manifest(t.Context(), app.WithDigest(riscv.Digest), enforce.Terms{}); err != nil {
		t.Errorf("without another road: %v", err)
	}
	if _, err := g.Manifest(t.Context(), app.WithDigest(riscv.Digest), mirror); err != nil {
		t.Errorf("once it is allowed: %v", err)
	}
}

func TestConfiguredPlatforms(t *testing.T) {
	t.Parallel()
	src := newSource()
	v6, v7 := child(src, 1, "linux/arm"), child(src, 2, "linux/arm")
	v6.Platform.Variant, v7.Platform.Variant = "v6", "v7"
	src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, v6, v7))
	for variant, blocked := range map[string]bool{"v6": false, "v7": true, "": true} {
		g := newGate(t, blocks([]digest.Digest{v7.Digest}, nil), fakeRecords{}, src, enforce.Options{
			Platforms: []ocispec.Platform{{OS: "linux", Architecture: "arm", Variant: variant}},
		})
		var refusal *enforce.Refusal
		if _, err := g.Manifest(t.Context(), tagged("1"), mirror); errors.As(err, &refusal) != blocked {
			t.Errorf("linux/arm/%s: %v", variant, err)
		}
	}
}

// TestIndexesInIndexes are opened to a depth, and each must be lawful.
func TestIndexesInIndexes(t *testing.T) {
	t.Parallel()
	amd := func(src *fakeSource) ocispec.Descriptor { return child(src, 1, "linux/amd64") }
	nest := func(src *fakeSource, depth int, inner ocispec.Descriptor) {
		for range depth - 1 {
			body := index(ocispec.MediaTypeImageIndex, inner)
			src.add("", ocispec.MediaTypeImageIndex, body)
			inner = descriptor(ocispec.MediaTypeImageIndex, body)
		}
		src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, inner))
	}
	for depth, want := range map[int]string{1: "blocked", 2: "blocked", 4: "blocked", 5: "more than 4 deep"} {
		src := newSource()
		bad := amd(src)
		nest(src, depth, bad)
		_, err := newGate(t, blocks([]digest.Digest{bad.Digest}, nil), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), mirror)
		var refusal *enforce.Refusal
		if want == "blocked" && !errors.As(err, &refusal) || want != "blocked" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
	for name, change := range map[string]func(*fakeSource) ocispec.Descriptor{
		"urls": func(src *fakeSource) ocispec.Descriptor {
			d := amd(src)
			d.URLs = []string{"https://evil.example"}
			return d
		},
		"missing": func(src *fakeSource) ocispec.Descriptor {
			d := amd(src)
			d.MediaType, d.Digest = ocispec.MediaTypeImageIndex, digest.FromString("nowhere")
			return d
		},
		"image-as-index": func(src *fakeSource) ocispec.Descriptor {
			d := amd(src)
			d.MediaType = ocispec.MediaTypeImageIndex
			return d
		},
	} {
		src := newSource()
		nest(src, 2, change(src))
		if release, err := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), mirror); err == nil || release.Content != nil {
			t.Errorf("%s: served", name)
		}
	}
}

// TestManyIndexesInAnIndex: a client that waits for them in vain goes elsewhere, and gets what is in them.
func TestManyIndexesInAnIndex(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nested int
		each   time.Duration
		want   any
	}{
		"many": {17, 0, new(*enforce.Rejected)},
		"slow": {16, 5 * time.Second, new(*enforce.Pending)},
		"bad":  {16, time.Second, new(*enforce.Refusal)},
	} {
		synctest.Test(t, func(t *testing.T) {
			src := newSource()
			var bad []digest.Digest
			var all []ocispec.Descriptor
			for i := range c.nested {
				inner := child(src, i+1, "linux/amd64")
				bad = append(bad, inner.Digest)
				body := index(ocispec.MediaTypeImageIndex, inner)
				src.add("", ocispec.MediaTypeImageIndex, body)
				all = append(all, descriptor(ocispec.MediaTypeImageIndex, body))
			}
			src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, all...))
			src.resolveTakes = c.each
			start := time.Now()
			_, err := newGate(t, blocks(bad, nil), fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), mirror)
			if took := time.Since(start); !errors.As(err, c.want) || took >= 20*time.Second {
				t.Errorf("%s: %v after %s", name, err, took)
			}
		})
	}
}

func TestManyImagesInAnIndex(t *testing.T) {
	t.Parallel()
	src := newSource()
	var many []ocispec.Descriptor
	for i := range 17 {
		many = append(many, child(src, i+1, "linux/amd64"))
	}
	src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, many...))
	j := says(trust.Allow)
	var rejected *enforce.Rejected
	if _, err := newGate(t, j, fakeRecords{}, src, enforce.Options{}).Manifest(t.Context(), tagged("1"), mirror); !errors.As(err, &rejected) || j.asked.Load() != 0 {
		t.Errorf("%v after %d judgements", err, j.asked.Load())
	}
}

// TestWholeIsAnsweredBefore20s, with all judgements still running, and they are not lost.
func TestWholeIsAnsweredBefore20s(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		var children []ocispec.Descriptor
		for i := range 3 {
			children = append(children, child(src, i+1, "linux/amd64"))
		}
		src.add("1", ocispec.MediaTypeImageIndex, index(ocispec.MediaTypeImageIndex, children...))
		j := says(trust.Allow)
		slow := j.verdict
		j.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
			time.Sleep(time.Minute)
			return slow(ctx, ref)
		}
		g := newGate(t, j, fakeRecords{}, src, enforce.Options{Hold: 25 * time.Second})
		start := time.Now()
		var pending *enforce.Pending
		if _, err := g.Manifest(t.Context(), tagged("1"), mirror); !errors.As(err, &pending) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took >= 20*time.Second {
			t.Errorf("after %s", took)
		}
		time.Sleep(time.Minute)
		if _, err := g.Manifest(t.Context(), tagged("1"), mirror); err != nil || j.asked.Load() != 3 {
			t.Errorf("%v after %d judgements", err, j.asked.Load())
		}
		if time.Since(start) > 2*time.Minute {
			t.Error("it was held twice")
		}
	})
}
