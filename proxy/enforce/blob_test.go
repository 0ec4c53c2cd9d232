package enforce_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

type fakeCache struct {
	body []byte
	err  error
}

type seekable struct{ *bytes.Reader }

func (seekable) Close() error { return nil }

func (c fakeCache) Open(context.Context, digest.Digest) (io.ReadSeekCloser, int64, error) {
	return seekable{bytes.NewReader(c.body)}, int64(len(c.body)), c.err
}

func TestBlobNeedsAnAllowedManifestOfItsRepository(t *testing.T) {
	t.Parallel()
	blob := trust.Blob{Digest: digest.FromBytes(layer), Size: int64(len(layer)), MediaType: ocispec.MediaTypeImageLayer}
	manifest := digest.FromBytes(image)
	elsewhere := trust.Reference{Registry: "docker.io", Repository: "evil/app"}
	var (
		refusal       *enforce.Refusal
		notReferenced *enforce.NotReferenced
	)
	cases := map[string]struct {
		judge   *fakeJudge
		records fakeRecords
		ref     trust.Reference
		want    func(error) bool
	}{
		"allowed":                   {says(trust.Allow, blob), fakeRecords{blob.Digest: {manifest}}, app, nil},
		"warned":                    {says(trust.Warn, blob), fakeRecords{blob.Digest: {manifest}}, app, nil},
		"blocked":                   {says(trust.Block, blob), fakeRecords{blob.Digest: {manifest}}, app, func(err error) bool { return errors.As(err, &refusal) }},
		"never_judged":              {says(trust.Allow, blob), fakeRecords{}, app, func(err error) bool { return errors.As(err, &notReferenced) }},
		"other_repository":          {says(trust.Allow, blob), fakeRecords{blob.Digest: {manifest}}, elsewhere, func(err error) bool { return errors.As(err, &notReferenced) }},
		"record_is_wrong":           {says(trust.Allow), fakeRecords{blob.Digest: {manifest}}, app, func(err error) bool { return errors.As(err, &notReferenced) }},
		"record_names_another_blob": {says(trust.Allow, trust.Blob{Digest: digest.FromString("another"), Size: int64(len(layer))}), fakeRecords{blob.Digest: {manifest}}, app, func(err error) bool { return errors.As(err, &notReferenced) }},
		"other_registry":            {says(trust.Allow, blob), fakeRecords{blob.Digest: {manifest}}, trust.Reference{Registry: "evil.example", Repository: "acme/app"}, is(enforce.ErrNotConfigured)},
		"judge_cannot_tell":         {&fakeJudge{broken: errors.New("boom")}, fakeRecords{blob.Digest: {manifest}}, app, unjudged(nil)},
	}
	for name, c := range cases {
		for _, cached := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s_cached_%v", name, cached), func(t *testing.T) {
				t.Parallel()
				src := newSource()
				src.content[blob.Digest] = layer
				o := enforce.Options{Cache: fakeCache{err: trust.ErrNotFound}}
				if cached {
					o.Cache = fakeCache{body: layer}
				}
				b, err := newGate(t, c.judge, c.records, src, o).Blob(t.Context(), c.ref.WithDigest(blob.Digest), enforce.Terms{})
				if c.want != nil {
					if err == nil || !c.want(err) {
						t.Fatalf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				r, err := b.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, layer) || b.Descriptor.Size != blob.Size {
					t.Errorf("got %q, %v", got, err)
				}
				if fetched := src.fetches.Load() > 0; fetched == cached {
					t.Errorf("fetched %v although cached %v", fetched, cached)
				}
			})
		}
	}
}

func TestOneAllowedManifestIsEnough(t *testing.T) {
	t.Parallel()
	blob := trust.Blob{Digest: digest.FromBytes(layer), Size: int64(len(layer))}
	good, bad := digest.FromString("good"), digest.FromString("bad")
	judge := says(trust.Block, blob)
	refuse := judge.verdict
	judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		v, err := refuse(ctx, ref)
		if ref.Digest == good {
			v.Action = trust.Allow
		}
		return v, err
	}
	g := newGate(t, judge, fakeRecords{blob.Digest: {bad, good}}, newSource(), enforce.Options{})
	for range 2 { // judged anew first, then remembered
		if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); err != nil {
			t.Error(err)
		}
	}
}

func TestBlobSizeMustBeTheManifests(t *testing.T) {
	t.Parallel()
	blob := trust.Blob{Digest: digest.FromBytes(layer), Size: 3}
	g := newGate(t, says(trust.Allow, blob), fakeRecords{blob.Digest: {digest.FromBytes(image)}}, newSource(),
		enforce.Options{Cache: fakeCache{body: layer}})
	b, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(t.Context()); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("got %v", err)
	}
}

func TestBlobWithoutADigest(t *testing.T) {
	t.Parallel()
	g := newGate(t, says(trust.Allow), fakeRecords{}, newSource(), enforce.Options{})
	if _, err := g.Blob(t.Context(), tagged("1"), enforce.Terms{}); !errors.Is(err, trust.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestBlobSharedByVeryManyManifests: the one that just passed counts, wherever the records name it.
func TestBlobSharedByVeryManyManifests(t *testing.T) {
	t.Parallel()
	blob := trust.Blob{Digest: digest.FromBytes(layer), Size: int64(len(layer))}
	src, records := newSource(), fakeRecords{}
	d := src.add("1", ocispec.MediaTypeImageManifest, image)
	for i := range 2000 {
		records[blob.Digest] = append(records[blob.Digest], digest.FromString(fmt.Sprint(i)))
	}
	records[blob.Digest] = append(records[blob.Digest], d)
	judge := says(trust.Allow, blob)
	answer := judge.verdict
	judge.verdict = func(ctx context.Context, ref trust.Reference) (trust.Verdict, error) {
		if ref.Digest != d {
			return trust.Verdict{}, errors.New("gone")
		}
		return answer(ctx, ref)
	}
	g := newGate(t, judge, records, src, enforce.Options{})
	if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); err == nil {
		t.Fatal("served before any manifest passed")
	}
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); err != nil {
		t.Error(err)
	}
}

// TestRefusedLater: a blob that passed is held to the verdict that stands now.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	blob := trust.Blob{Digest: digest.FromBytes(layer), Size: int64(len(layer))}
	src := newSource()
	d := src.add("1", ocispec.MediaTypeImageManifest, image)
	judge := says(trust.Allow, blob)
	g := newGate(t, judge, fakeRecords{blob.Digest: {d}}, src, enforce.Options{})
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
		t.Fatal(err)
	}
	judge.mu.Lock()
	for key, v := range judge.remembered {
		v.Action = trust.Block
		judge.remembered[key] = v
	}
	judge.mu.Unlock()
	var refusal *enforce.Refusal
	if _, err := g.Blob(t.Context(), app.WithDigest(blob.Digest), enforce.Terms{}); !errors.As(err, &refusal) {
		t.Errorf("got %v", err)
	}
}
