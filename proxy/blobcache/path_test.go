package blobcache

import (
	"testing"

	"github.com/opencontainers/go-digest"
)

func FuzzParsePath(f *testing.F) {
	d := digest.FromString("x")
	f.Add(path(d, 0))
	f.Add(path(digest.SHA512.FromString("x"), 1<<40))
	f.Add(blobs + "/sha256/ab/../../x.1")
	f.Add(blobs + "/sha256/2d/" + d.Encoded() + ".01")
	f.Fuzz(func(t *testing.T, p string) {
		if d, size, ok := parsePath(p); ok && path(d, size) != p {
			t.Errorf("%q is taken for %s of %d bytes", p, d, size)
		}
	})
}

func TestParsePath(t *testing.T) {
	t.Parallel()
	d := digest.FromString("x")
	if got, size, ok := parsePath(path(d, 42)); got != d || size != 42 || !ok {
		t.Errorf("%s: %s, %d, %v", d, got, size, ok)
	}
	if of, ok := sumOf(d); !ok || digestOf(of) != d {
		t.Errorf("%s became %s", d, digestOf(of))
	}
	for _, other := range []digest.Digest{"", "sha256:x", digest.SHA512.FromString("x"), digest.Digest("md5:" + d.Encoded())} {
		if _, ok := sumOf(other); ok {
			t.Errorf("%q is taken for a SHA-256", other)
		}
	}
}
