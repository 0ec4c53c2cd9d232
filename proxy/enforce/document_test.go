package enforce_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/safepull/safepull/proxy/enforce"
	"github.com/safepull/safepull/trust"
)

// TestDocumentIsReadOnce: what was verified and understood is neither fetched nor read again; a refusal stays one.
func TestDocumentIsReadOnce(t *testing.T) {
	t.Parallel()
	for action, serves := range map[trust.Action]bool{trust.Allow: true, trust.Block: false} {
		t.Run(string(action), func(t *testing.T) {
			t.Parallel()
			src := newSource()
			src.add("1", ocispec.MediaTypeImageManifest, image)
			g := newGate(t, says(action), fakeRecords{}, src, enforce.Options{})
			for range 3 {
				release, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{})
				if serves != (err == nil) || serves && !bytes.Equal(release.Content, image) {
					t.Fatalf("%q, %v", release.Content, err)
				}
			}
			if n := src.fetches.Load(); n != 1 {
				t.Errorf("fetched %d times", n)
			}
			if n := src.resolves.Load(); n != 3 {
				t.Errorf("the tag was resolved %d times, not each time", n)
			}
		})
	}
}

// TestDocumentIsVerifiedWhenDescribedOtherwise: another size or type is nothing that was verified.
func TestDocumentIsVerifiedWhenDescribedOtherwise(t *testing.T) {
	t.Parallel()
	src := newSource()
	d := src.add("1", ocispec.MediaTypeImageManifest, image)
	g := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{})
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
		t.Fatal(err)
	}
	src.lies = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(image)) - 1}
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); !errors.Is(err, trust.ErrIntegrity) {
		t.Errorf("another size: %v", err)
	}
	src.lies = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(image))}
	var rejected *enforce.Rejected
	if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); !errors.As(err, &rejected) {
		t.Errorf("another type: %v", err)
	}
	if n := src.fetches.Load(); n != 3 {
		t.Errorf("fetched %d times", n)
	}
}

// TestLargeDocumentIsNotRemembered: the memory is for many small ones.
func TestLargeDocumentIsNotRemembered(t *testing.T) {
	t.Parallel()
	large := bytes.Replace(image, []byte("{"), []byte("{"+strings.Repeat(" ", 8<<10)), 1)
	src := newSource()
	src.add("1", ocispec.MediaTypeImageManifest, large)
	g := newGate(t, says(trust.Allow), fakeRecords{}, src, enforce.Options{})
	for range 2 {
		if _, err := g.Manifest(t.Context(), tagged("1"), enforce.Terms{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := src.fetches.Load(); n != 2 {
		t.Errorf("fetched %d times", n)
	}
}
